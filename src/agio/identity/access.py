"""The guard in front of every route, and the `principal` that handlers are given."""

import ipaddress
from typing import Any, Final

from litestar.connection import ASGIConnection, Request
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler

from agio.identity.api import Authenticator, Policy, Principal, Unauthorized
from agio.platform.http.inventory import UndeclaredAccess, is_automatic_options, is_declared

_MAX_HEADER: Final = 512
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")


class AccessGuard:
    """Authenticates and authorises by the route's `opt`; a route that declares nothing is refused.

    With `opt={"ticket": True}` the query parameter `ticket` does in place of the header.
    """

    def __init__(self, authenticator: Authenticator, policy: Policy) -> None:
        self._authenticator = authenticator
        self._policy = policy

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        options = handler.opt
        if is_automatic_options(handler) or options.get("public") is True:
            return
        if not is_declared(options):
            raise UndeclaredAccess(f"{handler} declares neither a scope nor public")
        header = connection.headers.get("Authorization")
        if header is None and options.get("loopback") and is_direct_loopback(connection):
            return
        address = client_address(connection)
        tickets = connection.query_params.getall("ticket", []) if options.get("ticket") else []
        if header is None and tickets:
            principal = await self._authenticator.redeem_ticket(tickets[0], address)
        else:
            principal = await self._authenticator.authenticate(read_bearer(header), address)
        self._policy.require(principal, str(options["scope"]))
        connection.scope["state"]["principal"] = principal


def read_bearer(header: str | None) -> str:
    """The token of an `Authorization: Bearer ...` header (RFC 6750 2.1); raises Unauthorized."""
    if header is None:
        raise Unauthorized(
            "send Authorization: Bearer with an API key; POST /api/keys or `agio keys` makes one",
            extra={"is_anonymous": True},
        )
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or len(header) > _MAX_HEADER:
        raise Unauthorized("the Authorization header must be: Bearer agio_...")
    return token.strip(" ")


def client_address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The address of the peer; the server has already resolved trusted proxies."""
    return connection.client.host if connection.client is not None else ""


def is_direct_loopback(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether the caller is on this machine, and not a proxy that speaks for somebody else."""
    if any(name in connection.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(client_address(connection)).is_loopback
    except ValueError:
        return False


def provide_principal() -> Provide:
    """The dependency `principal` of handlers."""
    return Provide(_find_principal, sync_to_thread=False)


def _find_principal(request: Request[Any, Any, Any]) -> Principal:
    principal = request.scope["state"].get("principal")
    if not isinstance(principal, Principal):
        raise Unauthorized("this needs an API key", extra={"is_anonymous": True})
    return principal
