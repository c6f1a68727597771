"""`/stream` over plain HTTP: events, and what to do instead of a GET."""

from collections.abc import Iterable
from typing import Annotated, Any, NoReturn

import msgspec
from litestar import MediaType, Request, Router, delete, get
from litestar.params import Parameter
from litestar.types import ASGIApp

import agio
from agio.identity.api import ANY_KEY, Principal
from agio.kernel.page import DEFAULT_LIMIT, Page
from agio.kernel.problem import InvalidRequest
from agio.platform.channels import ChannelClass, ChannelKind
from agio.streaming.asyncapi import build_document
from agio.streaming.errors import StartNotAvailable, UpgradeRequired
from agio.streaming.event_response import EventResponse, EventWire, transport_of
from agio.streaming.gateway import Gateway
from agio.streaming.handshake import UpgradeRequest
from agio.streaming.messages import ChannelRequest
from agio.streaming.positions import decode_positions
from agio.streaming.presence import Connection

_MAX_DIGITS = 20

Channels = Annotated[list[str], Parameter(query="ch", required=True)]
LastEvent = Annotated[str | None, Parameter(header="Last-Event-ID", required=False)]


def build_router(gateway: Gateway) -> Router:
    """The room's routes."""

    @get("/stream/sse", opt={"scope": ANY_KEY, "ticket": True}, include_in_schema=False)
    async def read_events(
        request: Request[Any, Any, Any],
        principal: Principal,
        channels: Channels,
        last_event: LastEvent = None,
        last_event_id: str | None = None,
        start: str | None = None,
        ticket: str | None = None,  # noqa: ARG001 - the guard has used it up
    ) -> ASGIApp:
        """Channels as server-sent events; `Last-Event-ID` resumes. Each channel needs its own scope."""
        last, limit = last_event or last_event_id, gateway.settings.max_event_channels
        requests = read_requests(channels, last, limit)
        if start is not None:
            requests = begin_at(start, requests, gateway.kinds)
        asked = describe_request(request)
        wire = EventWire(gateway.settings, transport_of(request.scope))
        session = await gateway.admit_reader(asked, principal, requests, wire)
        return EventResponse(session, wire, _sharing_headers(asked))

    @get("/stream", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
    def refuse_plain_stream() -> None:
        """Says how to open the WebSocket."""
        _refuse_plain("/stream")

    @get("/stream/{symbol:str}", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
    def refuse_plain_symbol(symbol: str) -> None:
        """Says how to open the WebSocket."""
        _refuse_plain(f"/stream/{symbol[:64]}")

    document = msgspec.json.encode(build_document(gateway.kinds, agio.__version__))

    @get(
        "/asyncapi.json",
        opt={"public": True},
        include_in_schema=False,
        media_type=MediaType.JSON,
        sync_to_thread=False,
    )
    def show_document() -> bytes:
        """The AsyncAPI 3 document of the streams."""
        return document

    @get("/api/stream/connections", opt={"scope": "ops:read"})
    async def show_connections(
        principal: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Connection]:
        """Who of the organisation is connected, to any node: channels, lag, queue and drops of each."""
        return await gateway.peers.list_connections(principal, limit, cursor)

    @delete("/api/stream/connections/{connection_id:str}", opt={"scope": "keys:write"})
    async def end_connection(principal: Principal, connection_id: str) -> None:
        """Disconnect one with code 4011; its client may return. To keep it out, revoke its key."""
        await gateway.peers.disconnect(principal, connection_id)

    return Router(
        "/",
        route_handlers=[
            read_events,
            refuse_plain_stream,
            refuse_plain_symbol,
            show_document,
            show_connections,
            end_connection,
        ],
        tags=["Streams"],
    )


def read_requests(channels: list[str], last_event: str | None, limit: int) -> list[ChannelRequest]:
    """What a reader of events asks for; raises InvalidRequest."""
    names = list(dict.fromkeys(channels))
    if not 0 < len(names) <= limit:
        raise InvalidRequest(f"ch: name 1 to {limit} channels, ch=... each", extra={"field": "ch"})
    positions = decode_positions(last_event) if last_event else {}
    return [ChannelRequest(ch=name, position=positions.get(name)) for name in names]


def begin_at(
    start: str, requests: list[ChannelRequest], kinds: Iterable[ChannelKind]
) -> list[ChannelRequest]:
    """The same, with history from a sequence or a time on for logs; whoever comes back goes on instead."""
    logs = {kind.name for kind in kinds if kind.channel_class is ChannelClass.LOG}
    if not any(request.ch.partition(":")[0] in logs for request in requests):
        raise StartNotAvailable("only logs have a history")
    wanted = int(start) if start.isdecimal() and len(start) < _MAX_DIGITS else start
    return [
        msgspec.structs.replace(request, start=wanted)
        if request.position is None and request.ch.partition(":")[0] in logs
        else request
        for request in requests
    ]


def describe_request(request: Request[Any, Any, Any]) -> UpgradeRequest:
    """What the gateway's admission needs to know of a plain request."""
    return UpgradeRequest(
        symbol=None,
        token=None,
        ticket=None,
        origin=request.headers.get("Origin"),
        host=request.headers.get("Host", ""),
        address=request.client.host if request.client is not None else "",
        is_secure=request.scope["scheme"] == "https",
    )


def _sharing_headers(request: UpgradeRequest) -> dict[bytes, bytes]:
    """A page of an allowed origin may read the events; admission has checked the origin."""
    if request.origin is None:
        return {}
    return {
        b"access-control-allow-origin": request.origin.encode("latin-1", "replace"),
        b"cross-origin-resource-policy": b"cross-origin",
        b"vary": b"Origin",
    }


def _refuse_plain(path: str) -> NoReturn:
    raise UpgradeRequired(
        f"open {path} as a WebSocket (wss://), or read GET /stream/sse?ch=... as server-sent events",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )
