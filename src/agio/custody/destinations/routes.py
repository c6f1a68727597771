"""`/api/custody/destinations`."""

from litestar import Response, Router, delete, get, post

from agio.custody.destinations.schemas import CreateDestination, DestinationPage, DestinationView
from agio.custody.destinations.service import Destinations
from agio.custody.writes import AnyRequest, Writes
from agio.identity.api import Principal
from agio.kernel.ids import DestinationId
from agio.kernel.page import DEFAULT_LIMIT
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotencyKey


def build_router(destinations: Destinations, database: Database, write: Writes) -> Router:
    """The routes of the allowlist."""

    @get("/", opt={"scope": "custody:read"})
    async def list_destinations(
        principal: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> DestinationPage:
        """Where money may be sent, oldest first, revoked ones included."""
        async with database.transaction(principal.scope) as tx:
            page = await destinations.destinations(tx, limit, cursor)
        return DestinationPage([DestinationView.of(one) for one in page.items], page.next_cursor)

    @post("/", opt={"scope": "custody:admin"})
    async def add_destination(
        request: AnyRequest,
        principal: Principal,
        data: CreateDestination,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[DestinationView]:
        """Allow an address. It cools for as long as the policy says (without one: a day) before it counts."""

        async def effect(tx: Transaction) -> DestinationView:
            added = await destinations.add(tx, data.kind, data.name, data.address, data.bic, principal.key_id)
            return DestinationView.of(added)

        return await write(principal, request, idempotency_key, effect)

    @get("/{destination_id:str}", opt={"scope": "custody:read"})
    async def show_destination(principal: Principal, destination_id: str) -> DestinationView:
        """One destination."""
        async with database.transaction(principal.scope) as tx:
            return DestinationView.of(await destinations.destination(tx, DestinationId(destination_id)))

    @delete("/{destination_id:str}", opt={"scope": "custody:admin"}, status_code=200)
    async def revoke_destination(principal: Principal, destination_id: str) -> DestinationView:
        """Take an address off the list, for good. What was held for it is not released any more."""
        async with database.transaction(principal.scope) as tx:
            revoked = await destinations.revoke(tx, DestinationId(destination_id), principal.key_id)
        return DestinationView.of(revoked)

    return Router(
        "/api/custody/destinations",
        route_handlers=[list_destinations, add_destination, show_destination, revoke_destination],
        tags=["Custody"],
    )
