"""`/api/custody/freezes`."""

from litestar import Response, Router, delete, get, post

from agio.custody.freezes.schemas import CreateFreeze, FreezePage, FreezeView
from agio.custody.freezes.service import Freezes
from agio.custody.writes import AnyRequest, Writes
from agio.identity.api import Principal
from agio.kernel.ids import FreezeId
from agio.kernel.page import DEFAULT_LIMIT
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotencyKey


def build_router(freezes: Freezes, database: Database, write: Writes) -> Router:
    """The routes of freezes."""

    @get("/", opt={"scope": "custody:read"})
    async def list_freezes(
        principal: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> FreezePage:
        """Freezes, newest first, lifted ones included."""
        async with database.transaction(principal.scope) as tx:
            page = await freezes.freezes(tx, limit, cursor)
        return FreezePage([FreezeView.of(one) for one in page.items], page.next_cursor)

    @post("/", opt={"scope": "custody:admin"})
    async def place_freeze(
        request: AnyRequest, principal: Principal, data: CreateFreeze, idempotency_key: IdempotencyKey = None
    ) -> Response[FreezeView]:
        """Stop a vault, an account, a key or everything, from this answer on. Money may still arrive."""

        async def effect(tx: Transaction) -> FreezeView:
            placed = await freezes.place(tx, data.target_kind, data.target_id, data.reason, principal.key_id)
            return FreezeView.of(placed)

        return await write(principal, request, idempotency_key, effect)

    @get("/{freeze_id:str}", opt={"scope": "custody:read"})
    async def show_freeze(principal: Principal, freeze_id: str) -> FreezeView:
        """One freeze."""
        async with database.transaction(principal.scope) as tx:
            return FreezeView.of(await freezes.freeze(tx, FreezeId(freeze_id)))

    @delete("/{freeze_id:str}", opt={"scope": "custody:admin"}, status_code=200)
    async def lift_freeze(principal: Principal, freeze_id: str) -> FreezeView:
        """End a freeze. Not by the key that placed it."""
        async with database.transaction(principal.scope) as tx:
            return FreezeView.of(await freezes.lift(tx, FreezeId(freeze_id), principal.key_id))

    return Router(
        "/api/custody/freezes",
        route_handlers=[list_freezes, place_freeze, show_freeze, lift_freeze],
        tags=["Custody"],
    )
