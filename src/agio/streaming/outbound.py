"""What waits to be written to one connection: in order, bounded by bytes and age."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence, Sized
from typing import Protocol

from agio.streaming.chunks import Chunk, frame_chunks
from agio.streaming.encoding import Encoding, form_of
from agio.streaming.metrics import StreamMetrics
from agio.streaming.ports import Wire
from agio.streaming.settings import StreamingSettings
from agio.streaming.ticker import Ticker

LateFrame = Callable[[], bytes]
"""A frame that is made when it is written, because it counts what went before."""

_LATE_FRAME_BYTES = 512


class Conflatable(Protocol):
    """A subscription whose queued values may be replaced by the newest ones."""

    def withdraw(self, chunk: Chunk) -> None:
        """Take back a chunk that was queued and not yet written."""
        ...

    def settle(self) -> None:
        """Send the newest values: the connection has room again."""
        ...


class _Entry:
    __slots__ = ("chunk", "frame", "owner", "queued_at", "size")

    def __init__(
        self,
        size: int,
        queued_at: float,
        chunk: Chunk | None,
        frame: bytes | LateFrame,
        owner: Conflatable | None,
    ) -> None:
        self.size = size
        self.queued_at = queued_at
        self.chunk = chunk
        self.frame = frame
        self.owner = owner


class QueueBudget:
    """Bytes that wait in all queues of a process; past the limit the longest queue is given up."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.queues: set[OutboundQueue] = set()
        self.used_bytes = 0

    def grow(self, count_bytes: int) -> None:
        self.used_bytes += count_bytes
        while self.used_bytes > self._limit_bytes:
            worst = max(self.queues, key=lambda queue: queue.size_bytes)
            if worst.size_bytes == 0:
                return
            worst.overflow("the server's memory for slow readers is used up")


class OutboundQueue:
    """The only way to a connection. Never waits; writes while the transport has room.

    Most of the time one chunk comes, nothing waits, and the transport has room. Then the chunk is only taken
    in hand until the channels' flush is over, and its ready-made frame, the same bytes for all, is written.
    """

    shares_frames = True
    """A chunk's frame is the same for every connection of this kind."""

    def __init__(
        self,
        wire: Wire,
        encoding: Encoding,
        settings: StreamingSettings,
        ticker: Ticker,
        budget: QueueBudget,
        metrics: StreamMetrics,
        *,
        interests: Sized,
        overflowed: Callable[[str], None],
        level_changed: Callable[[], None],
    ) -> None:
        self.encoding = encoding
        self.flushed_at = 0.0
        self.size_bytes = 0
        self.written_pushes = 0
        self.dropped_pushes = 0
        """Left out by the subscriptions, which announce it."""
        self.is_free = self.shares_frames
        """Open, nothing waits, nothing is held back: a shared chunk can be taken in hand."""
        self._hand: Chunk | None = None
        self._hand_owner: Conflatable | None = None
        self.wire = wire
        self.form = form_of(encoding, is_packed=wire.takes_packed)
        self.interests = interests
        self._settings = settings
        self._ticker = ticker
        self._budget = budget
        self._metrics = metrics
        self._overflowed = overflowed
        self._level_changed = level_changed
        self._was_pressed = False
        self._entries: deque[_Entry] = deque()
        self._is_closed = False
        self._conflated: dict[Conflatable, None] = {}
        self._is_conflating = False
        self._room = asyncio.Event()
        self._room.set()
        self._half = settings.queue_bytes // 2
        self._quarter = settings.queue_bytes // 4
        self._low = settings.queue_bytes // 8
        self._clock = asyncio.get_running_loop().time
        budget.queues.add(self)

    @property
    def is_congested(self) -> bool:
        """Half full: conflatable classes send newest values only, logs are read at the reader's pace."""
        return self.size_bytes > self._half

    @property
    def is_pressed(self) -> bool:
        return self.size_bytes > self._quarter

    @property
    def is_conflating(self) -> bool:
        """From half full until it is a quarter full again."""
        return self._is_conflating

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def age_seconds(self) -> float:
        """How long the oldest entry has waited."""
        return self._clock() - self._entries[0].queued_at if self._entries else 0.0

    def put_chunk(self, chunk: Chunk, owner: Conflatable | None = None) -> None:
        """Queue pushes; `owner` may be asked to take them back when the reader is slow."""
        if self.is_free:
            hands = self._ticker.hands
            if hands is not None:
                self.is_free = False
                self._hand = chunk
                self._hand_owner = owner
                hands.append(self)
                return
        self._put(_Entry(len(chunk.body(self.encoding)), self._clock(), chunk, b"", owner))

    def put_frame(self, frame: bytes, *, is_urgent: bool = False) -> None:
        """Queue a control message; an urgent one goes out now, with all that waits before it."""
        self._put(_Entry(len(frame), self._clock(), None, frame, None), is_urgent=is_urgent)

    def put_late(self, make: LateFrame) -> None:
        self._put(_Entry(_LATE_FRAME_BYTES, self._clock(), None, make, None))

    def give_hand(self, now: float) -> None:
        """Write the chunk in hand."""
        chunk = self._hand
        if chunk is None:
            return
        wire = self.wire
        if not wire.is_writable:
            self.keep_hand()
            return
        self._hand = self._hand_owner = None
        self.flushed_at = self._ticker.paced(self.flushed_at, now)
        self.is_free = True
        self.written_pushes += chunk.count
        frame = chunk.framed(self.form)
        tally = self._metrics.tally
        tally.pushes += chunk.count
        tally.bytes += len(frame)
        wire.write(frame)

    def keep_hand(self) -> None:
        """Queue the chunk in hand."""
        chunk, owner = self._hand, self._hand_owner
        self._hand = self._hand_owner = None
        if chunk is not None:
            self._put(_Entry(len(chunk.body(self.encoding)), self._clock(), chunk, b"", owner))

    def conflate(self, owner: Conflatable) -> None:
        """Remember a subscription that holds newest values back until there is room."""
        self._conflated[owner] = None

    def forget(self, owner: Conflatable) -> None:
        self._conflated.pop(owner, None)

    async def room(self) -> bool:
        """Wait until little is queued; False when the connection is gone."""
        if self.size_bytes > self._low:
            self._room.clear()
        await self._room.wait()
        return not self._is_closed

    def close(self) -> None:
        """Drop everything; nothing is queued or written any more."""
        if self._is_closed:
            return
        self._is_closed = True
        self.is_free = False
        self._hand = self._hand_owner = None
        self._entries.clear()
        self._conflated.clear()
        self._shrink(self.size_bytes)
        self._budget.queues.discard(self)
        self._room.set()

    def overflow(self, reason: str) -> None:
        """Give the connection up: drop the queue and say why."""
        if not self._is_closed:
            self.close()
            self._overflowed(reason)

    def flush(self) -> None:
        """Write as long as the transport takes more."""
        if self._is_closed:
            return
        if self._hand is not None:
            self.keep_hand()
        self.flushed_at = self._ticker.paced(self.flushed_at)
        wire = self.wire
        while self._entries and wire.is_writable:
            wire.write(self._take())
        if not self._room.is_set() and self.size_bytes <= self._low:
            self._room.set()
        if self._was_pressed and self.size_bytes <= self._low:
            self._was_pressed = False
            self._level_changed()
        if self._is_conflating and self.size_bytes <= self._quarter:
            self._is_conflating = False
            held, self._conflated = self._conflated, {}
            for owner in held:
                owner.settle()
        self._look_whether_free()

    def _put(self, entry: _Entry, *, is_urgent: bool = False) -> None:
        if self._is_closed:
            return
        if self._hand is not None:
            self.keep_hand()
        self.is_free = False
        self._entries.append(entry)
        self.size_bytes += entry.size
        if self.size_bytes > self._half and not self._is_conflating:
            self._start_conflating()
        if self.size_bytes > self._settings.queue_bytes:
            self._budget.used_bytes += entry.size
            self.overflow("the queue of this connection is full")
            return
        self._budget.grow(entry.size)
        if self.is_pressed and not self._was_pressed:
            self._was_pressed = True
            self._level_changed()
        if self.wire.is_writable:
            is_large = self.size_bytes >= self._settings.write_bytes
            self._ticker.offer_connection(self, is_urgent=is_urgent or is_large)

    def _look_whether_free(self) -> None:
        is_idle = not self._entries and not self._is_conflating and self._hand is None
        self.is_free = is_idle and self.shares_frames and not self._is_closed

    def _start_conflating(self) -> None:
        self._is_conflating = True
        kept: deque[_Entry] = deque()
        withdrawn = 0
        for entry in self._entries:
            if entry.owner is None or entry.chunk is None:
                kept.append(entry)
                continue
            withdrawn += entry.size
            entry.owner.withdraw(entry.chunk)
            self._conflated[entry.owner] = None
        self._entries = kept
        self._shrink(withdrawn)

    def _shrink(self, count_bytes: int) -> None:
        self.size_bytes -= count_bytes
        self._budget.used_bytes -= count_bytes

    def frame_pushes(self, chunks: Sequence[Chunk]) -> bytes:
        """What is written for neighbouring chunks."""
        return frame_chunks(self.form, chunks)

    def _take(self) -> bytes:
        """Up to `write_bytes` of frames from the head of the queue; neighbouring chunks share a frame."""
        entries = self._entries
        parts: list[bytes] = []
        chunks: list[Chunk] = []
        size = pushes = 0
        while entries and (not size or size + entries[0].size <= self._settings.write_bytes):
            entry = entries.popleft()
            size += entry.size
            if entry.chunk is not None:
                chunks.append(entry.chunk)
                pushes += entry.chunk.count
                continue
            if chunks:
                parts.append(self.frame_pushes(chunks))
                chunks = []
            self._count(pushes)
            pushes = 0
            parts.append(entry.frame if isinstance(entry.frame, bytes) else entry.frame())
        if chunks:
            parts.append(self.frame_pushes(chunks))
        self._count(pushes)
        self._shrink(size)
        frames = parts[0] if len(parts) == 1 else b"".join(parts)
        self._metrics.tally.bytes += len(frames)
        return frames

    def _count(self, pushes: int) -> None:
        self.written_pushes += pushes
        self._metrics.tally.pushes += pushes
