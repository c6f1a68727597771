"""How feeds behave towards a venue that refuses, asks for patience, or must be kept awake."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest
from tests.integration.marketdata.feeds.replay_server import Fault, ReplayServer
from tests.integration.marketdata.feeds.venues import SIDES
from tests.integration.marketdata.feeds.world import eventually, playing, recorded
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from agio.marketdata.feeds.binance import BinanceConnector
from agio.marketdata.feeds.connector import MAX_SYMBOLS, Endpoints
from agio.marketdata.feeds.kraken import KrakenConnector
from agio.marketdata.feeds.okx import OkxConnector
from agio.marketdata.feeds.port import Delivery, FeedState
from agio.marketdata.feeds.requests import RequestFailed, UnknownInstruments, fetch_instruments
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.feeds.supervisor import SupervisedFeed
from agio.marketdata.normalised import Instrument
from agio.platform.clock import VirtualClock

GOOD, REFUSED = (
    Instrument("KRAKEN", symbol, pair, Decimal("0.1"), Decimal("0.1"))
    for symbol, pair in (("BTC-USD", "XBT/USD"), ("OLD-USD", "OLD/USD"))
)
OKX = Instrument("OKX", "BTC-USDT", "BTC-USDT", Decimal("0.1"), Decimal("0.00000001"))
SNAPSHOT = {"as": [["2.0", "1.0", "1618678142.0"]], "bs": [["1.0", "1.0", "1618678142.0"]]}


async def ignore(_delivery: Delivery) -> None:
    """A sink that wants nothing."""


class TestKeepAlive:
    async def test_okx_is_asked_and_its_answer_does_not_hide_a_dead_stream(self, real_data: Path) -> None:
        async with playing(real_data, "OKX", Fault(20, "stall"), limit=60) as world:
            await asyncio.wait_for(world.server.stalled.wait(), 30)
            for pings in range(1, 4):
                world.clock.advance(timedelta(seconds=20))
                await eventually(lambda pings=pings: world.server.replies == pings)
            assert world.feed.status().state is FeedState.LIVE

            world.clock.advance(timedelta(seconds=11))

            await eventually(lambda: world.feed.status().counters.stale == 1)


class TestRefusedSubscription:
    async def test_it_is_told_and_given_up_and_the_other_symbols_stay(self) -> None:
        asked: list[list[str]] = []

        async def venue(socket: ServerConnection) -> None:
            async def beat() -> None:
                while True:
                    await socket.send('{"event":"heartbeat"}')
                    await asyncio.sleep(0.005)

            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(beat())
                async for text in socket:
                    request = json.loads(text)
                    if request["subscription"]["name"] != "book" or request["event"] != "subscribe":
                        continue
                    asked.append(request["pair"])
                    for pair in request["pair"]:
                        about = {
                            "event": "subscriptionStatus",
                            "status": "error",
                            "errorMessage": "no such pair",
                        }
                        answer = (
                            about | {"pair": pair} if pair == "OLD/USD" else [1, SNAPSHOT, "book-1000", pair]
                        )
                        await socket.send(json.dumps(answer))
                beating.cancel()

        clock = VirtualClock(datetime(2026, 11, 21, tzinfo=UTC))
        async with serve(venue, "127.0.0.1", 0) as server, aiohttp.ClientSession() as http:
            port = next(iter(server.sockets)).getsockname()[1]
            connector = KrakenConnector([GOOD, REFUSED], Endpoints(f"ws://127.0.0.1:{port}", ""))
            feed = SupervisedFeed(connector, http, clock, FeedSettings(tick_seconds=0.01))
            running = asyncio.create_task(feed.run(ignore))
            for _ in range(60):
                await self._hear_more(feed)
                clock.advance(timedelta(seconds=5))
            await self._hear_more(feed)

            status = feed.status()
            assert status.doubtful == {"OLD-USD": "no such pair"}
            assert feed.good("BTC-USD") is not None
            assert (status.counters.connects, status.counters.resyncs) == (1, 5)
            assert asked == [["XBT/USD", "OLD/USD"]] + [["OLD/USD"]] * 5
            feed.stop()
            await running

    @staticmethod
    async def _hear_more(feed: SupervisedFeed) -> None:
        heard = feed.status().counters.frames
        await eventually(lambda: feed.status().counters.frames >= heard + 3)


class TestPatience:
    async def test_a_venue_that_names_a_wait_is_given_it(self) -> None:
        waits: list[float] = []

        def refuse(connection: ServerConnection, _request: Request) -> Response:
            response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "slow down")
            response.headers["Retry-After"] = "90"
            return response

        async def unreachable(_socket: ServerConnection) -> None:
            """Nobody gets here."""

        async with (
            serve(unreachable, "127.0.0.1", 0, process_request=refuse) as server,
            aiohttp.ClientSession() as http,
        ):
            port = next(iter(server.sockets)).getsockname()[1]
            endpoints = Endpoints(f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}")

            async def wait(seconds: float) -> None:
                waits.append(seconds)
                feed.stop()

            clock = VirtualClock(datetime(2026, 11, 21, tzinfo=UTC))
            feed = SupervisedFeed(KrakenConnector([GOOD], endpoints), http, clock, sleep=wait)
            await asyncio.wait_for(feed.run(ignore), 30)
            with pytest.raises(RequestFailed) as refusal:
                await fetch_instruments(http, KrakenConnector, ["BTC-USD"], rest=endpoints.rest)

        assert waits == [90.0]
        assert refusal.value.retry_after_seconds == 90.0


class TestOwner:
    @pytest.mark.parametrize("way", ["cancelled", "sink"])
    async def test_a_feed_that_ends_badly_leaves_no_connection_and_no_good_book(
        self, real_data: Path, way: str
    ) -> None:
        side = SIDES["OKX"](recorded(real_data / "market" / "ws" / "OKX.jsonl.zst"), [OKX.venue_symbol], 1)
        heard = asyncio.Event()

        async def sink(delivery: Delivery) -> None:
            if delivery.judgements:
                heard.set()
                if way == "sink":
                    raise LookupError(way)

        async with ReplayServer(side) as server, aiohttp.ClientSession() as http:
            clock = VirtualClock(datetime(2026, 11, 21, tzinfo=UTC))
            connector = OkxConnector([OKX], Endpoints(f"ws://{server.address}", ""))
            feed = SupervisedFeed(connector, http, clock)
            running = asyncio.create_task(feed.run(sink))
            await asyncio.wait_for(heard.wait(), 30)
            if way == "cancelled":
                running.cancel()
            with pytest.raises(LookupError if way == "sink" else asyncio.CancelledError):
                await running

            assert feed.good(OKX.symbol) is None
            assert feed.status().state is FeedState.CLOSED
            await eventually(lambda: server.clients == 0)


class TestInstruments:
    async def test_a_symbol_that_the_venue_does_not_trade_is_named(self, real_data: Path) -> None:
        side = SIDES["BINANCE"](recorded(real_data / "market" / "ws" / "BINANCE.jsonl.zst"), ["NKNUSDT"], 1)
        async with ReplayServer(side) as server, aiohttp.ClientSession() as http:
            with pytest.raises(UnknownInstruments, match="BINANCE has no NO-SUCH"):
                await fetch_instruments(
                    http, BinanceConnector, ["NKN-USDT", "NO-SUCH"], rest=f"http://{server.address}"
                )

    @pytest.mark.parametrize("count", [0, MAX_SYMBOLS + 1])
    def test_too_few_or_too_many_are_refused(self, count: int) -> None:
        instruments = [
            Instrument("KRAKEN", f"A{number}-USD", f"A{number}/USD", Decimal(1), Decimal(1))
            for number in range(count)
        ]
        with pytest.raises(ValueError, match="1 to 200 symbols"):
            KrakenConnector(instruments)


class TestSpeed:
    async def test_a_session_is_played_at_a_multiple_of_its_own_pace(self, real_data: Path) -> None:
        side = SIDES["OKX"](recorded(real_data / "market" / "ws" / "OKX.jsonl.zst"), ["BTC-USDT"], 20)
        recorded_seconds = (side.frames[-1].at_ns - side.frames[0].at_ns) / 1e9
        assert recorded_seconds > 1
        async with (
            ReplayServer(side, speed=20.0) as server,
            aiohttp.ClientSession() as http,
            http.ws_connect(f"ws://{server.address}") as socket,
        ):
            started = asyncio.get_running_loop().time()
            await socket.send_str('{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}')
            await asyncio.wait_for(server.finished.wait(), 30)

            took = asyncio.get_running_loop().time() - started
            assert took >= recorded_seconds / 20.0
