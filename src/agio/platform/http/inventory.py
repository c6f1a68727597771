"""The list of an application's operations and who may use each, read from the routes themselves."""

from typing import Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import ASGIRoute, HTTPRoute

PUBLIC: Final = "public"
"""`opt={"public": True}`: nobody is asked who they are."""


class UndeclaredAccess(Exception):
    """A route says neither which scope it needs nor that it is public: such an application does not start."""


class Operation(msgspec.Struct, frozen=True, order=True):
    """One method of one path."""

    path: str
    method: str
    scope: str | None
    """The scope it needs; None for a public operation."""
    is_open_to_loopback: bool
    """Whether a caller on this machine needs no credential (`opt={"loopback": True}`)."""
    name: str
    summary: str
    in_schema: bool
    body_type: str | None
    other_media_types: tuple[str, ...] = ()
    """In which forms beside JSON it answers (`opt={"other_media_types": [...]}`)."""

    @property
    def is_public(self) -> bool:
        return self.scope is None


def list_operations(app: Litestar) -> list[Operation]:
    """Every operation by path and method; raises UndeclaredAccess naming those that declare no access."""
    operations: list[Operation] = []
    undeclared: list[str] = []
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if not is_automatic_options(handler):
                    _collect(operations, undeclared, route.path_format, method, handler)
        elif isinstance(route, ASGIRoute) and not is_declared(route.route_handler.opt):
            undeclared.append(f"mount {route.path}")
    if undeclared:
        raise UndeclaredAccess(
            f'declare opt={{"scope": ...}} or opt={{"public": True}} on: {", ".join(undeclared)}'
        )
    return sorted(operations)


def is_declared(options: dict[str, object]) -> bool:
    """Exactly one of a scope and `public`."""
    scope = options.get("scope")
    return (isinstance(scope, str) and bool(scope)) != (options.get("public") is True)


def is_automatic_options(handler: object) -> bool:
    """The framework answers OPTIONS on every path by itself, with nothing but the `Allow` header."""
    return isinstance(handler, HTTPRouteHandler) and handler.fn.__module__ == HTTPRoute.__module__


def _collect(
    operations: list[Operation], undeclared: list[str], path: str, method: str, handler: HTTPRouteHandler
) -> None:
    if not is_declared(handler.opt):
        undeclared.append(f"{method} {path}")
        return
    body = handler.parsed_data_field
    documentation = (handler.fn.__doc__ or "").strip().partition("\n")[0]
    operations.append(
        Operation(
            path=path,
            method=method,
            scope=None if handler.opt.get("public") else str(handler.opt["scope"]),
            is_open_to_loopback=bool(handler.opt.get("loopback")),
            name=handler.handler_name,
            summary=handler.summary or documentation,
            in_schema=handler.resolve_include_in_schema(),
            body_type=None if body is None else str(getattr(body.annotation, "__name__", body.annotation)),
            other_media_types=tuple(handler.opt.get("other_media_types", ())),
        )
    )
