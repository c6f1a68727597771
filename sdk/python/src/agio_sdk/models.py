"""The platform's objects, typed. Amounts are `Decimal`, never float; times are aware UTC datetimes.

Fields that a newer server adds are ignored, so that an older client goes on working.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit"]
TimeInForce = Literal["day", "gtc", "ioc"]
OrderStatus = Literal[
    "pending_new", "new", "partially_filled", "filled", "pending_cancel", "canceled", "rejected", "expired"
]
CLOSED_STATUSES = frozenset({"filled", "canceled", "rejected", "expired"})


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Part of a list; `next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None = None


class Me(msgspec.Struct, frozen=True):
    """Whom the key speaks for."""

    key_id: str
    organisation_id: str
    environment: str
    scopes: list[str]
    expires_at: datetime


class Instrument(msgspec.Struct, frozen=True):
    """What can be traded; prices are multiples of `tick_size`, quantities of `lot_size`."""

    symbol: str
    name: str
    venue: str
    base_asset: str
    quote_asset: str
    tick_size: Decimal
    lot_size: Decimal
    status: str


class Trade(msgspec.Struct, frozen=True, gc=False):
    """A trade on the market; `seq` counts +1 per symbol."""

    price: Decimal
    size: Decimal
    venue_time: datetime
    seq: int = 0
    side: Side | None = None
    id: str | None = None
    correction: Literal["replaces", "cancels"] | None = None
    """What it does to the earlier trade of the same id; None for a trade that is none."""


class PastQuote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask as they were told at a venue time; None where a side was empty."""

    seq: int
    bid: Decimal | None
    bid_size: Decimal | None
    ask: Decimal | None
    ask_size: Decimal | None
    venue_time: datetime


class BookSnapshot(msgspec.Struct, frozen=True):
    """The best levels as (price, size), best first, after update `q`; `crc` is of the ten best."""

    symbol: str
    q: int
    venue_time: datetime
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]
    crc: int


class VenueStatus(msgspec.Struct, frozen=True):
    """`live`: heard of within 5 seconds; `stale`: silent; `closed`: its trading has ended."""

    venue: str
    state: Literal["live", "stale", "closed"]


class MarketStatus(msgspec.Struct, frozen=True):
    """What the market is fed by, and how its venues are."""

    market: str
    venues: list[VenueStatus]


class Quote(msgspec.Struct, frozen=True):
    """Best bid and ask; None where a side is empty."""

    bid: Decimal | None
    bid_size: Decimal | None
    ask: Decimal | None
    ask_size: Decimal | None
    venue_time: datetime | None = None


class Bar(msgspec.Struct, frozen=True):
    """Open, high, low, close and volume of an interval that begins at `start`."""

    interval: str
    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    vwap: Decimal | None = None
    revision: int = 0
    is_final: bool = True


class Account(msgspec.Struct, frozen=True):
    account_id: str
    name: str
    base_currency: str
    status: str
    created_at: datetime | None = None


class Balance(msgspec.Struct, frozen=True):
    """`available` is what can be spent: the total less what is held."""

    asset: str
    total: Decimal
    held: Decimal
    available: Decimal
    version: int = 0


class AccountEntry(msgspec.Struct, frozen=True):
    """One booking on an account; `held` is how much of a hold it consumed (negative)."""

    journal_id: str
    asset: str
    amount: Decimal
    balance: Decimal
    held: Decimal
    version: int
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    created_at: datetime


class Transfer(msgspec.Struct, frozen=True):
    transfer_id: str
    account_id: str
    direction: Literal["deposit", "withdrawal"]
    asset: str
    amount: Decimal
    status: str
    journal_id: str | None = None
    reference: str | None = None
    created_at: datetime | None = None


class Order(msgspec.Struct, frozen=True):
    order_id: str
    account_id: str
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    limit_price: Decimal | None
    status: OrderStatus
    filled_quantity: Decimal
    leaves_quantity: Decimal
    average_price: Decimal | None
    fees: Decimal
    reject_reason: str | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def is_closed(self) -> bool:
        return self.status in CLOSED_STATUSES


class Execution(msgspec.Struct, frozen=True):
    """A fill of an order, settled by the journal that it names."""

    execution_id: str
    order_id: str
    account_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    liquidity: Literal["maker", "taker"]
    trade_seq: int | None
    journal_id: str
    transact_time: datetime


class Position(msgspec.Struct, frozen=True):
    symbol: str
    asset: str
    quantity: Decimal
    average_cost: Decimal | None
    price: Decimal | None
    price_time: datetime | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal


class Portfolio(msgspec.Struct, frozen=True):
    portfolio_id: str
    name: str
    account_ids: list[str]
    base_currency: str
