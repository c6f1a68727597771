"""One channel's messages: its position, its bounded buffer, its gaps."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import msgspec

from agio_sdk.book import Book, BookMessage

if TYPE_CHECKING:
    from agio_sdk.stream import Stream

T = TypeVar("T")

WhenFull = Literal["block", "drop_oldest", "latest"]
OnGap = Callable[[str, int, int, bool], None]

STATE_CHANNELS = frozenset({"quotes", "bars", "balances", "positions", "analytics"})


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message of a channel: sequence `q`, instant `t` in microseconds since 1970, payload to be decoded."""

    channel: str
    q: int
    t: int
    payload: bytes
    is_snapshot: bool = False
    p: int | None = None
    crc: int | None = None
    encoding: str = "json"

    def decode(self, kind: type[T]) -> T:
        """The payload as `kind`, for example `message.decode(Trade)`."""
        if self.encoding == "msgpack":
            return msgspec.msgpack.decode(self.payload, type=kind, strict=False)
        return msgspec.json.decode(self.payload, type=kind)


class Subscription:
    """An asynchronous iterator of one channel's messages.

    On log channels every message comes once and in order, across reconnections; where continuity cannot
    be proven `on_gap(channel, first, last, recovered)` is called. The buffer holds `limit` messages; when
    it is full, `block` stops reading from the socket (for all channels of the stream), `drop_oldest` loses
    messages and says so through `on_gap`, `latest` keeps only the newest one and says so on log channels.
    """

    def __init__(
        self,
        stream: "Stream",
        channel: str,
        *,
        request: dict[str, object],
        limit: int,
        when_full: WhenFull,
        on_gap: OnGap | None,
        position: tuple[str, int] | None,
    ) -> None:
        self.channel = channel
        self.is_log = channel.partition(":")[0] not in STATE_CHANNELS | {"book"}
        self.epoch: str = position[0] if position is not None else ""
        self.last: int | None = position[1] if position is not None else None
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_resuming = False
        self.book = Book(channel.partition(":")[2]) if channel.startswith("book:") else None
        self._stream = stream
        self._request = request
        self._limit = 1 if when_full == "latest" else limit
        self._when_full = when_full
        self._on_gap = on_gap
        self._buffer: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._error: Exception | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._is_closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        message = self._buffer.popleft()
        if len(self._buffer) < self._limit:
            self._has_room.set()
        return message

    async def next_batch(self, limit: int = 10_000) -> list[Message]:
        """Everything that is waiting, at least one message; cheaper than iterating one by one."""
        batch = [await anext(self)]
        while self._buffer and len(batch) < limit:
            batch.append(self._buffer.popleft())
        self._has_room.set()
        return batch

    async def aclose(self) -> None:
        """Unsubscribe; iteration ends after what is buffered."""
        if not self._is_closed:
            self._is_closed = True
            self._has_room.set()
            self._arrived.set()
            await self._stream.unsubscribe(self)

    @property
    def is_established(self) -> bool:
        """Whether the server has granted it at least once."""
        return self.confirmed.done() and not self.confirmed.cancelled() and not self.confirmed.exception()

    # What the stream calls

    def wire_request(self) -> dict[str, object]:
        """The entry of a `sub` message, with our position if we have one."""
        request: dict[str, object] = {"ch": self.channel, **self._request}
        if self.is_log and self.last is not None:
            request["from"] = {"epoch": self.epoch, "seq": self.last}
        return request

    def confirm(self, epoch: str, seq: int, *, is_recovered: bool) -> None:
        """The server answered a `sub`: we are at `seq` of `epoch`, or are being replayed up to it."""
        if self.is_log and (self.last is None or not is_recovered):
            if self.last is not None:
                self._tell_gap(self.last + 1, seq, is_recovered=False)
            self.last = seq
        self.epoch = epoch
        self.is_resuming = False
        if not self.confirmed.done():
            self.confirmed.set_result(None)

    def fail(self, error: Exception) -> None:
        self._error = error
        self._arrived.set()
        self._has_room.set()
        if not self.confirmed.done():
            self.confirmed.set_exception(error)
            self.confirmed.exception()  # the waiter, if any, still gets it; nobody else need be told

    def accept(self, message: Message) -> bool:
        """Take a message; returns False when something before it is missing and we must resume."""
        if self.is_resuming:
            return True
        if self.is_log and self.last is not None:
            if message.q <= self.last:
                return True
            if message.q != self.last + 1:
                return False
        self.last = message.q
        if self.book is not None and not self._update_book(self.book, message):
            return False
        self._put(message)
        return True

    def skipped(self, first: int, last: int) -> None:
        """The server merged messages of a conflatable channel and says so."""
        self._tell_gap(first, last, is_recovered=False)

    async def wait_for_room(self) -> None:
        if len(self._buffer) >= self._limit and self._when_full == "block" and not self._is_closed:
            self._has_room.clear()
            await self._has_room.wait()

    def _put(self, message: Message) -> None:
        if len(self._buffer) >= self._limit and self._when_full != "block":
            dropped = self._buffer.popleft()
            if self._when_full == "drop_oldest" or self.is_log:
                self._tell_gap(dropped.q, dropped.q, is_recovered=False)
        self._buffer.append(message)
        self._arrived.set()

    def _update_book(self, book: Book, message: Message) -> bool:
        levels = message.decode(BookMessage)
        if message.is_snapshot:
            return book.load(levels, message.q, message.crc)
        return book.apply(levels, message.q, message.p, message.crc)

    def _tell_gap(self, first: int, last: int, *, is_recovered: bool) -> None:
        if self._on_gap is not None:
            self._on_gap(self.channel, first, last, is_recovered)
