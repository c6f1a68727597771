"""The application under attack, on a real server where the attack is below HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from litestar import Litestar
from tests.nodes import LOCAL, Node, Owner, end, make_owner
from tests.security.hostile import attacked, tls_files  # noqa: F401 - fixtures
from tests.security.surface import Surface

from agio.app.node import Node as AppNode
from agio.app.wiring import Api, build_api
from agio.identity.authentication import KeyAuthenticator
from agio.identity.revocations import KeyWatch
from agio.identity.settings import IdentitySettings
from agio.ledger.service import LedgerService
from agio.marketdata.instruments import InstrumentDirectory, InstrumentRegistry
from agio.ops.health import ReadinessChecks, bus_check, database_check
from agio.ops.metrics import Metrics
from agio.ops.routes import build_router as build_ops_router
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.config import Settings
from agio.platform.db import Database
from agio.platform.http.server import BoundedHttpProtocol
from agio.streaming.protocol import make_protocol

# One test sends more bad keys than a real address may.
PATIENT = IdentitySettings(failures_allowed=10_000)


@asynccontextmanager
async def serve(app: Litestar, ws: type[asyncio.Protocol] | str = "none") -> AsyncIterator[int]:
    """A real server without TLS on a free port."""
    config = uvicorn.Config(
        app,
        host=LOCAL,
        port=0,
        http=BoundedHttpProtocol,
        ws=ws,  # type: ignore[arg-type]
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="critical",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    connection = Bus(nats_url, name="test-security")
    await connection.open()
    yield connection
    await connection.close()


@pytest.fixture
async def node(app_database: Database, bus: Bus) -> AsyncIterator[Node]:
    checks = ReadinessChecks({"database": database_check(app_database), "bus": bus_check(bus)})
    routers = [build_ops_router(checks, Metrics("api", "test"))]
    async with Node(app_database, bus, routers, PATIENT) as running:
        yield running


@pytest.fixture
async def owner(node: Node) -> Owner:
    return await make_owner(node)


@pytest.fixture
async def port(node: Node) -> AsyncIterator[int]:
    """Identity and operations on a real server."""
    async with serve(node.app) as number:
        yield number


@pytest.fixture
async def api(
    app_database: Database, engine_database: Database, bus: Bus, tmp_path: Path
) -> AsyncIterator[Api]:
    """The whole application as it is wired, with instruments and without an engine."""
    clock = SystemClock()
    directory = InstrumentDirectory(engine_database, clock)
    ledger = LedgerService(engine_database, clock)
    await InstrumentRegistry(engine_database, ledger, directory).ensure_instruments()
    wired = build_api(AppNode(Settings(data_dir=tmp_path, market="none"), clock, app_database, bus))
    for prepare in wired.prepare:
        await prepare()
    tasks = [asyncio.ensure_future(work()) for work in wired.background]
    yield wired
    await wired.gateway.stop()
    await end(tasks)


@pytest.fixture
def surface(api: Api) -> Surface:
    return Surface(api.app, api.channels, api.identity)


@pytest.fixture
async def stream_port(api: Api) -> AsyncIterator[int]:
    """The whole application, streams included, on a real server."""
    async with serve(api.app, make_protocol(api.gateway)) as number:
        yield number


@pytest.fixture
def authenticator(app_database: Database, bus: Bus) -> KeyAuthenticator:
    """As a node that opens streams has one."""
    clock = SystemClock()
    return KeyAuthenticator(app_database, clock, KeyWatch(app_database, bus, clock))
