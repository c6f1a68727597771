"""Moving trades and quotes to the store: readers notice nothing, at no moment."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.marketdata.feeds.world import eventually
from tests.integration.marketdata.ticks.tick_world import START, SYMBOL, TickWorld, some_trades
from tests.integration.marketdata.world import told_until

from agio.marketdata.errors import TickStoreUnavailable
from agio.marketdata.history import TradeTable
from agio.marketdata.ticks.mover import Mover
from agio.marketdata.ticks.quote_recorder import QuoteRecorder
from agio.marketdata.ticks.settings import HotTail, TickStoreSettings

PAST = datetime(2000, 1, 1, tzinfo=UTC)
EVERYTHING = HotTail(datetime(2100, 1, 1, tzinfo=UTC), 10**9)
HALF = HotTail(PAST, 200)


class TestMoving:
    async def test_each_step_leaves_every_trade_visible_once(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(500))
        before = await ticks.pages("/BTC-USD/trades", limit=70)
        writer = await ticks.writer()
        mover = Mover(ticks.engine.database, writer)
        seen = []

        assert mover.copy("trades", HALF) == 300
        seen.append(await ticks.pages("/BTC-USD/trades", limit=70))
        await mover.mark()
        seen.append(await ticks.pages("/BTC-USD/trades", limit=70))
        assert await mover.delete() == 300
        seen.append(await ticks.pages("/BTC-USD/trades", limit=70))
        await ticks.record(some_trades(100, first=501))

        assert seen == [before] * 3
        assert (await ticks.pages("/BTC-USD/trades", limit=1000))[:500] == before
        assert [item["seq"] for item in before] == list(range(1, 501))

    async def test_a_run_that_died_after_its_commit_is_finished_by_the_next(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(300))
        before = await ticks.pages("/BTC-USD/trades")
        dying = await ticks.writer()
        Mover(ticks.engine.database, dying).copy("trades", EVERYTHING)
        dying.close()

        assert await ticks.move_all() == 0

        assert await ticks.pages("/BTC-USD/trades") == before
        assert ticks.rows("select count(*) from lake.trade_ticks") == [(300,)]
        async with ticks.engine.database.transaction() as tx:
            assert await tx.value("select array_agg(seq) from marketdata.trade") == [300]

    async def test_the_newest_trade_stays_the_newest_and_the_sequence_goes_on(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(20))
        newest = await ticks.get("/BTC-USD/trades/latest")
        await ticks.move_all()

        assert await ticks.get("/BTC-USD/trades/latest") == newest
        await ticks.record(some_trades(1, first=30))
        assert (await ticks.get("/BTC-USD/trades", after_seq=19))["items"][1]["seq"] == 21

    async def test_readers_find_every_trade_while_they_are_moved(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(2000))
        writer = await ticks.writer()
        mover = Mover(ticks.engine.database, writer)

        async def move() -> None:
            for kept in range(1800, -1, -300):
                await asyncio.to_thread(mover.copy, "trades", HotTail(PAST, kept))
                await mover.mark()
                await mover.delete()

        moving = asyncio.create_task(move())
        rounds = 0
        while not moving.done() or rounds < 3:
            items = await ticks.pages("/BTC-USD/trades", limit=500)
            assert [item["seq"] for item in items] == list(range(1, 2001))
            rounds += 1
        await moving

    async def test_who_must_see_every_trade_reads_across_the_seam(self, ticks: TickWorld) -> None:
        trades = some_trades(1500)
        await ticks.record(trades)
        await ticks.move_all()

        batches = await ticks.history.trades_after(SYMBOL, 250, 1000)

        assert [trade for batch in batches for trade in batch.trades] == trades[250:1250]
        assert batches[0].first_seq == 251

    async def test_a_process_without_the_store_says_so_and_serves_what_is_new(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(20))
        await ticks.move_all()
        await ticks.record(some_trades(3, first=21))
        alone = TradeTable(ticks.engine.database)

        assert sum(len(batch.trades) for batch in await alone.trades_after(SYMBOL, 20, 10)) == 3
        with pytest.raises(TickStoreUnavailable):
            await alone.trades_after(SYMBOL, 19, 10)

    async def test_spans_of_time_and_sequence_reach_over_the_seam(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(100))
        await ticks.move_all()
        await ticks.record(some_trades(100, first=100))

        items = await ticks.pages(
            "/BTC-USD/trades", limit=7, start="2013-09-01T17:00:40Z", end="2013-09-01T17:01:00Z", after_seq=85
        )

        assert [item["seq"] for item in items] == list(range(86, 121))


class TestDuty:
    async def test_nothing_is_moved_before_enough_has_come_together(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(20))
        duty = await ticks.duty(TickStoreSettings(hot_hours=1, move_minutes=15))
        now = datetime.now(UTC)

        assert await duty.move(now + timedelta(minutes=70)) == 0
        assert not ticks.writer_address.data_folder.exists()
        assert await duty.move(now + timedelta(minutes=80)) == 20

    async def test_no_more_rows_stay_than_allowed(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(200))
        duty = await ticks.duty(TickStoreSettings(hot_rows=100))

        assert await duty.move(datetime.now(UTC)) == 100

    async def test_a_clock_that_went_back_does_not_leave_trades_out(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(90))
        async with ticks.engine.database.transaction() as tx:
            await tx.execute("update marketdata.trade set received_at = '2100-01-01' where seq = 40")
        duty = await ticks.duty()

        moved = await duty.move(datetime.now(UTC) + timedelta(hours=3), at_once=True)

        assert moved == 39
        assert len(await ticks.pages("/BTC-USD/trades")) == 90


class TestQuotes:
    async def test_told_quotes_become_history(self, ticks: TickWorld) -> None:
        recorder = QuoteRecorder(ticks.engine.database, ticks.engine.bus)
        recording = asyncio.create_task(recorder.run())
        await ticks.engine.bus.flush()
        for step in range(4):
            ticks.engine.publisher.publish_quote(
                SYMBOL,
                bid=6_399_900 + step,
                bid_size=0 if step == 1 else 2_000_000,
                ask=6_400_100,
                ask_size=1_000_000,
                venue_time_ns=START + step,
            )
            await eventually(lambda step=step: told_until(ticks.engine, SYMBOL) == START + step)
        hot: list[dict[str, Any]] = []
        while len(hot) < 4:
            hot = await ticks.pages("/BTC-USD/quotes", limit=2)
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)

        await ticks.move_all()

        assert [item["bid"] for item in hot] == ["63999.00", None, "63999.02", "63999.03"]
        assert await ticks.pages("/BTC-USD/quotes", limit=3) == hot
        async with ticks.engine.database.transaction() as tx:
            assert await tx.value("select count(*) from marketdata.quote") == 0
