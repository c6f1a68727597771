"""The life of an order: a closed state machine and exact arithmetic. No I/O, no clock.

States are the words of FIX `OrdStatus` (tag 39). Prices and quantities are integers at the instrument's
scales, notional and fees in the smallest unit of the quote asset.
"""

import hashlib
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from agio.kernel.ids import (
    AccountId,
    ExecutionId,
    HoldId,
    JournalId,
    LedgerAccountId,
    OrderId,
    OrganisationId,
    encode_base32,
)
from agio.trading.ports import Liquidity, OrderType, Side, TimeInForce
from agio.trading.settings import BASIS_POINTS

Environment = Literal["sandbox", "live"]


class OrderStatus(StrEnum):
    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending_cancel"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class OrderAction(StrEnum):
    """Everything that can happen to an order."""

    ENTER = "enter"
    FILL_PART = "fill_part"
    FILL_REST = "fill_rest"
    REQUEST_CANCEL = "request_cancel"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REJECT = "reject"


S, A = OrderStatus, OrderAction

OPEN: Final = frozenset({S.PENDING_NEW, S.NEW, S.PARTIALLY_FILLED, S.PENDING_CANCEL})
CLOSED: Final = frozenset(S) - OPEN

TRANSITIONS: Final = MappingProxyType(
    {
        (S.PENDING_NEW, A.ENTER): S.NEW,
        (S.PENDING_NEW, A.FILL_PART): S.PARTIALLY_FILLED,
        (S.PENDING_NEW, A.FILL_REST): S.FILLED,
        (S.PENDING_NEW, A.REQUEST_CANCEL): S.PENDING_CANCEL,
        (S.PENDING_NEW, A.CANCEL): S.CANCELED,
        (S.PENDING_NEW, A.EXPIRE): S.EXPIRED,
        (S.PENDING_NEW, A.REJECT): S.REJECTED,
        (S.NEW, A.FILL_PART): S.PARTIALLY_FILLED,
        (S.NEW, A.FILL_REST): S.FILLED,
        (S.NEW, A.REQUEST_CANCEL): S.PENDING_CANCEL,
        (S.NEW, A.CANCEL): S.CANCELED,
        (S.NEW, A.EXPIRE): S.EXPIRED,
        (S.PARTIALLY_FILLED, A.FILL_PART): S.PARTIALLY_FILLED,
        (S.PARTIALLY_FILLED, A.FILL_REST): S.FILLED,
        (S.PARTIALLY_FILLED, A.REQUEST_CANCEL): S.PENDING_CANCEL,
        (S.PARTIALLY_FILLED, A.CANCEL): S.CANCELED,
        (S.PARTIALLY_FILLED, A.EXPIRE): S.EXPIRED,
        # The venue decides a race between a cancel and a fill: both stay possible until it answers.
        (S.PENDING_CANCEL, A.ENTER): S.PENDING_CANCEL,
        (S.PENDING_CANCEL, A.FILL_PART): S.PENDING_CANCEL,
        (S.PENDING_CANCEL, A.FILL_REST): S.FILLED,
        (S.PENDING_CANCEL, A.CANCEL): S.CANCELED,
        (S.PENDING_CANCEL, A.EXPIRE): S.EXPIRED,
        (S.PENDING_CANCEL, A.REJECT): S.REJECTED,
    }
)


class IllegalTransition(Exception):
    """Something was reported of an order that cannot happen in its state: a fault, never a refusal."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order with the terms of its instrument and fee as they were when it was accepted."""

    order_id: OrderId
    organisation_id: OrganisationId
    environment: Environment
    account_id: AccountId
    client_order_id: str
    symbol: str
    venue: str
    base_asset: str
    quote_asset: str
    price_scale: int
    quantity_scale: int
    quote_scale: int
    fee_basis_points: int
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: int
    limit_price: int | None
    protection_price: int
    """Never trades beyond it: the limit, or a market order's collar."""
    status: OrderStatus = OrderStatus.PENDING_NEW
    filled_quantity: int = 0
    filled_notional: int = 0
    fees: int = 0
    fill_count: int = 0
    reject_reason: str | None = None
    """Why the venue or a rule ended the order; None when it was filled or the client canceled it."""
    expires_at: datetime | None = None
    """When a day order ends, in the venue's time; None until the venue has it."""
    created_at: datetime
    updated_at: datetime
    version: int = 1

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def unfilled_quantity(self) -> int:
        return self.quantity - self.filled_quantity

    @property
    def leaves_quantity(self) -> int:
        """What may still be filled (FIX tag 151): nothing once the order is closed."""
        return self.unfilled_quantity if self.is_open else 0

    @property
    def hold_id(self) -> HoldId:
        return HoldId(f"hld_{self.order_id.partition('_')[2]}")

    @property
    def quote_account(self) -> LedgerAccountId:
        return LedgerAccountId(f"{self.account_id}:{self.quote_asset}")

    @property
    def base_account(self) -> LedgerAccountId:
        return LedgerAccountId(f"{self.account_id}:{self.base_asset}")


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One fill of one order, settled by one journal."""

    execution_id: ExecutionId
    order_id: OrderId
    fill_no: int
    organisation_id: OrganisationId
    environment: Environment
    account_id: AccountId
    symbol: str
    side: Side
    quantity: int
    price: int
    notional: int
    fee: int
    fee_asset: str
    price_scale: int
    quantity_scale: int
    quote_scale: int
    liquidity: Liquidity
    trade_id: str
    trade_seq: int | None
    journal_id: JournalId
    transact_time: datetime


def next_status(status: OrderStatus, action: OrderAction) -> OrderStatus:
    """The state after an action; raises IllegalTransition for what cannot happen."""
    after = TRANSITIONS.get((status, action))
    if after is None:
        raise IllegalTransition(f"{action} cannot happen to an order that is {status}")
    return after


def act(order: Order, action: OrderAction, at: datetime, reason: str | None = None) -> Order:
    """The order after an action that moves no money."""
    return msgspec.structs.replace(
        order,
        status=next_status(order.status, action),
        reject_reason=reason if reason is not None else order.reject_reason,
        updated_at=at,
        version=order.version + 1,
    )


def fill(order: Order, quantity: int, price: int, at: datetime) -> tuple[Order, int, int]:
    """Fill some of an order: the order after it, the notional and the fee of this fill."""
    if not 0 < quantity <= order.unfilled_quantity:
        raise IllegalTransition(f"{order.order_id}: fill of {quantity} with {order.unfilled_quantity} left")
    if price <= 0 or is_beyond(order.side, price, order.protection_price):
        raise IllegalTransition(f"{order.order_id}: fill at {price} beyond {order.protection_price}")
    is_rest = quantity == order.unfilled_quantity
    notional = notional_of(order, quantity, price)
    fees = fee_on(order.filled_notional + notional, order.fee_basis_points)
    filled = msgspec.structs.replace(
        order,
        status=next_status(order.status, OrderAction.FILL_REST if is_rest else OrderAction.FILL_PART),
        filled_quantity=order.filled_quantity + quantity,
        filled_notional=order.filled_notional + notional,
        fees=fees,
        fill_count=order.fill_count + 1,
        updated_at=at,
        version=order.version + 1,
    )
    return filled, notional, fees - order.fees


def is_beyond(side: Side, price: int, protection_price: int) -> bool:
    """Whether a price is worse for this side than the one it is protected by."""
    return price > protection_price if side == "buy" else price < protection_price


def notional_of(order: Order, quantity: int, price: int) -> int:
    """Price x quantity in the quote asset's smallest unit. Exact: the instrument's tick and lot see to it."""
    exponent = order.price_scale + order.quantity_scale - order.quote_scale
    divisor: int = 10**exponent
    notional, remainder = divmod(quantity * price, divisor)
    if remainder:
        raise IllegalTransition(
            f"{order.order_id}: {quantity} at {price} is not a whole number of {order.quote_asset}"
        )
    return notional


def fee_on(cumulative_notional: int, basis_points: int) -> int:
    """The fee on everything filled so far, rounded up; each fill is charged the difference.

    A fill's share never exceeds its own notional, so that a sale always pays its fee from its proceeds.
    """
    return -(-cumulative_notional * basis_points // BASIS_POINTS)


def hold_of(order: Order) -> tuple[LedgerAccountId, int]:
    """What acceptance reserves: cash and the whole fee at the worst price, or the securities."""
    if order.side == "sell":
        return order.base_account, order.quantity
    notional = notional_of(order, order.quantity, order.protection_price)
    return order.quote_account, notional + fee_on(notional, order.fee_basis_points)


def average_price(order: Order) -> Decimal | None:
    """Notional per unit, four decimals finer than the instrument's prices."""
    if not order.filled_quantity:
        return None
    exact = Decimal(order.filled_notional).scaleb(order.quantity_scale - order.quote_scale)
    return (exact / order.filled_quantity).quantize(Decimal(1).scaleb(-(order.price_scale + 4)))


_TIME_CHARACTERS = 10


def execution_id(order_id: OrderId, fill_no: int) -> ExecutionId:
    """The same for the same fill of the same order, whenever and wherever it is settled."""
    digest = hashlib.blake2b(f"{order_id}/{fill_no}".encode(), digest_size=8).digest()
    body = order_id.partition("_")[2][:_TIME_CHARACTERS]
    return ExecutionId(f"exe_{body}{encode_base32(int.from_bytes(digest) >> 14, 20 - _TIME_CHARACTERS)}")


def journal_id_of(execution: ExecutionId) -> JournalId:
    return JournalId(f"jnl_{execution.partition('_')[2]}")
