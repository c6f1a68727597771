"""What a venue reported, turned into order states, executions, journals and events. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from agio.custody.api import organisation_address
from agio.kernel.ids import LedgerAccountId, OrderId
from agio.kernel.time import from_nanos
from agio.ledger.api import Command, Leg, PostJournal, ReleaseHold
from agio.platform.db import Event, Scope
from agio.trading.events import ORDER_FILLED, ORDER_UPDATED, fills_channel, orders_channel
from agio.trading.model import (
    TRANSITIONS,
    Execution,
    Order,
    OrderAction,
    OrderStatus,
    act,
    execution_id,
    fill,
    journal_id_of,
)
from agio.trading.ports import Canceled, Entered, Expired, Filled, Rejected, Report
from agio.trading.schemas import execution_json, order_json

SOURCE = "trading"
CANCELED_BY_CLIENT = "requested"

DayEnd = Callable[[str], datetime]
"""When a day order in a symbol that enters now expires, in the venue's time."""


class Settlement(msgspec.Struct):
    """Everything that one batch of reports changes; written in one transaction."""

    changed: dict[OrderId, Order] = msgspec.field(default_factory=dict)
    executions: list[Execution] = msgspec.field(default_factory=list)
    commands: list[Command] = msgspec.field(default_factory=list)
    subjects: list[OrderId] = msgspec.field(default_factory=list)
    """The order that each ledger command is about."""
    events: list[Event] = msgspec.field(default_factory=list)


def clearing_account(order: Order, asset: str) -> LedgerAccountId:
    """The organisation's account of what the venue owes it or is owed, per asset."""
    return organisation_address(order.organisation_id, f"clearing:{order.venue}", asset)


def fees_account(order: Order) -> LedgerAccountId:
    return organisation_address(order.organisation_id, "fees", order.quote_asset)


def fold(
    orders: Mapping[OrderId, Order],
    reports: Sequence[Report],
    canceled: Sequence[OrderId],
    at: datetime,
    day_end: DayEnd,
) -> Settlement:
    """Apply reports in order to the stored orders, then end those of `canceled` that no report ended.

    A venue that knows nothing of an order has nothing to cancel: the client's wish is then fulfilled
    here, so that no order stays in `pending_cancel`. Raises IllegalTransition or KeyError when venue and
    table disagree; nothing of the batch may then be written.
    """
    settlement = Settlement()
    for report in reports:
        _take(settlement, orders, report, at, day_end)
    for order_id in canceled:
        order = settlement.changed.get(order_id) or orders[order_id]
        if order.is_open:
            _take(settlement, orders, Canceled(order_id, CANCELED_BY_CLIENT), at, day_end)
    return settlement


def _take(
    settlement: Settlement, orders: Mapping[OrderId, Order], report: Report, at: datetime, day_end: DayEnd
) -> None:
    before = settlement.changed.get(report.order_id) or orders[report.order_id]
    if isinstance(report, Entered) and (before.status, OrderAction.ENTER) not in TRANSITIONS:
        return
    after = _apply(settlement, before, report, at)
    if after.time_in_force == "day" and after.is_open and after.expires_at is None:
        after = msgspec.structs.replace(after, expires_at=day_end(after.symbol))
    settlement.changed[after.order_id] = after
    settlement.events.append(
        _event(after, orders_channel(after.account_id), ORDER_UPDATED, order_json(after))
    )
    if isinstance(report, Filled):
        body = execution_json(settlement.executions[-1])
        settlement.events.append(_event(after, fills_channel(after.account_id), ORDER_FILLED, body))


def _apply(settlement: Settlement, order: Order, report: Report, at: datetime) -> Order:
    match report:
        case Entered():
            return act(order, OrderAction.ENTER, at)
        case Filled():
            return _fill(settlement, order, report, at)
        case Canceled():
            is_asked_for = order.status is OrderStatus.PENDING_CANCEL
            after = act(order, OrderAction.CANCEL, at, None if is_asked_for else report.reason)
        case Expired():
            after = act(order, OrderAction.EXPIRE, at, report.reason)
        case Rejected():
            after = act(order, OrderAction.REJECT, at, report.reason)
    settlement.commands.append(
        ReleaseHold(
            hold_id=order.hold_id,
            organisation_id=order.organisation_id,
            environment=order.environment,
            source=SOURCE,
            reference=order.order_id,
        )
    )
    settlement.subjects.append(order.order_id)
    return after


def _fill(settlement: Settlement, order: Order, report: Filled, at: datetime) -> Order:
    after, notional, fee = fill(order, report.quantity, report.price, at)
    identity = execution_id(order.order_id, after.fill_count)
    execution = Execution(
        execution_id=identity,
        order_id=order.order_id,
        fill_no=after.fill_count,
        organisation_id=order.organisation_id,
        environment=order.environment,
        account_id=order.account_id,
        symbol=order.symbol,
        side=order.side,
        quantity=report.quantity,
        price=report.price,
        notional=notional,
        fee=fee,
        fee_asset=order.quote_asset,
        price_scale=order.price_scale,
        quantity_scale=order.quantity_scale,
        quote_scale=order.quote_scale,
        liquidity=report.liquidity,
        trade_id=report.trade_id,
        trade_seq=report.trade_seq,
        journal_id=journal_id_of(identity),
        transact_time=from_nanos(report.venue_time_ns),
    )
    settlement.executions.append(execution)
    settlement.commands.append(
        PostJournal(
            journal_id=execution.journal_id,
            organisation_id=order.organisation_id,
            environment=order.environment,
            legs=_legs(order, execution),
            booking_date=at.date(),
            value_date=at.date(),
            source=SOURCE,
            reference=identity,
            releases=() if after.is_open else (order.hold_id,),
        )
    )
    settlement.subjects.append(order.order_id)
    return after


def _legs(order: Order, execution: Execution) -> tuple[Leg, ...]:
    """Cash against securities through the venue's clearing accounts, then the fee; debits use the hold."""
    cash, securities = order.quote_account, order.base_account
    venue_cash = clearing_account(order, order.quote_asset)
    venue_securities = clearing_account(order, order.base_asset)
    notional, quantity, fee = execution.notional, execution.quantity, execution.fee
    if order.side == "buy":
        legs = [
            Leg(cash, -notional, order.hold_id),
            Leg(venue_cash, notional),
            Leg(venue_securities, -quantity),
            Leg(securities, quantity),
        ]
    else:
        legs = [
            Leg(securities, -quantity, order.hold_id),
            Leg(venue_securities, quantity),
            Leg(venue_cash, -notional),
            Leg(cash, notional),
        ]
    if fee:
        legs.append(Leg(cash, -fee, order.hold_id if order.side == "buy" else None))
        legs.append(Leg(fees_account(order), fee))
    return tuple(legs)


def _event(order: Order, channel: str, kind: str, body: str) -> Event:
    scope = Scope(order.organisation_id, order.environment)
    return Event(channel=channel, kind=kind, body=body, occurred_at=order.updated_at, scope=scope)
