"""What every source of live market data offers, whichever venue or library is behind it."""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from agio.marketdata.books.continuity import Judgement
from agio.marketdata.books.l2 import L2Book
from agio.marketdata.normalised import Message


class FeedState(StrEnum):
    CONNECTING = "connecting"
    """Waiting for its turn, or for the first message of a connection."""
    LIVE = "live"
    STALE = "stale"
    """Connected, and silent beyond the expected interval; the connection is given up next."""
    CLOSED = "closed"


class Delivery(msgspec.Struct, frozen=True):
    """What one frame, or one change of state, tells. Take it whole: a frame is one instant.

    What is told of books is always right: a snapshot when a book becomes good, each update that was applied
    to it, a judgement when it stops being good, and nothing more until the next snapshot.
    """

    venue: str
    state: FeedState
    messages: Sequence[Message] = ()
    judgements: Sequence[Judgement] = ()


Sink = Callable[[Delivery], Awaitable[None]]
"""Who is told. While it is awaited nothing more is read from the venue: the socket is the only queue."""


class Counters(msgspec.Struct):
    """Since the start of the feed."""

    frames: int = 0
    messages: int = 0
    gaps: int = 0
    """Books that stopped being good because something was missing, for whatever reason."""
    bad_checksums: int = 0
    crossed: int = 0
    resyncs: int = 0
    """Snapshots asked for after the first one of a connection."""
    resyncs_of: dict[str, int] = msgspec.field(default_factory=dict)
    """The same by symbol."""
    connects: int = 0
    """Attempts, whether they succeeded or not."""
    reconnects: int = 0
    """Connections that were lost."""
    stale: int = 0
    malformed: int = 0
    refused: int = 0
    """Subscriptions that the venue refused."""
    failed_requests: int = 0
    held: int = 0
    """How often the breaker made a connection wait."""


class FeedStatus(msgspec.Struct, frozen=True):
    """For operators."""

    venue: str
    state: FeedState
    counters: Counters
    skew_ns: int | None
    """Median of our time less the venue's over the newest messages: distance and clock error together."""
    doubtful: dict[str, str]
    """Symbols without a good book, and why."""
    proofs: int
    """How often a checksum or a sequence confirmed a book of this connection."""
    last_error: str | None


class Feed(Protocol):
    """Market data of some symbols of one venue."""

    async def run(self, sink: Sink) -> None:
        """Tell the sink until `stop`; the venue can't end it, only what the sink raises."""
        ...

    def stop(self) -> None:
        """Make `run` close its connection and return."""
        ...

    def good(self, symbol: str) -> L2Book | None:
        """The book, for serving; None unless it is proven right and the feed is live."""
        ...

    def status(self) -> FeedStatus: ...
