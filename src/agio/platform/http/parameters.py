"""Refuses query parameters that a handler does not know: a misspelt filter must not return everything."""

from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from agio.kernel.problem import InvalidRequest


class KnownParameters:
    """A guard. `learn` must be called once the application's routes are registered."""

    def __init__(self) -> None:
        self._names: dict[BaseRouteHandler, frozenset[str]] = {}

    def learn(self, app: Litestar) -> None:
        """Remember the query parameters of every handler, except of those that take `query` whole."""
        for route in app.routes:
            if not isinstance(route, HTTPRoute):
                continue
            for handler, model in route.route_handler_map.values():
                if "query" not in handler.parsed_fn_signature.parameters:
                    self._names[handler] = frozenset(
                        parameter.field_alias for parameter in model.expected_query_params
                    )

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
    ) -> None:
        """Raise InvalidRequest naming the parameter and those that exist."""
        if not connection.scope["query_string"]:
            return
        # The handler that a guard is given is a copy.
        known = self._names.get(connection.scope["route_handler"])
        if known is None:
            return
        for name in connection.query_params:
            if name not in known:
                raise InvalidRequest(
                    f"{name[:64]}: no such query parameter; known: {', '.join(sorted(known)) or 'none'}",
                    extra={"field": name[:64]},
                )
