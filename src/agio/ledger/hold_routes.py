"""`/api/holds`: amounts set aside, captured in parts, released."""

from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from agio.identity.api import Principal
from agio.kernel.ids import HoldId
from agio.ledger.accounts import LedgerAccounts
from agio.ledger.posting import Posting
from agio.ledger.requests import CaptureHold, NewHold
from agio.ledger.schemas import HoldView, JournalView
from agio.platform.db import Database, Scope


def build_hold_routes(
    posting: Posting, accounts: LedgerAccounts, database: Database
) -> list[HTTPRouteHandler]:
    """Routes of holds."""

    async def show(scope: Scope, hold_id: HoldId) -> HoldView:
        async with database.transaction(scope) as tx:
            return HoldView.of(await accounts.hold(tx, hold_id))

    @post("/holds", opt={"scope": "ledger:write"})
    async def place_hold(principal: Principal, data: NewHold) -> Response[HoldView]:
        """Set an amount aside. With a `hold_id` of your own you may repeat the request."""
        hold_id, is_new = await posting.place_hold(principal.scope, data)
        view = await show(principal.scope, hold_id)
        return Response(view, status_code=201 if is_new else 200, headers=_replay(is_new=is_new))

    @get("/holds/{hold_id:str}", opt={"scope": "ledger:read"})
    async def show_hold(principal: Principal, hold_id: str) -> HoldView:
        """One hold: how much of it is captured, released and left."""
        return await show(principal.scope, HoldId(hold_id))

    @post("/holds/{hold_id:str}/capture", opt={"scope": "ledger:write"})
    async def capture_hold(principal: Principal, hold_id: str, data: CaptureHold) -> Response[JournalView]:
        """Move some or all of it to another account; as often as something is left."""
        journal, is_new = await posting.capture_hold(principal.scope, HoldId(hold_id), data)
        view = JournalView.of(journal)
        return Response(view, status_code=201 if is_new else 200, headers=_replay(is_new=is_new))

    @post("/holds/{hold_id:str}/release", opt={"scope": "ledger:write"}, status_code=200)
    async def release_hold(principal: Principal, hold_id: str) -> HoldView:
        """Free what is left of it; repeating that changes nothing."""
        await posting.release_hold(principal.scope, HoldId(hold_id))
        return await show(principal.scope, HoldId(hold_id))

    return [place_hold, show_hold, capture_hold, release_hold]


def _replay(*, is_new: bool) -> dict[str, Any]:
    return {} if is_new else {"Idempotent-Replay": "true"}
