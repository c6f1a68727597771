"""Builds the HTTP application out of the rooms' routers."""

import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import LitestarDeprecationWarning
from litestar.handlers import BaseRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ControllerRouterHandler
from typing_extensions import override

from agio.platform.http.edge import Edge, RequestObserver, Unobserved
from agio.platform.http.inventory import list_operations
from agio.platform.http.openapi import StrictStructSchema
from agio.platform.http.pages import build_pages
from agio.platform.http.parameters import KnownParameters
from agio.platform.http.problems import EXCEPTION_HANDLERS
from agio.platform.http.requests import MAX_BODY_BYTES, StrictRequest

AsyncGuard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_app(
    routers: Sequence[ControllerRouterHandler],
    *,
    guards: Sequence[AsyncGuard],
    dependencies: Mapping[str, Provide],
    version: str,
    title: str = "agio",
    description: str = "Live market data, orders, custody and portfolio analytics behind one secured API.",
    observer: RequestObserver | None = None,
    lifespan: Sequence[Lifespan] = (),
) -> Litestar:
    """Assemble the application; raises UndeclaredAccess when a route says nothing about who may use it.

    `guards` must hold the room identity's access guard and `dependencies` its `principal`. The documentation
    pages (`/openapi.json`, `/docs`, `/problems`, `/problems/{code}`) are added here.
    """
    parameters = KnownParameters()
    with warnings.catch_warnings():
        # Litestar 3 will want a marker on each parameter; we pin below it, and plain handlers read better.
        warnings.simplefilter("ignore", LitestarDeprecationWarning)
        app = _Application(
            route_handlers=[*routers, build_pages(title, version, description)],
            guards=[_one_guard([*guards, parameters])],
            dependencies=dict(dependencies),
            exception_handlers=EXCEPTION_HANDLERS,
            request_class=StrictRequest,
            request_max_body_size=MAX_BODY_BYTES,
            plugins=[StrictStructSchema()],
            openapi_config=None,
            logging_config=None,
            lifespan=list(lifespan),
            debug=False,
        )
    list_operations(app)
    parameters.learn(app)
    app.asgi_handler = Edge(app.asgi_handler, observer or Unobserved())
    return app


class _Application(Litestar):
    """Without the plugins for libraries whose types we do not use: to load those takes half of a start."""

    @staticmethod
    @override
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def _one_guard(guards: Sequence[AsyncGuard]) -> AsyncGuard:
    """All guards as one, in their order: the framework copies the route handler for each guard it knows."""

    async def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        for guard in guards:
            await guard(connection, handler)

    return check
