"""The application under attack, on a real server where the attack is below HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import uvicorn

from agio.identity.authentication import KeyAuthenticator
from agio.identity.settings import IdentitySettings
from agio.ops.health import ReadinessChecks, bus_check, database_check
from agio.ops.metrics import Metrics
from agio.ops.routes import build_router as build_ops_router
from agio.platform.bus import Bus
from agio.platform.db import Database
from agio.platform.http.server import BoundedHttpProtocol
from tests.nodes import LOCAL, Node, Owner, make_owner
from tests.security.surface import Surface

# The matrix sends more bad keys than a real address may.
PATIENT = IdentitySettings(failures_allowed=10_000)


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
    """A real server without TLS; its port."""
    config = uvicorn.Config(
        node.app,
        host=LOCAL,
        port=0,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="critical",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    with suppress(asyncio.CancelledError):
        await serving


@pytest.fixture
async def surface(node: Node) -> Surface:
    """The whole application where it can be built, without any engine behind it."""
    return Surface(node.app, [], node.service)


@pytest.fixture
def authenticator(node: Node) -> KeyAuthenticator:
    return node.authenticator
