"""The innermost loop: one chunk to all readers that keep up, with nothing in between but the write."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

import structlog

from agio.streaming.chunks import Chunk
from agio.streaming.metrics import Tally
from agio.streaming.outbound import OutboundQueue
from agio.streaming.ticker import Ticker

log = structlog.get_logger(__name__)


class Reader(Protocol):
    """A live subscription to a log."""

    cursor: int
    queue: OutboundQueue


R = TypeVar("R", bound=Reader)


def fan_out(chunk: Chunk, readers: Iterable[R], ticker: Ticker, tally: Tally) -> list[R]:
    """Write a chunk to those for whom it is next and the only thing; return the others.

    That is: nothing waits in the queue, it has no other channel to share a write with, the transport has
    room, and it has been quiet for a tick. Subscription and queue end up as after `deliver` and a flush.
    """
    before, last, count = chunk.first - 1, chunk.last, chunk.count
    now, quiet_since = ticker.now, ticker.quiet_since
    # Readers that were written to together have it in common: it is worked out once for all of them.
    flushed_at = paced = now
    others: list[R] = []
    pushes = size = 0
    for reader in readers:
        queue = reader.queue
        if (
            reader.cursor == before
            and queue.is_free
            and len(queue.interests) == 1
            and queue.flushed_at <= quiet_since
            and queue.wire.is_writable
        ):
            frame = chunk.framed(queue.form)
            reader.cursor = last
            if queue.flushed_at != flushed_at:
                flushed_at = queue.flushed_at
                paced = ticker.paced(flushed_at, now)
            queue.flushed_at = paced
            queue.written_pushes += count
            pushes += count
            size += len(frame)
            try:
                queue.wire.write(frame)
            except Exception:
                log.exception("stream_write_failed")
                queue.overflow("the connection does not take what is written")
        else:
            others.append(reader)
    tally.pushes += pushes
    tally.bytes += size
    return others
