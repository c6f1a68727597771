"""What we make of ccxt, with an exchange of our own in its place: nothing here needs the library."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.marketdata.feeds.ccxt_feed import CcxtFeed
from agio.marketdata.feeds.ccxt_library import (
    FeedUnavailable,
    OffGrid,
    load_library,
    moved,
    read_instrument,
    whole,
)
from agio.marketdata.feeds.connector import Endpoints
from agio.marketdata.feeds.port import Delivery
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.normalised import BookSnapshot, BookUpdate, Instrument, Trade, Verdict
from agio.platform.clock import VirtualClock

BTC = Instrument("BITSTAMP", "BTC-USD", "BTC/USD", Decimal("0.01"), Decimal("0.00000001"))


class ChecksumError(Exception):
    """As ccxt names it."""


class Script:
    """An exchange that does one thing after the other, then nothing more."""

    def __init__(self, *steps: object) -> None:
        self.steps = list(steps)
        self.has = {"watchOrderBook": True, "watchTrades": True, "unWatchOrderBook": True}
        self.urls = {"api": {"ws": "wss://elsewhere"}}
        self.orderbooks: dict[str, Any] = {}
        self.trades: dict[str, Any] = {}
        self.left: list[str] = []

    async def load_markets(self) -> dict[str, Any]:
        return {}

    async def watch_order_book(self, symbol: str) -> object:
        if not self.steps:
            await asyncio.Event().wait()
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        self.orderbooks[symbol] = step
        return step

    async def watch_trades(self, _symbol: str) -> None:
        await asyncio.Event().wait()

    async def un_watch_order_book(self, symbol: str) -> None:
        self.left.append(symbol)

    async def close(self) -> None:
        return None


def book(bid: float, ask: float, size: float = 1.0) -> dict[str, Any]:
    return {"bids": [[bid, size]], "asks": [[ask, size]], "timestamp": 1_641_343_695_000}


async def follow(exchange: Script, holds: Callable[[CcxtFeed], bool]) -> tuple[CcxtFeed, list[Delivery]]:
    """Run a feed until something holds of it."""
    library = SimpleNamespace(exchanges=["bitstamp"], bitstamp=lambda _options: exchange)
    clock = VirtualClock(datetime(2026, 11, 21, tzinfo=UTC))
    feed = CcxtFeed("bitstamp", library, [BTC], clock, FeedSettings(tick_seconds=0.01))
    told: list[Delivery] = []

    async def take(delivery: Delivery) -> None:
        told.append(delivery)

    running = asyncio.create_task(feed.run(take))
    async with asyncio.timeout(30):
        while not holds(feed):
            await asyncio.sleep(0.005)
    feed.stop()
    await running
    return feed, told


def verdicts(told: list[Delivery]) -> list[Verdict]:
    return [judgement.verdict for delivery in told for judgement in delivery.judgements][:-1]


async def test_the_first_book_is_whole_and_later_ones_are_what_changed() -> None:
    exchange = Script(book(1.0, 2.0), {**book(1.5, 2.0), "asks": [[2.0, 0.5]]})
    _, told = await follow(exchange, lambda feed: feed.status().counters.messages == 2)

    first, second = [message for delivery in told for message in delivery.messages]
    assert isinstance(first, BookSnapshot)
    assert [(level.price, level.size) for level in first.bids] == [(100, 100_000_000)]
    assert isinstance(second, BookUpdate)
    assert [(change.side, change.price, change.size) for change in second.changes] == [
        ("bid", 100, 0),
        ("bid", 150, 100_000_000),
        ("ask", 200, 50_000_000),
    ]


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (book(3.0, 2.0), Verdict.CROSSED),
        (book(1.0, 2.0, 0.123456789), Verdict.GAP),
        (ChecksumError("no"), Verdict.BAD_CHECKSUM),
    ],
)
async def test_a_doubtful_book_is_withdrawn_and_asked_for_again(fault: object, verdict: Verdict) -> None:
    exchange = Script(book(1.0, 2.0), fault, book(1.0, 3.0))
    feed, told = await follow(
        exchange,
        lambda feed: feed.status().counters.resyncs == 1 and not feed.status().doubtful,
    )

    assert verdicts(told) == [Verdict.OK, verdict, Verdict.OK]
    assert exchange.left == ["BTC/USD"]
    assert feed.status().counters.resyncs_of == {"BTC-USD": 1}
    assert feed.good("BTC-USD") is None, "a feed that was stopped serves nothing"


async def test_trades_that_nobody_was_woken_for_are_found_at_the_next_look() -> None:
    exchange = Script()
    exchange.trades["BTC/USD"] = [
        {"id": str(n), "price": 10.5, "amount": 0.25, "side": "buy", "timestamp": 1_641_343_695_000}
        for n in range(3)
    ]
    _, told = await follow(exchange, lambda feed: feed.status().counters.messages == 3)

    trades = [message for delivery in told for message in delivery.messages if isinstance(message, Trade)]
    assert [(one.trade_id, one.price, one.size, one.aggressor) for one in trades] == [
        (str(n), 1050, 25_000_000, "buy") for n in range(3)
    ]


class TestNumbers:
    @given(st.integers(0, 10**15 - 1), st.integers(0, 12))
    def test_every_number_of_fifteen_digits_is_exact(self, count: int, scale: int) -> None:
        step = Decimal(1).scaleb(-scale)
        assert whole(float(count * step), step) == count

    @pytest.mark.parametrize("number", [0.015, float("nan"), float("inf"), "1", None, True])
    def test_what_is_no_whole_step_is_refused(self, number: object) -> None:
        with pytest.raises(OffGrid):
            whole(number, Decimal("0.01"))

    def test_more_digits_than_a_float_holds_are_refused(self) -> None:
        with pytest.raises(OffGrid):
            whole(41095890123.00000001, Decimal("0.00000001"))


class TestLibrary:
    def test_its_absence_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ccxt.pro", None)
        with pytest.raises(FeedUnavailable, match=r"pip install 'agio\[venues\]'"):
            load_library()

    def test_addresses_move_and_keep_their_paths(self) -> None:
        urls = {"public": "https://a.example/api", "ws": {"spot": "wss://b.example/v2"}, "flag": True}
        assert moved(urls, Endpoints("ws://127.0.0.1:1", "http://127.0.0.1:2")) == {
            "public": "http://127.0.0.1:2/api",
            "ws": {"spot": "ws://127.0.0.1:1/v2"},
            "flag": True,
        }

    @pytest.mark.parametrize(
        ("mode", "precision", "steps"),
        [
            (4, {"price": 0.5, "amount": 1e-08}, ("0.5", "1E-8")),
            (2, {"price": 2, "amount": 8}, ("0.01", "1E-8")),
        ],
    )
    def test_steps_are_read_in_both_modes(
        self, mode: int, precision: dict[str, float], steps: tuple[str, str]
    ) -> None:
        one = read_instrument("X", "A-B", {"symbol": "A/B", "precision": precision}, mode)
        assert (one.tick, one.lot) == (Decimal(steps[0]), Decimal(steps[1]))

    def test_unknown_steps_are_refused(self) -> None:
        with pytest.raises(FeedUnavailable, match="steps"):
            read_instrument("X", "A-B", {"symbol": "A/B", "precision": {"price": None}}, 4)
