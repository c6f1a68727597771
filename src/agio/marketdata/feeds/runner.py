"""The runner of every feed: connect, and again after each loss, never in a storm."""

import asyncio
import random
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from agio.marketdata.books.continuity import Judgement, VenueBooks
from agio.marketdata.books.l2 import L2Book
from agio.marketdata.feeds.pacing import Backoff, Breaker
from agio.marketdata.feeds.port import Counters, Delivery, Feed, FeedState, FeedStatus, Sink
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.feeds.skew import ClockSkew
from agio.marketdata.normalised import Message
from agio.platform.clock import Clock

log = structlog.get_logger()


class ConnectionLost(Exception):
    """The connection ended, or is given up; says why, and how long the venue wants us to wait."""

    def __init__(self, reason: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class ConnectionStale(ConnectionLost):
    """Nothing came for too long."""


class Connected(Protocol):
    """What the runner asks of the present connection."""

    books: VenueBooks
    is_alive: bool
    """Something well-formed has come."""

    @property
    def doubtful(self) -> dict[str, str]:
        """Symbols without a good book, and why."""
        ...

    @property
    def proofs(self) -> int: ...


class FeedRunner(Feed):
    """Everything of a feed but its connection. `run` once."""

    def __init__(
        self,
        venue: str,
        symbols: Sequence[str],
        clock: Clock,
        settings: FeedSettings | None = None,
        *,
        random: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._venue = venue
        self._symbols = symbols
        self._clock = clock
        self._settings = settings or FeedSettings()
        self._sleep = sleep
        self._backoff = Backoff(self._settings, random)
        self._breaker = Breaker(self._settings.connects_per_minute)
        self._counters = Counters()
        self._skew = ClockSkew()
        self._stopping = asyncio.Event()
        self._state = FeedState.CONNECTING
        self._connection: Connected | None = None
        self._last_error: str | None = None
        self._retry_after_seconds = 0.0

    @abstractmethod
    async def _connect(self, sink: Sink) -> None:
        """Set `_connection`, and follow it until the feed is stopped. Raises ConnectionLost."""

    def stop(self) -> None:
        self._stopping.set()

    def good(self, symbol: str) -> L2Book | None:
        if self._connection is None or self._state is not FeedState.LIVE:
            return None
        return self._connection.books.good(symbol)

    def status(self) -> FeedStatus:
        doubtful = dict.fromkeys(self._symbols, "not connected")
        if self._connection is not None:
            doubtful = self._connection.doubtful
        return FeedStatus(
            self._venue,
            self._state,
            msgspec.structs.replace(self._counters, resyncs_of=dict(self._counters.resyncs_of)),
            self._skew.median_ns,
            doubtful,
            0 if self._connection is None else self._connection.proofs,
            self._last_error,
        )

    async def run(self, sink: Sink) -> None:
        try:
            while await self._wait_for_turn():
                started = self._clock.monotonic()
                self._counters.connects += 1
                try:
                    await self._connect(sink)
                except ConnectionLost as lost:
                    await self._lose(lost, sink)
                self._backoff.failed(self._clock.monotonic() - started)
            self._state = FeedState.CLOSED
            await sink(Delivery(self._venue, self._state, (), self._doubt_all("stopped")))
        finally:
            self._connection, self._state = None, FeedState.CLOSED

    async def _wait_for_turn(self) -> bool:
        """Wait as long as the backoff, the venue and the breaker say; False when the feed was stopped."""
        if self._stopping.is_set():
            return False
        held = self._breaker.wait_seconds(self._clock.monotonic())
        wait = max(held, self._retry_after_seconds, self._backoff.wait_seconds())
        if held > 0:
            self._counters.held += 1
            log.warning("feed_held_by_breaker", venue=self._venue, wait_seconds=wait)
        if wait > 0:
            await self._pause(wait)
        self._breaker.attempted(self._clock.monotonic())
        return not self._stopping.is_set()

    async def _pause(self, seconds: float) -> None:
        """Sleep, or less when the feed is stopped."""
        tasks = [asyncio.ensure_future(self._sleep(seconds)), asyncio.create_task(self._stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _tell(self, sink: Sink, messages: Sequence[Message], judgements: Sequence[Judgement]) -> None:
        if self._connection is not None and self._connection.is_alive:
            self._state = FeedState.LIVE
        await sink(Delivery(self._venue, self._state, messages, judgements))

    async def _lose(self, lost: ConnectionLost, sink: Sink) -> None:
        """No book of a lost connection is good any more, and everybody is told so at once."""
        self._last_error = str(lost)
        self._counters.reconnects += 1
        is_stale = isinstance(lost, ConnectionStale)
        self._counters.stale += is_stale
        log.warning("feed_connection_lost", venue=self._venue, reason=str(lost))
        self._retry_after_seconds = lost.retry_after_seconds
        judgements = self._doubt_all(str(lost))
        self._counters.gaps += len(judgements)
        self._connection = None
        if is_stale:
            self._state = FeedState.STALE
            await sink(Delivery(self._venue, self._state, (), judgements))
            judgements = []
        self._state = FeedState.CONNECTING
        await sink(Delivery(self._venue, self._state, (), judgements))

    def _doubt_all(self, reason: str) -> list[Judgement]:
        return [] if self._connection is None else self._connection.books.doubt(reason)
