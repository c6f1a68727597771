"""The channels, as the streaming edge reads them."""

import asyncio
import json
import random
import time
from typing import Any

import pytest
from tests.integration.marketdata.feeds.world import eventually
from tests.integration.marketdata.world import ApiNode, Engine

from agio.kernel.time import from_nanos
from agio.marketdata.api import Trade
from agio.marketdata.book import apply_levels, checksum
from agio.marketdata.publisher import STATE_INTERVAL_SECONDS
from agio.marketdata.stream import channel_kinds
from agio.platform.bus import Bus
from agio.platform.channels import ChannelHandle, Push, TimedHistory, UnknownChannel
from agio.platform.db import SYSTEM, Database

SECOND = 1_000_000_000


class Anybody:
    scope = SYSTEM


async def open_channel(node: ApiNode, name: str, key: str) -> ChannelHandle:
    kinds = {kind.name: kind for kind in channel_kinds(node.database, node.directory, node.view)}
    return await kinds[name].open(Anybody(), key)


async def listen(bus: Bus, handle: ChannelHandle) -> list[Push]:
    heard: list[Push] = []

    async def hear(_: str, payload: bytes) -> None:
        heard.extend(handle.decode(payload))

    await bus.subscribe(handle.subject, hear)
    await bus.flush()
    return heard


class TestTrades:
    async def test_live_and_replayed_pushes_are_the_same_bytes(
        self, engine_database: Database, app_database: Database, bus: Bus
    ) -> None:
        node = ApiNode(app_database, bus)
        async with Engine(engine_database, bus) as engine:
            handle = await open_channel(node, "trades", "BTC-USD")
            epoch, top = await handle.position()
            heard = await listen(bus, handle)
            for start in range(5):
                await engine.recorder.append(
                    "BTC-USD",
                    [
                        Trade(n * 123_456_789, 6_400_000 + n, 10**6, n % 3, f'"{n}\\')
                        for n in range(start, 40)
                    ],
                )
            await eventually(lambda: len(heard) >= 190)

        assert epoch != ""
        assert (epoch, top) == (epoch, 0)
        assert heard == await handle.replay(0, 1000)
        assert [push.q for push in heard] == list(range(1, 191))
        assert await handle.replay(188, 5) == heard[188:]
        assert (await handle.position()) == (epoch, 190)
        assert isinstance(handle, TimedHistory)
        found = [await handle.locate(from_nanos(n * 123_456_789), 0) for n in (0, 1, 39, 41)]
        assert found == [1, 2, 40, None]
        assert await handle.locate(from_nanos(39 * 123_456_789), 40) == 79
        assert json.loads(heard[1].d) == {
            "price": "64000.01",
            "size": "0.01000000",
            "side": "buy",
            "venue_time": "1970-01-01T00:00:00.123456Z",
            "id": '"1\\',
        }

    @pytest.mark.parametrize(
        ("name", "key"),
        [("trades", "NO-SUCH"), ("quotes", ""), ("book", "btc"), ("bars", "BTC-USD"), ("bars", "BTC-USD:5m")],
    )
    async def test_unknown_keys_are_refused(
        self, engine_database: Database, app_database: Database, bus: Bus, name: str, key: str
    ) -> None:
        async with Engine(engine_database, bus):
            with pytest.raises(UnknownChannel):
                await open_channel(ApiNode(app_database, bus), name, key)


class TestBook:
    async def test_snapshot_and_deltas_give_the_book_at_every_checksum(
        self, engine_database: Database, app_database: Database, bus: Bus
    ) -> None:
        node, chance = ApiNode(app_database, bus), random.Random(7)
        async with Engine(engine_database, bus) as engine:
            handle = await open_channel(node, "book", "BTC-USD")
            heard = await listen(bus, handle)
            begun = time.monotonic()
            for _ in range(60):
                middle = 64_000 + chance.randrange(-5, 5)
                bids = [((middle - n) * 100, chance.randrange(1, 9) * 10**6) for n in range(1, 16)]
                asks = [((middle + n) * 100, chance.randrange(1, 9) * 10**6) for n in range(1, 16)]
                engine.publisher.publish_book("BTC-USD", bids=bids, asks=asks, venue_time_ns=SECOND)
                await asyncio.sleep(0.01)
            await eventually(lambda: bool(heard) and heard[-1].crc == checksum(bids, asks))
            took = time.monotonic() - begun
            snapshot = (await handle.snapshot())[0]

        book: dict[str, list[tuple[int, int]]] = {"bids": [], "asks": []}
        last = None
        for push in heard:
            assert push.p == last
            assert push.snapshot is (last is None)
            last = push.q
            for side, levels in levels_of(push).items():
                book[side] = apply_levels(book[side], levels, best_is_highest=side == "bids")
            assert checksum(book["bids"], book["asks"]) == push.crc
        assert 5 <= len(heard) <= most_told(took)
        assert (book["bids"], book["asks"]) == (bids, asks)
        assert (snapshot.q, snapshot.snapshot, snapshot.crc) == (last, True, checksum(bids, asks))
        assert levels_of(snapshot) == book


class TestQuotes:
    async def test_conflated_to_the_newest(
        self, engine_database: Database, app_database: Database, bus: Bus
    ) -> None:
        node = ApiNode(app_database, bus)
        async with Engine(engine_database, bus) as engine:
            handle = await open_channel(node, "quotes", "EUR-USD")
            heard = await listen(bus, handle)
            begun = time.monotonic()
            for bid in range(10_000, 10_200):
                engine.publisher.publish_quote(
                    "EUR-USD", bid=bid, bid_size=10_000, ask=bid + 1, ask_size=20_000, venue_time_ns=SECOND
                )
                await asyncio.sleep(0.002)
            await eventually(lambda: bool(heard) and json.loads(heard[-1].d)["bid"] == "1.0199")
            took = time.monotonic() - begun
            newest = (await handle.snapshot())[0]

        assert 4 <= len(heard) <= most_told(took)
        assert newest == heard[-1]
        assert [push.q for push in heard] == sorted({push.q for push in heard})


class TestBars:
    async def test_the_one_in_progress_and_those_that_ended(
        self, engine_database: Database, app_database: Database, bus: Bus
    ) -> None:
        node = ApiNode(app_database, bus)
        async with Engine(engine_database, bus) as engine:
            handle = await open_channel(node, "bars", "BTC-USD:1s")
            heard = await listen(bus, handle)
            await engine.recorder.append("BTC-USD", [Trade(n * SECOND // 2, 100 + n, 1) for n in range(7)])
            await eventually(lambda: len({push.key for push in heard}) == 4)
            current = await handle.snapshot()

        told: dict[str, Any] = {push.key: json.loads(push.d) for push in heard}
        assert [bar["is_final"] for bar in told.values()] == [True, True, True, False]
        assert [bar["trades"] for bar in told.values()] == [2, 2, 2, 1]
        assert [push.key for push in current] == ["1970-01-01T00:00:03.000000Z"]


def most_told(seconds: float) -> float:
    """State is told at most 20 times a second, and once more."""
    return seconds / STATE_INTERVAL_SECONDS + 1


def levels_of(push: Push) -> dict[str, list[tuple[int, int]]]:
    return {
        side: [(number(price), number(size)) for price, size in levels]
        for side, levels in json.loads(push.d).items()
    }


def number(text: str) -> int:
    return int(text.replace(".", ""))
