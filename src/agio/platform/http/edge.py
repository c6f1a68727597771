"""What every HTTP exchange gets, found or not: request id, safe headers, one line of metrics.

HEAD is answered as GET without the content (RFC 9110, 9.3.2): routes need not know of it.
"""

import re
import secrets
import time
from collections.abc import Iterable
from typing import Final, Protocol

import structlog
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$", re.ASCII)
_API_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY: Final = (
    b"default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline';"
    b" font-src 'self' data:; connect-src 'self' wss:; object-src 'none'; base-uri 'none';"
    b" form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")
_LOCAL_HOSTS: Final = ("localhost", "127.", "[::1]")
_EVENTS: Final = b"text/event-stream; charset=utf-8"
UNMATCHED: Final = "(unmatched)"


class RequestObserver(Protocol):
    """Is told of every finished exchange; must not block."""

    def request_finished(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is the path's template (`/api/orders/{order_id}`), or `(unmatched)`."""
        ...


class Unobserved:
    """Observes nothing."""

    def request_finished(self, method: str, route: str, status: int, seconds: float) -> None:  # noqa: ARG002
        return None


class Edge:
    """The outermost ASGI layer, around routing itself."""

    def __init__(self, app: ASGIApp, observer: RequestObserver) -> None:
        self._app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            await self._exchange(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _exchange(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        request_id = read_request_id(scope["headers"])
        scope["state"]["request_id"] = request_id
        is_local = is_local_host(scope["headers"])
        status = 500
        streamed: float | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status, streamed
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = complete_headers(message["headers"], request_id, is_local=is_local)
                if (b"content-type", _EVENTS) in message["headers"]:
                    # A stream lasts as long as its reader wants: what counts is how soon it began.
                    streamed = time.perf_counter() - started
            await send(message)

        is_head = scope["method"] == HttpMethod.HEAD
        asked: HTTPScope = {**scope, "method": HttpMethod.GET} if is_head else scope
        answer = _without_content(send_with_headers) if is_head else send_with_headers
        started = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(asked, receive, answer)
        finally:
            structlog.contextvars.unbind_contextvars("request_id")
            route = str(asked.get("path_template") or UNMATCHED)
            seconds = time.perf_counter() - started if streamed is None else streamed
            self._observer.request_finished(scope["method"], route, status, seconds)


def _without_content(send: Send) -> Send:
    """Ends the answer after its headers; a handler that goes on finds its reader gone."""

    async def send_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_headers


def read_request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's `X-Request-ID` when it is plain text of 8 to 64 characters, else a new one."""
    for name, value in headers:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else new_request_id()
    return new_request_id()


def new_request_id() -> str:
    """Random only: nobody sorts by it, and it is made for every request."""
    return f"req_{secrets.token_hex(10)}"


def complete_headers(
    headers: Iterable[tuple[bytes, bytes]], request_id: str, *, is_local: bool
) -> list[tuple[bytes, bytes]]:
    """Add what the handler did not decide itself; by default nobody may store an answer."""
    complete = [(name, _with_head(value) if name.lower() == b"allow" else value) for name, value in headers]
    present = {name.lower(): value for name, value in complete}
    wanted = [*_HEADERS, (b"x-request-id", request_id.encode()), (b"cache-control", b"no-store")]
    is_page = present.get(b"content-type", b"").startswith(b"text/html")
    wanted.append((b"content-security-policy", _PAGE_POLICY if is_page else _API_POLICY))
    if not is_local:
        wanted.append(_STRICT_TRANSPORT)
    complete.extend((name, value) for name, value in wanted if name not in present)
    return complete


def _with_head(methods: bytes) -> bytes:
    return methods.replace(b"GET", b"GET, HEAD")


def is_local_host(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """On localhost, strict transport security would lock a developer out of every other port's plain HTTP."""
    host = next((value for name, value in headers if name == b"host"), b"")
    return host.decode("latin-1").startswith(_LOCAL_HOSTS)
