"""The dealing desk: tells one venue what clients asked for, and makes durable what the venue reports.

A venue lives in memory and the table is the truth. Each turn runs in one transaction: read commands,
feed the venue, settle its reports, delete the commands. When a turn fails for whatever reason the venue
has gone ahead of the table: it is thrown away, and a fresh one restored from the table takes its place.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

import psycopg
import structlog

from agio.kernel.ids import OrderId
from agio.ledger.api import CUSTOMER, Asset, Ledger, OpenAccount, PostJournal, Result
from agio.marketdata.api import Fence, Instruments
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction
from agio.platform.leases import LeaseLost
from agio.trading import store
from agio.trading.model import Order
from agio.trading.ports import Canceled, Expired, Report, Venue
from agio.trading.settlement import DayEnd, Settlement, clearing_account, fees_account, fold

COMMAND_LIMIT = 500
SESSION_ENDED = "session_ended"
LEASE_LOST = "AG001"

log = structlog.get_logger(__name__)


class Companion(Protocol):
    """What a runner writes in the same transaction as a settlement."""

    def has_work(self) -> bool:
        """Whether there is something to write even if no order changes."""
        ...

    async def prepare(self, symbols: Iterable[str]) -> None:
        """Called before the venue is fed with commands of these symbols."""
        ...

    async def write(self, tx: Transaction, reports: list[Report]) -> list[Report]:
        """Called before the settlement, if anything is written at all; may complete the reports."""
        ...


class SettlementRefused(Exception):
    """The ledger would not book a fill; the orders are ended instead, and the venue starts afresh."""

    def __init__(self, refused: dict[OrderId, str]) -> None:
        super().__init__(f"the ledger refused to settle {refused}")
        self.refused = refused


def nothing_more() -> Sequence[Report]:
    return ()


class DealingDesk:
    """One venue's desk, for the holder of its lease. Not for concurrent use."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        instruments: Instruments,
        clock: Clock,
        fence: Fence,
        venue_name: str,
        day_end: DayEnd,
        companion: Companion,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._instruments = instruments
        self._clock = clock
        self._fence = fence
        self._venue_name = venue_name
        self._day_end = day_end
        self._companion = companion
        self._venue: Venue | None = None
        self._opened: set[str] = set()
        self._expiries: dict[OrderId, tuple[str, datetime]] = {}
        self._barred: dict[OrderId, str] = {}

    def next_expiry(self, symbol: str) -> datetime | None:
        """When the first day order in the symbol expires, in the venue's time."""
        return min((expiry for of, expiry in self._expiries.values() if of == symbol), default=None)

    async def open(self, venue: Venue) -> list[str]:
        """Restore every open order into a fresh venue; returns the symbols that have any."""
        self._venue = None
        async with self._database.transaction() as tx:
            entered = await store.entered_orders(tx, self._venue_name)
        barred = [order.order_id for order, _ in entered if order.order_id in self._barred]
        kept = [(order, expiry) for order, expiry in entered if order.order_id not in self._barred]
        venue.restore([order for order, _ in kept])
        self._expiries = {
            order.order_id: (order.symbol, expiry) for order, expiry in kept if expiry is not None
        }
        self._venue = venue
        if barred:
            await self.settle([Canceled(order_id, self._barred[order_id]) for order_id in barred])
        return sorted({order.symbol for order, _ in kept})

    async def handle_commands(self) -> int:
        """Tell the venue what clients asked for and settle its answers; returns how many there were."""
        return await self.deal(nothing_more)

    async def settle(self, reports: Sequence[Report]) -> None:
        """Make reports durable without looking for commands."""
        await self.deal(lambda: reports, commands_limit=0)

    async def deal(self, more: Callable[[], Sequence[Report]], *, commands_limit: int = COMMAND_LIMIT) -> int:
        """One turn: commands first, then the reports that `more` brings, in one transaction.

        Returns how many commands were handled. Raises whatever went wrong: then the venue is not to be
        used any further, `open` a fresh one. Raises LeaseLost when another process has the duty.
        """
        venue = self._venue
        if venue is None:
            raise RuntimeError("the desk has no venue: open it first")
        try:
            if not commands_limit:
                reports = list(more())
                if reports or self._companion.has_work():
                    await self._turn(venue, lambda: reports, 0)
                return 0
            return await self._turn(venue, more, commands_limit)
        except BaseException as error:
            self._venue = None
            if isinstance(error, SettlementRefused):
                self._barred.update(error.refused)
            if isinstance(error, psycopg.Error) and error.sqlstate == LEASE_LOST:
                raise LeaseLost(str(error)) from error
            raise

    def expire_due(self, symbol: str, now: datetime) -> list[Report]:
        """Take the symbol's day orders whose session has ended out of the venue: reports to settle."""
        venue = self._venue
        due = sorted(
            order_id for order_id, (of, expiry) in self._expiries.items() if of == symbol and expiry <= now
        )
        if venue is None or not due:
            return []
        for order_id in due:
            del self._expiries[order_id]
        return [
            Expired(order_id=report.order_id, reason=SESSION_ENDED)
            if isinstance(report, Canceled)
            else report
            for order_id in due
            for report in venue.cancel(order_id)
        ]

    async def _turn(self, venue: Venue, more: Callable[[], Sequence[Report]], commands_limit: int) -> int:
        async with self._database.transaction() as tx:
            commands: list[store.VenueCommand] = []
            if commands_limit:
                commands = await store.read_commands(tx, self._venue_name, commands_limit)
            if commands:
                await self._companion.prepare({command.order.symbol for command in commands})
            reports = [report for command in commands for report in self._tell(venue, command)]
            reports += more()
            settlement = await self._write(tx, reports, commands)
        self._remember(settlement)
        return len(commands)

    def _tell(self, venue: Venue, command: store.VenueCommand) -> list[Report]:
        order = command.order
        if not order.is_open:
            return []
        if order.order_id in self._barred:
            return [Canceled(order.order_id, self._barred[order.order_id])]
        if command.kind == "cancel":
            return venue.cancel(order.order_id)
        return venue.submit(store.working_order(order, command.entered_no))

    async def _write(
        self, tx: Transaction, reports: list[Report], commands: Sequence[store.VenueCommand]
    ) -> Settlement:
        if not (reports or commands or self._companion.has_work()):
            return Settlement()
        await store.assert_lease(tx, self._fence.duty, self._fence.token)
        reports = await self._companion.write(tx, reports)
        concerned = {report.order_id for report in reports} | {command.order.order_id for command in commands}
        if not concerned:
            return Settlement()
        orders = await store.lock_orders(tx, sorted(concerned))
        canceled = [command.order.order_id for command in commands if command.kind == "cancel"]
        settlement = fold(orders, reports, canceled, self._clock.now(), self._day_end)
        await self._book(tx, settlement)
        handled = [command.command_no for command in commands]
        # Neither answer is needed for the other: one round trip.
        async with tx.connection.pipeline():
            await store.record_settlement(
                tx, list(settlement.changed.values()), settlement.executions, handled
            )
            await tx.emit(*settlement.events)
        return settlement

    async def _book(self, tx: Transaction, settlement: Settlement) -> None:
        if not settlement.commands:
            return
        filled = {execution.order_id for execution in settlement.executions}
        await self._open_accounts(tx, [settlement.changed[order_id] for order_id in sorted(filled)])
        results = await self._ledger.apply(tx, settlement.commands)
        refused: dict[OrderId, str] = {}
        for command, order_id, result in zip(settlement.commands, settlement.subjects, results, strict=True):
            if result.is_applied:
                continue
            if not isinstance(command, PostJournal):
                log.error("hold_not_released", order_id=order_id, code=result.code, detail=result.detail)
                continue
            refused[order_id] = _refusal(result)
        if refused:
            raise SettlementRefused(refused)

    async def _open_accounts(self, tx: Transaction, orders: Sequence[Order]) -> None:
        """See to it that every account that the fills touch exists; those seen before cost nothing."""
        wanted: dict[str, OpenAccount] = {}
        assets: dict[str, Asset] = {}
        for order in orders:
            for account in _accounts(order):
                if account.address not in self._opened:
                    wanted[account.address] = account
                    assets.setdefault(order.base_asset, await self._base_asset(order))
        if wanted:
            await self._ledger.define_assets(tx, list(assets.values()))
            await self._ledger.open_accounts(tx, list(wanted.values()))

    async def _base_asset(self, order: Order) -> Asset:
        instrument = await self._instruments.instrument(order.symbol)
        return Asset(order.base_asset, order.quantity_scale, instrument.name, instrument.asset_class)

    def _remember(self, settlement: Settlement) -> None:
        """Take over what is true now that the transaction has committed."""
        for order in settlement.changed.values():
            if order.is_open and order.expires_at is not None:
                self._expiries[order.order_id] = (order.symbol, order.expires_at)
            else:
                self._expiries.pop(order.order_id, None)
                self._barred.pop(order.order_id, None)
        for execution in settlement.executions:
            order = settlement.changed[execution.order_id]
            self._opened.update(account.address for account in _accounts(order))


def _accounts(order: Order) -> list[OpenAccount]:
    """The accounts that a fill of the order touches."""
    mine = (order.organisation_id, order.environment)
    organisation = str(order.organisation_id)
    return [
        OpenAccount(order.quote_account, order.account_id, order.quote_asset, *mine, flags=CUSTOMER),
        OpenAccount(order.base_account, order.account_id, order.base_asset, *mine, flags=CUSTOMER),
        OpenAccount(clearing_account(order, order.quote_asset), organisation, order.quote_asset, *mine),
        OpenAccount(clearing_account(order, order.base_asset), organisation, order.base_asset, *mine),
        OpenAccount(fees_account(order), organisation, order.quote_asset, *mine),
    ]


def _refusal(result: Result) -> str:
    return f"settlement_refused: {result.code}"
