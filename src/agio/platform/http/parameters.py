"""Refuses paths and query parameters that no handler means.

A misspelt filter must not return everything, of two values neither is the right one to take, no text of
ours contains the character NUL, and `1e2` or `1_0` is not how anybody writes a whole number on purpose.
"""

import re
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from agio.kernel.problem import InvalidRequest, NotFound

_SHOWN: Final = 64
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)


class _Known(msgspec.Struct, frozen=True):
    """The query parameters of one handler."""

    names: frozenset[str]
    repeatable: frozenset[str]
    whole: frozenset[str]
    """Those that are whole numbers."""


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
                signature = handler.parsed_fn_signature.parameters
                if "query" in signature:
                    continue
                expected = model.expected_query_params
                self._known[handler] = _Known(
                    frozenset(parameter.field_alias for parameter in expected),
                    frozenset(model.sequence_query_parameter_names),
                    frozenset(
                        parameter.field_alias
                        for parameter in expected
                        if _is_whole(signature[parameter.field_name])
                    ),
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


def _is_whole(parameter: FieldDefinition) -> bool:
    kinds = parameter.inner_types if parameter.is_union else (parameter,)
    return any(kind.annotation is int for kind in kinds)


def _check(connection: ASGIConnection[Any, Any, Any, Any], known: _Known) -> None:
    for name in connection.query_params:
        shown = name[:_SHOWN]
        if name not in known.names:
            names = ", ".join(sorted(known.names)) or "none"
            raise InvalidRequest(f"{shown}: no such query parameter; known: {names}", extra={"field": shown})
        if name not in known.repeatable and len(connection.query_params.getall(name)) > 1:
            raise InvalidRequest(f"{shown}: given more than once", extra={"field": shown})
        if name in known.whole and _WHOLE.fullmatch(connection.query_params[name]) is None:
            raise InvalidRequest(f"{shown}: write a whole number in plain digits", extra={"field": shown})
