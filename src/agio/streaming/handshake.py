"""The opening handshake: which door, which origin, who."""

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from websockets.datastructures import Headers
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response

from agio.kernel.problem import NotFound, Problem
from agio.platform.http.edge import complete_headers, is_local_host, read_request_id
from agio.platform.http.problems import PROBLEM_MEDIA_TYPE, problem_members
from agio.streaming.encoding import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from agio.streaming.errors import InvalidHandshake, OriginNotAllowed

STREAM_PATH = "/stream"
_SYMBOL_PREFIX = f"{STREAM_PATH}/"
_MAX_SYMBOL = 64
_MAX_FIELDS = 16
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class UpgradeRequest(msgspec.Struct, frozen=True):
    """What the handshake says."""

    symbol: str | None
    """None for the multiplexed door."""
    token: str | None
    ticket: str | None
    origin: str | None
    host: str
    address: str
    is_secure: bool


def read_request(request: Request, address: str, *, is_secure: bool) -> UpgradeRequest:
    """Read a handshake; raises NotFound for any other path, InvalidHandshake for what is no handshake."""
    path, _, query = request.path.partition("?")
    tickets = _read_query(query).get("ticket")
    scheme, _, credential = (_read_once(request.headers, "Authorization") or "").partition(" ")
    return UpgradeRequest(
        symbol=_read_door(path),
        token=credential.strip() if scheme.lower() == "bearer" and credential else None,
        ticket=tickets[0] if tickets else None,
        origin=_read_once(request.headers, "Origin"),
        host=_read_once(request.headers, "Host") or "",
        address=address,
        is_secure=is_secure,
    )


def choose_subprotocol(path: str, offered: Sequence[str]) -> str | None:
    """The encoding of the connection; without an offer JSON, unnamed.

    Raises NegotiationError when only others are offered to the multiplexed door.
    """
    for ours in (JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL):
        if ours in offered and (ours == JSON_SUBPROTOCOL or path.partition("?")[0] == STREAM_PATH):
            return ours
    if offered and path.partition("?")[0] == STREAM_PATH:
        raise NegotiationError(f"the subprotocols are {JSON_SUBPROTOCOL} and {MSGPACK_SUBPROTOCOL}")
    return None


def require_origin(request: UpgradeRequest, allowed: Sequence[str]) -> None:
    """A browser tells the page's origin: it must be ours or allowed. Other clients tell none."""
    if request.origin is None:
        return
    origin = request.origin.lower()
    if origin in {entry.lower().rstrip("/") for entry in allowed}:
        return
    scheme = "https" if request.is_secure else "http"
    with suppress(ValueError):
        parts = urlsplit(origin)
        if parts.scheme == scheme and _authority(parts.netloc, scheme) == _authority(request.host, scheme):
            return
    raise OriginNotAllowed("allow this origin with AGIO_ALLOWED_ORIGINS if it is yours")


def refusal(problem: Problem, request: Request) -> Response:
    """The RFC 9457 answer to a refused handshake, with the headers that every HTTP answer has."""
    asked = _raw(request.headers)
    request_id, is_local = read_request_id(asked), is_local_host(asked)
    body = msgspec.json.encode(problem_members(problem, request.path.partition("?")[0], request_id))
    headers = Headers({"Content-Type": PROBLEM_MEDIA_TYPE, **problem.headers})
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "2")
    headers["Connection"] = "close"
    headers["Content-Length"] = str(len(body))
    status = HTTPStatus(problem.status)
    complete = Headers()
    for name, value in complete_headers(_raw(headers), request_id, is_local=is_local):
        complete[name.decode("latin-1")] = value.decode("latin-1")
    return Response(status.value, status.phrase, complete, body)


def _read_query(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise InvalidHandshake(f"the query has at most {_MAX_FIELDS} fields") from error


def _read_once(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    if len(values) > 1:
        raise InvalidHandshake(f"send the header {name} once")
    return values[0] if values else None


def _raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers.raw_items()
    ]


def _read_door(path: str) -> str | None:
    if path == STREAM_PATH:
        return None
    symbol = unquote(path.removeprefix(_SYMBOL_PREFIX)) if path.startswith(_SYMBOL_PREFIX) else ""
    if not symbol or "/" in symbol or len(symbol) > _MAX_SYMBOL:
        raise NotFound("streams are at /stream and /stream/{symbol}")
    return symbol


def _authority(text: str, scheme: str) -> str:
    return text.lower().removesuffix(_DEFAULT_PORTS[scheme])
