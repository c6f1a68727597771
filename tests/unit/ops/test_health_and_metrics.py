import asyncio

import pytest
from tests.nodes import connect

from agio.ops import health
from agio.ops.errors import NotReady
from agio.ops.health import ReadinessChecks
from agio.ops.inventory import render_authorization
from agio.ops.metrics import Metrics
from agio.ops.routes import build_router
from agio.platform.channels import ChannelClass
from agio.platform.http import Operation, create_app


async def well() -> str | None:
    return None


async def down() -> str | None:
    return "not connected"


async def broken() -> str | None:
    raise ConnectionResetError("secret host name")


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


class TestReadiness:
    async def test_all_well_is_ready(self) -> None:
        readiness = await ReadinessChecks({"database": well, "bus": well}).run()

        assert [check.state for check in readiness.checks] == ["ok", "ok"]

    async def test_what_is_down_is_named_with_its_reason_and_nothing_private(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
        checks = ReadinessChecks({"database": broken, "bus": down, "engine": hanging, "streams": well})

        with pytest.raises(NotReady) as caught:
            await checks.run()

        assert caught.value.detail == (
            "database: ConnectionResetError; bus: not connected; engine: no answer within 0.05 s"
        )


class TestRoutes:
    async def test_an_unready_node_is_alive_and_answers_503(self) -> None:
        app = create_app(
            [build_router(ReadinessChecks({"bus": down}), Metrics("api", "1"))],
            guards=[],
            dependencies={},
            version="1",
        )
        async with connect(app) as client:
            alive, ready = await client.get("/healthz"), await client.get("/readyz")

        assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
        assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
        assert ready.json()["checks"][0]["reason"] == "not connected"
        assert ready.headers["retry-after"] == "1"


class TestMetrics:
    def test_requests_are_counted_by_route_and_status(self) -> None:
        metrics = Metrics("api", "1.2.3")
        for _ in range(3):
            metrics.request_finished("GET", "/api/orders/{order_id}", 200, 0.004)
        metrics.request_finished("BREW", "(unmatched)", 405, 0.001)
        metrics.add_gauge("agio_queue", "Waiting", lambda: 7.0)

        text = metrics.render().decode()

        assert (
            'agio_http_requests_total{method="GET",route="/api/orders/{order_id}",status="200"} 3.0' in text
        )
        assert 'method="other"' in text
        assert "BREW" not in text
        assert 'agio_build{process="api",version="1.2.3"} 1.0' in text
        assert "agio_queue 7.0" in text

    def test_two_registries_do_not_mix(self) -> None:
        first, second = Metrics("api", "1"), Metrics("engine", "1")
        first.request_finished("GET", "/", 200, 0.1)

        assert 'route="/"' not in second.render().decode()


class TestRenderAuthorization:
    def test_each_operation_and_channel_has_a_row(self) -> None:
        class Trades:
            name = "trades"
            channel_class = ChannelClass.LOG
            scope = "market:read"

        operations = [
            Operation("/api/me", "GET", "*", False, "show_me", "Who am I", True, None),
            Operation("/healthz", "GET", None, False, "show_health", "Alive", True, None),
            Operation("/metrics", "GET", "ops:read", True, "show_metrics", "Metrics", True, None),
        ]

        page = render_authorization(operations, [Trades()], {"market:read": "Prices"})

        assert "| `GET` | `/api/me` | any key | Who am I |" in page
        assert "| `GET` | `/healthz` | public | Alive |" in page
        assert "| `GET` | `/metrics` | `ops:read`, or a call from this machine | Metrics |" in page
        assert "| `trades:` | log | `market:read` |" in page
