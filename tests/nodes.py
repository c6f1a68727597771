"""One process' worth of identity, and an organisation that owns a key, for tests."""

import asyncio
from collections.abc import Sequence

import httpx
from litestar import Litestar
from litestar.types import ControllerRouterHandler

from agio.identity.access import AccessGuard, provide_principal
from agio.identity.api import SCOPES, Policy, Principal
from agio.identity.authentication import KeyAuthenticator
from agio.identity.revocations import KeyWatch
from agio.identity.routes import build_router
from agio.identity.service import IdentityService, IssuedKey
from agio.identity.settings import IdentitySettings
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.http import create_app

LOCAL = "127.0.0.1"


async def end(tasks: Sequence["asyncio.Future[None]"]) -> None:
    """Cancel tasks until they end: drivers turn a cancellation in mid-query into an error of theirs."""
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=1)


class Node:
    """Service, authenticator, watch and an HTTP application with identity's routes and those given."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        routers: Sequence[ControllerRouterHandler] = (),
        settings: IdentitySettings | None = None,
    ) -> None:
        clock = SystemClock()
        self.watch = KeyWatch(database, bus, clock, settings)
        self.authenticator = KeyAuthenticator(database, clock, self.watch, settings)
        self.service = IdentityService(database, clock, bus, settings)
        self.app: Litestar = create_app(
            [build_router(self.service), *routers],
            guards=[AccessGuard(self.authenticator, Policy())],
            dependencies={"principal": provide_principal()},
            version="test",
        )
        self.client = connect(self.app)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Node":
        self._tasks = [asyncio.create_task(self.watch.run()), asyncio.create_task(self.authenticator.run())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._tasks)


class Owner:
    """An organisation with a key."""

    def __init__(self, issued: IssuedKey, principal: Principal) -> None:
        self.organisation_id = principal.organisation_id
        self.key_id = issued.key.key_id
        self.secret = issued.secret
        self.principal = principal
        self.headers = bearer(issued.secret)


def connect(app: Litestar, client_ip: str = LOCAL) -> httpx.AsyncClient:
    """A client that calls the application on the test's own loop, where its database lives."""
    transport = httpx.ASGITransport(app, client=(client_ip, 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def make_owner(
    node: Node, name: str = "Acme", scopes: Sequence[str] = tuple(SCOPES), allowed_cidrs: Sequence[str] = ()
) -> Owner:
    """A new organisation whose sandbox key holds the scopes, all of them by default."""
    organisation_id = await node.service.create_organisation(name)
    issued = await node.service.issue_key(
        organisation_id, "sandbox", scopes, name="owner", allowed_cidrs=allowed_cidrs
    )
    return Owner(issued, await node.authenticator.authenticate(issued.secret, LOCAL))
