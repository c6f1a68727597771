from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from tests.integration.marketdata.feeds.world import eventually
from tests.integration.marketdata.world import ApiNode, Engine, write_tape

from agio.marketdata.api import Trade
from agio.marketdata.routes import build_router
from agio.marketdata.service import MarketDataService
from agio.marketdata.settings import MarketDataSettings
from agio.platform.bus import Bus
from agio.platform.db import Database
from agio.platform.http import create_app

SECOND = 1_000_000_000
START = 1_378_054_800 * SECOND  # 2013-09-01T17:00:00Z


@pytest.fixture
async def engine(engine_database: Database, bus: Bus) -> AsyncIterator[Engine]:
    async with Engine(engine_database, bus) as running:
        yield running


@pytest.fixture
async def client(
    engine: Engine, app_database: Database, bus: Bus, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    settings = MarketDataSettings(market="sim", replay_dirs=(tmp_path,))
    node = ApiNode(app_database, bus, settings)
    await node.view.start()
    service = MarketDataService(app_database, node.directory, node.view, node.requests, settings)
    app = create_app([build_router(service, settings)], guards=[], dependencies={}, version="test")
    async with client_of(app) as running:
        yield running


def client_of(app: Litestar) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def get(client: httpx.AsyncClient, path: str, status: int = 200, **query: object) -> Any:
    response = await client.get(f"/api{path}", params={name: str(value) for name, value in query.items()})
    assert response.status_code == status, response.text
    return response.json()


def trades(count: int) -> list[Trade]:
    return [
        Trade(START + n * SECOND // 2, 6_400_000 + n, 1_000_000, 1 + n % 2, f"t{n}") for n in range(count)
    ]


class TestInstruments:
    async def test_listed_in_order_with_pages(self, client: httpx.AsyncClient) -> None:
        first = await get(client, "/instruments", limit=3)
        second = await get(client, "/instruments", limit=3, cursor=first["next_cursor"])

        assert [one["symbol"] for one in first["items"] + second["items"]] == [
            "ACME-USD",
            "BTC-USD",
            "ETH-USD",
            "EUR-USD",
        ]
        assert second["next_cursor"] is None
        assert (first["items"][1]["tick_size"], first["items"][1]["lot_size"]) == ("1.00", "0.01000000")

    async def test_a_poll_is_answered_by_304(self, client: httpx.AsyncClient) -> None:
        for path in ("/api/instruments", "/api/instruments/BTC-USD"):
            tag = (await client.get(path)).headers["ETag"]
            assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304

    @pytest.mark.parametrize("symbol", ["DOGE-USD", "btc-usd", "%27%3B--", "A" * 200])
    async def test_an_unknown_symbol_is_404_everywhere(self, client: httpx.AsyncClient, symbol: str) -> None:
        for path in ("", "/trades", "/trades/latest", "/quote", "/book", "/bars"):
            area = "/market" if path else "/instruments"
            problem = await get(client, f"{area}/{symbol}{path}", 404)
            assert problem["code"] == "unknown_instrument"


class TestTrades:
    async def test_pages_give_every_trade_once_in_order(
        self, client: httpx.AsyncClient, engine: Engine
    ) -> None:
        await engine.recorder.append("BTC-USD", trades(250))
        seen, cursor = [], None
        while True:
            query = {"limit": 60} | ({"cursor": cursor} if cursor else {})
            page = await get(client, "/market/BTC-USD/trades", **query)
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break

        assert [item["seq"] for item in seen] == list(range(1, 251))
        assert seen[0] == {
            "seq": 1,
            "price": "64000.00",
            "size": "0.01000000",
            "side": "buy",
            "venue_time": "2013-09-01T17:00:00.000000Z",
            "id": "t0",
        }
        assert await get(client, "/market/BTC-USD/trades/latest") == seen[-1]

    async def test_a_span_of_venue_time_and_a_sequence(
        self, client: httpx.AsyncClient, engine: Engine
    ) -> None:
        await engine.recorder.append("BTC-USD", trades(100))

        span = await get(
            client,
            "/market/BTC-USD/trades",
            start="2013-09-01T17:00:10Z",
            end="2013-09-01T19:00:12+02:00",
            after_seq=21,
        )

        assert [item["seq"] for item in span["items"]] == [22, 23, 24]

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"limit": 0}, "invalid_request"),
            ({"limit": 1001}, "invalid_request"),
            ({"limit": "x"}, "invalid_request"),
            *[
                ({"limit": text}, "invalid_request")
                for text in ("1e2", "1_0", " 5", "+5", "5.0", "0x5", "\u0665", "")
            ],
            ({"after_seq": "1e2"}, "invalid_request"),
            ({"after_seq": -1}, "invalid_request"),
            ({"after_seq": 10**30}, "invalid_request"),
            ({"start": "yesterday"}, "invalid_request"),
            ({"start": "2013-09-01T17:00:00"}, "invalid_request"),
            ({"cursor": "!!"}, "invalid_cursor"),
            ({"cursor": "e30"}, "invalid_cursor"),
        ],
    )
    async def test_wrong_parameters_are_422(
        self, client: httpx.AsyncClient, query: dict[str, object], code: str
    ) -> None:
        assert (await get(client, "/market/BTC-USD/trades", 422, **query))["code"] == code

    async def test_times_at_the_ends_of_the_calendar_are_fine(self, client: httpx.AsyncClient) -> None:
        page = await get(
            client, "/market/BTC-USD/trades", start="0001-01-01T00:00:00Z", end="9999-12-31T23:59:59Z"
        )

        assert page == {"items": [], "next_cursor": None}

    async def test_a_cursor_of_another_list_is_refused(
        self, client: httpx.AsyncClient, engine: Engine
    ) -> None:
        await engine.recorder.append("BTC-USD", trades(10))
        page = await get(client, "/market/BTC-USD/trades", limit=5)

        await get(client, "/market/ETH-USD/trades", 422, cursor=page["next_cursor"])

    async def test_before_the_first_trade_there_is_none(self, client: httpx.AsyncClient) -> None:
        assert (await get(client, "/market/BTC-USD/trades/latest", 404))["code"] == "no_market_data"


class TestBars:
    async def test_pages_give_every_bar_and_the_one_in_progress(
        self, client: httpx.AsyncClient, engine: Engine
    ) -> None:
        await engine.recorder.append("BTC-USD", trades(21))
        seen, cursor = [], None
        while True:
            query = {"cursor": cursor} if cursor else {"start": "2013-01-01T00:00:00Z"}
            page = await get(client, "/market/BTC-USD/bars", interval="1s", limit=4, **query)
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break

        assert len(seen) == 11
        assert [bar["is_final"] for bar in seen] == [True] * 10 + [False]
        assert seen[0] == {
            "interval": "1s",
            "start": "2013-09-01T17:00:00.000000Z",
            "open": "64000.00",
            "high": "64000.01",
            "low": "64000.00",
            "close": "64000.01",
            "volume": "0.02000000",
            "vwap": "64000.005000",
            "trades": 2,
            "revision": 0,
            "is_final": True,
        }

    async def test_without_a_start_the_newest_come(self, client: httpx.AsyncClient, engine: Engine) -> None:
        await engine.recorder.append("BTC-USD", trades(21))

        page = await get(client, "/market/BTC-USD/bars", interval="1s", limit=3)

        starts = [bar["start"][17:19] for bar in page["items"]]
        assert (starts, page["next_cursor"]) == (["08", "09", "10"], None)

    async def test_an_unknown_interval_is_422(self, client: httpx.AsyncClient) -> None:
        assert (await get(client, "/market/BTC-USD/bars", 422, interval="7x"))["field"] == "interval"


class TestQuoteAndBook:
    async def test_what_the_engine_told_last(self, client: httpx.AsyncClient, engine: Engine) -> None:
        engine.publisher.publish_quote(
            "BTC-USD", bid=6_399_900, bid_size=2_000_000, ask=0, ask_size=0, venue_time_ns=START
        )
        engine.publisher.publish_book(
            "BTC-USD",
            bids=[(6_399_900, 2_000_000), (6_399_800, 1_000_000)],
            asks=[],
            venue_time_ns=START,
        )
        await eventually(lambda: engine.publisher.snapshot("BTC-USD").quote is not None)
        await eventually(lambda: engine.publisher.snapshot("BTC-USD").book is not None)

        quote = await get(client, "/market/BTC-USD/quote")
        book = await get(client, "/market/BTC-USD/book", depth=1)

        assert (quote["bid"], quote["bid_size"], quote["ask"]) == ("63999.00", "0.02000000", None)
        assert (book["bids"], book["asks"]) == ([["63999.00", "0.02000000"]], [])

    async def test_before_anything_was_told_it_is_404(self, client: httpx.AsyncClient) -> None:
        assert (await get(client, "/market/ETH-USD/book", 404))["code"] == "no_market_data"
        assert (await get(client, "/market/ETH-USD/quote", 404))["code"] == "no_market_data"

    async def test_a_depth_of_nothing_is_422(self, client: httpx.AsyncClient) -> None:
        await get(client, "/market/BTC-USD/book", 422, depth=0)


class TestWithoutAnEngine:
    async def test_a_book_is_unavailable_and_trades_are_there(
        self, app_database: Database, engine_database: Database, bus: Bus
    ) -> None:
        async with Engine(engine_database, bus) as engine:
            await engine.recorder.append("BTC-USD", trades(3))
        node = ApiNode(app_database, bus)
        service = MarketDataService(app_database, node.directory, node.view, node.requests, node.settings)
        app = create_app([build_router(service, node.settings)], guards=[], dependencies={}, version="test")
        async with client_of(app) as client:
            problem = await get(client, "/market/BTC-USD/book", 503)
            page = await get(client, "/market/BTC-USD/trades")

        assert problem["code"] == "market_data_unavailable"
        assert len(page["items"]) == 3


class TestReplays:
    async def test_a_tape_is_played_and_shows_in_the_status(
        self, client: httpx.AsyncClient, engine: Engine, tmp_path: Path
    ) -> None:
        write_tape(tmp_path / "rest.csv", 600)
        body = {"path": str(tmp_path / "rest.csv"), "speed": 0}
        created = await client.post("/api/market/replays", json=body)
        assert created.status_code == 201, created.text
        replay_id = created.json()["replay_id"]
        await engine.finished(await engine.requests.get(replay_id))

        replay = await get(client, f"/market/replays/{replay_id}")
        status = await get(client, "/market/status")

        assert (replay["state"], replay["done"], replay["file"]) == ("done", 600, "rest.csv")
        assert status["market"] == "sim"
        assert status["replay"]["replay_id"] == replay_id
        assert (await get(client, "/instruments/REST"))["venue"] == "TAPE"
        assert len((await get(client, "/market/REST/trades", limit=1000))["items"]) == 600

    async def test_a_broken_line_is_named_in_the_problem(
        self, client: httpx.AsyncClient, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.csv").write_text("DateTime,Price,Volume\n2013-09-01 17:00:00,1.00,1\nrubbish\n")

        answer = await client.post("/api/market/replays", json={"path": str(tmp_path / "bad.csv")})

        assert (answer.status_code, answer.json()["code"], answer.json()["line"]) == (422, "invalid_tape", 3)

    @pytest.mark.parametrize(
        "body",
        [
            {"path": "/etc/passwd"},
            {"path": "/dev/zero"},
            {"path": "tape.csv"},
            {"path": ""},
            {"path": "/etc", "speed": 1},
        ],
    )
    async def test_paths_outside_the_folders_are_422(
        self, client: httpx.AsyncClient, body: dict[str, object]
    ) -> None:
        answer = await client.post("/api/market/replays", json=body)

        assert (answer.status_code, answer.json()["code"]) == (422, "tape_not_allowed")

    async def test_an_unknown_replay_is_404(self, client: httpx.AsyncClient) -> None:
        assert (await get(client, "/market/replays/rpl_x", 404))["code"] == "unknown_replay"
        assert (await client.delete("/api/market/replays/rpl_x")).status_code == 404
