"""What was acknowledged outlives Ctrl-C, and kill -9 of any process, of the supervisor too."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from decimal import Decimal

import psutil
import pytest
from tests.e2e.customer import Trader, service_of
from tests.e2e.tenants import settings_of
from tests.machine import allowed_seconds

from agio.app.run_state import RunFolder
from agio.ledger.verify import verify
from agio.platform.db import Database
from agio_sdk import Agio, AgioError
from agio_sdk.models import Order, Trade
from benchmarks.harness import Platform

SERVICES = ("api", "engine", "nats", "postgres")
SYMBOL = "ACME-USD"
BACK_IN_SERVICE_SECONDS = 10
PATIENCE_SECONDS = 120


class Installation:
    """One data folder, with the platform that runs on it now."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.first_key = platform.api_key

    def start_again(self) -> None:
        self.platform = Platform.start(self.platform.data_dir)

    def client(self, key: str | None = None) -> Agio:
        return Agio(self.platform.url, key or self.platform.api_key, ca_file=self.platform.ca_file)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(Platform.start(tmp_path_factory.mktemp("restart")))
    yield installation
    installation.platform.stop()


class Belongings:
    """What a customer can see of what is theirs."""

    def __init__(self, orders: list[Order], balances: object, positions: object, executions: object) -> None:
        self.orders = orders
        self.money = (balances, positions, executions)

    @classmethod
    async def of(cls, agio: Agio, account_id: str, portfolio_id: str) -> "Belongings":
        page = await agio.orders(account_id, status="all", limit=1000)
        held = [
            (position.asset, position.quantity, position.average_cost, position.realized_pnl)
            for position in await agio.positions(portfolio_id)
        ]
        executions = await agio.executions(account_id, limit=1000)
        return cls(page.items, await agio.balances(account_id), held, executions.items)


class TestCtrlC:
    async def test_the_second_start_finds_everything(self, installation: Installation) -> None:
        first = installation.platform
        account_id, portfolio_id = first.account_id, first.portfolio_id
        async with installation.client() as agio, asyncio.timeout(PATIENCE_SECONDS):
            bought = await agio.place_order(account_id, SYMBOL, "buy", Decimal(5))
            far = [await rest(agio, account_id, Decimal("1.00") + step) for step in range(3)]
            bid = (await agio.quote(SYMBOL)).bid
            assert bid is not None
            near = await rest(agio, account_id, bid - Decimal("0.20"))
            await settle(agio, bought)
            before = await Belongings.of(agio, account_id, portfolio_id)

        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(60) == 0
        installation.start_again()

        second = installation.platform
        assert (second.organisation_id, second.account_id) == (first.organisation_id, first.account_id)
        assert second.api_key != first.api_key
        async with installation.client(installation.first_key) as agio, asyncio.timeout(PATIENCE_SECONDS):
            after = await Belongings.of(agio, account_id, portfolio_id)
            assert ids(after.orders) == ids(before.orders)
            if (await agio.order(near.order_id)).filled_quantity == near.filled_quantity:
                assert after.money == before.money
        async with installation.client() as agio, asyncio.timeout(PATIENCE_SECONDS):
            await self._open_orders_can_be_filled(agio, near)
            for order in far:
                assert (await agio.order(order.order_id)).status == "new"
                await agio.cancel_order(order.order_id)
                assert (await settle(agio, order)).status == "canceled"
        assert await books_balance(second)

    async def _open_orders_can_be_filled(self, agio: Agio, order: Order) -> None:
        """Somebody sells down to its price."""
        seller = await agio.open_account("seller")
        await agio.deposit(seller.account_id, "ACME", Decimal(500_000))
        assert order.limit_price is not None
        while not (await agio.order(order.order_id)).is_closed:
            sale = await agio.place_order(
                seller.account_id,
                SYMBOL,
                "sell",
                Decimal(20_000),
                type="limit",
                limit_price=order.limit_price - Decimal("0.05"),
                time_in_force="ioc",
            )
            await settle(agio, sale)
        assert (await agio.order(order.order_id)).status == "filled"


class TestKill9:
    async def test_of_every_process_while_orders_are_placed(self, installation: Installation) -> None:
        platform = installation.platform
        async with (
            installation.client() as agio,
            installation.client() as other,
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            account = await agio.open_account("survivor")
            await agio.deposit(account.account_id, "USD", Decimal("1000000.00"))
            trader = Trader(other, account.account_id, "kill")
            downtimes = {}
            async with trader.trading():
                for service in SERVICES:
                    downtimes[service] = await kill(agio, platform, account.account_id, service)
            print("seconds until the market moved and orders were taken again:", downtimes)
            await self._acknowledged_orders_exist_once(agio, account.account_id, trader)
            balance = (await agio.balances(account.account_id))[0]
            assert balance.total == Decimal("1000000.00")
        assert await books_balance(platform)
        assert max(downtimes.values()) < allowed_seconds(BACK_IN_SERVICE_SECONDS)

    async def _acknowledged_orders_exist_once(self, agio: Agio, account_id: str, trader: Trader) -> None:
        orders = await agio.collect(
            lambda cursor: agio.orders(account_id, status="all", limit=100, cursor=cursor)
        )
        assert len(ids(orders)) == len(orders)
        assert len({order.client_order_id for order in orders}) == len(orders)
        mine = {order.order_id for order in orders if order.client_order_id.startswith("kill-")}
        assert mine == set(trader.acknowledged)
        for order_id in trader.cancel_acknowledged:
            order = await agio.order(order_id)
            assert (await settle(agio, order)).status == "canceled"

    async def test_of_the_supervisor(self, installation: Installation) -> None:
        first = installation.platform
        async with installation.client() as agio, asyncio.timeout(PATIENCE_SECONDS):
            resting = await rest(agio, first.account_id, Decimal("2.00"))
            before = await Belongings.of(agio, first.account_id, first.portfolio_id)
        state = RunFolder(first.data_dir).running()
        assert state is not None
        children = [service.identity for service in state.services if service.identity is not None]
        assert len(children) == len(SERVICES)

        first.process.kill()
        first.process.wait()
        started = time.monotonic()
        installation.start_again()

        assert time.monotonic() - started < allowed_seconds(BACK_IN_SERVICE_SECONDS)
        assert not [child for child in children if child.is_alive()]
        async with installation.client(installation.first_key) as agio, asyncio.timeout(PATIENCE_SECONDS):
            after = await Belongings.of(agio, first.account_id, first.portfolio_id)
            assert ids(after.orders) == ids(before.orders)
            assert after.money == before.money
            assert (await agio.order(resting.order_id)).status == "new"
            await agio.cancel_order(resting.order_id)
            assert (await settle(agio, resting)).status == "canceled"
        assert await books_balance(installation.platform)

    def test_nothing_is_left_when_it_has_ended(self, installation: Installation) -> None:
        platform = installation.platform
        processes = platform.processes()
        assert len(processes) > len(SERVICES)
        platform.process.send_signal(signal.SIGINT)
        assert platform.process.wait(60) == 0
        _, alive = psutil.wait_procs(processes, 10)
        assert alive == []


def ids(orders: list[Order]) -> set[str]:
    return {order.order_id for order in orders}


async def rest(agio: Agio, account_id: str, price: Decimal) -> Order:
    """A buy order that waits in the book."""
    order = await agio.place_order(
        account_id,
        SYMBOL,
        "buy",
        Decimal(3),
        type="limit",
        limit_price=price.quantize(Decimal("0.01")),
        time_in_force="gtc",
    )
    while (order := await agio.order(order.order_id)).status == "pending_new":
        await asyncio.sleep(0.02)
    return order


async def settle(agio: Agio, order: Order) -> Order:
    """Wait until nothing more can happen to an order."""
    while not order.is_closed:
        await asyncio.sleep(0.02)
        order = await agio.order(order.order_id)
    return order


async def kill(agio: Agio, platform: Platform, account_id: str, service: str) -> float:
    """kill -9; seconds until the market moves on and the venue takes a new order."""
    before = service_of(platform, service)
    assert before.pid is not None
    last = (await agio.latest_trade(SYMBOL)).seq
    os.kill(before.pid, signal.SIGKILL)
    started = time.monotonic()
    while service_of(platform, service).restarts == before.restarts:
        await asyncio.sleep(0.02)
    while not await is_serving(agio, account_id, last):
        await asyncio.sleep(0.02)
    return round(time.monotonic() - started, 1)


async def is_serving(agio: Agio, account_id: str, last: int) -> bool:
    try:
        # Without the client's own patience, which would be measured too.
        latest = await agio.request("GET", f"/api/market/{SYMBOL}/trades/latest", Trade)
        if latest.seq <= last:
            return False
        await agio.cancel_order((await rest(agio, account_id, Decimal("3.00"))).order_id)
    except AgioError:
        return False
    return True


async def books_balance(platform: Platform) -> bool:
    """Whether the ledger's own proof finds nothing."""
    database = Database(settings_of(platform).engine_database_url, max_size=1, name="tests")
    await database.open()
    try:
        async with database.transaction() as tx:
            return await verify(tx) == []
    finally:
        await database.close()
