"""Orders and executions on the wire: the same bytes in REST and on the streams."""

import msgspec

from agio.kernel.money import format_decimal
from agio.kernel.time import format_instant
from agio.trading.model import Execution, Order, average_price


class OrderView(msgspec.Struct, frozen=True):
    """An order; amounts are decimal text, instants RFC 3339."""

    order_id: str
    account_id: str
    client_order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    quantity: str
    limit_price: str | None
    status: str
    filled_quantity: str
    leaves_quantity: str
    average_price: str | None
    fees: str
    reject_reason: str | None
    created_at: str
    updated_at: str
    version: int


class ExecutionView(msgspec.Struct, frozen=True):
    """One fill."""

    execution_id: str
    order_id: str
    account_id: str
    symbol: str
    side: str
    quantity: str
    price: str
    fee: str
    fee_asset: str
    liquidity: str
    trade_seq: int | None
    journal_id: str
    transact_time: str


class OrderPage(msgspec.Struct, frozen=True):
    items: list[OrderView]
    next_cursor: str | None


class ExecutionPage(msgspec.Struct, frozen=True):
    items: list[ExecutionView]
    next_cursor: str | None


def view_order(order: Order) -> OrderView:
    average = average_price(order)
    return OrderView(
        order_id=order.order_id,
        account_id=order.account_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        time_in_force=order.time_in_force,
        quantity=format_decimal(order.quantity, order.quantity_scale),
        limit_price=_price(order.limit_price, order.price_scale),
        status=order.status,
        filled_quantity=format_decimal(order.filled_quantity, order.quantity_scale),
        leaves_quantity=format_decimal(order.leaves_quantity, order.quantity_scale),
        average_price=None if average is None else f"{average:f}",
        fees=format_decimal(order.fees, order.quote_scale),
        reject_reason=order.reject_reason,
        created_at=format_instant(order.created_at),
        updated_at=format_instant(order.updated_at),
        version=order.version,
    )


def view_execution(execution: Execution) -> ExecutionView:
    return ExecutionView(
        execution_id=execution.execution_id,
        order_id=execution.order_id,
        account_id=execution.account_id,
        symbol=execution.symbol,
        side=execution.side,
        quantity=format_decimal(execution.quantity, execution.quantity_scale),
        price=format_decimal(execution.price, execution.price_scale),
        fee=format_decimal(execution.fee, execution.quote_scale),
        fee_asset=execution.fee_asset,
        liquidity=execution.liquidity,
        trade_seq=execution.trade_seq,
        journal_id=execution.journal_id,
        transact_time=format_instant(execution.transact_time),
    )


_encode = msgspec.json.Encoder().encode


def order_json(order: Order) -> str:
    """The order's JSON text, as `GET /api/orders/{order_id}` answers it."""
    return _encode(view_order(order)).decode()


def execution_json(execution: Execution) -> str:
    return _encode(view_execution(execution)).decode()


def _price(price: int | None, scale: int) -> str | None:
    return None if price is None else format_decimal(price, scale)
