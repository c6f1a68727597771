"""The main job on a real tape: stream it, trade on it under kill -9, account for every cent."""

import asyncio
import csv
import gzip
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from tests.machine import allowed_seconds

from agio.app.run_state import RunFolder, ServiceState
from agio.ledger.verify import verify
from agio.platform.db import Database
from agio_sdk import Agio, ApiError, OutcomeUnknown
from agio_sdk.models import CLOSED_STATUSES, Execution, Order, Trade
from benchmarks.harness import Platform

TAPE = "market/es_ticks_2013-09-01_to_03_0830.csv.gz"
TRADES = 141_996
SYMBOL = "ES"
SPEED = 2400
ORDERS = 200
KILLS = 6
BACK_IN_SERVICE_SECONDS = 10
DEPOSIT = Decimal("50000000.00")

Row = tuple[Decimal, Decimal]
T = TypeVar("T")


@pytest.fixture(scope="module")
def tape(real_data: Path) -> list[Row]:
    with gzip.open(real_data / TAPE, "rt", newline="") as file:
        return [(Decimal(row["Price"]), Decimal(row["Volume"])) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def platform(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform.start(tmp_path_factory.mktemp("main"), "--market", "none")
    folder = platform.data_dir / "replays"
    folder.mkdir(exist_ok=True)
    (folder / "tape.csv.gz").write_bytes((real_data / TAPE).read_bytes())
    with gzip.open(folder / "tape.csv.gz", "rt") as full:
        (folder / "first.csv").write_text(full.readline() + full.readline())
    yield platform
    platform.stop()


def client(platform: Platform) -> Agio:
    return Agio(platform.url, platform.api_key, ca_file=platform.ca_file)


async def start_replay(agio: Agio, platform: Platform, name: str, speed: float) -> str:
    body = {"path": str(platform.data_dir / "replays" / name), "symbol": SYMBOL, "speed": speed}
    return str((await agio.post("/api/market/replays", dict[str, object], body))["replay_id"])


async def wait_for_replay(agio: Agio, replay_id: str) -> None:
    while (await agio.get(f"/api/market/replays/{replay_id}", dict[str, object]))["state"] != "done":
        await asyncio.sleep(0.2)


async def read_trades(agio: Agio, after_seq: int, count: int) -> list[Trade]:
    found: list[Trade] = []
    while len(found) < count:
        page = await agio.market_trades(SYMBOL, after_seq=after_seq + len(found), limit=1000)
        assert page.items
        found += page.items
    return found[:count]


async def test_every_trade_of_the_tape_arrives_once_and_in_order(platform: Platform, tape: list[Row]) -> None:
    gaps: list[tuple[str, int, int, bool]] = []
    async with client(platform) as agio, asyncio.timeout(120):
        await wait_for_replay(agio, await start_replay(agio, platform, "first.csv", 0))
        subscription = await agio.subscribe(f"trades:{SYMBOL}", on_gap=lambda *gap: gaps.append(gap))
        await start_replay(agio, platform, "tape.csv.gz", 0)
        received: list[Trade] = []
        while len(received) < TRADES:
            received += [message.decode(Trade) for message in await subscription.next_batch()]
    assert gaps == []
    assert len(tape) == TRADES
    assert len(set(tape)) < TRADES  # the tape does hold exact duplicates, and each of them counts
    assert [(trade.price, trade.size) for trade in received] == tape
    assert sum(trade.size for trade in received) == sum(size for _, size in tape)


@dataclass
class Trader:
    """Places orders as a customer would, and remembers only what was acknowledged to it."""

    agio: Agio
    account_id: str
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    acknowledged: dict[str, Order] = field(default_factory=dict)
    asked_to_cancel: set[str] = field(default_factory=set)

    async def trade(self, count: int, pause_seconds: float) -> None:
        for number in range(count):
            # Once for all attempts: the same client order id asks for the same order.
            last = await self._until_answered(partial(self.agio.latest_trade, SYMBOL))
            assert last is not None
            quantity = Decimal(self.rng.randint(1, 9))
            await self._until_answered(partial(self._place, number, quantity, last.price))
            await asyncio.sleep(pause_seconds)

    async def _place(self, number: int, quantity: Decimal, last: Decimal) -> None:
        side = "buy" if number % 5 else "sell"
        kind, limit = [
            ("market", None),
            ("limit", last),
            ("limit", last + (Decimal("0.50") if side == "buy" else Decimal("-0.50"))),
            ("limit", last * (Decimal("0.9") if side == "buy" else Decimal("1.1"))),
        ][number % 4]
        order = await self.agio.place_order(
            self.account_id,
            SYMBOL,
            side,  # type: ignore[arg-type]
            quantity,
            type=kind,  # type: ignore[arg-type]
            limit_price=limit.quantize(Decimal("0.01")) if limit is not None else None,
            time_in_force="gtc" if kind == "limit" else None,
            client_order_id=f"main-{number}",
        )
        self.acknowledged[order.order_id] = order
        if number % 4 == 3:
            await self.agio.cancel_order(order.order_id)
            self.asked_to_cancel.add(order.order_id)

    async def _until_answered(self, action: Callable[[], Awaitable[T]]) -> T | None:
        """Repeat with the same client order id until the server has said yes or no."""
        while True:
            try:
                return await action()
            except ApiError as refusal:
                if refusal.code in {"insufficient_funds", "order_already_closed"}:
                    return None
                assert refusal.status in {409, 429, 502, 503}, refusal
            except OutcomeUnknown:
                pass
            await asyncio.sleep(0.2)


async def kill_and_wait(agio: Agio, platform: Platform, service: str, replay_id: str) -> float:
    """kill -9 one process; seconds until it runs again, the node is ready and the tape has moved on."""
    before = state_of(platform, service)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    started = time.monotonic()
    while state_of(platform, service).restarts == before.restarts or not is_running(platform):
        await asyncio.sleep(0.05)
    done = await progress(agio, replay_id)
    while await progress(agio, replay_id) in {done, None}:
        await asyncio.sleep(0.05)
    return time.monotonic() - started


def state_of(platform: Platform, service: str) -> ServiceState:
    state = RunFolder(platform.data_dir).running()
    assert state is not None
    return next(each for each in state.services if each.name == service)


def is_running(platform: Platform) -> bool:
    state = RunFolder(platform.data_dir).running()
    return state is not None and all(each.status == "ready" for each in state.services)


async def progress(agio: Agio, replay_id: str) -> object:
    try:
        return (await agio.get(f"/api/market/replays/{replay_id}", dict[str, object]))["done"]
    except (ApiError, OutcomeUnknown):
        return None


async def kill_by_turns(agio: Agio, platform: Platform, replay_id: str, pause_seconds: float) -> list[float]:
    downtimes = []
    for number in range(KILLS):
        await asyncio.sleep(pause_seconds)
        service = "postgres" if number % 2 == 0 else "engine"
        downtimes.append(await kill_and_wait(agio, platform, service, replay_id))
    return downtimes


async def follow(agio: Agio, until_seq: int, seen: list[int]) -> None:
    async with await agio.subscribe(f"trades:{SYMBOL}") as subscription:
        async for message in subscription:
            seen.append(message.q)
            if message.q >= until_seq:
                return


@pytest.mark.slow
async def test_trading_on_the_tape_while_servers_are_killed(platform: Platform, tape: list[Row]) -> None:
    async with client(platform) as agio, client(platform) as watcher, asyncio.timeout(400):
        first_seq = (await agio.latest_trade(SYMBOL)).seq + 1
        account = await agio.open_account("main job")
        await agio.deposit(account.account_id, "USD", DEPOSIT, key="main-job")
        portfolio = await agio.post(
            "/api/portfolios", dict[str, object], {"name": "main job", "account_ids": [account.account_id]}
        )
        seen: list[int] = []
        following = asyncio.create_task(follow(watcher, first_seq + TRADES - 1, seen))
        replay_id = await start_replay(agio, platform, "tape.csv.gz", SPEED)
        trader = Trader(agio, account.account_id)
        _, downtimes = await asyncio.gather(
            trader.trade(ORDERS, 0.15), kill_by_turns(watcher, platform, replay_id, 3.0)
        )
        await wait_for_replay(agio, replay_id)
        await following
        await close_open_orders(agio, account.account_id)

        print(
            "seconds until the tape went on after each kill -9:", [round(seconds, 1) for seconds in downtimes]
        )
        assert max(downtimes) < allowed_seconds(BACK_IN_SERVICE_SECONDS)
        assert seen == list(range(first_seq, first_seq + TRADES)), "the stream lost or repeated a trade"

        stored = await read_trades(agio, first_seq - 1, TRADES)
        assert [(trade.price, trade.size) for trade in stored] == tape

        orders = await all_orders(agio, account.account_id)
        executions = await all_executions(agio, account.account_id)
        check_orders(trader, orders)
        check_fills(orders, executions, {trade.seq: trade for trade in stored})
        await check_money(agio, platform, account.account_id, executions)
        await check_analytics(agio, str(portfolio["portfolio_id"]), executions, stored[-1].price)


async def close_open_orders(agio: Agio, account_id: str) -> None:
    for order in (await agio.orders(account_id, status="open", limit=1000)).items:
        try:
            await agio.cancel_order(order.order_id)
        except ApiError as refusal:
            assert refusal.code == "order_already_closed"
    while (await agio.orders(account_id, status="open")).items:
        await asyncio.sleep(0.1)


async def all_orders(agio: Agio, account_id: str) -> list[Order]:
    return await agio.collect(lambda cursor: agio.orders(account_id, status="all", limit=100, cursor=cursor))


async def all_executions(agio: Agio, account_id: str) -> list[Execution]:
    return await agio.collect(lambda cursor: agio.executions(account_id, limit=100, cursor=cursor))


def check_orders(trader: Trader, orders: list[Order]) -> None:
    """Every acknowledged order exists once, and nothing else does."""
    by_id = {order.order_id: order for order in orders}
    assert len(by_id) == len(orders)
    assert set(trader.acknowledged) == set(by_id)
    assert len({order.client_order_id for order in orders}) == len(orders)
    assert {order.status for order in orders} <= CLOSED_STATUSES
    statuses = Counter(order.status for order in orders)
    assert statuses["filled"] > ORDERS / 4
    assert statuses["canceled"] > ORDERS / 10
    assert all(by_id[order_id].status in {"canceled", "filled"} for order_id in trader.asked_to_cancel)


def check_fills(orders: list[Order], executions: list[Execution], tape: dict[int, Trade]) -> None:
    """Every fill is a trade of the tape, within its size and the order's limit."""
    by_id = {order.order_id: order for order in orders}
    filled: dict[str, Decimal] = defaultdict(Decimal)
    taken: dict[int, Decimal] = defaultdict(Decimal)
    assert len({fill.execution_id for fill in executions}) == len(executions)
    for fill in executions:
        order = by_id[fill.order_id]
        assert fill.trade_seq is not None
        trade = tape[fill.trade_seq]
        assert fill.price == trade.price
        if order.limit_price is not None:
            assert fill.price <= order.limit_price if fill.side == "buy" else fill.price >= order.limit_price
        filled[fill.order_id] += fill.quantity
        taken[fill.trade_seq] += fill.quantity
    assert all(quantity <= tape[seq].size for seq, quantity in taken.items())
    assert all(order.filled_quantity == filled[order.order_id] for order in orders)


async def check_money(agio: Agio, platform: Platform, account_id: str, executions: list[Execution]) -> None:
    """Debits equal credits, nothing stays held, balances are the deposit and the fold of the fills."""
    sign = {"buy": 1, "sell": -1}
    cash = DEPOSIT - sum(
        (sign[fill.side] * fill.price * fill.quantity + fill.fee for fill in executions), Decimal(0)
    )
    position = sum((sign[fill.side] * fill.quantity for fill in executions), Decimal(0))
    balances = {balance.asset: balance for balance in await agio.balances(account_id)}
    assert balances["USD"].total == cash
    assert balances[SYMBOL].total == position
    assert {balance.held for balance in balances.values()} == {0}

    settings = RunFolder(platform.data_dir).read_settings()
    assert settings is not None
    database = Database(settings.engine_database_url)
    await database.open()
    async with database.transaction() as tx:
        assert await verify(tx) == []
    await database.close()


async def check_analytics(
    agio: Agio, portfolio_id: str, executions: list[Execution], last_price: Decimal
) -> None:
    """The answer equals a computation of our own to 1e-12: first its series, then its metrics."""
    answer = await agio.portfolio_analytics(portfolio_id, frequency="1s", explain="true")
    basis, series = answer["basis"], answer["basis"]["series"]
    sign = {"buy": 1, "sell": -1}
    position = sum((sign[fill.side] * fill.quantity for fill in executions), Decimal(0))
    cash = DEPOSIT - sum(
        (sign[fill.side] * fill.price * fill.quantity + fill.fee for fill in executions), Decimal(0)
    )
    assert basis["closing_value"] == pytest.approx(float(cash + position * last_price), rel=1e-12)
    assert basis["inflows"] == float(DEPOSIT)
    assert basis["fees_paid"] == pytest.approx(float(sum(fill.fee for fill in executions)), rel=1e-12)

    values = np.array(series["values"], dtype=np.float64)
    inflows, outflows = np.array(series["inflows"]), np.array(series["outflows"])
    invested = values[:-1] + inflows
    with np.errstate(divide="ignore", invalid="ignore"):
        ours = np.where(invested > 0, (values[1:] + outflows) / invested - 1.0, np.nan)
    theirs = np.array([np.nan if value is None else value for value in series["returns"]])
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-12)

    observed = theirs[np.isfinite(theirs)]
    assert basis["observations"] == observed.size > 30
    periods_per_year = basis["periods_per_year"]
    expected = {
        ("returns", "twr"): np.prod(1.0 + observed) - 1.0,
        ("risk", "mean_return"): observed.mean() * periods_per_year,
        ("risk", "volatility"): observed.std(ddof=1) * np.sqrt(periods_per_year),
        ("risk", "sharpe"): observed.mean() / observed.std(ddof=1) * np.sqrt(periods_per_year),
        ("risk", "max_drawdown"): max_drawdown(observed),
        ("risk", "best_period"): observed.max(),
        ("risk", "worst_period"): observed.min(),
    }
    for (block, name), value in expected.items():
        assert answer[block][name]["value"] == pytest.approx(value, rel=1e-12, abs=1e-12), name


def max_drawdown(returns: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    return float(np.min(wealth / np.maximum.accumulate(wealth) - 1.0))
