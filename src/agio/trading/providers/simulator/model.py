"""What the simulated exchange is given and what it tells."""

import msgspec

from agio.kernel.ids import OrderId
from agio.trading.ports import Report, Side

MINIMUM_START_TICKS = 200
"""Below this price a tick is half a percent and more: agents could not quote ten levels sensibly."""


class SimulatedInstrument(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument and the temper of its market; tick, lot and price are integers at its scales."""

    symbol: str
    tick: int
    lot: int
    start_price: int
    """The fundamental value reverts to this price, also in later runs that start elsewhere."""
    volatility: float = 0.35
    """Of the fundamental value, per square root of a year."""
    depth_lots: int = 50
    """Typical size of one order in the book, in lots."""
    half_spread_ticks: int = 0
    """0: about half a basis point of the start price, at least one tick."""
    activity: float = 1.0
    """1.0 is about six trades a second."""

    def __post_init__(self) -> None:
        if self.tick < 1 or self.lot < 1 or self.depth_lots < 1:
            raise ValueError(f"{self.symbol}: tick, lot and depth must be at least 1")
        if self.start_price < self.tick * MINIMUM_START_TICKS or self.start_price % self.tick:
            raise ValueError(
                f"{self.symbol}: start price must be whole ticks, at least {MINIMUM_START_TICKS}"
            )
        if self.volatility < 0 or self.activity < 0 or self.half_spread_ticks < 0:
            raise ValueError(f"{self.symbol}: volatility, activity and spread must not be negative")


class MarketTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade of the exchange; order ids are given where the order is a user's."""

    symbol: str
    price: int
    size: int
    aggressor: Side
    trade_id: str
    venue_time_ns: int
    maker_order_id: OrderId | None = None
    taker_order_id: OrderId | None = None


class BookChange(msgspec.Struct, frozen=True):
    """Levels as (price, size), best first; size 0: the level is gone. Sizes are new totals."""

    symbol: str
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and offer; price and size 0 where a side is empty."""

    symbol: str
    bid: int
    bid_size: int
    ask: int
    ask_size: int


class SimulatedMarket(msgspec.Struct, frozen=True):
    """What happened since it was last taken. Trades are in order; books and quotes only where changed."""

    venue_time_ns: int
    trades: list[MarketTrade]
    books: list[BookChange]
    quotes: list[Quote]
    reports: list[Report]
    """Of users' resting orders that agents traded with. Reports of a submit or cancel are its answer."""
