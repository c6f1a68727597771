"""Bars of any interval are what a plain fold of the trades says, from ticks and from recorded minutes."""

import random
from datetime import datetime
from typing import Any

import pytest
from tests.integration.marketdata.ticks.tick_world import SECOND, SYMBOL, TickWorld

from agio.kernel.time import format_micros
from agio.marketdata.api import Trade
from agio.marketdata.events import CANCELS, REPLACES
from agio.marketdata.ticks.intervals import BarInterval, read_interval
from agio.marketdata.ticks.redrawing import Redrawing

BARS = "/BTC-USD/bars"
LONG_AGO = "1980-01-01T00:00:00Z"
HOUR = 3600 * SECOND
DAY = 24 * HOUR
LORD_HOWE, NEW_YORK, APIA = "Australia/Lord_Howe", "America/New_York", "Pacific/Apia"
SHORT = [("250ms", "UTC"), ("7ms", NEW_YORK), ("7s", LORD_HOWE), ("30s", "UTC"), ("61s", APIA)]
LONG = [
    *(("5m", "UTC"), ("7m", NEW_YORK), ("25m", "UTC"), ("90m", LORD_HOWE), ("4h", LORD_HOWE), ("5h", APIA)),
    *(("1d", NEW_YORK), ("1d", APIA), ("2d", "UTC"), ("3d", LORD_HOWE), ("1w", "UTC"), ("2w", NEW_YORK)),
    *(("1mo", "America/Sao_Paulo"), ("3mo", "UTC"), ("1y", "Asia/Kathmandu")),
]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def walk(begin: str, count: int, steps: list[int], *, late: list[int], seed: int = 1) -> list[Trade]:
    chance = random.Random(seed)
    trades, now = [], at(begin)
    for _ in range(count):
        now += chance.choice(steps)
        trades.append(
            Trade(
                now - chance.choice(late), 6_400_000 + chance.randrange(-900, 900), chance.randrange(1, 10**9)
            )
        )
    return trades


def folded(trades: list[Trade], interval: BarInterval) -> list[dict[str, Any]]:
    """The definition, in plain Python."""
    bars: dict[int, list[Trade]] = {}
    for trade in sorted(trades, key=lambda one: one.venue_time_ns):
        bars.setdefault(interval.floor(trade.venue_time_ns), []).append(trade)
    return [
        {
            "start": format_micros(start_ns // 1000),
            "open": held[0].price,
            "high": max(trade.price for trade in held),
            "low": min(trade.price for trade in held),
            "close": held[-1].price,
            "volume": sum(trade.size for trade in held),
            "vwap": 10_000
            * sum(trade.price * trade.size for trade in held)
            / sum(trade.size for trade in held),
            "trades": len(held),
        }
        for start_ns, held in bars.items()
    ]


def integers(bar: dict[str, Any]) -> dict[str, Any]:
    scales = {"open": 2, "high": 2, "low": 2, "close": 2, "volume": 8, "vwap": 6}
    texts = {name: bar[name] for name in ("start", "trades")}
    numbers = {name: int(bar[name].replace(".", "")) for name in scales}
    return texts | numbers | {"vwap": pytest.approx(numbers["vwap"], abs=1)}


async def assert_folded(
    ticks: TickWorld, trades: list[Trade], intervals: list[tuple[str, str]], limit: int
) -> None:
    for name, zone in intervals:
        expected = folded(trades, read_interval(name, zone))
        bars = await ticks.pages(BARS, interval=name, time_zone=zone, start=LONG_AGO, limit=limit)
        newest = (await ticks.get(BARS, interval=name, time_zone=zone, limit=5))["items"]

        assert expected == [integers(bar) for bar in bars], (name, zone)
        assert newest == bars[-5:]
        assert [bar["is_final"] for bar in bars[-2:]] == [True, False][-len(bars) :]


class TestAnyInterval:
    @pytest.mark.parametrize("late", [[0], [0] * 9 + [SECOND // 10, 40 * SECOND]])
    async def test_short_bars_are_the_plain_fold_of_the_trades(
        self, ticks: TickWorld, late: list[int]
    ) -> None:
        steps = [0, 3_000_000, 60_000_000, SECOND]
        trades = walk("2024-04-06T14:59:30+00:00", 120, steps, late=late)
        await ticks.record(trades)
        await assert_folded(ticks, trades, SHORT[::2], 1000)
        await ticks.move_all()
        await assert_folded(ticks, trades, SHORT[1::2], 1000)

    @pytest.mark.parametrize("late", [[0], [0] * 9 + [90 * SECOND, 3 * HOUR, 40 * HOUR]])
    async def test_long_bars_are_too_through_changes_of_the_clock(
        self, ticks: TickWorld, late: list[int]
    ) -> None:
        trades = walk("2011-12-28T20:00:00+00:00", 150, [0, SECOND, 20 * 60 * SECOND, 2 * HOUR], late=late)
        trades += walk("2014-03-07T20:00:00+00:00", 100, [SECOND, 20 * 60 * SECOND, 30 * HOUR], late=late)
        for place in range(0, len(trades), 130):
            await ticks.record(trades[place : place + 130])
        await assert_folded(ticks, trades, LONG[::2], 150)
        await ticks.move_all()
        await assert_folded(ticks, trades, LONG[1::2], 150)

    async def test_bars_of_minutes_outlive_the_trades(self, ticks: TickWorld) -> None:
        """What is longer than a day never needs them, shorter ones do not while nothing came late."""
        trades = walk("2011-01-01T00:00:00+00:00", 300, [SECOND, HOUR, 6 * DAY], late=[0])
        await ticks.record(trades)
        async with ticks.engine.database.transaction() as tx:
            await tx.execute("delete from marketdata.trade where symbol = %s", (SYMBOL,))

        await assert_folded(
            ticks, trades, [("1h", "UTC"), ("1d", NEW_YORK), ("1w", APIA), ("1mo", "UTC")], 100
        )

    async def test_a_month_counts_the_revisions_of_its_minutes(self, ticks: TickWorld) -> None:
        begin = at("2024-01-31T10:00:00+00:00")
        await ticks.record([Trade(begin + n * 60 * SECOND, 100 + n, 10, 0, f"t{n}") for n in range(5)])
        await ticks.record([Trade(begin + 2 * DAY, 100, 1)])
        await ticks.record([Trade(begin + SECOND, 300, 5, 0, "t0", REPLACES)])
        await ticks.record([Trade(begin + 4 * 60 * SECOND, 104, 10, 0, "t4", CANCELS)])
        await ticks.record([Trade(begin + 61 * SECOND, 90, 1)])
        await Redrawing(ticks.engine.database, ticks.reader).run()

        january, february = await ticks.pages(BARS, interval="1mo", start=LONG_AGO)
        hours = await ticks.pages(BARS, interval="1h", start=LONG_AGO)

        assert (january["open"], january["high"], january["low"], january["close"]) == (
            "3.00",
            "3.00",
            "0.90",
            "1.03",
        )
        assert (january["trades"], january["revision"], january["is_final"]) == (5, 2, True)
        assert (february["start"][:10], february["revision"]) == ("2024-02-01", 0)
        names = ("open", "high", "low", "close", "volume", "vwap", "trades")
        assert [[bar[name] for name in names] for bar in hours] == [
            [bar[name] for name in names] for bar in (january, february)
        ]
        assert hours[0]["revision"] == 3

    async def test_a_page_of_years_ends_with_the_calendar(self, ticks: TickWorld) -> None:
        await ticks.record(
            [Trade(at("2024-01-31T10:00:00+00:00"), 100, 10), Trade(at("2025-01-31T10:00:00+00:00"), 1, 1)]
        )
        for name in ("1y", "366d", "52w", "23h"):
            for zone in ("UTC", NEW_YORK):
                for query in ({}, {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59Z"}):
                    found = await ticks.get(BARS, interval=name, time_zone=zone, limit=1000, **query)
                    assert [bar["trades"] for bar in found["items"]] == [1, 1]

    async def test_what_is_wrong_is_told_with_what_is_right(self, ticks: TickWorld) -> None:
        for name in ("0s", "-1m", "1.5h", "7x", "99999d", "\u0661m", "5mo", "9" * 2000 + "s"):
            problem = await ticks.get(BARS, 422, interval=name)
            assert problem["code"] == "invalid_request"
            assert "d up to 366" in problem["detail"]

    async def test_a_cursor_of_another_zone_is_refused_where_bars_begin_elsewhere(
        self, ticks: TickWorld
    ) -> None:
        await ticks.record(walk("2024-01-31T10:00:00+00:00", 30, [600 * SECOND], late=[0]))
        page = await ticks.get(BARS, interval="7m", start=LONG_AGO, limit=1, time_zone="UTC")

        await ticks.get(BARS, 422, interval="7m", cursor=page["next_cursor"], time_zone=NEW_YORK)
        await ticks.get(BARS, interval="7m", cursor=page["next_cursor"], time_zone="UTC")
