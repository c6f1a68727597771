"""One schema for the market data of every venue: what a decoder tells and what books and streams read.

Prices are whole ticks and sizes whole lots of the instrument, never floats. `venue_ns` is the venue's own
time and `received_ns` ours, both nanoseconds since 1970 UTC; `venue_ns` is None where the venue tells none.
`sequence` is the venue's number, None where it has none. All messages are immutable and compare by value.
A symbol is unique within its venue; who reads several venues keeps the venue beside the message.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

import msgspec

Aggressor = Literal["buy", "sell", "unknown"]
Side = Literal["bid", "ask"]
TradingState = Literal["open", "halted", "auction", "closed", "cancel_only", "unknown"]
OrderKind = Literal["add", "modify", "delete", "execute", "clear"]
Channel = Literal["book", "trades", "quotes", "status", "unknown"]
Fault = Literal["json", "shape", "number", "off_tick", "unknown_symbol", "too_long", "decoder"]


class Verdict(StrEnum):
    """What a venue's own rules say about a book after a message."""

    OK = "ok"
    GAP = "gap"
    """Something is missing, or there is no snapshot yet."""
    BAD_CHECKSUM = "bad_checksum"
    CROSSED = "crossed"
    """The best bid is at or above the best ask."""


class Instrument(msgspec.Struct, frozen=True):
    """Something traded at a venue, and the steps in which its prices and sizes are counted.

    `tick` and `lot` are the units of our integers. They are the venue's increments, or finer where orders
    from before a change of the increments may still rest in its books (Binance, Kraken); the increments of
    new orders are beside them then.
    """

    venue: str
    symbol: str
    """Our name of it, such as `BTC-USD`."""
    venue_symbol: str
    """The venue's name of it, such as `XBT/USD`."""
    tick: Decimal
    lot: Decimal
    state: TradingState = "open"
    price_increment: Decimal | None = None
    size_increment: Decimal | None = None

    def price(self, ticks: int) -> Decimal:
        return ticks * self.tick

    def size(self, lots: int) -> Decimal:
        return lots * self.lot


class Trade(msgspec.Struct, frozen=True, gc=False, tag="trade"):
    """One trade. Two trades with equal fields may both be real where `trade_id` is None."""

    symbol: str
    venue_ns: int | None
    received_ns: int
    sequence: int | None
    price: int
    size: int
    aggressor: Aggressor = "unknown"
    trade_id: str | None = None
    conditions: tuple[str, ...] = ()
    """The venue's words about it, such as `market` or `cancelled`; empty for a plain trade."""
    is_correction: bool = False
    """It replaces the earlier trade with this `trade_id`; with size 0 that trade is void."""
    is_history: bool = False
    """Told by a snapshot of the newest trades after subscribing: it may have been told before."""


class Quote(msgspec.Struct, frozen=True, gc=False, tag="quote"):
    """The best bid and ask as the venue tells them; None where a side is empty."""

    symbol: str
    venue_ns: int | None
    received_ns: int
    sequence: int | None
    bid: int | None
    bid_size: int | None
    ask: int | None
    ask_size: int | None


class BookChange(msgspec.Struct, frozen=True, gc=False):
    """The new total size of a price level; 0 removes it."""

    side: Side
    price: int
    size: int
    digest: str = ""
    """What the venue's checksum counts for this level, from the venue's own text; empty without checksums."""


class BookSnapshot(msgspec.Struct, frozen=True, gc=False, tag="book_snapshot"):
    """A whole book (of the depth that was asked for), each side best first; the sizes are never 0."""

    symbol: str
    venue_ns: int | None
    received_ns: int
    sequence: int | None
    bids: tuple[BookChange, ...]
    asks: tuple[BookChange, ...]
    checksum: int | None = None
    depth: int | None = None
    """Levels of each side that the venue keeps us told of; None means all, or all near the best."""


class BookUpdate(msgspec.Struct, frozen=True, gc=False, tag="book_update"):
    """Levels that changed together: between two updates the venue's book stood nowhere in between."""

    symbol: str
    venue_ns: int | None
    received_ns: int
    sequence: int | None
    changes: tuple[BookChange, ...]
    first_sequence: int | None = None
    """The first of the venue's updates merged here; `last_sequence` is the last."""
    last_sequence: int | None = None
    previous_sequence: int | None = None
    """The `last_sequence` of the update before it, where the venue says so."""
    checksum: int | None = None
    """Of the book after these changes."""
    is_snapshot: bool = False
    """The venue told a whole book in the form of changes: forget what was there."""


class OrderEvent(msgspec.Struct, frozen=True, gc=False, tag="order_event"):
    """One event of one resting order (L3).

    `size` is what rests after an add or a modify, what was taken by an execute, and what was left at a
    delete (0 where not told). `clear` empties the book: side, price and size mean nothing then.
    """

    symbol: str
    venue_ns: int | None
    received_ns: int
    sequence: int | None
    kind: OrderKind
    order_id: str
    side: Side
    price: int
    size: int
    is_snapshot: bool = False
    """Part of a whole book told after subscribing, not something that happened now."""
    is_last: bool = True
    """False: more events of the same instant follow, and the book may be crossed until the last of them."""


class Status(msgspec.Struct, frozen=True, gc=False, tag="status"):
    """The trading state of an instrument, or of the whole venue (`symbol` None)."""

    symbol: str | None
    venue_ns: int | None
    received_ns: int
    sequence: int | None
    state: TradingState
    detail: str = ""


class Subscription(msgspec.Struct, frozen=True, gc=False, tag="subscription"):
    """The venue's answer to a subscribe or unsubscribe request."""

    symbol: str | None
    """None when the answer is about all of them, or about none that we know."""
    received_ns: int
    sequence: int | None
    channel: Channel
    is_active: bool
    error: str | None = None
    """The venue's own words when it refused."""


class Heartbeat(msgspec.Struct, frozen=True, gc=False, tag="heartbeat"):
    """A message that only proves life; where it has a number it counts in the venue's sequence."""

    received_ns: int
    sequence: int | None = None
    counter: int | None = None
    """The heartbeat's own number, where it has one."""


class Unread(msgspec.Struct, frozen=True, gc=False, tag="unread"):
    """A well-formed message of a channel that we do not read; its number counts in the venue's sequence."""

    received_ns: int
    sequence: int | None
    channel: str


class Malformed(msgspec.Struct, frozen=True, gc=False, tag="malformed"):
    """A frame, or the part of it about `symbol`, that breaks the venue's own format: nothing of it was told.

    Books whose content it may have carried are no longer proven: those of `symbol`, or all where it is None;
    none where `channel` is known and is not `book`.
    """

    symbol: str | None
    received_ns: int
    sequence: int | None
    channel: Channel
    fault: Fault
    detail: str
    excerpt: str = ""
    """The first characters of the frame."""


Message = (
    Trade
    | Quote
    | BookSnapshot
    | BookUpdate
    | OrderEvent
    | Status
    | Subscription
    | Heartbeat
    | Unread
    | Malformed
)

EXCERPT_LENGTH: Final = 120
"""How much of a malformed frame is kept."""
