"""Two API processes on one port: either serves everything, they know each other, and restart in turn."""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.e2e.customer import service_of

from agio.app.run_state import RunFolder
from agio.platform.tls import client_context
from benchmarks.harness import Platform

NAMES = ("api-1", "api-2")
CHANNEL = "trades:BTC-USD"
PATIENCE_SECONDS = 90
MANY = 24
"""Connections that one of two processes gets all of once in 2^23 runs."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    environment = {**os.environ, "AGIO_API_PROCESSES": "2"}
    platform = Platform.start(tmp_path_factory.mktemp("processes"), environment=environment)
    yield platform
    platform.stop()


class Caller:
    """Opens a TCP connection of its own for every request and every stream."""

    def __init__(self, platform: Platform, http: aiohttp.ClientSession, tls: ssl.SSLContext) -> None:
        self._url, self._http, self._tls = platform.url, http, tls

    async def request(self, method: str, path: str) -> Any:
        """Ask, again while a process is too busy to answer the other one."""
        while True:
            async with self._http.request(method, f"{self._url}{path}", ssl=self._tls) as answer:
                text = await answer.text()
            if answer.status != 503:
                assert answer.status < 300, text
                return msgspec.json.decode(text) if text else None

    async def connection_ids(self) -> set[str]:
        page = await self.request("GET", "/api/stream/connections?limit=1000")
        return {item["connection_id"] for item in page["items"]}

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self._http.ws_connect(f"{self._url}/stream", ssl=self._tls) as socket:
            yield socket


@asynccontextmanager
async def calling(platform: Platform) -> AsyncIterator[Caller]:
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    headers = {"Authorization": f"Bearer {platform.api_key}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        yield Caller(platform, http, client_context(platform.ca_file))  # type: ignore[arg-type]


async def receive(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    message = await socket.receive(PATIENCE_SECONDS)
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise ConnectionError(f"{message.type.name} {socket.close_code}")
    content = msgspec.json.decode(message.data)
    return content if isinstance(content, list) else [content]


class Follower:
    """Follows a log over one connection after the other, and resumes where it was."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.position: dict[str, object] | None = None
        self.sequences: list[int] = []
        self.connections = 0

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except (aiohttp.ClientError, ConnectionError, OSError):
                await asyncio.sleep(0.05)

    async def _follow(self) -> None:
        async with self._caller.stream() as socket:
            self.connections += 1
            request = {"ch": CHANNEL, **({"from": self.position} if self.position else {})}
            await socket.send_str(msgspec.json.encode({"id": 1, "op": "sub", "ch": [request]}).decode())
            while True:
                for message in await receive(socket):
                    self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if "subs" in message:
            if any(refusal["retry"] for refusal in message["errs"]):
                raise ConnectionError(message["errs"])
            (told,) = message["subs"]
            assert told.get("recovered", True), told
            self.position = self.position or {"epoch": told["epoch"], "seq": told["seq"]}
        elif "op" not in message:
            assert self.position is not None
            self.sequences.append(message["q"])
            self.position = {**self.position, "seq": message["q"]}


async def test_presence_tells_of_both_and_reaches_either(platform: Platform) -> None:
    async with calling(platform) as caller, asyncio.timeout(PATIENCE_SECONDS):
        opened: dict[str, aiohttp.ClientWebSocketResponse] = {}
        async with asyncio.TaskGroup() as group:
            done = asyncio.Event()

            async def hold() -> None:
                async with caller.stream() as socket:
                    (welcome,) = await receive(socket)
                    opened[welcome["conn"]] = socket
                    await done.wait()

            for _ in range(MANY):
                group.create_task(hold())
            while len(opened) < MANY:
                await asyncio.sleep(0.05)
            # A process that is too slow to answer the other one is left out of a list.
            complete = 0
            while complete < 6:
                complete += set(opened) <= await caller.connection_ids()
            for connection_id in opened:
                await caller.request("DELETE", f"/api/stream/connections/{connection_id}")
            for socket in opened.values():
                while not socket.closed:
                    await socket.receive(PATIENCE_SECONDS)
            done.set()

        assert {socket.close_code for socket in opened.values()} == {4011}


async def test_processes_restart_in_turn_and_streams_go_on(platform: Platform) -> None:
    before = {name: service_of(platform, name).pid for name in NAMES}
    async with calling(platform) as caller, asyncio.timeout(PATIENCE_SECONDS):
        followers = [Follower(caller) for _ in range(8)]
        tasks = [asyncio.create_task(follower.run()) for follower in followers]
        while not all(follower.sequences for follower in followers):
            await asyncio.sleep(0.05)
        restart = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agio", "restart", "--data-dir", str(platform.data_dir)),
            stdout=asyncio.subprocess.PIPE,
        )
        ended = asyncio.create_task(restart.communicate())
        while not ended.done():
            state = RunFolder(platform.data_dir).running()
            assert state is not None
            assert any(service.is_api and service.status == "ready" for service in state.services)
            await asyncio.sleep(0.05)
        said = (await ended)[0].decode()
        assert restart.returncode == 0
        assert [line.split()[1] for line in said.splitlines()] == list(NAMES)
        for name in NAMES:
            now = service_of(platform, name)
            assert now.status == "ready"
            assert now.pid != before[name]
        told = [len(follower.sequences) for follower in followers]
        while any(len(f.sequences) < count + 5 for f, count in zip(followers, told, strict=True)):
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert any(follower.connections > 1 for follower in followers)
    for follower in followers:
        first, last = follower.sequences[0], follower.sequences[-1]
        assert follower.sequences == list(range(first, last + 1))
