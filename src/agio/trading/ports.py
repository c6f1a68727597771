"""What trading needs filled: a venue that turns commands and market moves into reports.

A venue is a synchronous, deterministic state machine: no I/O, no clock, no database. The dealing
duty feeds it, makes its reports durable, and only then lets anybody see them.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from agio.kernel.ids import AccountId, OrderId

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit"]
TimeInForce = Literal["day", "gtc", "ioc"]
Liquidity = Literal["maker", "taker"]


class WorkingOrder(msgspec.Struct, frozen=True):
    """An accepted order as a venue sees it; prices and quantities are integers at the instrument's scales."""

    order_id: OrderId
    account_id: AccountId
    """Orders of one account never trade with each other."""
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    leaves_quantity: int
    limit_price: int
    """The limit, or for a market order its protection price: never trade through it."""
    entered_no: int
    """Acceptance sequence: restores time priority after a restart."""


class Filled(msgspec.Struct, frozen=True, tag="filled"):
    order_id: OrderId
    quantity: int
    price: int
    liquidity: Liquidity
    venue_time_ns: int
    trade_id: str
    """Names the market trade that filled the order (tape: the trade's sequence number as text)."""
    trade_seq: int | None = None


class Entered(msgspec.Struct, frozen=True, tag="entered"):
    """The venue took the order into its book or queue: order state `new`."""

    order_id: OrderId


class Canceled(msgspec.Struct, frozen=True, tag="canceled"):
    order_id: OrderId
    reason: str


class Expired(msgspec.Struct, frozen=True, tag="expired"):
    order_id: OrderId
    reason: str


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    order_id: OrderId
    reason: str


Report = Entered | Filled | Canceled | Expired | Rejected


class Venue(Protocol):
    """A market that orders are routed to.

    `restore` is called once before anything else with every open order. `submit` and `cancel` are
    idempotent by order id: a repeated command yields no second report of the same fact. A cancel of
    an order that the venue has never seen is answered `Canceled`, so that no order waits for ever.
    """

    name: str

    def restore(self, orders: Sequence[WorkingOrder]) -> None: ...

    def submit(self, order: WorkingOrder) -> list[Report]: ...

    def cancel(self, order_id: OrderId) -> list[Report]: ...

    def end_of_day(self, symbol: str) -> list[Report]:
        """Expire the symbol's `day` orders."""
        ...
