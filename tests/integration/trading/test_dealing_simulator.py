"""Orders on the simulated exchange, with its trades recorded in the transaction of the fills."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.conftest import Databases
from tests.integration.trading.books import check_books, read_books
from tests.integration.trading.world import CLOCK, Customer, CutDatabase, Cuts, open_customer, order_of
from tests.nodes import end

from agio.custody.service import CustodyService
from agio.ledger.service import LedgerService
from agio.marketdata.api import Fence
from agio.marketdata.instruments import InstrumentDirectory, InstrumentRegistry
from agio.marketdata.market_view import MarketView
from agio.marketdata.publisher import Publisher
from agio.marketdata.recorder import Recorder
from agio.platform import leases
from agio.platform.bus import Bus
from agio.platform.db import Database
from agio.trading import store
from agio.trading.acceptance import Acceptance, Accepted
from agio.trading.events import NUDGE_VENUE
from agio.trading.jobs import SIMULATOR_DUTY, ClosedVenueRunner, SimulatorRunner
from agio.trading.model import Order, OrderAction, act

CASH = 100_000_000
ACME = {"symbol": "ACME-USD", "venue": "SIM", "base_asset": "ACME"}


class House:
    """Acceptance in front, the simulated exchange behind, a real bus between."""

    def __init__(self, app: Database, engine: Database, bus: Bus, fence: Fence) -> None:
        self.app, self.engine, self.bus, self.fence = app, engine, bus, fence
        ledger = LedgerService(app, CLOCK)
        custody = CustodyService(app, ledger, CLOCK)
        self.acceptance = Acceptance(app, ledger, custody, CLOCK, self.nudge, 20.0)
        self._task: asyncio.Task[None] | None = None

    async def nudge(self) -> None:
        await self.bus.publish(NUDGE_VENUE)

    async def start(self, engine: Database | None = None) -> None:
        """A runner as after a restart of the engine."""
        await self.stop()
        database = engine or self.engine
        directory = InstrumentDirectory(self.engine, CLOCK)
        ledger = LedgerService(database, CLOCK)
        await InstrumentRegistry(
            self.engine, LedgerService(self.engine, CLOCK), directory
        ).ensure_instruments()
        publisher = Publisher(self.bus, CLOCK)
        runner = SimulatorRunner(
            database,
            ledger,
            directory,
            MarketView(self.engine, self.bus, CLOCK),
            Recorder(database, self.bus, CLOCK, publisher, self.fence),
            publisher,
            self.bus,
            CLOCK,
            self.fence,
            seed=7,
        )
        self._task = asyncio.create_task(runner.run())

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])
            self._task = None

    async def place(self, order: Order) -> Order:
        assert isinstance(await self.acceptance.accept(order), Accepted)
        return order

    async def cancel(self, order: Order, customer: Customer) -> None:
        async with self.app.transaction(customer.scope) as tx:
            stored = await store.lock_order(tx, order.order_id)
            assert stored is not None
            if stored.is_open:
                after = act(stored, OrderAction.REQUEST_CANCEL, CLOCK.now())
                await store.write_cancel_requests(tx, [after], [])
        await self.nudge()

    async def until(self, order: Order, is_met: Callable[[Order], bool]) -> Order:
        """The order as it is stored, once a condition holds; fails after half a minute."""
        async with asyncio.timeout(30):
            while True:
                async with self.engine.transaction() as tx:
                    stored = await store.find_order(tx, order.order_id)
                assert stored is not None
                if is_met(stored):
                    return stored
                await asyncio.sleep(0.01)


@pytest.fixture
async def house(app_database: Database, engine_database: Database, nats_url: str) -> AsyncIterator[House]:
    bus = Bus(nats_url, name="test-exchange")
    await bus.open()
    lease = await leases.acquire(engine_database, CLOCK, SIMULATOR_DUTY, "test")
    assert lease is not None
    house = House(app_database, engine_database, bus, Fence(lease.duty, lease.token))
    yield house
    await house.stop()
    await bus.close()


@pytest.fixture
async def customer(app_database: Database) -> Customer:
    return await open_customer(app_database, cash=CASH)


def is_closed(order: Order) -> bool:
    return not order.is_open


def buy(customer: Customer, limit_price: int | None = None, **changes: object) -> Order:
    """A market order with a wide collar, or a limit order that rests."""
    if limit_price is not None:
        return order_of(customer, **(ACME | {"limit_price": limit_price} | changes))
    market = {"type": "market", "limit_price": None, "protection_price": 20000, "time_in_force": "day"}
    return order_of(customer, **(ACME | market | changes))


class TestSimulatedExchange:
    async def test_market_order_trades_with_the_book_and_its_trades_are_on_record(
        self, house: House, customer: Customer
    ) -> None:
        await house.start()
        order = await house.until(await house.place(buy(customer)), is_closed)
        assert order.status == "filled"
        books = await read_books(house.engine)
        check_books(books, {f"{customer.account_id}:USD": CASH, f"{customer.account_id}:ES": 0})
        async with house.engine.transaction() as tx:
            recorded = {
                seq: (price, size)
                for seq, price, size in await tx.fetch_tuples(
                    "select seq, price, size from marketdata.trade where symbol = 'ACME-USD'"
                )
            }
        for execution in books.executions:
            assert execution.trade_seq is not None
            assert recorded[execution.trade_seq] == (execution.price, execution.quantity)

    async def test_resting_order_survives_a_restart_and_can_be_canceled(
        self, house: House, customer: Customer
    ) -> None:
        await house.start()
        resting = buy(customer, limit_price=9000)
        await house.until(await house.place(resting), lambda order: order.status == "new")
        await house.start()
        await house.cancel(resting, customer)
        order = await house.until(resting, is_closed)
        assert (order.status, order.reject_reason) == ("canceled", None)

    async def test_order_accepted_while_the_engine_is_away_is_dealt_with_when_it_is_back(
        self, house: House, customer: Customer
    ) -> None:
        order = await house.place(buy(customer))
        await house.start()
        assert (await house.until(order, is_closed)).status == "filled"

    async def test_market_goes_on_where_it_stood(self, house: House, customer: Customer) -> None:
        await house.start()
        await house.until(await house.place(buy(customer)), is_closed)
        await house.stop()
        async with house.engine.transaction() as tx:
            last = await tx.value(
                "select price from marketdata.trade where symbol = 'ACME-USD' order by seq desc limit 1"
            )
        await house.start()
        await house.until(await house.place(buy(customer)), is_closed)
        prices = [execution.price for execution in (await read_books(house.engine)).executions]
        assert abs(prices[-1] - last) < last // 50


class TestClosedVenue:
    async def test_new_orders_are_rejected_and_resting_ones_can_be_canceled(
        self, house: House, customer: Customer
    ) -> None:
        await house.start()
        resting = await house.place(buy(customer, limit_price=9000))
        waiting = await house.place(buy(customer, limit_price=9000))
        for order in (resting, waiting):
            await house.until(order, lambda stored: stored.status == "new")
        await house.stop()
        await house.cancel(resting, customer)
        fresh = await house.place(buy(customer))
        closed = ClosedVenueRunner(
            house.engine,
            LedgerService(house.engine, CLOCK),
            InstrumentDirectory(house.engine, CLOCK),
            house.bus,
            CLOCK,
            house.fence,
            "SIM",
        )
        await closed.hear_commands()
        orders = (await read_books(house.engine)).orders
        assert [orders[order.order_id].status for order in (resting, waiting, fresh)] == [
            "canceled",
            "new",
            "rejected",
        ]
        assert orders[fresh.order_id].reject_reason == "venue_closed"


class TestCrashes:
    async def test_lost_connections_neither_lose_nor_double_anything(
        self, house: House, app_database: Database, databases: Databases
    ) -> None:
        customers = [await open_customer(app_database, cash=CASH) for _ in range(3)]
        cuts = Cuts(3, 0.15)
        engine = CutDatabase(databases.engine_url, cuts)
        await engine.open()
        await house.start(engine)
        orders = []
        for number in range(30):
            customer = customers[number % 3]
            if number % 4 == 3:
                order = await house.place(buy(customer, limit_price=11990, quantity=5))
                await house.cancel(order, customer)
            else:
                order = await house.place(buy(customer, quantity=1 + number % 5))
            orders.append(order)
            await asyncio.sleep(0.03)
            if number % 10 == 9:
                await house.start(engine)
        cuts.share = 0.0
        for order in orders:
            await house.until(order, is_closed)
        await house.stop()
        await engine.close()
        assert cuts.count
        books = await read_books(house.engine)
        assert books.orders.keys() == {order.order_id for order in orders}
        funded = {f"{customer.account_id}:USD": CASH for customer in customers}
        check_books(books, funded | {f"{customer.account_id}:ES": 0 for customer in customers})
