"""Refuses paths and query parameters that no handler means.

A misspelt filter must not return everything, of two values neither is the right one to take, and no text of
ours contains the character NUL.
"""

from typing import Any

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from agio.kernel.problem import InvalidRequest, NotFound

_SHOWN = 64


class _Known(msgspec.Struct, frozen=True):
    """The query parameters of one handler."""

    names: frozenset[str]
    repeatable: frozenset[str]


class KnownParameters:
    """A guard. `learn` must be called once the application's routes are registered."""

    def __init__(self) -> None:
        self._known: dict[BaseRouteHandler, _Known] = {}

    def learn(self, app: Litestar) -> None:
        """Remember the query parameters of every handler, except of those that take `query` whole."""
        for route in app.routes:
            if not isinstance(route, HTTPRoute):
                continue
            for handler, model in route.route_handler_map.values():
                if "query" not in handler.parsed_fn_signature.parameters:
                    self._known[handler] = _Known(
                        frozenset(parameter.field_alias for parameter in model.expected_query_params),
                        frozenset(model.sequence_query_parameter_names),
                    )

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
    ) -> None:
        """Raise InvalidRequest naming the parameter, or NotFound for a path that cannot be meant."""
        query = connection.scope["query_string"]
        if "\0" in connection.scope["path"]:
            raise NotFound("there is nothing of this name")
        if not query:
            return
        if b"%00" in query or b"\0" in query:
            raise InvalidRequest("a query parameter must not contain the character NUL")
        # The handler that a guard is given is a copy.
        known = self._known.get(connection.scope["route_handler"])
        if known is not None:
            _check(connection, known)


def _check(connection: ASGIConnection[Any, Any, Any, Any], known: _Known) -> None:
    for name in connection.query_params:
        shown = name[:_SHOWN]
        if name not in known.names:
            names = ", ".join(sorted(known.names)) or "none"
            raise InvalidRequest(f"{shown}: no such query parameter; known: {names}", extra={"field": shown})
        if name not in known.repeatable and len(connection.query_params.getall(name)) > 1:
            raise InvalidRequest(f"{shown}: given more than once", extra={"field": shown})
