"""Bars of any interval out of trades of any age."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.marketdata.ticks.tick_world import SECOND, START, SYMBOL, TickWorld, some_trades

from agio.marketdata.api import Trade
from agio.marketdata.events import CANCELS, REPLACES
from agio.marketdata.ticks.mover import Mover
from agio.marketdata.ticks.redrawing import Redrawing
from agio.marketdata.ticks.settings import HotTail

BARS = "/BTC-USD/bars"
LONG_AGO = "2013-01-01T00:00:00Z"
PRICES = ("start", "open", "high", "low", "close", "volume", "vwap", "trades", "is_final")


def shuffled_trades(count: int, seed: int) -> list[Trade]:
    """Mostly in order; some late by seconds, minutes or hours, many at the same instant."""
    chance = random.Random(seed)
    trades, now = [], START
    for _ in range(count):
        now += chance.choice((0, 0, SECOND // 4, 3 * SECOND, 40 * SECOND))
        late = chance.choice((0,) * 9 + (chance.choice((1, 90, 4000)) * SECOND,))
        trades.append(Trade(now - late, 6_400_000 + chance.randrange(900), 1 + chance.randrange(10**9)))
    return trades


def prices_of(bars: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(bar[name] for name in PRICES) for bar in bars]


async def move_down_to(ticks: TickWorld, rows: int) -> None:
    writer = await ticks.writer()
    mover = Mover(ticks.engine.database, writer)
    mover.copy("trades", HotTail(datetime(2000, 1, 1, tzinfo=UTC), rows))
    await mover.mark()
    await mover.delete()
    writer.close()


class TestFolding:
    @pytest.mark.parametrize("seed", [1, 2])
    async def test_equal_to_the_recorded_minutes_wherever_the_trades_are(
        self, ticks: TickWorld, seed: int
    ) -> None:
        trades = shuffled_trades(1200, seed)
        for place in range(0, len(trades), 150):
            await ticks.record(trades[place : place + 150])
        minutes = prices_of(await ticks.pages(BARS, interval="1m", start=LONG_AGO, limit=90))

        folded = []
        for rows in (1200, 700, 0):
            await move_down_to(ticks, rows)
            folded.append(prices_of(await ticks.pages(BARS, interval="60s", start=LONG_AGO, limit=17)))

        assert folded == [minutes] * 3
        assert len(minutes) > 20

    async def test_a_bar_counts_what_changed_it_after_a_later_one_had_begun(self, ticks: TickWorld) -> None:
        await ticks.record([Trade(START, 100, 1), Trade(START + 301 * SECOND, 110, 1)])
        await ticks.record([Trade(START + 10 * SECOND, 90, 1), Trade(START + 11 * SECOND, 95, 1)])
        await ticks.record([Trade(START + 12 * SECOND, 120, 1)])
        await ticks.record([Trade(START + 302 * SECOND, 110, 2), Trade(START + 301 * SECOND, 109, 2)])

        for _ in range(2):
            first, second = await ticks.pages(BARS, interval="5m", start=LONG_AGO)
            assert (first["open"], first["high"], first["low"], first["close"]) == (
                "1.00",
                "1.20",
                "0.90",
                "1.20",
            )
            assert (first["revision"], first["is_final"], first["trades"]) == (2, True, 4)
            assert (second["revision"], second["is_final"]) == (0, False)
            await ticks.move_all()

    async def test_corrections_replace_and_cancel_and_count_as_revisions(self, ticks: TickWorld) -> None:
        await ticks.record([Trade(START + n * SECOND, 100 + n, 10, 0, f"t{n}") for n in range(4)])
        await ticks.record([Trade(START + 600 * SECOND, 100, 1, 0, "later")])
        await move_down_to(ticks, 3)
        await ticks.record([Trade(START, 150, 20, 0, "t0", REPLACES)])
        await ticks.record([Trade(START + 3 * SECOND, 103, 10, 0, "t3", CANCELS)])

        for _ in range(2):
            (bar, _) = await ticks.pages(BARS, interval="5m", start=LONG_AGO)
            assert (bar["open"], bar["close"], bar["high"], bar["trades"], bar["revision"]) == (
                "1.50",
                "1.02",
                "1.50",
                3,
                2,
            )
            assert bar["volume"] == "0.00000040"
            items = await ticks.pages("/BTC-USD/trades")
            assert [item.get("correction") for item in items] == [None] * 5 + ["replaces", "cancels"]
            await ticks.move_all()

    async def test_recorded_bars_are_drawn_anew_after_a_correction(self, ticks: TickWorld) -> None:
        await ticks.record([Trade(START + n * SECOND, 100 + n, 10, 0, f"t{n}") for n in range(100)])
        await move_down_to(ticks, 30)
        await ticks.record([Trade(START + SECOND, 500, 5, 0, "t1", REPLACES)])
        await ticks.record([Trade(START + 99 * SECOND, 199, 10, 0, "t99", CANCELS)])
        await ticks.record([Trade(START + 80 * SECOND, 180, 10, 0, "t80", CANCELS)])
        redrawing = Redrawing(ticks.engine.database, ticks.reader)

        assert await redrawing.run() == 3
        assert await redrawing.run() == 0

        minutes = await ticks.pages(BARS, interval="1m", start=LONG_AGO)
        seconds = {bar["start"][14:19]: bar for bar in await ticks.pages(BARS, interval="1s", start=LONG_AGO)}
        folded = await ticks.pages(BARS, interval="60s", start=LONG_AGO)
        assert prices_of(minutes) == prices_of(folded)
        assert [(bar["high"], bar["trades"], bar["revision"]) for bar in minutes] == [
            ("5.00", 60, 1),
            ("1.98", 38, 0),
        ]
        assert (seconds["00:01"]["close"], seconds["00:01"]["revision"]) == ("5.00", 1)
        assert "01:20" not in seconds
        assert (await ticks.get("/BTC-USD/trades/latest"))["id"] == "t1"

    async def test_a_tape_that_was_played_again_counts_once(self, ticks: TickWorld) -> None:
        trades = some_trades(300)
        await ticks.record(trades)
        once = prices_of(await ticks.pages(BARS, interval="30s", start=LONG_AGO))
        await ticks.move_all()

        await ticks.engine.recorder.write(SYMBOL, trades, rewind_to_ns=START)

        assert prices_of(await ticks.pages(BARS, interval="30s", start=LONG_AGO)) == once
        assert len(await ticks.pages("/BTC-USD/trades")) == 600


class TestTimeZones:
    async def test_a_day_begins_at_midnight_of_its_zone_through_changes_of_the_clock(
        self, ticks: TickWorld
    ) -> None:
        first = datetime(2014, 3, 8, 5, 30, tzinfo=UTC)  # half past midnight in New York
        trades = [
            Trade(int((first + timedelta(minutes=30 * n)).timestamp()) * SECOND, 100 + n, 1)
            for n in range(3 * 48)
        ]
        await ticks.record(trades)
        for _ in range(2):
            days = await ticks.pages(
                BARS, interval="1d", time_zone="America/New_York", start=LONG_AGO, limit=1
            )
            utc = await ticks.pages(BARS, interval="1d", start=LONG_AGO, limit=2)
            await ticks.move_all()

            assert [(day["start"][:16], day["trades"]) for day in days] == [
                ("2014-03-08T05:00", 47),
                ("2014-03-09T05:00", 46),
                ("2014-03-10T04:00", 48),
                ("2014-03-11T04:00", 3),
            ]
            assert [day["open"] for day in days] == ["1.00", "1.47", "1.93", "2.41"]
            assert [day["trades"] for day in utc] == [37, 48, 48, 11]

    async def test_late_trades_revise_the_days_of_their_zone_only(self, ticks: TickWorld) -> None:
        noon = int(datetime(2014, 3, 9, 12, tzinfo=UTC).timestamp()) * SECOND
        hour = 3600 * SECOND
        await ticks.record([Trade(noon + 14 * hour, 100, 1)])
        await ticks.record([Trade(noon, 90, 1)])

        utc = await ticks.pages(BARS, interval="1d", start=LONG_AGO)
        local = await ticks.pages(BARS, interval="1d", time_zone="America/New_York", start=LONG_AGO)

        assert [bar["revision"] for bar in utc] == [1, 0]
        assert [bar["revision"] for bar in local] == [0]


class TestPages:
    async def test_nights_without_trades_are_jumped_over(self, ticks: TickWorld) -> None:
        trades = [
            Trade(START + day * 86_400 * SECOND + n * SECOND, 100 + n, 1)
            for day in (0, 1, 40, 400)
            for n in range(90)
        ]
        await ticks.record(trades)

        everything = await ticks.pages(BARS, interval="30s", start=LONG_AGO, limit=1000)
        paged = await ticks.pages(BARS, interval="30s", start=LONG_AGO, limit=2)
        newest = (await ticks.get(BARS, interval="30s", limit=5))["items"]

        assert paged == everything
        assert len(everything) == 12
        assert newest == everything[-5:]

    async def test_a_span_takes_bars_that_begin_in_it(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(400))

        bars = await ticks.pages(
            BARS, interval="15s", start="2013-09-01T17:00:01Z", end="2013-09-01T17:01:01Z"
        )
        before = await ticks.get(BARS, interval="15s", end="2013-09-01T17:00:30Z", limit=1)

        assert [bar["start"][14:19] for bar in bars] == ["00:15", "00:30", "00:45", "01:00"]
        assert [bar["start"][14:19] for bar in before["items"]] == ["00:15"]

    async def test_before_the_first_trade_there_is_nothing(self, ticks: TickWorld) -> None:
        for query in ({}, {"start": LONG_AGO}, {"end": LONG_AGO}, {"time_zone": "Asia/Tokyo"}):
            assert await ticks.get(BARS, interval="1d", **query) == {"items": [], "next_cursor": None}
        for path in ("trades", "quotes"):
            assert await ticks.get(f"/BTC-USD/{path}") == {"items": [], "next_cursor": None}

    @pytest.mark.parametrize(
        "query",
        [
            {"interval": "1.5h"},
            {"interval": "5mo"},
            {"interval": "1h'; drop table x; --"},
            {"interval": "1d", "time_zone": "Mars/Olympus"},
            {"interval": "1d", "time_zone": "../../etc/passwd"},
            {"interval": "1d", "start": "now"},
            {"interval": "1d", "limit": 0},
            {"interval": "1d", "limit": 1001},
            {"interval": "1d", "cursor": "e30"},
        ],
    )
    async def test_hostile_parameters_are_422(self, ticks: TickWorld, query: dict[str, object]) -> None:
        await ticks.get(BARS, 422, **query)

    async def test_times_and_cursors_at_the_ends_are_fine(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(10))
        await ticks.move_all()
        for zone in ("UTC", "America/New_York"):
            for interval in ("1s", "5m", "1d"):
                ends = {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59Z"}
                assert (await ticks.get(BARS, interval=interval, time_zone=zone, **ends))["items"]
                late = await ticks.get(
                    BARS, interval=interval, time_zone=zone, start="9999-12-31T23:59:59+00:00"
                )
                assert late["items"] == []

    async def test_a_cursor_of_another_interval_or_zone_is_refused(self, ticks: TickWorld) -> None:
        await ticks.record(some_trades(300))
        page = await ticks.get(BARS, interval="15s", start=LONG_AGO, limit=1)

        await ticks.get(BARS, 422, interval="30s", cursor=page["next_cursor"])
        await ticks.get("/BTC-USD/trades", 422, cursor=page["next_cursor"])
        await ticks.get("/ETH-USD/bars", 422, interval="15s", cursor=page["next_cursor"])
