"""A venue that this engine does not run: nothing trades there, but nothing hangs there either."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import structlog

from agio.kernel.ids import OrderId
from agio.ledger.api import Ledger
from agio.marketdata.api import Fence, Instruments
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction
from agio.platform.leases import LeaseLost
from agio.trading.dealing import DealingDesk
from agio.trading.jobs.waking import VenueNudge
from agio.trading.ports import Canceled, Rejected, Report, WorkingOrder

POLL_SECONDS: Final = 0.25
RETRY_SECONDS: Final = 0.5
VENUE_CLOSED: Final = "venue_closed"

log = structlog.get_logger(__name__)


class ClosedVenue:
    """Keeps what rests there, refuses what is new, cancels what is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def restore(self, orders: Sequence[WorkingOrder]) -> None:
        """Resting orders wait in the table until the venue opens again."""

    def submit(self, order: WorkingOrder) -> list[Report]:
        return [Rejected(order.order_id, VENUE_CLOSED)]

    def cancel(self, order_id: OrderId) -> list[Report]:
        return [Canceled(order_id, "requested")]

    def end_of_day(self, symbol: str) -> list[Report]:  # noqa: ARG002 - no day ends where none begins
        return []


class ClosedVenueRunner:
    """Answers commands to a closed venue until cancelled; raises LeaseLost."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        instruments: Instruments,
        bus: Bus,
        clock: Clock,
        fence: Fence,
        venue_name: str,
    ) -> None:
        self._bus = bus
        self._venue_name = venue_name
        self._is_open = False
        self._desk = DealingDesk(
            database, ledger, instruments, clock, fence, venue_name, self._never_asked, self
        )

    async def run(self) -> None:
        async with VenueNudge(self._bus) as nudge:
            while True:
                nudge.clear()
                try:
                    await self.hear_commands()
                except LeaseLost:
                    raise
                except Exception as error:
                    log.warning("closed_venue_interrupted", venue=self._venue_name, error=repr(error))
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await nudge.wait(POLL_SECONDS)

    async def hear_commands(self) -> int:
        """Settle what clients asked for since the last look; returns how many commands that were."""
        try:
            if not self._is_open:
                await self._desk.open(ClosedVenue(self._venue_name))
                self._is_open = True
            return await self._desk.handle_commands()
        except BaseException:
            self._is_open = False
            raise

    # Companion of the desk.

    def has_work(self) -> bool:
        return False

    async def prepare(self, symbols: Iterable[str]) -> None:
        """Nothing is known of a market that is closed."""

    async def write(self, tx: Transaction, reports: list[Report]) -> list[Report]:  # noqa: ARG002
        return reports

    def _never_asked(self, symbol: str) -> datetime:
        raise RuntimeError(f"an order in {symbol} entered a closed venue")
