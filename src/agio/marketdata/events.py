"""What the room tells on the bus: core NATS subjects and their MessagePack arrays.

Prices and sizes are integers at the instrument's `price_scale` and `quantity_scale`. Trades are committed
before they are told; a batch may be told a second time after a crash, so drop every `seq` already seen, and
read the table when a `seq` is missing. Everything else here is state: the newest value counts.
"""

from decimal import Decimal
from typing import Final, Literal

import msgspec

Interval = Literal["1s", "1m"]
INTERVALS: Final[tuple[Interval, ...]] = ("1s", "1m")
INTERVAL_NS: Final[dict[Interval, int]] = {"1s": 1_000_000_000, "1m": 60_000_000_000}

NO_SIDE: Final = 0
BUY: Final = 1
SELL: Final = 2
NO_CORRECTION: Final = 0
REPLACES: Final = 1
CANCELS: Final = 2
CORRECTION_NAMES: Final[tuple[Literal["replaces", "cancels"] | None, ...]] = (None, "replaces", "cancels")
"""Wire name of what a trade does to the earlier one of the same id."""
SIDE_NAMES: Final[tuple[Literal["buy", "sell"] | None, ...]] = (None, "buy", "sell")
"""Wire name of a trade's aggressor by its number."""

MAX_BATCH: Final = 1000
"""Most trades in one message."""

PRESSURE_SUBJECT: Final = "md.pressure"
RELIEF_SUBJECT: Final = "md.relief"
STATUS_SUBJECT: Final = "md.status"
FEEDS_SUBJECT: Final = "md.feeds"
REPLAY_NUDGE: Final = "nudge.replay"


def trades_subject(symbol: str) -> str:
    return f"md.trades.{symbol}"


def last_subject(symbol: str) -> str:
    return f"md.last.{symbol}"


def quotes_subject(symbol: str) -> str:
    return f"md.quotes.{symbol}"


def book_subject(symbol: str) -> str:
    return f"md.book.{symbol}"


def bars_subject(symbol: str, interval: str) -> str:
    return f"md.bars.{symbol}.{interval}"


def snapshot_subject(symbol: str) -> str:
    return f"md.snapshot.{symbol}"


class Trade(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One trade at a venue. `side` is the aggressor's: 0 unknown, 1 buy, 2 sell.

    `correction` 1 replaces and 2 cancels the earlier trade of the same `trade_id`.
    """

    venue_time_ns: int
    price: int
    size: int
    side: int = NO_SIDE
    trade_id: str | None = None
    correction: int = NO_CORRECTION


class TradeBatch(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive trades of a symbol: the first has sequence `first_seq`, each next one +1."""

    symbol: str
    epoch: str
    first_seq: int
    trades: list[Trade]
    received_us: int
    """When agio took them, microseconds since 1970: the `t` of their pushes."""

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.trades) - 1


class LastTrade(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest trade of a symbol, told at most 20 times a second."""

    symbol: str
    epoch: str
    seq: int
    venue_time_ns: int
    price: int
    size: int
    side: int
    trade_id: str | None
    received_us: int


class Quote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Best bid and offer; a missing side has price and size 0."""

    symbol: str
    q: int
    venue_time_ns: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int
    told_us: int


Level = tuple[int, int]
"""(price, size)"""


class BookDelta(msgspec.Struct, frozen=True, array_like=True):
    """Levels that changed since update `p`; size 0 deletes. `crc` is of the top 10 after the change.

    With `p` None it is a whole book.
    """

    symbol: str
    q: int
    p: int | None
    venue_time_ns: int
    crc: int
    bids: list[Level]
    asks: list[Level]
    told_us: int
    doubt: str | None = None
    """Why there is no book to tell: what was told before is withdrawn, and this one is whole and empty."""


class Bar(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Open, high, low, close, volume of the trades with `start_ns <= venue time < start_ns + interval`.

    `notional` is the sum of price x size, so VWAP = notional / volume at the price scale; it is whole, and
    a Decimal because messages have no integers of more than 64 bits. `revision` counts
    how often late trades changed the bar after it was final. `first_ns` and `last_ns` are the venue times
    of the trades behind `open` and `close`.
    """

    symbol: str
    interval: Interval
    start_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    notional: Decimal
    trades: int
    first_ns: int
    last_ns: int
    revision: int = 0
    is_final: bool = False


class Bars(msgspec.Struct, frozen=True, array_like=True):
    """The newest values of some bars of a symbol and interval, oldest first; at most 4 messages a second."""

    symbol: str
    interval: Interval
    q: int
    told_us: int
    bars: list[Bar]


class MarketSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """What the engine last told of a symbol; the answer to a request on `md.snapshot.{symbol}`."""

    symbol: str
    quote: Quote | None
    book: BookDelta | None
    last: LastTrade | None
    bars: list[Bars]


VenueState = Literal["live", "stale", "closed"]


class VenueStatus(msgspec.Struct, frozen=True, array_like=True):
    venue: str
    state: VenueState


class MarketStatus(msgspec.Struct, frozen=True, array_like=True):
    """Told by the engine every second on `md.status`; silence for 5 s means stale."""

    venues: list[VenueStatus]
    told_us: int


class BookSource(msgspec.Struct, frozen=True, array_like=True):
    """One symbol of a live source. Counters are of this run of the source."""

    symbol: str
    venue_symbol: str
    state: VenueState
    """`live`: the source is, and its book is proven right."""
    book: str
    """`ok`, or what is wrong with it: `gap`, `bad_checksum`, `crossed`."""
    reason: str | None
    since_us: int
    """Since when `book` is so."""
    age_ms: int | None
    """Since the last message about it; None before the first."""
    skew_ns: int | None
    gaps: int
    resyncs: int
    bad_checksums: int
    crossed: int
    reconnects: int
    stale_ms: int
    """For how long there was no proven book since the first one."""
    trades: int
    duplicates: int
    trading: str
    """The venue's trading state, such as `open` or `halted`; `unknown` where it tells none."""


class FeedSource(msgspec.Struct, frozen=True, array_like=True):
    """One live source: a venue behind one connection. Counters are of this run of it."""

    source: str
    state: VenueState
    phase: str
    """`connecting`, `live`, `stale` or `closed`."""
    since_us: int
    age_ms: int | None
    skew_ns: int | None
    stale_ms: int
    """For how long it was not live since it first was."""
    messages: int
    gaps: int
    resyncs: int
    bad_checksums: int
    crossed: int
    reconnects: int
    stale_count: int
    malformed: int
    duplicates: int
    last_error: str | None
    symbols: list[BookSource]


class FeedSources(msgspec.Struct, frozen=True, array_like=True):
    """Told by the engine every second on `md.feeds`."""

    told_us: int
    sources: list[FeedSource]


class Pressure(msgspec.Struct, frozen=True, array_like=True):
    """A gateway's subscribers fall behind on a trades channel: a tape at full speed pauses, 3 s at most."""

    node: str
    until_ms: int


class Relief(msgspec.Struct, frozen=True, array_like=True):
    """The gateway's queues are short again."""

    node: str


encode: Final = msgspec.msgpack.Encoder().encode
"""Any of these structs as its bus message; decode with `msgspec.msgpack.decode(payload, type=...)`."""
