"""A small world around trading: organisations with funded accounts, instruments, cuts of the database."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import msgspec
import psycopg
from tests.conftest import make_vault

from agio.kernel.ids import AccountId, JournalId, LedgerAccountId, OrderId, OrganisationId, new_id
from agio.ledger.api import CUSTOMER, Asset, Leg, OpenAccount, PostJournal
from agio.ledger.service import LedgerService
from agio.marketdata.api import (
    SIM_INSTRUMENTS,
    Calendar,
    Instrument,
    LastTrade,
    Quote,
    Trade,
    TradeBatch,
    UnknownInstrument,
    tape_instrument,
)
from agio.platform.clock import SystemClock
from agio.platform.db import SYSTEM, Database, Scope, Transaction
from agio.trading import store
from agio.trading.model import Order

ES = tape_instrument("ES", 2, 0)
CLOCK = SystemClock()


class Customer(msgspec.Struct, frozen=True):
    organisation_id: OrganisationId
    account_id: AccountId

    @property
    def scope(self) -> Scope:
        return Scope(self.organisation_id, "sandbox")


class StaticInstruments:
    """marketdata's `Instruments` without a table."""

    def __init__(self, *instruments: Instrument) -> None:
        self._by_symbol = {item.symbol: item for item in (instruments or (*SIM_INSTRUMENTS, ES))}

    async def instrument(self, symbol: str) -> Instrument:
        if symbol not in self._by_symbol:
            raise UnknownInstrument(symbol)
        return self._by_symbol[symbol]

    def cached(self, symbol: str) -> Instrument | None:
        return self._by_symbol.get(symbol)

    async def instruments(self, venue: str | None = None) -> list[Instrument]:
        return [item for item in self._by_symbol.values() if venue in (None, item.venue)]

    async def calendar(self, name: str) -> Calendar:
        return Calendar(name, "UTC")


class RecordedTape:
    """Durable trades in memory: marketdata's `TradeHistory`, and the part of `Market` that needs them."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []

    def append(self, trades: list[Trade]) -> TradeBatch:
        first = len(self.trades) + 1
        self.trades += trades
        return TradeBatch("ES", "e1", first, trades, 0)

    async def position(self, symbol: str) -> tuple[str, int]:
        return "e1", len(self.trades)

    async def trades_after(self, symbol: str, seq: int, limit: int) -> list[TradeBatch]:
        part = self.trades[seq : seq + limit]
        return [TradeBatch("ES", "e1", seq + 1, part, 0)] if part else []

    async def latest_trade(self, symbol: str) -> LastTrade | None:
        if not self.trades:
            return None
        last = self.trades[-1]
        return LastTrade(
            symbol, "e1", len(self.trades), last.venue_time_ns, last.price, last.size, 0, None, 0
        )

    def last_seen(self, symbol: str) -> LastTrade | None:
        return None

    async def latest_quote(self, symbol: str) -> Quote | None:
        return None


class Cuts:
    """How often a transaction meets a cut: before it, before its commit, or after it, unanswered."""

    def __init__(self, seed: int, share: float) -> None:
        self._random = random.Random(seed)
        self.share = share
        self.count = 0

    def draw(self) -> str:
        if self._random.random() >= self.share:
            return ""
        self.count += 1
        return self._random.choice(["before", "inside", "after"])


class CutDatabase(Database):
    """A database whose connection is lost at random moments."""

    def __init__(self, url: str, cuts: Cuts) -> None:
        super().__init__(url, name="test-cut", vault=make_vault())
        self._cuts = cuts

    @asynccontextmanager
    async def transaction(self, scope: Scope = SYSTEM) -> AsyncIterator[Transaction]:
        cut = self._cuts.draw()
        if cut == "before":
            raise psycopg.OperationalError("cut before the transaction")
        async with super().transaction(scope) as tx:
            yield tx
            if cut == "inside":
                raise psycopg.OperationalError("cut before the commit")
        if cut == "after":
            raise psycopg.OperationalError("cut after the commit, before its answer")


async def open_customer(database: Database, cash: int = 100_000_000, securities: int = 0) -> Customer:
    """An organisation with one account that holds USD (in cents) and ES."""
    customer = Customer(OrganisationId(new_id("org")), AccountId(new_id("acc")))
    ledger = LedgerService(database, CLOCK)
    organisation, account = customer.organisation_id, customer.account_id
    async with database.transaction(customer.scope) as tx:
        await ledger.define_assets(tx, [Asset("ES", 0, "ES", "future")])
        for asset, amount in (("USD", cash), ("ES", securities)):
            mine = LedgerAccountId(f"{account}:{asset}")
            bank = LedgerAccountId(f"{organisation}:external:bank:{asset}")
            await ledger.open_accounts(
                tx,
                [
                    OpenAccount(mine, account, asset, organisation, "sandbox", CUSTOMER),
                    OpenAccount(bank, organisation, asset, organisation, "sandbox"),
                ],
            )
            if not amount:
                continue
            journal = PostJournal(
                JournalId(new_id("jnl")),
                organisation,
                "sandbox",
                (Leg(bank, -amount), Leg(mine, amount)),
                date(2026, 3, 2),
                date(2026, 3, 2),
                "test",
            )
            for result in await ledger.apply(tx, [journal]):
                result.require()
        await store.register_account(tx, account)
    return customer


def order_of(customer: Customer, **changes: object) -> Order:
    """A limit order of a customer to buy 10 ES at 1640.25, changed as asked."""
    order_id = OrderId(new_id("ord"))
    now = datetime.now(UTC)
    fields: dict[str, object] = {
        "order_id": order_id,
        "organisation_id": customer.organisation_id,
        "environment": "sandbox",
        "account_id": customer.account_id,
        "client_order_id": order_id,
        "symbol": "ES",
        "venue": "TAPE",
        "base_asset": "ES",
        "quote_asset": "USD",
        "price_scale": 2,
        "quantity_scale": 0,
        "quote_scale": 2,
        "fee_basis_points": 5,
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "quantity": 10,
        "limit_price": 164025,
        "protection_price": 164025,
        "created_at": now,
        "updated_at": now,
    }
    fields |= changes
    fields["protection_price"] = changes.get("protection_price", fields["limit_price"])
    return Order(**fields)  # type: ignore[arg-type]


async def count(database: Database, table: str, where: str = "true") -> int:
    """Rows of a table of ours, as the engine sees them."""
    async with database.transaction() as tx:
        number: int = await tx.value(f"select count(*) from {table} where {where}")  # type: ignore[arg-type]
    return number


async def available(database: Database, address: str) -> tuple[int, int]:
    """Balance and held amount of a ledger account."""
    async with database.transaction() as tx:
        (balance,) = await LedgerService(database, CLOCK).balances_of(tx, [LedgerAccountId(address)])
    return balance.total, balance.held
