"""One channel's messages: its position, its bounded buffer, its gaps."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Self

from agio_sdk.book import CHECKED_LEVELS, Book, BookMessage, Change
from agio_sdk.buffer import Item, WhenFull, make_buffer
from agio_sdk.errors import QueueFull
from agio_sdk.gaps import Gap, GapReason, OnGap
from agio_sdk.message import Message
from agio_sdk.sequencer import ChannelClass, Granted, Sequencer, Taken
from agio_sdk.states import tell

if TYPE_CHECKING:
    from agio_sdk.backfill import ReadHole
    from agio_sdk.stream import Stream

__all__ = ["Message", "OnGap", "Subscription", "WhenFull"]

DEFAULT_LIMIT = 100_000
DEFAULT_LIMIT_OF_VALUES = 10_000
"""For state and book channels, of which the newest message counts most."""


class Subscription:
    """An asynchronous iterator of one channel's messages; `Stream.subscribe` makes it.

    On log channels every message comes once and in order, across reconnections; where continuity cannot
    be proven `on_gap(channel, first, last, recovered)` is called at once, and `with_gaps()` shows the gap at
    its place between the messages. `book` of a book channel follows by itself, whether messages are read
    or not.
    """

    def __init__(
        self,
        stream: "Stream",
        channel: str,
        *,
        request: dict[str, object],
        limit: int | None = None,
        when_full: WhenFull | None = None,
        on_gap: OnGap | None = None,
        position: tuple[str, int] | None = None,
        read_hole: "ReadHole | None" = None,
    ) -> None:
        self.channel = channel
        self.sequencer = Sequencer(channel, position)
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_resuming = False
        """A new answer is on its way: what still comes of the old subscription is not looked at."""
        depth = request.get("depth")
        self.book = (
            Book(channel.partition(":")[2], depth if isinstance(depth, int) else CHECKED_LEVELS)
            if self.sequencer.channel_class is ChannelClass.BOOK
            else None
        )
        self._stream = stream
        self._request = request
        self._limit = limit or (DEFAULT_LIMIT if self.is_log else DEFAULT_LIMIT_OF_VALUES)
        self._buffer = make_buffer(
            channel, self._limit, when_full or ("fail" if self.is_log else "drop_oldest")
        )
        self._on_gap = on_gap
        self._read_hole = read_hole
        self._filling: asyncio.Task[None] | None = None
        self._held: deque[Item] = deque()
        """What came while a hole is being filled; it follows when the hole is."""
        self._error: Exception | None = None
        self._is_closed = False
        self._is_new_connection = False
        self._handed: int | None = None
        """The newest sequence that the reader has or can take without waiting."""

    @property
    def is_log(self) -> bool:
        return self.sequencer.is_log

    @property
    def epoch(self) -> str:
        return self.sequencer.epoch

    @property
    def last(self) -> int | None:
        """The newest sequence that has arrived; with `epoch` the position to go on from."""
        return self.sequencer.last

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not isinstance(item := await self._next_item(), Message):
            pass
        return item

    async def with_gaps(self) -> AsyncGenerator[Item, None]:
        """Messages and gaps in the order in which they belong."""
        while True:
            try:
                item = await self._next_item()
            except StopAsyncIteration:
                return
            yield item

    async def next_batch(self, limit: int = 10_000) -> list[Message]:
        """Everything that is waiting, at least one message; cheaper than iterating one by one."""
        batch = [await anext(self)]
        while len(batch) < limit and (item := self._buffer.take()) is not None:
            if isinstance(item, Message):
                batch.append(item)
        return batch

    async def aclose(self) -> None:
        """Unsubscribe; iteration ends after what is buffered."""
        if not self._is_closed:
            self._is_closed = True
            self._buffer.wake()
            if self._filling is not None:
                self._filling.cancel()
                await asyncio.gather(self._filling, return_exceptions=True)
            await self._stream.unsubscribe(self)

    @property
    def is_established(self) -> bool:
        """Whether the server has granted it at least once."""
        return self.sequencer.is_granted

    async def _next_item(self) -> Item:
        while (item := self._buffer.take()) is None:
            if self._error is not None:
                raise self._error
            if self._is_closed:
                raise StopAsyncIteration
            await self._buffer.wait()
        return item

    # What the stream calls

    def wire_request(self) -> dict[str, object]:
        """The entry of a `sub` message, with our position if we have one."""
        request: dict[str, object] = {"ch": self.channel, **self._request}
        position = self.sequencer.position()
        if position is not None:
            request["from"] = position
            request.pop("start", None)
        return request

    def confirm(self, granted: Granted) -> None:
        """The server answered a `sub`: we are at `seq` of `epoch`, or are being replayed up to it."""
        self._is_new_connection = self.is_established
        gap = self.sequencer.grant(granted)
        self.is_resuming = False
        if gap is not None:
            self._lost(gap)
        if not self.confirmed.done():
            self.confirmed.set_result(None)

    def fail(self, error: Exception) -> None:
        """End it; what is waiting can still be read."""
        self._error = error
        self._buffer.wake()
        if not self.confirmed.done():
            self.confirmed.set_exception(error)
            self.confirmed.exception()  # the waiter, if any, still gets it; nobody else need be told

    def accept(self, message: Message) -> bool:
        """Take a message; returns False when something before it is missing and we must resume."""
        if self.is_resuming or self._error is not None or self._is_closed:
            return True
        if self.book is not None:
            return self._accept_book(self.book, message)
        taken = self.sequencer.take(message.q, message.payload)
        if taken is Taken.NEW:
            self._hand_over(message)
        return taken is not Taken.HOLE

    def skipped(self, first: int, last: int) -> None:
        """The server merged messages of a conflatable channel and says so."""
        self._announce(Gap(channel=self.channel, first=first, last=last, reason="skipped", epoch=self.epoch))

    def _accept_book(self, book: Book, message: Message) -> bool:
        levels = message.decode(BookMessage)
        before, was_valid = book.sequence, book.is_valid
        if message.is_snapshot:
            change = book.load(levels, message.q, message.crc)
            if self._is_new_connection and was_valid and message.q > before:
                self._break_of_book(before + 1, message.q, "reconnected")
            self._is_new_connection = False
        else:
            change = book.apply(levels, message.q, message.p, message.crc)
        if change is Change.APPLIED:
            self.sequencer.last = message.q
            self._hand_over(message)
        elif change is Change.CHECKSUM:
            self._break_of_book(message.q, message.q, "checksum")
        elif change is Change.GAP and was_valid:
            self._break_of_book(before + 1, message.q, "gap")
        # Until its snapshot comes the book is asked for once, not at every message.
        return change in {Change.APPLIED, Change.SEEN} or not (was_valid or message.is_snapshot)

    def _break_of_book(self, first: int, last: int, reason: GapReason) -> None:
        self._announce(Gap(channel=self.channel, first=first, last=last, reason=reason))

    def _hand_over(self, item: Item) -> None:
        """To the reader, or behind the hole that is being filled."""
        if self._filling is not None:
            self._held.append(item)
            if len(self._held) > self._limit:
                self._overflow(item.first if isinstance(item, Gap) else item.q)
            return
        self._put(item)

    def _put(self, item: Item) -> None:
        if isinstance(item, Gap):
            self._buffer.mark(item)
            return
        is_taken, dropped = self._buffer.put(item)
        if not is_taken:
            self._overflow(item.q)
            return
        self._handed = item.q
        if dropped is not None and self._on_gap is not None:
            tell(self._on_gap, dropped.channel, dropped.first, dropped.last, dropped.is_recovered)

    def _overflow(self, next_sequence: int) -> None:
        """The reader was too slow: end here, with the position from which nothing is missed."""
        at = next_sequence - 1 if self._handed is None else self._handed
        self._held.clear()
        self._stream.give_up(self, QueueFull(self.channel, self._limit, (self.epoch, at)))
        if self._filling is not None:
            self._filling.cancel()

    def _announce(self, gap: Gap) -> None:
        """Tell of a gap now, and show it at its place."""
        self._hand_over(gap)
        if self._on_gap is not None:
            tell(self._on_gap, gap.channel, gap.first, gap.last, gap.is_recovered)

    # Holes in logs

    def _lost(self, gap: Gap) -> None:
        """The server does not give everything again: say so, and read it from REST where that is wanted."""
        if self._read_hole is None or gap.rest is None or self._filling is not None:
            self._handed = None
            self._announce(gap)
            return
        self._handed = gap.first - 1 if gap.reason != "epoch" else 0
        self._filling = asyncio.create_task(self._fill(gap, self._read_hole))

    async def _fill(self, gap: Gap, read_hole: "ReadHole") -> None:
        try:
            async for item in read_hole(gap):
                await self._put_late(item)
        finally:
            self._filling = None
            held, self._held = self._held, deque()
            for item in held:
                self._put(item)

    async def _put_late(self, item: Item) -> None:
        """Whoever reads slowly holds up the reading of the hole and nothing else."""
        if isinstance(item, Gap):
            self._buffer.mark(item)
            if self._on_gap is not None:
                tell(self._on_gap, item.channel, item.first, item.last, item.is_recovered)
            return
        while self._buffer.is_full and not self._is_closed:
            await self._buffer.wait_for_room()
        self._put(item)
