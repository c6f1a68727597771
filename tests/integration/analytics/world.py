"""Accounts, trades and prices on the real ledger, for tests of analytics."""

from datetime import UTC, datetime
from typing import Literal

from agio.analytics.marks import MarkRecorder
from agio.analytics.service import AnalyticsService
from agio.custody.api import Account, customer_account, organisation_account
from agio.custody.service import CustodyService
from agio.kernel.ids import JournalId, OrganisationId, new_id
from agio.kernel.time import to_micros
from agio.ledger.api import Asset, Leg, PostJournal
from agio.ledger.service import LedgerService
from agio.marketdata.api import Calendar, Instrument, LastTrade, Quote
from agio.platform.clock import SystemClock
from agio.platform.db import Database, Scope

ACME = Instrument("ACME-USD", "Acme", "SIM", "ACME", "USD", 1, 1, 2, 0, 2, "always")
VENUE_TIME_NS = to_micros(datetime(2013, 9, 1, 17, tzinfo=UTC)) * 1000


class FixedInstruments:
    """One stock."""

    async def instrument(self, symbol: str) -> Instrument:
        assert symbol == ACME.symbol
        return ACME

    def cached(self, symbol: str) -> Instrument | None:
        return ACME if symbol == ACME.symbol else None

    async def instruments(self, venue: str | None = None) -> list[Instrument]:
        return [ACME]

    async def calendar(self, name: str) -> Calendar:
        raise LookupError(name)


class HandMadeMarket:
    """A market whose last trade is set by hand."""

    def __init__(self) -> None:
        self.last: LastTrade | None = None
        self._seq = 0

    def trade(self, price: int, received_us: int | None = None) -> LastTrade:
        self._seq += 1
        received = SystemClock().now_micros() if received_us is None else received_us
        self.last = LastTrade(
            ACME.symbol, "e1", self._seq, VENUE_TIME_NS + self._seq * 10**9, price, 1, 0, None, received
        )
        return self.last

    async def latest_trade(self, symbol: str) -> LastTrade | None:
        return self.last if symbol == ACME.symbol else None

    def last_seen(self, symbol: str) -> LastTrade | None:
        return None

    async def latest_quote(self, symbol: str) -> Quote | None:
        return None


class World:
    """One tenant with its services."""

    def __init__(self, app: Database, engine: Database) -> None:
        self.app = app
        self.engine = engine
        self.clock = SystemClock()
        self.scope = Scope(new_id("org"), "sandbox")
        self.ledger = LedgerService(app, self.clock)
        self.custody = CustodyService(app, self.ledger, self.clock)
        self.market = HandMadeMarket()
        self.instruments = FixedInstruments()
        self.published: list[str] = []
        self.recorder = MarkRecorder(engine, self.instruments, self.clock)
        self.analytics = self.new_service()

    def settle(self) -> None:
        """From here on it is a minute later, and stays so: no mark is on its way to the table any more."""
        later = self.clock.now_micros() + 60_000_000
        self.clock.now_micros = lambda: later  # type: ignore[method-assign]

    def new_service(self) -> AnalyticsService:
        async def publish(subject: str, payload: bytes) -> None:
            self.published.append(subject)

        return AnalyticsService(
            self.app, self.ledger, self.instruments, self.market, self.custody, self.clock, publish
        )

    async def open_account(self, amount: str | None = "100000.00") -> Account:
        """An account that can hold USD and ACME, funded."""
        async with self.engine.transaction() as tx:
            await self.ledger.define_assets(tx, [Asset("ACME", 0, "Acme", "stock")])
        organisation = OrganisationId(self.scope.organisation_id)
        async with self.app.transaction(self.scope) as tx:
            account = await self.custody.open_account(tx, "test", "USD")
            clearing = [
                organisation_account(organisation, "sandbox", purpose, asset)
                for purpose in ("clearing:SIM", "fees")
                for asset in ("USD", "ACME")
            ]
            await self.ledger.open_accounts(tx, [customer_account(account, "ACME"), *clearing])
            if amount is not None:
                await self.custody.transfer(tx, account.account_id, "deposit", "USD", amount)
        return account

    async def transfer(
        self, account: Account, direction: Literal["deposit", "withdrawal"], amount: str
    ) -> None:
        async with self.app.transaction(self.scope) as tx:
            await self.custody.transfer(tx, account.account_id, direction, "USD", amount)

    async def fill(self, account: Account, quantity: int, price: int, fee: int = 0) -> None:
        """Settle a fill as trading does: securities against cash, then the fee."""
        notional = quantity * price
        own, organisation = account.account_id, self.scope.organisation_id
        pairs = [
            (f"{own}:USD", -notional),
            (f"{organisation}:clearing:SIM:USD", notional),
            (f"{organisation}:clearing:SIM:ACME", -quantity),
            (f"{own}:ACME", quantity),
        ]
        if fee:
            pairs += [(f"{own}:USD", -fee), (f"{organisation}:fees:USD", fee)]
        today = self.clock.now().date()
        journal = PostJournal(
            journal_id=JournalId(new_id("jnl")),
            organisation_id=OrganisationId(organisation),
            environment="sandbox",
            legs=tuple(Leg(address, amount) for address, amount in pairs),  # type: ignore[arg-type]
            booking_date=today,
            value_date=today,
            source="trading",
        )
        async with self.app.transaction(self.scope) as tx:
            results = await self.ledger.apply(tx, [journal])
        results[0].require()
