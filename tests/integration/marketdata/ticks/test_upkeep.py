"""Retention and compaction of the store."""

from datetime import UTC, datetime, timedelta

from tests.integration.marketdata.ticks.tick_world import SYMBOL, TickWorld, some_ticks, some_trades

from agio.kernel.time import from_micros
from agio.marketdata.ticks.settings import Retention
from agio.marketdata.ticks.upkeep import Upkeep

COUNT = "select symbol, count(*), min(seq), max(seq) from lake.trade_ticks group by all order by all"


class TestRetention:
    async def test_old_rows_go_and_are_not_taken_for_missing(self, ticks: TickWorld) -> None:
        writer = await ticks.writer()
        writer.append([some_ticks(1, 1000), some_ticks(1, 1000, "ETH-USD")])
        middle = from_micros(int(some_ticks(1, 600).received_us[-1]))
        rules = (Retention("trades", 1.0, (SYMBOL,)), Retention("quotes", 0.0))

        kept = Upkeep(writer, rules).run(middle + timedelta(days=1))

        assert kept.deleted_rows == 599
        assert ticks.rows(COUNT) == [
            ("BTC-USD", 1000 - kept.deleted_rows, kept.deleted_rows + 1, 1000),
            ("ETH-USD", 1000, 1, 1000),
        ]
        assert writer.append([some_ticks(1, 1001)])[0].written == 1

    async def test_rest_begins_with_the_oldest_that_is_kept(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(100))
        await ticks.move_all()
        await ticks.record(some_trades(10, first=100))
        writer = await ticks.writer()

        Upkeep(writer, (Retention("trades", 1.0),)).run(datetime.now(UTC) + timedelta(days=2))

        assert [item["seq"] for item in await ticks.pages("/BTC-USD/trades")] == list(range(101, 111))


class TestCompaction:
    async def test_many_small_files_become_one_and_old_ones_are_removed_later(self, ticks: TickWorld) -> None:
        writer = await ticks.writer()
        for first in range(1, 3001, 300):
            writer.append([some_ticks(first, 300)])
        before = ticks.rows("from lake.trade_ticks order by seq")
        folder = ticks.writer_address.data_folder / "main" / "trade_ticks"
        upkeep = Upkeep(writer, ())

        assert upkeep.run(datetime.now(UTC)).merged_files == 10
        assert len(list(folder.iterdir())) == 11
        removed = upkeep.run(datetime.now(UTC) + timedelta(hours=2)).removed_files

        assert removed >= 10
        assert len(list(folder.iterdir())) == 1
        assert ticks.rows("from lake.trade_ticks order by seq") == before
        assert writer.append([some_ticks(2900, 200)])[0].written == 99

    async def test_positions_are_summed_up_without_being_forgotten(
        self, ticks: TickWorld, monkeypatch
    ) -> None:
        monkeypatch.setattr("agio.marketdata.ticks.upkeep.POSITIONS_KEPT", 3)
        writer = await ticks.writer()
        for first in range(1, 61, 10):
            writer.append([some_ticks(first, 10)])

        Upkeep(writer, ()).run(datetime.now(UTC))
        writer.close()

        assert ticks.rows("select count(*), max(last_seq) from lake.positions") == [(1, 60)]
        assert writer.append([some_ticks(55, 10)])[0].written == 4
