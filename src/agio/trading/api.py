"""What other rooms may ask of trading."""

from typing import Literal, Protocol

import msgspec

from agio.identity.api import Principal
from agio.kernel.ids import AccountId, OrderId
from agio.kernel.page import Page
from agio.trading.errors import (
    AccountNotTradable,
    ClientOrderIdConflict,
    InstrumentNotTradable,
    InvalidClientOrderId,
    InvalidLimitPrice,
    InvalidQuantity,
    InvalidTimeInForce,
    NoMarketPrice,
    OrderAlreadyClosed,
    OrderTooLarge,
    OutcomeUnknown,
    UnknownSymbol,
)
from agio.trading.model import CLOSED, OPEN, Execution, Order, OrderStatus
from agio.trading.ports import OrderType, Side, TimeInForce

__all__ = [
    "CLOSED",
    "OPEN",
    "AccountNotTradable",
    "ClientOrderIdConflict",
    "Execution",
    "InstrumentNotTradable",
    "InvalidClientOrderId",
    "InvalidLimitPrice",
    "InvalidQuantity",
    "InvalidTimeInForce",
    "NoMarketPrice",
    "Order",
    "OrderAlreadyClosed",
    "OrderFilter",
    "OrderStatus",
    "OrderTooLarge",
    "OutcomeUnknown",
    "PlaceOrder",
    "PlacedOrder",
    "Trading",
    "UnknownSymbol",
]


class PlaceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order as a client words it; quantity and price are plain decimal text."""

    account_id: AccountId
    symbol: str
    side: Side
    type: OrderType
    quantity: str
    limit_price: str | None = None
    time_in_force: TimeInForce = "day"
    client_order_id: str | None = None
    """The client's own name for it and the idempotency key; generated when absent."""


class PlacedOrder(msgspec.Struct, frozen=True):
    order: Order
    is_replay: bool
    """True when this client order id was accepted before; `order` is the stored one as it stands now."""


class OrderFilter(msgspec.Struct, frozen=True):
    account_id: AccountId | None = None
    symbol: str | None = None
    status: Literal["open", "closed", "all"] = "all"


class Trading(Protocol):
    """Orders and executions. Everything of another organisation or environment is NotFound."""

    async def place_order(self, principal: Principal, request: PlaceOrder) -> PlacedOrder:
        """Accept an order durably with its hold and its event, once per (account, client order id).

        Raises NotFound (account), UnknownSymbol, InvalidQuantity, InvalidLimitPrice, InvalidTimeInForce,
        InvalidClientOrderId, OrderTooLarge, ClientOrderIdConflict, InstrumentNotTradable, NoMarketPrice,
        AccountNotTradable, ledger's InsufficientFunds, OutcomeUnknown.
        """
        ...

    async def cancel_order(self, principal: Principal, order_id: OrderId) -> Order:
        """Ask the venue to cancel; idempotent. Raises NotFound, OrderAlreadyClosed."""
        ...

    async def cancel_all(self, principal: Principal, account_id: AccountId) -> list[Order]:
        """Ask for every open order of an account; returns those, at most 1,000. Raises NotFound."""
        ...

    async def order(self, principal: Principal, order_id: OrderId) -> Order: ...

    async def orders(
        self, principal: Principal, wanted: OrderFilter, *, limit: int = 100, cursor: str | None = None
    ) -> Page[Order]:
        """Newest first."""
        ...

    async def executions(
        self,
        principal: Principal,
        *,
        account_id: AccountId | None = None,
        order_id: OrderId | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Execution]:
        """Of one account or one order, or all of the organisation; newest first."""
        ...
