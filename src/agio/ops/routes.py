"""`/healthz`, `/readyz`, `/metrics`."""

from typing import Literal

import msgspec
from litestar import Response, Router, get

from agio.ops.health import Readiness, ReadinessChecks
from agio.ops.metrics import CONTENT_TYPE, Metrics


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"] = "alive"


def build_router(checks: ReadinessChecks, metrics: Metrics) -> Router:
    """The room's routes."""

    @get("/healthz", opt={"public": True}, sync_to_thread=False)
    def show_health() -> Health:
        """Whether the process is alive; restart it when this does not answer."""
        return Health()

    @get("/readyz", opt={"public": True})
    async def show_readiness() -> Readiness:
        """Whether this node can serve: database, bus, an engine for every duty; 503 with reasons if not."""
        return await checks.run()

    @get(
        "/metrics", opt={"scope": "ops:read", "loopback": True}, media_type=CONTENT_TYPE, sync_to_thread=False
    )
    def show_metrics() -> Response[bytes]:
        """Prometheus metrics, for this machine without a key and for others with the scope ops:read."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return Router("/", route_handlers=[show_health, show_readiness, show_metrics], tags=["Operations"])
