"""A gateway behind TLS that is attacked, and a bystander who must not notice anything."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest
from tests.integration.streaming.conftest import GOOD, World, receive, serve, subscribe
from tests.integration.streaming.test_hostile_peers import RawPeer

from agio.identity.access import AccessGuard, provide_principal
from agio.identity.api import Policy
from agio.platform.bus import Bus
from agio.platform.http.app import create_app
from agio.platform.tls import TlsFiles, client_context, ensure_local_certificates
from agio.streaming.protocol import make_protocol
from agio.streaming.routes import build_router
from agio.streaming.settings import MIB, StreamingSettings

HEAD = (
    "GET /stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n"
)
TEXT, PING, PONG, CONTINUATION = 1, 9, 10, 0
GROWTH_BYTES = 64 * MIB
"""How much more memory the process may have during an attack; a bomb would need hundreds."""
SETTINGS = StreamingSettings(
    allowed_origins=("https://friend.example",),
    may_compress=True,
    verify_seconds=0.2,
    authentication_seconds=60.0,
    queue_seconds=60.0,
    close_seconds=1.5,
    max_connections_per_key=4,
    max_unauthenticated_per_address=6,
    open_burst=600,
)


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return ensure_local_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def attacked(request: pytest.FixtureRequest, bus: Bus, tls_files: TlsFiles) -> AsyncIterator[World]:
    """The gateway, with the bystander reading until the test is over; a parameter is other settings."""
    world = World(bus, getattr(request, "param", SETTINGS))
    await world.gateway.start()
    application = create_app(
        [build_router(world.gateway)],
        guards=[AccessGuard(world.authenticator, Policy())],
        dependencies={"principal": provide_principal()},
        version="0",
    )
    async with serve(make_protocol(world.gateway), tls_files, application) as port:
        world.port = port
        world.tls = client_context(Path(tls_files.ca_file))
        async with undisturbed(world):
            yield world
        await world.gateway.stop()


@asynccontextmanager
async def undisturbed(world: World) -> AsyncIterator[None]:
    """A bystander gets every message in order, and the process does not grow, whatever happens inside."""
    process = psutil.Process()
    before = process.memory_info().rss
    async with world.connect(token="twin") as socket:
        await subscribe(socket, "trades:ES")
        publishing = asyncio.create_task(publish_for_ever(world))
        reading = asyncio.create_task(read_in_order(socket, world))
        try:
            yield
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        async with asyncio.timeout(60):
            assert await reading == list(range(1, len(world.trades.history) + 1))
    assert process.memory_info().rss - before < GROWTH_BYTES


async def publish_for_ever(world: World) -> None:
    while True:
        for batch in world.trades.trades(3, batch=3):
            await world.publish("trades", "ES", batch)
        await asyncio.sleep(0.01)


async def read_in_order(socket: aiohttp.ClientWebSocketResponse, world: World) -> list[object]:
    """Sequences up to the last one there is, once publishing has ended."""
    seen: list[object] = []
    while True:
        try:
            seen += [message["q"] for message in await receive(socket, 0.5) if "q" in message]
        except TimeoutError:
            if len(seen) >= len(world.trades.history):
                return seen


@asynccontextmanager
async def open_raw(world: World) -> AsyncIterator[RawPeer]:
    """A TLS connection on which nothing has been said."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", world.port, ssl=world.tls, server_hostname="127.0.0.1"
    )
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.transport.abort()


def handshake(world: World, token: str | None, *more: str) -> bytes:
    headers = [*more, f"Authorization: Bearer {token}"] if token is not None else [*more]
    key = base64.b64encode(os.urandom(16)).decode()
    text = "".join(f"{header}\r\n" for header in headers)
    return HEAD.format(host=f"127.0.0.1:{world.port}", key=key, more=text).encode()


@asynccontextmanager
async def upgraded(world: World, token: str | None = GOOD, *more: str) -> AsyncIterator[RawPeer]:
    async with open_raw(world) as peer:
        peer.writer.write(handshake(world, token, *more))
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        yield peer


async def read_answers(peer: RawPeer) -> list[dict[str, object]]:
    """Messages of the server until it closes; the code is the last one's `close`."""
    found: list[dict[str, object]] = []
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            first, length = await peer.reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await peer.reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await peer.reader.readexactly(8), "big")
            payload = await peer.reader.readexactly(length)
            if first & 0x0F == 8:
                found.append({"close": int.from_bytes(payload[:2], "big"), "reason": payload[2:].decode()})
            elif first & 0x0F in {1, 2}:
                decode = msgspec.json.decode if first & 0x0F == TEXT else msgspec.msgpack.decode
                content = decode(payload)
                found += content if isinstance(content, list) else [content]
    return found
