"""`agio up --market live:...` against a replayed venue, seen as a customer sees it."""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from tests.integration.marketdata.feeds.replay_server import Fault, ReplayServer
from tests.integration.marketdata.feeds.venues import SIDES
from tests.integration.marketdata.feeds.world import recorded
from tests.integration.marketdata.live.world import Subscriber

from agio.platform.channels import Push
from benchmarks.harness import Platform

SYMBOL = "KRAKEN-XMR-USD"
PATIENCE_SECONDS = 120


class Customer:
    """Plain HTTP and a plain WebSocket with the operator's key."""

    def __init__(self, platform: Platform, http: aiohttp.ClientSession) -> None:
        self._platform = platform
        self._http = http

    async def get(self, path: str) -> tuple[int, Any]:
        async with self._http.get(f"{self._platform.url}{path}") as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        async with self._http.post(f"{self._platform.url}{path}", json=body) as answer:
            return answer.status, await answer.json()

    async def until_found(self, path: str) -> Any:
        while (answer := await self.get(path))[0] != 200:
            await asyncio.sleep(0.05)
        return answer[1]

    async def follow_book(self, subscriber: Subscriber, is_over: asyncio.Event) -> None:
        """Believe what the socket tells until the reference's book is reached."""
        async with self._http.ws_connect(f"{self._platform.url}/stream") as socket:
            await socket.receive_json()
            await socket.send_json({"id": 1, "op": "sub", "ch": [{"ch": f"book:{SYMBOL}", "tier": "raw"}]})
            assert (await socket.receive_json())["subs"]
            while not is_over.is_set():
                told = await socket.receive_json()
                for push in told if isinstance(told, list) else [told]:
                    if "d" in push:
                        is_whole = push.get("op") == "snap"
                        content = msgspec.json.encode(push["d"])
                        previous = None if is_whole else push["p"]
                        subscriber.take(Push(push["q"], 0, content, p=previous, crc=push["crc"]))


async def test_a_live_venue_from_its_socket_to_a_subscriber(real_data: Path, tmp_path: Path) -> None:
    """Subscribe, snapshot, updates, a wrong checksum, resync: the subscriber's book is the venue's."""
    side = SIDES["KRAKEN"](recorded(real_data / "market" / "ws" / "KRAKEN.jsonl.zst"), ["XMR/USD"], 300)
    subscriber, is_over = Subscriber(), asyncio.Event()
    async with ReplayServer(side, (Fault(60, "corrupt"),)) as server:
        server.is_settled = lambda: subscriber.doubt is None
        environment = {**os.environ, "AGIO_FEED_URL_KRAKEN": f"ws://{server.address}"}
        platform = await asyncio.to_thread(
            Platform.start, tmp_path, "--market", "live:kraken:XMR/USD", environment=environment
        )
        try:
            assert platform.symbols == [SYMBOL]
            connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=platform.ca_file))
            headers = {"Authorization": f"Bearer {platform.api_key}"}
            async with (
                asyncio.timeout(PATIENCE_SECONDS),
                aiohttp.ClientSession(connector=connector, headers=headers) as http,
            ):
                await _look(Customer(platform, http), platform, server, subscriber, is_over)
        finally:
            await asyncio.to_thread(platform.stop)


async def _look(
    customer: Customer,
    platform: Platform,
    server: ReplayServer,
    subscriber: Subscriber,
    is_over: asyncio.Event,
) -> None:
    instrument = await customer.until_found(f"/api/instruments/{SYMBOL}")
    assert (instrument["status"], instrument["venue"]) == ("data_only", "KRAKEN")
    following = asyncio.create_task(customer.follow_book(subscriber, is_over))
    scales = (instrument["price_scale"], instrument["quantity_scale"])
    while not server.finished.is_set() or subscriber.top(*scales, 10) != server.side.references[
        "XMR/USD"
    ].top(10):
        assert not following.done() or following.result() is None
        await asyncio.sleep(0.05)
    following.cancel()
    # The gateway answers a withdrawal with the book as it is by then: withdrawn, or new already. And the
    # replayed venue says nothing while it waits for us: on a slow machine that reads as stale.
    assert subscriber.wholes >= 2
    assert {doubt.partition(":")[0] for doubt in subscriber.doubts} <= {"bad_checksum", "gap"}

    # The engine tells of its sources once a second.
    source: dict[str, Any] | None = None
    while source is None or source["bad_checksums"] < 1 or source["symbols"][0]["book"] != "ok":
        await asyncio.sleep(0.1)
        source = next(iter((await customer.get("/api/market/status"))[1]["sources"]), None)
    assert (source["source"], source["state"], source["bad_checksums"]) == ("KRAKEN", "live", 1)
    assert source["resyncs"] >= 1

    order = {
        "account_id": platform.account_id,
        "symbol": SYMBOL,
        "side": "buy",
        "type": "market",
        "quantity": "1",
    }
    status, problem = await customer.post("/api/orders", order)
    assert (status, problem["code"]) == (409, "instrument_not_tradable")
