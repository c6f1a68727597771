"""What other rooms may ask of market data."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from agio.marketdata.errors import NoMarketData, StaleWriter, TapeError, UnknownInstrument
from agio.marketdata.events import Bar, LastTrade, Level, Quote, Trade, TradeBatch
from agio.marketdata.model import (
    SIM,
    SIM_INSTRUMENTS,
    TAPE,
    Calendar,
    Instrument,
    Session,
    check_instrument,
    tape_instrument,
)
from agio.platform.db import Transaction

__all__ = [
    "SIM",
    "SIM_INSTRUMENTS",
    "TAPE",
    "Calendar",
    "Fence",
    "Instrument",
    "Instruments",
    "LastTrade",
    "Level",
    "Market",
    "MarketPublisher",
    "NoMarketData",
    "Quote",
    "Recorded",
    "Session",
    "StaleWriter",
    "TapeError",
    "Trade",
    "TradeBatch",
    "TradeHistory",
    "TradeListener",
    "TradeRecorder",
    "UnknownInstrument",
    "check_instrument",
    "tape_instrument",
]


class Fence(msgspec.Struct, frozen=True):
    """The lease under which a writer writes: the database refuses a holder that was replaced."""

    duty: str
    token: int


class Instruments(Protocol):
    """Instruments and calendars, cached; an instrument that a replay adds is found at its first use."""

    async def instrument(self, symbol: str) -> Instrument:
        """Raises UnknownInstrument."""
        ...

    def cached(self, symbol: str) -> Instrument | None:
        """Without waiting: what this process has read so far."""
        ...

    async def instruments(self, venue: str | None = None) -> list[Instrument]:
        """All, in order of symbol."""
        ...

    async def calendar(self, name: str) -> Calendar: ...


class Market(Protocol):
    """Current values, in any process."""

    async def latest_trade(self, symbol: str) -> LastTrade | None:
        """The newest durable trade, read from the table."""
        ...

    def last_seen(self, symbol: str) -> LastTrade | None:
        """The newest trade that this process heard of, about 50 ms late while the bus is up; no waiting.

        None until the first one is heard: then ask `latest_trade`.
        """
        ...

    async def latest_quote(self, symbol: str) -> Quote | None:
        """The newest quote, from memory or from the engine; None when there is none."""
        ...


class TradeHistory(Protocol):
    """The durable trades of a symbol by sequence."""

    async def position(self, symbol: str) -> tuple[str, int]:
        """Epoch and highest sequence; 0 when nothing has traded."""
        ...

    async def trades_after(self, symbol: str, seq: int, limit: int) -> list[TradeBatch]:
        """Up to `limit` trades after a sequence, ascending, in batches of at most 1,000."""
        ...


class Recorded(msgspec.Struct, frozen=True):
    """Trades written in a transaction: announce them once it has committed."""

    batch: TradeBatch
    bars: tuple[Bar, ...]
    """Bars that the trades changed, final or in progress."""


class TradeRecorder(Protocol):
    """Gives trades their sequence, makes them durable, then tells them. One writer per symbol at a time."""

    async def append(
        self, symbol: str, trades: Sequence[Trade], *, received_us: int | None = None
    ) -> TradeBatch:
        """Record (1 to 1,000 trades) in a transaction of its own and announce; returns what was told.

        `received_us` is when they came, now by default.

        Survives a database that goes away: exactly once, retrying for as long as the caller waits.
        Raises StaleWriter when the lease was lost.
        """
        ...

    async def record(self, tx: Transaction, symbol: str, trades: Sequence[Trade]) -> Recorded:
        """Write trades and bars in the caller's transaction (the caller asserts its own lease)."""
        ...

    async def announce(self, recorded: Recorded) -> None:
        """Tell trades and bars on the bus, after the commit."""
        ...


class MarketPublisher(Protocol):
    """Tells quotes and books; keeps the last values and answers snapshots. Verbs never wait.

    Each verb takes the whole present value; changes are told at most 20 times a second for each symbol.
    """

    def publish_quote(
        self, symbol: str, *, bid: int, bid_size: int, ask: int, ask_size: int, venue_time_ns: int
    ) -> None:
        """Best bid and offer; 0 and 0 for a side that is empty."""
        ...

    def publish_book(
        self, symbol: str, *, bids: Sequence[Level], asks: Sequence[Level], venue_time_ns: int
    ) -> None:
        """The top levels as (price, size), best first; deltas, sequence and CRC are made from them."""
        ...

    def touch(self, venue: str) -> None:
        """The venue is alive although nothing changed; 5 s without any word from it reads as stale."""
        ...

    def close_venue(self, venue: str) -> None:
        """The venue has ended its trading: reads as closed until it is heard of again."""
        ...


class TradeListener(Protocol):
    """Wants recorded trades of replayed tapes before anybody else sees them (a venue that fills orders)."""

    async def on_trades(self, symbol: str, batch: TradeBatch) -> None:
        """Called after the trades are durable and before they are told, in order of sequence.

        At least once: after a crash the last batch may come again, so remember the highest `seq` decided.
        An exception is logged and the same batch comes again; the tape does not go on without it.
        """
        ...
