"""One connection to a venue, from its first frame to its end: read, decode, judge, tell, look after."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import aiohttp

from agio.marketdata.books.continuity import Judgement
from agio.marketdata.feeds.connector import Connector, FetchBook, SendFrame, Step
from agio.marketdata.feeds.pacing import ResyncPlan
from agio.marketdata.feeds.port import Counters
from agio.marketdata.feeds.requests import RequestFailed, get
from agio.marketdata.feeds.runner import ConnectionLost, ConnectionStale
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.feeds.skew import ClockSkew
from agio.marketdata.feeds.telling import apply_and_tell
from agio.marketdata.normalised import Malformed, Message, Subscription, Verdict
from agio.platform.clock import Clock

Tell = Callable[[Sequence[Message], Sequence[Judgement]], Awaitable[None]]


class Connection:
    """Owns its books: another connection needs other ones."""

    def __init__(
        self,
        connector: Connector,
        socket: aiohttp.ClientWebSocketResponse,
        http: aiohttp.ClientSession,
        clock: Clock,
        settings: FeedSettings,
        counters: Counters,
        skew: ClockSkew,
        tell: Tell,
    ) -> None:
        self._connector = connector
        self._socket = socket
        self._http = http
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self._skew = skew
        self._tell = tell
        self.books = connector.make_books()
        now = clock.monotonic()
        self._heard_at = self._kept_alive_at = now
        self.is_alive = False
        """Something well-formed has come."""
        self._plan = ResyncPlan(connector.symbols, settings, now)
        self._refused: dict[str, str] = {}
        self._requests: asyncio.Queue[FetchBook] = asyncio.Queue(len(connector.symbols))
        self._answers: deque[Message] = deque()

    @property
    def doubtful(self) -> dict[str, str]:
        """Symbols without a good book, and why."""
        found = {}
        for symbol in self._connector.symbols:
            book = self.books.get(symbol)
            if book is None or not book.is_good:
                found[symbol] = self._refused.get(symbol) or (
                    "no snapshot yet" if book is None else book.reason
                )
        return found

    @property
    def proofs(self) -> int:
        books = (self.books.get(symbol) for symbol in self._connector.symbols)
        return sum(book.proofs for book in books if book is not None)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`. Raises ConnectionLost, or what the sink raises."""
        fetching = asyncio.create_task(self._fetch_books())
        try:
            await self._take_steps(self._connector.opening())
            while not stopping.is_set():
                frame = await self._receive()
                if frame is not None:
                    self._counters.frames += 1
                    await self._apply(self._connector.decoder.decode(frame, self._now_ns()))
                await self._look_after()
        finally:
            fetching.cancel()
            with suppress(asyncio.CancelledError):
                await fetching

    async def _receive(self) -> str | bytes | None:
        """The next frame; None when nothing came within a tick."""
        try:
            message = await self._socket.receive(self._settings.tick_seconds)
        except TimeoutError:
            return None
        match message.type:
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                frame: str | bytes = message.data
                return frame
            case aiohttp.WSMsgType.ERROR:
                raise ConnectionLost(f"broken: {message.data}")
            case _:
                raise ConnectionLost(f"closed by the venue with {self._socket.close_code}")

    async def _apply(self, messages: Sequence[Message]) -> None:
        told, judgements = apply_and_tell(self.books, messages)
        now = self._clock.monotonic()
        self._counters.messages += len(messages)
        for message in messages:
            if isinstance(message, Malformed):
                self._counters.malformed += 1
            elif isinstance(message, Subscription) and message.error is not None:
                self._counters.refused += 1
                if message.symbol is not None:
                    self._refused[message.symbol] = message.error
        if any(self._connector.proves_life(message) for message in messages):
            self._heard_at, self.is_alive = now, True
        self._skew.take(messages)
        for judgement in judgements:
            self._note(judgement, now)
        await self._tell(told, judgements)

    def _note(self, judgement: Judgement, now: float) -> None:
        match judgement.verdict:
            case Verdict.OK:
                self._refused.pop(judgement.symbol, None)
                self._plan.recovered(judgement.symbol, now)
                return
            case Verdict.GAP:
                self._counters.gaps += 1
            case Verdict.BAD_CHECKSUM:
                self._counters.bad_checksums += 1
            case Verdict.CROSSED:
                self._counters.crossed += 1
        self._plan.doubted(judgement.symbol, now)

    async def _look_after(self) -> None:
        """Everything that is due by the clock, and answers that came beside the stream."""
        while self._answers:
            await self._apply([self._answers.popleft()])
        now = self._clock.monotonic()
        if now - self._heard_at > self._connector.stale_seconds:
            raise ConnectionStale(f"no data for {self._connector.stale_seconds:g} s")
        keep_alive = self._connector.keep_alive
        if keep_alive is not None and now - self._kept_alive_at >= keep_alive.every_seconds:
            self._kept_alive_at = now
            await self._send(keep_alive.text)
        due = self._plan.take_due(now)
        if due:
            await self._resync(due)

    async def _resync(self, due: Sequence[str]) -> None:
        again = []
        for symbol in due:
            if self._plan.attempts(symbol) <= self._settings.resync_attempts:
                again.append(symbol)
            elif symbol in self._refused:
                self._plan.give_up(symbol)
            else:
                raise ConnectionLost(
                    f"{symbol} has no lasting book after {self._settings.resync_attempts} tries"
                )
        if again:
            self._counters.resyncs += len(again)
            for symbol in again:
                self._counters.resyncs_of[symbol] = self._counters.resyncs_of.get(symbol, 0) + 1
            await self._take_steps(self._connector.resnapshot(again))

    async def _take_steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, SendFrame):
                await self._send(step.text)
            elif not self._requests.full():  # full of older requests for the same books: those answer too
                self._requests.put_nowait(step)

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_seconds):
                await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError) as fault:  # OSError: TimeoutError is one too
            raise ConnectionLost(f"can't send: {type(fault).__name__}") from fault

    async def _fetch_books(self) -> None:
        """One request after the other: venues count them."""
        while True:
            step = await self._requests.get()
            try:
                body = await get(self._http, step.url, self._settings.connect_seconds)
            except RequestFailed as fault:
                self._counters.failed_requests += 1
                await asyncio.sleep(fault.retry_after_seconds)
            else:
                self._answers.append(step.read(body, self._now_ns()))

    def _now_ns(self) -> int:
        return self._clock.now_micros() * 1000
