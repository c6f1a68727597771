"""All SQL of the room. Rows travel as JSON text, so that integers of any size stay integers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from agio.kernel.ids import AccountId, OrderId, new_id
from agio.platform.db import Event, Transaction
from agio.trading.api import OrderFilter
from agio.trading.model import CLOSED, OPEN, Execution, Order
from agio.trading.ports import WorkingOrder
from agio.trading.schemas import order_json

_encode = msgspec.json.Encoder().encode
_decode_order = msgspec.json.Decoder(Order).decode
_decode_execution = msgspec.json.Decoder(Execution).decode

_STATUSES: Final = {
    "open": sorted(OPEN),
    "closed": sorted(CLOSED),
    "all": sorted(OPEN | CLOSED),
}

ClaimCode = Literal["claimed", "exists", "foreign"]


class Claim(msgspec.Struct, frozen=True):
    code: ClaimCode
    stored: Order | None = None


class VenueCommand(msgspec.Struct, frozen=True):
    command_no: int
    kind: Literal["submit", "cancel"]
    order: Order
    entered_no: int


class TapeProgress(msgspec.Struct, frozen=True):
    symbol: str
    epoch: str
    seq: int


async def register_account(tx: Transaction, account_id: AccountId) -> None:
    """Make an account of the transaction's tenant known to trading; idempotent."""
    await tx.execute(
        "insert into trading.account (account_id, organisation_id, environment) values (%s, %s, %s)"
        " on conflict (account_id) do nothing",
        (account_id, tx.scope.organisation_id, tx.scope.environment),
    )


async def claim_orders(tx: Transaction, orders: Sequence[Order]) -> dict[OrderId, Claim]:
    """Insert the orders whose client order id is free on their account; say what became of each."""
    rows = await tx.fetch_tuples(
        "select order_id, code, stored from trading.claim_orders(%s::json)", (_encode(orders).decode(),)
    )
    return {
        OrderId(order_id): Claim(code, _decode_order(stored) if stored is not None else None)
        for order_id, code, stored in rows
    }


async def confirm_orders(tx: Transaction, refused: Sequence[OrderId], accepted: Sequence[Order]) -> None:
    """Remove claims whose hold was refused; give the others their venue command and their event."""
    await tx.execute(
        "select trading.confirm_orders(%s::text[], %s::text[], %s::text[], %s::text[])",
        (
            list(refused),
            [order.order_id for order in accepted],
            [new_id("evt") for _ in accepted],
            [order_json(order) for order in accepted],
        ),
    )
    tx.has_events = tx.has_events or bool(accepted)


async def find_order(tx: Transaction, order_id: OrderId) -> Order | None:
    return _order_or_none(
        await tx.value("select row_to_json(o)::text from trading.orders o where order_id = %s", (order_id,))
    )


async def find_by_client_order_id(
    tx: Transaction, account_id: AccountId, client_order_id: str
) -> Order | None:
    return _order_or_none(
        await tx.value(
            "select row_to_json(o)::text from trading.orders o"
            " where account_id = %s and client_order_id = %s",
            (account_id, client_order_id),
        )
    )


async def list_orders(tx: Transaction, wanted: OrderFilter, before: str | None, limit: int) -> list[Order]:
    """Newest first, of the transaction's tenant."""
    rows = await tx.fetch_tuples(
        "select row_to_json(o)::text from trading.orders o"
        " where organisation_id = %(organisation)s and environment = %(environment)s"
        " and (%(account)s::text is null or account_id = %(account)s)"
        " and (%(symbol)s::text is null or symbol = %(symbol)s)"
        " and status = any(%(statuses)s)"
        " and (%(before)s::text is null or order_id < %(before)s)"
        " order by order_id desc limit %(limit)s",
        {
            "organisation": tx.scope.organisation_id,
            "environment": tx.scope.environment,
            "account": wanted.account_id,
            "symbol": wanted.symbol,
            "statuses": _STATUSES[wanted.status],
            "before": before,
            "limit": limit,
        },
    )
    return [_decode_order(row[0]) for row in rows]


async def list_executions(
    tx: Transaction, account_id: AccountId | None, order_id: OrderId | None, before: int | None, limit: int
) -> list[tuple[int, Execution]]:
    """With their numbers, newest first, of the transaction's tenant."""
    rows = await tx.fetch_tuples(
        "select execution_no, row_to_json(x)::text from trading.executions x"
        " where organisation_id = %(organisation)s and environment = %(environment)s"
        " and (%(account)s::text is null or account_id = %(account)s)"
        " and (%(order)s::text is null or order_id = %(order)s)"
        " and (%(before)s::bigint is null or execution_no < %(before)s)"
        " order by execution_no desc limit %(limit)s",
        {
            "organisation": tx.scope.organisation_id,
            "environment": tx.scope.environment,
            "account": account_id,
            "order": order_id,
            "before": before,
            "limit": limit,
        },
    )
    return [(number, _decode_execution(row)) for number, row in rows]


async def lock_order(tx: Transaction, order_id: OrderId) -> Order | None:
    return _order_or_none(
        await tx.value(
            "select row_to_json(o)::text from trading.orders o where order_id = %s for update", (order_id,)
        )
    )


async def lock_open_orders(tx: Transaction, account_id: AccountId, limit: int) -> list[Order]:
    """The account's open orders, oldest first, locked in the order in which everybody locks orders."""
    rows = await tx.fetch_tuples(
        "select row_to_json(o)::text from trading.orders o where account_id = %s and status = any(%s)"
        " order by order_id limit %s for update",
        (account_id, _STATUSES["open"], limit),
    )
    return [_decode_order(row[0]) for row in rows]


async def write_cancel_requests(tx: Transaction, orders: Sequence[Order], events: Sequence[Event]) -> None:
    """Write orders that became `pending_cancel`, their venue commands and their events."""
    await tx.execute_many(
        "update trading.orders set status = %s, updated_at = %s, version = %s where order_id = %s",
        [(order.status, order.updated_at, order.version, order.order_id) for order in orders],
    )
    await tx.execute_many(
        "insert into trading.venue_command (venue, order_id, kind, organisation_id, environment)"
        " values (%s, %s, 'cancel', %s, %s)",
        [(order.venue, order.order_id, order.organisation_id, order.environment) for order in orders],
    )
    await tx.emit(*events)


async def assert_lease(tx: Transaction, duty: str, token: int) -> None:
    await tx.execute("select platform.assert_lease(%s, %s)", (duty, token))


async def read_commands(tx: Transaction, venue: str, limit: int) -> list[VenueCommand]:
    """What the venue has not been told, in the order in which it was asked for.

    Rows leave when they are settled and never before, so a command that becomes visible late, behind one
    with a higher number, is still found: no snapshot horizon is needed.
    """
    rows = await tx.fetch_tuples(
        "select c.command_no, c.kind, row_to_json(o)::text, o.entered_no"
        " from trading.venue_command c join trading.orders o on o.order_id = c.order_id"
        " where c.venue = %s order by c.command_no limit %s",
        (venue, limit),
    )
    return [VenueCommand(number, kind, _decode_order(row), entered) for number, kind, row, entered in rows]


async def entered_orders(tx: Transaction, venue: str) -> list[tuple[WorkingOrder, datetime | None]]:
    """Open orders that the venue has been told of, oldest first, and when each expires."""
    rows = await tx.fetch_tuples(
        "select row_to_json(o)::text, o.entered_no from trading.orders o"
        " where venue = %s and status in ('pending_new', 'new', 'partially_filled', 'pending_cancel')"
        " and not exists (select from trading.venue_command c"
        " where c.order_id = o.order_id and c.kind = 'submit')"
        " order by entered_no",
        (venue,),
    )
    return [
        (working_order(order, entered_no), order.expires_at)
        for order, entered_no in ((_decode_order(row), entered) for row, entered in rows)
    ]


async def lock_orders(tx: Transaction, order_ids: Sequence[OrderId]) -> dict[OrderId, Order]:
    """Orders by id, locked in the order in which everybody locks orders."""
    rows = await tx.fetch_tuples(
        "select row_to_json(o)::text from trading.orders o where order_id = any(%s)"
        " order by order_id for update",
        (list(order_ids),),
    )
    return {order.order_id: order for order in (_decode_order(row[0]) for row in rows)}


async def record_settlement(
    tx: Transaction, changed: Sequence[Order], executions: Sequence[Execution], handled: Sequence[int]
) -> None:
    await tx.execute(
        "select trading.record_settlement(%s::json, %s::json, %s::bigint[])",
        (_encode(changed).decode(), _encode(executions).decode(), list(handled)),
    )


async def read_progress(tx: Transaction) -> dict[str, TapeProgress]:
    rows = await tx.fetch(TapeProgress, "select symbol, epoch, seq from trading.tape_progress")
    return {row.symbol: row for row in rows}


async def write_progress(tx: Transaction, progress: Sequence[TapeProgress]) -> None:
    await tx.execute_many(
        "insert into trading.tape_progress (symbol, epoch, seq) values (%s, %s, %s)"
        " on conflict (symbol) do update set epoch = excluded.epoch, seq = excluded.seq",
        [(row.symbol, row.epoch, row.seq) for row in progress],
    )


def working_order(order: Order, entered_no: int) -> WorkingOrder:
    return WorkingOrder(
        order_id=order.order_id,
        account_id=order.account_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        time_in_force=order.time_in_force,
        leaves_quantity=order.unfilled_quantity,
        limit_price=order.protection_price,
        entered_no=entered_no,
    )


def _order_or_none(row: str | None) -> Order | None:
    return None if row is None else _decode_order(row)
