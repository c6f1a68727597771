"""A real uvicorn with TLS, a real NATS, and channels in memory."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
import uvicorn
import uvloop
from litestar import Litestar
from prometheus_client import CollectorRegistry
from tests.unit.streaming.fakes import (
    FakeAuthenticator,
    FakeRevocations,
    MemoryBook,
    MemoryLog,
    MemoryState,
    encode,
)

from agio.identity.access import AccessGuard, provide_principal
from agio.identity.api import Policy
from agio.platform.bus import Bus
from agio.platform.channels import ChannelKind, Push
from agio.platform.clock import SystemClock
from agio.platform.http.app import create_app
from agio.platform.http.server import BoundedHttpProtocol
from agio.platform.tls import TlsFiles, client_context, ensure_local_certificates, ssl_context
from agio.streaming.gateway import Gateway
from agio.streaming.protocol import StreamProtocol, make_protocol
from agio.streaming.routes import build_router
from agio.streaming.settings import StreamingSettings


@asynccontextmanager
async def serve(
    protocol: type[StreamProtocol], tls: TlsFiles | None, application: Litestar | None = None
) -> AsyncIterator[int]:
    """Uvicorn on a free loopback port; TLS 1.3 when certificates are given."""

    async def no_application(scope: object, receive: object, send: object) -> None:
        raise AssertionError("streams never reach the application")

    config = uvicorn.Config(
        application or no_application,
        host="127.0.0.1",
        port=0,
        http=BoundedHttpProtocol,
        ws=protocol,
        lifespan="off",
        log_config=None,
        loop="none",
    )
    config.load()
    if tls is not None:
        config.ssl = ssl_context(tls.certificate, tls.key)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


GOOD = "good"
PATIENCE_SECONDS = 30.0
"""How long anything may take on a machine that others use."""
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class World:
    """Everything that a test of the edge needs to hand."""

    def __init__(self, bus: Bus, settings: StreamingSettings) -> None:
        self.bus = bus
        self.trades = MemoryLog()
        self.orders = MemoryLog("orders", ("acc_1", "acc_2"), scope="orders:read")
        self.balances = MemoryState()
        self.book = MemoryBook()
        self.authenticator = FakeAuthenticator()
        self.revocations = FakeRevocations()
        self.pressure: list[bool] = []
        kinds: list[ChannelKind] = [self.trades, self.orders, self.balances, self.book]
        self.gateway = Gateway(
            bus,
            kinds,
            self.authenticator,
            SystemClock(),
            revocations=self.revocations,
            settings=settings,
            registry=CollectorRegistry(),
            sources=lambda: {"TEST": "live"},
            on_pressure=self.pressure.append,
        )
        self.port = 0
        self.tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def connect(
        self, path: str = "/stream", token: str | None = GOOD, **options: object
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        headers = dict(options.pop("headers", {}))  # type: ignore[call-overload]
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(
                f"https://127.0.0.1:{self.port}{path}",
                ssl=self.tls,
                headers=headers,
                max_msg_size=0,
                **options,
            ) as socket,
        ):
            yield socket

    async def until_followed(self, channel: str) -> None:
        """Wait until a connection is told of what happens on a channel."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(session.subscriptions.get(channel) for session in self.gateway.sessions):
                await asyncio.sleep(0.01)

    async def publish(self, name: str, key: str, pushes: list[Push]) -> None:
        await self.bus.publish(f"test.{name}.{key}", encode(pushes))


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    """The loop that production runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return ensure_local_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def streaming_settings() -> StreamingSettings:
    return StreamingSettings(
        allowed_origins=("https://friend.example",),
        verify_seconds=0.2,
        authentication_seconds=PATIENCE_SECONDS,
    )


@pytest.fixture
async def world(
    nats_url: str, tls_files: TlsFiles, streaming_settings: StreamingSettings
) -> AsyncIterator[World]:
    bus = Bus(nats_url, name="test-streaming")
    await bus.open()
    world = World(bus, streaming_settings)
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
        yield world
        await world.gateway.stop()
    await bus.close()


async def receive(
    socket: aiohttp.ClientWebSocketResponse, seconds: float = PATIENCE_SECONDS
) -> list[dict[str, object]]:
    """The messages of the next frame."""
    message = await socket.receive(seconds)
    if message.type is aiohttp.WSMsgType.TEXT:
        content = msgspec.json.decode(message.data)
    elif message.type is aiohttp.WSMsgType.BINARY:
        content = msgspec.msgpack.decode(message.data)
    else:
        raise ConnectionError(f"{message.type.name} {socket.close_code} {message.extra}")
    return content if isinstance(content, list) else [content]


async def receive_one(socket: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    (message,) = await receive(socket)
    return message


async def subscribe(
    socket: aiohttp.ClientWebSocketResponse, *channels: object, message_id: int = 1
) -> dict[str, object]:
    """Subscribe and return the answer; whatever comes before it must be the welcome."""
    await socket.send_str(msgspec.json.encode({"id": message_id, "op": "sub", "ch": channels}).decode())
    while True:
        answer = await receive_one(socket)
        if "subs" in answer:
            return answer
        assert answer["op"] == "welcome"


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read until the server ends the connection."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not socket.closed:
            await socket.receive()
    return socket.close_code
