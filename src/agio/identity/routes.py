"""`/api/me`, `/api/keys`, `/api/stream/tickets`."""

from litestar import Router, delete, get, post

from agio.identity.api import ANY_KEY, Principal, StreamTicket
from agio.identity.model import ApiKey
from agio.identity.schemas import CreatedKey, CreateKey, Me, RotateKey
from agio.identity.service import IdentityService
from agio.kernel.page import DEFAULT_LIMIT, Page


def build_router(identity: IdentityService) -> Router:
    """The room's routes."""

    @get("/me", opt={"scope": ANY_KEY})
    async def show_me(principal: Principal) -> Me:
        """Who the key belongs to and what it may do."""
        return Me.of(principal)

    @get("/keys", opt={"scope": "keys:read"})
    async def list_keys(
        principal: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[ApiKey]:
        """The keys of this environment, oldest first, without secrets."""
        return await identity.list_keys(principal, limit, cursor)

    @post("/keys", opt={"scope": "keys:write"})
    async def create_key(principal: Principal, data: CreateKey) -> CreatedKey:
        """Create a key; its secret is in this answer and nowhere else."""
        issued = await identity.create_key(
            principal,
            name=data.name,
            scopes=data.scopes,
            expires_in_days=data.expires_in_days,
            allowed_cidrs=data.allowed_cidrs,
        )
        return CreatedKey.of(issued)

    @get("/keys/{key_id:str}", opt={"scope": "keys:read"})
    async def show_key(principal: Principal, key_id: str) -> ApiKey:
        """One key, without its secret."""
        return await identity.show_key(principal, key_id)

    @post("/keys/{key_id:str}/rotate", opt={"scope": "keys:write"})
    async def rotate_key(principal: Principal, key_id: str, data: RotateKey | None = None) -> CreatedKey:
        """Replace a key by a new one with the same rights; both work during the overlap."""
        overlap_seconds = data.overlap_seconds if data is not None else None
        return CreatedKey.of(await identity.rotate_key(principal, key_id, overlap_seconds))

    @delete("/keys/{key_id:str}", opt={"scope": "keys:write"})
    async def revoke_key(principal: Principal, key_id: str) -> None:
        """Revoke a key: requests, streams and other nodes refuse it within a second."""
        await identity.revoke_key(principal, key_id)

    @post("/stream/tickets", opt={"scope": ANY_KEY})
    async def create_stream_ticket(principal: Principal) -> StreamTicket:
        """A single-use credential that opens one stream within 30 seconds."""
        return await identity.issue_ticket(principal)

    return Router(
        "/api",
        route_handlers=[
            show_me,
            list_keys,
            create_key,
            show_key,
            rotate_key,
            revoke_key,
            create_stream_ticket,
        ],
        tags=["Identity"],
    )
