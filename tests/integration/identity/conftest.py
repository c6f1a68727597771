import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from litestar import Litestar

from agio.identity.access import AccessGuard, provide_principal
from agio.identity.api import SCOPES, Policy, Principal
from agio.identity.authentication import KeyAuthenticator
from agio.identity.revocations import KeyWatch
from agio.identity.routes import build_router
from agio.identity.service import IdentityService, IssuedKey
from agio.kernel.ids import OrganisationId
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.http import create_app

LOCAL = "127.0.0.1"


class Node:
    """One process' worth of identity: service, authenticator, watch and the HTTP application."""

    def __init__(self, database: Database, bus: Bus) -> None:
        clock = SystemClock()
        self.watch = KeyWatch(database, bus, clock)
        self.authenticator = KeyAuthenticator(database, clock, self.watch)
        self.service = IdentityService(database, clock, bus)
        self.app: Litestar = create_app(
            [build_router(self.service)],
            guards=[AccessGuard(self.authenticator, Policy())],
            dependencies={"principal": provide_principal()},
            version="test",
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://localhost")
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Node":
        self._tasks = [asyncio.create_task(self.watch.run()), asyncio.create_task(self.authenticator.run())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Owner:
    """An organisation with a key that may do everything."""

    def __init__(self, issued: IssuedKey, principal: Principal) -> None:
        self.organisation_id = principal.organisation_id
        self.key_id = issued.key.key_id
        self.secret = issued.secret
        self.principal = principal
        self.headers = {"Authorization": f"Bearer {issued.secret}"}


async def make_owner(node: Node, name: str = "Acme", **options: object) -> Owner:
    organisation_id: OrganisationId = await node.service.create_organisation(name)
    issued = await node.service.issue_key(
        organisation_id, "sandbox", list(SCOPES), name="owner", **options  # type: ignore[arg-type]
    )
    return Owner(issued, await node.authenticator.authenticate(issued.secret, LOCAL))


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    connection = Bus(nats_url, name="test-identity")
    await connection.open()
    yield connection
    await connection.close()


@pytest.fixture
async def node(app_database: Database, bus: Bus) -> AsyncIterator[Node]:
    async with Node(app_database, bus) as running:
        yield running


@pytest.fixture
async def owner(node: Node) -> Owner:
    return await make_owner(node)
