"""The desk and the tape's runner on a real database: fills, cancels, crashes."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
import psycopg
import pytest
from tests.conftest import Databases
from tests.integration.trading.books import check_books, check_tape, read_books
from tests.integration.trading.world import (
    CLOCK,
    Customer,
    CutDatabase,
    Cuts,
    RecordedTape,
    StaticInstruments,
    count,
    open_customer,
    order_of,
)

from agio.custody.service import CustodyService
from agio.kernel.time import to_micros
from agio.ledger.service import LedgerService
from agio.marketdata.api import Fence, Trade
from agio.platform import leases
from agio.platform.bus import Bus
from agio.platform.db import Database
from agio.platform.leases import LeaseLost
from agio.trading import store
from agio.trading.acceptance import Acceptance, Accepted
from agio.trading.jobs import TAPE_DUTY, TapeRunner
from agio.trading.model import Order, OrderAction, OrderStatus, act

NINE = to_micros(datetime(2013, 9, 2, 9, tzinfo=UTC)) * 1000
SECOND = 1_000_000_000
CASH = 100_000_000


def prints(*items: tuple[int, int], start: int = NINE) -> list[Trade]:
    """Trades of (price, size), a second apart."""
    return [Trade(start + place * SECOND, price, size) for place, (price, size) in enumerate(items)]


async def no_nudge() -> None:
    return None


class Floor:
    """Acceptance in front, a tape runner behind, one tape."""

    def __init__(self, app: Database, engine: Database, fence: Fence) -> None:
        self.app, self.engine, self.fence = app, engine, fence
        self.tape = RecordedTape()
        ledger = LedgerService(app, CLOCK)
        self.acceptance = Acceptance(app, ledger, CustodyService(app, ledger, CLOCK), CLOCK, no_nudge, 20.0)
        self.runner = self.start_runner()

    def start_runner(self) -> TapeRunner:
        """A runner as after a restart: it knows nothing."""
        self.runner = TapeRunner(
            self.engine,
            LedgerService(self.engine, CLOCK),
            StaticInstruments(),
            self.tape,
            self.tape,
            Bus("nats://127.0.0.1:1"),
            CLOCK,
            self.fence,
        )
        return self.runner

    async def place(self, order: Order) -> Order:
        assert isinstance(await self.acceptance.accept(order), Accepted)
        return order

    async def cancel(self, order: Order, customer: Customer) -> None:
        async with self.app.transaction(customer.scope) as tx:
            stored = await store.lock_order(tx, order.order_id)
            if stored is not None and stored.is_open and stored.status is not OrderStatus.PENDING_CANCEL:
                after = act(stored, OrderAction.REQUEST_CANCEL, CLOCK.now())
                await store.write_cancel_requests(tx, [after], [])

    async def hear(self) -> None:
        """Have the runner look for commands now."""
        self.runner._polled_at = float("-inf")
        await self.runner.hear_commands()

    async def print(self, trades: list[Trade]) -> None:
        self.runner._polled_at = float("-inf")
        await self.runner.on_trades("ES", self.tape.append(trades))

    async def stored(self, order: Order) -> Order:
        async with self.engine.transaction() as tx:
            found = await store.find_order(tx, order.order_id)
        assert found is not None
        return found


@pytest.fixture
async def fence(engine_database: Database) -> Fence:
    lease = await leases.acquire(engine_database, CLOCK, TAPE_DUTY, "test")
    assert lease is not None
    return Fence(lease.duty, lease.token)


@pytest.fixture
def floor(app_database: Database, engine_database: Database, fence: Fence) -> Floor:
    return Floor(app_database, engine_database, fence)


@pytest.fixture
async def customer(app_database: Database) -> Customer:
    return await open_customer(app_database, cash=CASH, securities=1000)


def funded(*customers: Customer, securities: int = 1000) -> dict[str, int]:
    amounts = {}
    for customer in customers:
        amounts[f"{customer.account_id}:USD"] = CASH
        amounts[f"{customer.account_id}:ES"] = securities
    return amounts


class TestOnTrades:
    async def test_a_batch_handed_over_again_is_not_shared_out_twice(
        self, floor: Floor, customer: Customer
    ) -> None:
        first = await floor.place(order_of(customer))
        batch = floor.tape.append(prints((164025, first.quantity)))
        await floor.runner.on_trades("ES", batch)
        second = await floor.place(order_of(customer))
        await floor.start_runner().on_trades("ES", batch)
        assert [(await floor.stored(order)).status for order in (first, second)] == ["filled", "new"]

    async def test_fills_move_cash_securities_and_fees_exactly(
        self, floor: Floor, customer: Customer
    ) -> None:
        buy = await floor.place(order_of(customer))
        sell = await floor.place(order_of(customer, side="sell", limit_price=164100, quantity=3))
        await floor.print(prints((164025, 4), (164000, 6), (164100, 5)))
        books = await read_books(floor.engine)
        assert [books.orders[order.order_id].status for order in (buy, sell)] == ["filled", "filled"]
        bought, sold = 164025 * 4 + 164000 * 6, 164100 * 3
        fees = -(-bought * 5 // 10_000) + -(-sold * 5 // 10_000)
        assert books.balances[f"{customer.account_id}:USD"] == (CASH - bought + sold - fees, 0)
        assert books.balances[f"{customer.account_id}:ES"] == (1007, 0)
        assert books.balances[f"{customer.organisation_id}:fees:USD"] == (fees, 0)
        check_books(books, funded(customer))
        check_tape(books, floor.tape.trades)

    async def test_market_order_fills_at_the_next_trade_only(self, floor: Floor, customer: Customer) -> None:
        await floor.print(prints((160000, 100)))
        order = await floor.place(
            order_of(customer, type="market", limit_price=None, protection_price=172000, time_in_force="day")
        )
        await floor.print(prints((163900, 4), (163800, 20)))
        books = await read_books(floor.engine)
        assert [(item.price, item.quantity, item.trade_seq) for item in books.executions] == [
            (163900, 4, 2),
            (163800, 6, 3),
        ]
        assert books.orders[order.order_id].status == "filled"

    async def test_order_entered_between_batches_never_sees_earlier_trades_after_a_restart(
        self, floor: Floor, customer: Customer
    ) -> None:
        await floor.print(prints((150000, 100)))
        order = await floor.place(order_of(customer))
        await floor.hear()
        floor.start_runner()
        await floor.hear()
        assert (await floor.stored(order)).filled_quantity == 0
        await floor.print(prints((164000, 1)))
        assert (await floor.stored(order)).filled_quantity == 1

    async def test_durable_trades_that_were_never_handed_over_are_matched_at_the_start(
        self, floor: Floor, customer: Customer
    ) -> None:
        order = await floor.place(order_of(customer))
        await floor.hear()
        floor.tape.append(prints((164000, 7)))
        late = await floor.place(order_of(customer, limit_price=170000))
        floor.start_runner()
        await floor.hear()
        assert (await floor.stored(order)).filled_quantity == 7
        assert (await floor.stored(late)).filled_quantity == 0

    async def test_batch_handed_over_twice_fills_once(self, floor: Floor, customer: Customer) -> None:
        order = await floor.place(order_of(customer))
        await floor.hear()
        batch = floor.tape.append(prints((164000, 3)))
        await floor.runner.on_trades("ES", batch)
        await floor.runner.on_trades("ES", batch)
        await floor.start_runner().on_trades("ES", batch)
        assert (await floor.stored(order)).filled_quantity == 3

    async def test_day_order_ends_with_its_session_in_venue_time(
        self, floor: Floor, customer: Customer
    ) -> None:
        await floor.print(prints((165000, 1)))
        order = await floor.place(order_of(customer, time_in_force="day"))
        await floor.hear()
        assert (await floor.stored(order)).expires_at == datetime(2013, 9, 3, tzinfo=UTC)
        midnight = NINE + 15 * 3600 * SECOND
        await floor.print(
            [*prints((164000, 2), start=midnight - SECOND), *prints((164000, 9), start=midnight)]
        )
        stored = await floor.stored(order)
        assert (stored.status, stored.filled_quantity, stored.reject_reason) == (
            "expired",
            2,
            "session_ended",
        )
        check_books(await read_books(floor.engine), funded(customer))


class TestCancel:
    async def test_resting_order_is_canceled_and_its_hold_released(
        self, floor: Floor, customer: Customer
    ) -> None:
        order = await floor.place(order_of(customer))
        await floor.hear()
        await floor.cancel(order, customer)
        assert (await floor.stored(order)).status == "pending_cancel"
        await floor.hear()
        assert (await floor.stored(order)).status == "canceled"
        check_books(await read_books(floor.engine), funded(customer))

    async def test_cancel_before_the_venue_heard_of_the_order(self, floor: Floor, customer: Customer) -> None:
        order = await floor.place(order_of(customer))
        await floor.cancel(order, customer)
        await floor.hear()
        assert (await floor.stored(order)).status == "canceled"

    async def test_cancel_survives_a_restart_of_the_engine(self, floor: Floor, customer: Customer) -> None:
        order = await floor.place(order_of(customer))
        await floor.hear()
        await floor.cancel(order, customer)
        floor.start_runner()
        await floor.hear()
        assert (await floor.stored(order)).status == "canceled"
        assert await count(floor.engine, "trading.venue_command") == 0


class TestLease:
    async def test_holder_that_was_replaced_writes_nothing(self, floor: Floor, customer: Customer) -> None:
        order = await floor.place(order_of(customer))
        floor.fence = Fence(floor.fence.duty, floor.fence.token - 1)
        floor.start_runner()
        with pytest.raises(LeaseLost):
            await floor.hear()
        assert (await floor.stored(order)).status == "pending_new"


class TestFrozenAccount:
    async def test_fill_that_the_ledger_refuses_ends_that_order_alone(
        self, floor: Floor, customer: Customer, app_database: Database, databases: Databases
    ) -> None:
        other = await open_customer(app_database, cash=CASH, securities=1000)
        frozen, fine = await floor.place(order_of(customer)), await floor.place(order_of(other))
        await floor.hear()
        async with await psycopg.AsyncConnection.connect(databases.owner_url, autocommit=True) as connection:
            await connection.execute(
                "update ledger.account set is_frozen = true where owner = %s", (customer.account_id,)
            )
        batch = floor.tape.append(prints((164000, 30)))
        for _ in range(3):
            try:
                await floor.runner.on_trades("ES", batch)
            except Exception:
                await asyncio.sleep(0)
        assert (await floor.stored(fine)).status == "filled"
        ended = await floor.stored(frozen)
        assert (ended.status, ended.filled_quantity) == ("canceled", 0)
        assert ended.reject_reason is not None
        assert ended.reject_reason.startswith("settlement_refused")


async def insist(attempt: Callable[[], Awaitable[object]]) -> None:
    """Repeat like the engine does, until it went through."""
    for _ in range(200):
        try:
            await attempt()
        except psycopg.OperationalError:
            continue
        return
    raise AssertionError("never went through")


class TestCrashes:
    @pytest.mark.parametrize("seed", range(5))
    async def test_every_acknowledged_order_exists_once_and_books_are_the_fold_of_fills(
        self, seed: int, databases: Databases, app_database: Database, engine_database: Database, fence: Fence
    ) -> None:
        rng = random.Random(seed)
        customers = [await open_customer(app_database, cash=CASH, securities=1000) for _ in range(3)]
        cuts = Cuts(seed, 0.35)
        app, engine = CutDatabase(databases.app_url, cuts), CutDatabase(databases.engine_url, cuts)
        await app.open()
        await engine.open()
        floor = Floor(app, engine, fence)
        acknowledged: list[tuple[Order, Customer]] = []
        price = 164000
        for _ in range(100):
            what = rng.random()
            if what < 0.35:
                customer = rng.choice(customers)
                order = random_order(rng, customer, price)
                if isinstance(await floor.acceptance.accept(order), Accepted):
                    acknowledged.append((order, customer))
            elif what < 0.45 and acknowledged:
                order, customer = rng.choice(acknowledged)
                await insist(lambda order=order, customer=customer: floor.cancel(order, customer))  # type: ignore[misc]
            elif what < 0.55:
                floor.start_runner()
            else:
                price += rng.randint(-40, 40)
                batch = floor.tape.append(
                    prints(*((price + rng.randint(-20, 20), rng.randint(1, 9)) for _ in range(6)))
                )
                if rng.random() < 0.85:
                    await insist(lambda batch=batch: floor.runner.on_trades("ES", batch))  # type: ignore[misc]
        cuts.share = 0.0
        floor.start_runner()
        await floor.hear()
        await app.close()
        await engine.close()
        assert cuts.count > 10
        books = await read_books(engine_database)
        check_books(books, funded(*customers))
        check_tape(books, floor.tape.trades)
        assert books.orders.keys() == {order.order_id for order, _ in acknowledged}
        assert books.executions
        assert await count(engine_database, "trading.venue_command") == 0
        assert not [item for item in books.orders.values() if item.status == "pending_cancel"]
        await check_events(engine_database, books.orders)


def random_order(rng: random.Random, customer: Customer, price: int) -> Order:
    side = rng.choice(["buy", "sell"])
    changes: dict[str, object] = {"side": side, "quantity": rng.randint(1, 15)}
    if rng.random() < 0.3:
        worst = 172000 if side == "buy" else 156000
        changes |= {"type": "market", "limit_price": None, "protection_price": worst, "time_in_force": "day"}
    else:
        changes |= {"limit_price": price + rng.randint(-30, 30), "time_in_force": rng.choice(["gtc", "ioc"])}
    return order_of(customer, **changes)


async def check_events(database: Database, orders: dict[str, Order]) -> None:
    """Each change of each order is one event, in order, the last one showing the state as it stands."""
    async with database.transaction() as tx:
        rows = await tx.fetch_tuples(
            "select body from platform.outbox where channel like 'orders:%%' order by event_no"
        )
    versions: dict[str, list[int]] = {}
    status: dict[str, str] = {}
    for (body,) in rows:
        view = msgspec.json.decode(body)
        versions.setdefault(view["order_id"], []).append(view["version"])
        status[view["order_id"]] = view["status"]
    for order in orders.values():
        told = versions[order.order_id]
        # Cancel requests are written without their event in this test.
        assert told == sorted(set(told))
        assert (told[0], told[-1], status[order.order_id]) == (1, order.version, order.status)
