"""The adaptive tick."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from agio.streaming import ticker as ticker_module
from agio.streaming.ticker import Ticker

TICK = 0.05


class Item:
    def __init__(self) -> None:
        self.flushed_at = 0.0
        self.flushes: list[float] = []

    def flush(self) -> None:
        self.flushed_at = asyncio.get_running_loop().time()
        self.flushes.append(self.flushed_at)


class TestOffer:
    async def test_quiet_items_go_out_at_once(self) -> None:
        ticker, item = Ticker(TICK), Item()
        ticker.offer_connection(item, is_urgent=False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert len(item.flushes) == 1

    async def test_busy_items_go_out_together_at_the_tick(self) -> None:
        ticker, channel, connection = Ticker(TICK), Item(), Item()
        loop = asyncio.get_running_loop()
        channel.flushed_at = connection.flushed_at = loop.time()
        for _ in range(5):
            ticker.offer_channel(channel, is_urgent=False)
            ticker.offer_connection(connection, is_urgent=False)
        await asyncio.sleep(TICK * 1.5)

        assert len(channel.flushes) == len(connection.flushes) == 1
        assert connection.flushes[0] - channel.flushes[0] < TICK / 10

    async def test_urgent_items_do_not_wait(self) -> None:
        ticker, item = Ticker(10.0), Item()
        item.flushed_at = asyncio.get_running_loop().time()
        ticker.offer_connection(item, is_urgent=False)
        ticker.offer_connection(item, is_urgent=True)
        await asyncio.sleep(0.01)
        ticker.stop()

        assert len(item.flushes) == 1

    async def test_messages_slower_than_the_tick_are_not_delayed_for_ever(self) -> None:
        ticker, item = Ticker(TICK), Item()
        loop = asyncio.get_running_loop()
        item.flushed_at = loop.time() - TICK / 4
        delays = []
        for _ in range(8):
            offered_at, before = loop.time(), len(item.flushes)
            ticker.offer_connection(item, is_urgent=False)
            await asyncio.sleep(TICK * 1.3)
            assert len(item.flushes) == before + 1
            delays.append(item.flushes[-1] - offered_at)

        assert min(delays[-3:]) < TICK / 4


class TestPaced:
    def test_flushes_count_as_a_tick_apart_with_a_little_credit(self) -> None:
        ticker = Ticker(TICK)

        assert ticker.paced(100.0, 100.0 + TICK / 5) == 100.0 + TICK / 5
        assert ticker.paced(100.0, 100.0 + 1.5 * TICK) == 100.0 + TICK
        assert ticker.paced(0.0, 100.0) == 100.0 - ticker_module._CREDIT * TICK

    def test_messages_as_often_as_ticks_never_wait_however_uneven_they_come(self) -> None:
        jitter = random.Random(4)
        offered = [(number + 0.8 * jitter.random()) * TICK for number in range(1_000)]

        assert waits(Ticker(TICK), offered) == []

    def test_a_burst_after_silence_goes_out_at_once_a_flood_does_not(self) -> None:
        offered = [number * TICK / 10 for number in range(1_000)]
        waiting = waits(Ticker(TICK), offered)

        assert waiting[0] == ticker_module._CREDIT + 1
        assert len(waiting) > 0.8 * len(offered)


def waits(ticker: Ticker, offered: Sequence[float]) -> list[int]:
    """Which of the messages that are offered at these times find that no flush is due."""
    flushed_at = -1.0
    waiting = []
    for number, now in enumerate(offered):
        if now - flushed_at >= TICK * ticker_module._EARLY:
            flushed_at = ticker.paced(flushed_at, now)
        else:
            waiting.append(number)
    return waiting


class TestLength:
    async def test_ticks_grow_while_writing_takes_the_time_and_shrink_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spent = 0.0
        monkeypatch.setattr(ticker_module, "thread_time", lambda: spent)
        ticker, loop = Ticker(0.001), asyncio.get_running_loop()

        async def tick(cost_seconds: float) -> None:
            def write() -> None:
                nonlocal spent
                spent += cost_seconds

            item = Item()
            # A transport writes only after the flush.
            item.flush = lambda: loop.call_soon(write)  # type: ignore[method-assign, assignment, return-value]
            item.flushed_at = loop.time() + 1
            ticker.offer_connection(item, is_urgent=False)
            await asyncio.sleep(0.005)

        for _ in range(20):
            await tick(0.0008)
        longest = ticker._tick_seconds
        for _ in range(30):
            await tick(0.0)

        assert longest == pytest.approx(0.0016)
        assert ticker._tick_seconds == 0.001
