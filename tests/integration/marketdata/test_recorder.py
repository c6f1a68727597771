import asyncio

import msgspec
import psycopg
import pytest
from tests.integration.marketdata.feeds.world import eventually
from tests.integration.marketdata.world import ApiNode, Engine, bars_differ_from_trades, stored_trades

from agio.marketdata import store
from agio.marketdata.api import Fence, StaleWriter, Trade, TradeBatch
from agio.marketdata.events import encode, trades_subject
from agio.marketdata.history import TradeTable
from agio.marketdata.jobs import Sweeper
from agio.marketdata.settings import MarketDataSettings
from agio.marketdata.spans import MAX_NS
from agio.marketdata.store import BarQuery
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.leases import acquire

SECOND = 1_000_000_000


def some_trades(count: int, start: int = 0) -> list[Trade]:
    return [
        Trade((start + n) * SECOND // 4, 100 + n % 7, 1 + n % 3, n % 3, None if n % 2 else f"é{n}")
        for n in range(count)
    ]


class TestAppend:
    async def test_sequence_goes_on_by_one_and_everything_is_stored(
        self, engine_database: Database, bus: Bus
    ) -> None:
        async with Engine(engine_database, bus) as engine:
            first = await engine.recorder.append("BTC-USD", some_trades(3))
            second = await engine.recorder.append("BTC-USD", some_trades(1000, 3))

            assert (first.first_seq, second.first_seq, second.last_seq) == (1, 4, 1003)
            assert first.epoch == second.epoch != ""
            batches = await TradeTable(engine_database).trades_after("BTC-USD", 0, 5000)

        assert [trade for batch in batches for trade in batch.trades] == [
            *some_trades(3),
            *some_trades(1000, 3),
        ]
        assert [batch.received_us for batch in batches] == [first.received_us, second.received_us]

    async def test_what_the_bus_tells_is_already_stored(self, engine_database: Database, bus: Bus) -> None:
        told: list[tuple[TradeBatch, int]] = []

        async def hear(_: str, payload: bytes) -> None:
            batch = msgspec.msgpack.decode(payload, type=TradeBatch)
            told.append((batch, len(await stored_trades(engine_database, "ETH-USD"))))

        await bus.subscribe(trades_subject("ETH-USD"), hear)
        async with Engine(engine_database, bus) as engine:
            batch = await engine.recorder.append("ETH-USD", some_trades(5))
            await eventually(lambda: bool(told))

        assert told == [(batch, 5)]

    async def test_a_restart_continues_sequence_and_bars(self, engine_database: Database, bus: Bus) -> None:
        for start in range(0, 400, 100):
            async with Engine(engine_database, bus) as engine:
                await engine.recorder.append("BTC-USD", some_trades(100, start))

        assert [seq for seq, _, _ in await stored_trades(engine_database, "BTC-USD")] == list(range(1, 401))
        assert await bars_differ_from_trades(engine_database, "BTC-USD") == 0

    async def test_a_late_trade_revises_its_bar(self, engine_database: Database, bus: Bus) -> None:
        async with Engine(engine_database, bus) as engine:
            await engine.recorder.append("BTC-USD", some_trades(400))
            await engine.recorder.append("BTC-USD", [Trade(5 * SECOND, 1, 50), Trade(6 * SECOND, 999, 2)])
            await engine.recorder.append("BTC-USD", [Trade(5 * SECOND, 2, 1)])
            async with engine_database.transaction() as tx:
                revisions = await tx.fetch_tuples(
                    "select start_ns, revision from marketdata.bar where interval = '1s' and revision > 0"
                    " order by start_ns"
                )

        assert revisions == [(5 * SECOND, 2), (6 * SECOND, 1)]
        assert await bars_differ_from_trades(engine_database, "BTC-USD") == 0

    async def test_price_times_size_may_need_more_than_64_bits(
        self, engine_database: Database, bus: Bus
    ) -> None:
        """As at a venue that counts prices and sizes in eight decimals."""
        large = [Trade(n * SECOND // 2, 60_000 * 10**8, 10**10 + n) for n in range(250)]
        async with Engine(engine_database, bus) as engine:
            await engine.recorder.append("BTC-USD", large)
            await engine.recorder.append("BTC-USD", [Trade(5 * SECOND, 61_000 * 10**8, 10**10)])
            async with engine_database.transaction() as tx:
                bars = await store.read_newest_bars(tx, BarQuery("BTC-USD", "1m", 10, 0, MAX_NS))
                open_bars = await store.read_open_bars(tx, "BTC-USD")
            await eventually(lambda: bool(engine.publisher.snapshot("BTC-USD").bars))
            assert encode(engine.publisher.snapshot("BTC-USD"))

        assert await bars_differ_from_trades(engine_database, "BTC-USD") == 0
        told = sum(bar.notional for bar in (*bars, *(bar for bar in open_bars if bar.interval == "1m")))
        assert told == sum(one.price * one.size for one in large) + 61_000 * 10**18

    async def test_concurrent_writers_share_one_sequence(self, engine_database: Database, bus: Bus) -> None:
        async with Engine(engine_database, bus) as engine:
            await asyncio.gather(*(engine.recorder.append("BTC-USD", some_trades(20)) for _ in range(8)))

        assert [seq for seq, _, _ in await stored_trades(engine_database, "BTC-USD")] == list(range(1, 161))


class TestFence:
    async def test_a_replaced_holder_is_refused_by_the_database(
        self, engine_database: Database, bus: Bus
    ) -> None:
        clock = SystemClock()
        old = await acquire(engine_database, clock, "market-test", "engine-1")
        assert old is not None
        async with Engine(engine_database, bus, fence=Fence(old.duty, old.token)) as engine:
            await engine.recorder.append("BTC-USD", some_trades(1))
            await acquire(engine_database, clock, "market-test", "engine-1")

            with pytest.raises(StaleWriter):
                await engine.recorder.append("BTC-USD", some_trades(1))

        assert len(await stored_trades(engine_database, "BTC-USD")) == 1


class BreakingDatabase:
    """Loses the connection right after the commit, or right before it, for the first few transactions."""

    def __init__(self, database: Database, *, after_commit: bool, times: int) -> None:
        self._database = database
        self._after_commit = after_commit
        self._times = times

    def transaction(self) -> "BreakingTransaction":
        self._times -= 1
        return BreakingTransaction(self._database, self._after_commit, is_breaking=self._times >= 0)


class BreakingTransaction:
    def __init__(self, database: Database, after_commit: bool, *, is_breaking: bool) -> None:
        self._context = database.transaction()
        self._after_commit = after_commit
        self._is_breaking = is_breaking

    async def __aenter__(self) -> object:
        return await self._context.__aenter__()

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        lost = psycopg.OperationalError("server closed the connection unexpectedly")
        if self._is_breaking and not self._after_commit:
            await self._context.__aexit__(type(lost), lost, None)
        await self._context.__aexit__(kind, error, trace)  # type: ignore[arg-type]
        if self._is_breaking:
            raise lost


class TestUnknownOutcome:
    @pytest.mark.parametrize("times", [1, 3])
    async def test_a_commit_whose_answer_was_lost_is_not_repeated(
        self, engine_database: Database, bus: Bus, times: int
    ) -> None:
        async with Engine(engine_database, bus) as engine:
            engine.recorder._database = BreakingDatabase(  # type: ignore[assignment]
                engine_database, after_commit=True, times=times
            )

            batch = await engine.recorder.append("BTC-USD", some_trades(10))

        assert (batch.first_seq, batch.last_seq) == (1, 10)
        assert len(await stored_trades(engine_database, "BTC-USD")) == 10

    async def test_a_mistake_of_ours_is_not_retried_for_ever(
        self, engine_database: Database, bus: Bus
    ) -> None:
        async with Engine(engine_database, bus) as engine:
            with pytest.raises(psycopg.errors.CheckViolation):
                await engine.recorder.append("BTC-USD", [Trade(1, 1, 0)])

        assert await stored_trades(engine_database, "BTC-USD") == []


class TestSweeper:
    async def test_old_trades_of_the_simulator_go_and_the_newest_stays(
        self, engine_database: Database, bus: Bus
    ) -> None:
        async with Engine(engine_database, bus) as engine:
            await engine.recorder.append("BTC-USD", some_trades(50))
            await engine.recorder.append("ETH-USD", some_trades(5))
            async with engine_database.transaction() as tx:
                await tx.execute(
                    "update marketdata.trade set received_at = received_at - interval '8 days'"
                    " where symbol = 'BTC-USD'"
                )

            swept = await Sweeper(engine_database, SystemClock(), MarketDataSettings()).sweep()

            again = await engine.recorder.append("BTC-USD", some_trades(1))

        assert swept == 49
        assert again.first_seq == 51
        assert [row[0] for row in await stored_trades(engine_database, "BTC-USD")] == [50, 51]
        assert len(await stored_trades(engine_database, "ETH-USD")) == 5


class TestApplicationRole:
    async def test_cannot_write_trades(self, app_database: Database) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with app_database.transaction() as tx:
                await tx.execute("delete from marketdata.trade")

    async def test_reads_what_the_engine_wrote(
        self, app_database: Database, engine_database: Database, bus: Bus
    ) -> None:
        node = ApiNode(app_database, bus)
        async with Engine(engine_database, bus) as engine:
            await engine.recorder.append("BTC-USD", some_trades(4))

            last = await node.view.latest_trade("BTC-USD")

        assert last is not None
        assert (last.seq, last.price, last.trade_id) == (4, 103, None)
        assert [one.symbol for one in await node.directory.instruments("SIM")] == [
            "ACME-USD",
            "BTC-USD",
            "ETH-USD",
            "EUR-USD",
        ]
