"""A subscription to a LOG channel: live, or behind and reading ring and history up to the live end."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import structlog
from typing_extensions import override

from agio.kernel.problem import Problem
from agio.platform.channels import ChannelHandle, Push, TimedHistory
from agio.streaming.chunks import Chunk, split
from agio.streaming.errors import ChannelUnavailable, InvalidOperation, StartNotAvailable
from agio.streaming.hub import Subscription
from agio.streaming.log_hub import HistoryLost, LogHub, LogReader
from agio.streaming.outbound import OutboundQueue

log = structlog.get_logger(__name__)

_RFC_3339 = Annotated[datetime, msgspec.Meta(tz=True)]
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Nanoseconds since 1970 of what lies between fit into the 64 bits of a database's number."""
_FIRST_PAUSE_SECONDS = 0.05
_LAST_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0


class Position(msgspec.Struct, frozen=True):
    """Where a client stands on a log: everything up to `seq` of `epoch` has been seen."""

    seq: int
    epoch: str | None = None


class Start(msgspec.Struct, frozen=True):
    """Where a client wants a log's history to begin."""

    sequence: int | None
    instant: datetime | None

    @classmethod
    def read(cls, value: int | str) -> "Start":
        """A sequence of 1 or more, or an RFC 3339 time; raises StartNotAvailable."""
        if isinstance(value, int):
            if value < 1:
                raise StartNotAvailable("sequences begin with 1")
            return cls(value, None)
        try:
            instant = msgspec.convert(value, _RFC_3339)
        except msgspec.MsgspecError as error:
            raise StartNotAvailable("start is a sequence or a time such as 2026-01-31T12:00:00Z") from error
        if not _EARLIEST <= instant < _LATEST:
            raise StartNotAvailable(f"start lies between {_EARLIEST.year} and {_LATEST.year}")
        return cls(None, instant)

    async def find(self, hub: LogHub, handle: ChannelHandle) -> "tuple[Position, str | None]":
        """The position before it, and why its history cannot be told, if so."""
        top, limit = hub.top, hub.services.settings.replay_limit
        if self.instant is None:
            return await self._find_sequence(hub, handle)
        if not isinstance(handle, TimedHistory):
            raise StartNotAvailable("this log is entered by sequence only")
        instant, history, floor = self.instant, handle, max(0, top - limit)
        first = await hub.ask(lambda: history.locate(instant, floor))
        if first is None:
            return Position(top, hub.epoch), None
        if floor and first == floor + 1:
            return Position(floor, hub.epoch), "too_far"
        if first > 1:
            # Only what follows something older is certainly the first.
            before = await hub.ask(lambda: handle.replay(first - 2, 1))
            if not before or before[0].q != first - 1:
                return Position(first - 1, hub.epoch), "trimmed"
        return Position(first - 1, hub.epoch), None

    async def _find_sequence(self, hub: LogHub, handle: ChannelHandle) -> "tuple[Position, str | None]":
        before = (self.sequence or 1) - 1
        if before > hub.top:
            _, top = await hub.ask(handle.position)
            if before > top:
                raise StartNotAvailable(f"the newest sequence is {top}")
        return Position(before, hub.epoch), None


class LogSubscription(LogReader):
    """Delivers each message exactly once, in order, from where the client stands."""

    def __init__(
        self,
        channel: str,
        handle: ChannelHandle,
        hub: LogHub,
        queue: OutboundQueue,
        ended: Callable[[Subscription, Problem], None],
        position: Position | Start | None,
        lock: asyncio.Lock,
    ) -> None:
        super().__init__(channel, handle, queue, ended)
        self.cursor = 0
        self.lagging_since: float | None = None
        """Since when the reader is too slow for the live end; None while it keeps up or resumes."""
        self._hub = hub
        self._start = position if isinstance(position, Start) else None
        self._from = position if isinstance(position, Position) else None
        self._lock = lock
        """Shared by the connection's subscriptions, so that they fill its queue one after the other."""
        self._refusal: str | None = None
        self._page: Sequence[Push] = ()
        self._catching_up: asyncio.Task[None] | None = None

    @property
    @override
    def hub(self) -> LogHub:
        return self._hub

    @property
    @override
    def position(self) -> int:
        return self.cursor

    @override
    async def prepare(self) -> None:
        """Decide whether the client's position can be resumed, wholly or not at all."""
        if self._start is not None:
            self._from, self._refusal = await self._start.find(self._hub, self.handle)
        if self._from is None:
            return
        self._refusal = self._refusal or await self._check(self._from)
        outcome = self._refusal or "recovered"
        self._hub.services.metrics.resumes.labels(outcome).inc()

    @override
    def describe(self) -> dict[str, object]:
        hub = self._hub
        entry: dict[str, object] = {"ch": self.channel, "n": hub.number, "epoch": hub.epoch, "seq": hub.top}
        if self._from is None:
            return entry
        if self._start is not None:
            entry["first"] = self._from.seq + 1
        if self._refusal is None:
            return {**entry, "recovered": True, "replay": max(0, hub.top - self._from.seq)}
        entry |= {"recovered": False, "replay": 0, "reason": self._refusal}
        if self.handle.history_url is not None:
            after = self._from.seq if self._refusal in {"too_far", "trimmed"} else 0
            joint = "&" if "?" in self.handle.history_url else "?"
            entry["rest"] = f"{self.handle.history_url}{joint}after_seq={after}"
        return entry

    @override
    def activate(self) -> None:
        if self._from is None or self._refusal is not None:
            self.cursor = self._hub.top
            self._hub.live[self] = None
            return
        self.cursor = self._from.seq
        self._fall_behind()

    @override
    def deliver(self, chunk: Chunk) -> None:
        if self.queue.is_free and chunk.first == self.cursor + 1:
            self.cursor = chunk.last
            self.queue.put_chunk(chunk)
            return
        if chunk.last <= self.cursor:
            return
        if self.queue.is_congested or chunk.first > self.cursor + 1:
            self.lagging_since = asyncio.get_running_loop().time()
            self._fall_behind()
            return
        part = chunk.after(self.cursor)
        if part is not None:
            self.cursor = part.last
            self.queue.put_chunk(part)

    @override
    async def resync(self) -> None:
        raise InvalidOperation("a log has no snapshot: subscribe again with `from`")

    @override
    def close(self) -> None:
        super().close()
        self._hub.live.pop(self, None)
        self._hub.behind.pop(self, None)
        if self._catching_up is not None:
            self._catching_up.cancel()

    async def _check(self, position: Position) -> str | None:
        """Why the position cannot be resumed; None when it can."""
        hub = self._hub
        if position.epoch != hub.epoch and not (position.epoch is None and position.seq == 0):
            return "epoch"
        if position.seq > hub.top:
            epoch, top = await hub.ask(self.handle.position)
            if epoch != hub.epoch or position.seq > top:
                return "epoch"
        if hub.top - position.seq > hub.services.settings.replay_limit:
            return "too_far"
        if position.seq >= hub.top or hub.ring.covers(position.seq):
            return None
        self._page = await self._read_page(position.seq)
        if not self._page or self._page[0].q != position.seq + 1:
            return "trimmed"
        return None

    async def _read_page(self, after: int) -> list[Push]:
        page_size = self._hub.services.settings.replay_page
        return await self._hub.ask(lambda: self.handle.replay(after, page_size))

    def _fall_behind(self) -> None:
        if self.is_closed:
            return
        self._hub.live.pop(self, None)
        if self.cursor >= self._hub.top:
            self._join_live()
            return
        self._hub.behind[self] = None
        self._catching_up = self._hub.services.start(self._catch_up())

    def _join_live(self) -> None:
        """No await lies between this and the comparison with the top: nothing is missed or repeated."""
        self._hub.behind.pop(self, None)
        self._hub.live[self] = None
        self._page = ()
        self.lagging_since = None

    async def _catch_up(self) -> None:
        try:
            while not self.is_closed and self.cursor < self._hub.top:
                if not await self.queue.room():
                    return
                await self._send_some()
        except Problem as problem:
            self.end(problem)
            return
        if not self.is_closed:
            self._join_live()

    async def _send_some(self) -> None:
        """Send one chunk from the page at hand, the ring, or the history."""
        source, pushes = self._at_hand()
        if not pushes:
            self._page = await self._read_patiently()
            return
        chunk = next(
            split(self._hub.number, self._hub.label, pushes, self._hub.services.settings.chunk_bytes)
        )
        async with self._lock:
            if not await self.queue.room() or self.is_closed:
                return
            self.cursor = chunk.last
            self.queue.put_chunk(chunk)
        self._hub.services.metrics.replayed.labels(source).inc(chunk.count)

    def _at_hand(self) -> tuple[str, Sequence[Push]]:
        page = self._page
        if page and page[-1].q > self.cursor:
            index = max(0, self.cursor + 1 - page[0].q)
            return "history", page[index:]
        ring = self._hub.ring
        if ring.covers(self.cursor):
            return "ring", ring.after(self.cursor, self._hub.services.settings.chunk_bytes)
        return "history", ()

    async def _read_patiently(self) -> list[Push]:
        """A page of history behind the cursor; waits for a source that is away for a moment."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + _PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            try:
                page = await self._read_page(self.cursor)
            except Exception as error:
                log.info("stream_replay_failed", channel=self.channel, error=repr(error))
                page = []
            if page:
                self._require_no_hole(page)
                return page
            if loop.time() > until:
                raise ChannelUnavailable("the history does not answer; subscribe again with `from`")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE_SECONDS)

    def _require_no_hole(self, page: list[Push]) -> None:
        expected = self.cursor
        for push in page:
            expected += 1
            if push.q != expected:
                raise HistoryLost(f"{push.q} follows {expected - 1} in the history")
