"""Keys that open nothing, and objects of somebody else: refused as documented, and nothing changes."""

import re
from collections.abc import Iterator

import httpx
import pytest
from tests.e2e.tenants import Refused, Tenant, Unchanged, connect, make_key, resting_order
from tests.security.surface import BODIES, QUERIES

from agio.platform.crypto import mint_token
from benchmarks.harness import Platform


class TestKeys:
    def test_a_useless_key(
        self, refused: Refused, sim_platform: Platform, ours: Tenant, http: httpx.Client, unchanged: Unchanged
    ) -> None:
        _, expired = make_key(sim_platform, ours, is_expired=True)
        revoked_id, revoked = make_key(sim_platform, ours)
        assert http.delete(f"/api/keys/{revoked_id}").status_code == 204
        order = f"/api/orders/{ours.ids['order_id']}"
        with unchanged():
            for secret, code in (
                (None, "unauthorized"),
                ("garbage", "unauthorized"),
                (mint_token("agio_sandbox"), "unauthorized"),
                (ours.secret[:-1], "unauthorized"),
                (expired, "key_expired"),
                (revoked, "key_revoked"),
            ):
                with connect(sim_platform, secret) as caller:
                    body = resting_order(ours.ids["account_id"])
                    for answer in (
                        caller.get(order),
                        caller.post("/api/orders", json=body),
                        caller.delete(order),
                    ):
                        refused(answer, 401, code)
                        assert answer.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"scopes": []}, "invalid_request"),
            ({"scopes": ["root"]}, "unknown_scope"),
            ({"expires_in_days": 0}, "invalid_request"),
            ({"expires_in_days": 36500}, "invalid_request"),
            ({"allowed_cidrs": ["everywhere"]}, "invalid_network"),
            ({"name": ""}, "invalid_request"),
            ({"admin": True}, "invalid_request"),
        ],
    )
    def test_a_key_that_nobody_should_have(
        self, refused: Refused, http: httpx.Client, unchanged: Unchanged, body: dict[str, object], code: str
    ) -> None:
        with unchanged():
            wanted = {"name": "x", "scopes": ["market:read"], "expires_in_days": 1, **body}
            refused(http.post("/api/keys", json=wanted), 422, code)

    def test_a_key_without_the_scope(
        self, refused: Refused, sim_platform: Platform, http: httpx.Client, ours: Tenant, unchanged: Unchanged
    ) -> None:
        wanted = {"name": "reader", "scopes": ["market:read", "keys:write"], "expires_in_days": 1}
        narrow = http.post("/api/keys", json=wanted).json()
        with unchanged(), connect(sim_platform, str(narrow["api_key"])) as caller:
            problem = refused(caller.post("/api/orders", json={}), 403, "insufficient_scope")
            assert problem["scope"] == "orders:write"
            wide = {"name": "wider", "scopes": ["orders:write"], "expires_in_days": 1}
            refused(caller.post("/api/keys", json=wide), 403, "scope_not_held")


class TestOtherPeoplesObjects:
    """Another organisation's ids, and our own ids from the other environment, do not exist."""

    @pytest.fixture(params=["other organisation", "other environment"])
    def stranger(
        self, request: pytest.FixtureRequest, sim_platform: Platform, ours: Tenant
    ) -> Iterator[tuple[httpx.Client, str]]:
        secret = ours.secret if request.param == "other organisation" else ours.live_secret
        with connect(sim_platform, secret) as client:
            yield client, request.param

    @pytest.fixture
    def ids(self, stranger: tuple[httpx.Client, str], ours: Tenant, theirs: Tenant) -> dict[str, str]:
        return theirs.ids if stranger[1] == "other organisation" else ours.ids

    def test_in_every_path(
        self, refused: Refused, stranger: tuple[httpx.Client, str], ids: dict[str, str], unchanged: Unchanged
    ) -> None:
        http, _ = stranger
        paths = http.get("/openapi.json").json()["paths"]
        called = 0
        with unchanged():
            for path, methods in paths.items():
                names = re.findall(r"{(\w+)}", path)
                if not names or not set(names) <= ids.keys():
                    continue
                for method, operation in methods.items():
                    body = BODIES.get((method.upper(), path), {}) if "requestBody" in operation else None
                    answer = http.request(method, path.format_map(ids), json=body, params=QUERIES.get(path))
                    refused(answer, 404, "not_found")
                    called += 1
        assert called >= 50

    def test_in_every_filter(
        self, refused: Refused, stranger: tuple[httpx.Client, str], ids: dict[str, str], unchanged: Unchanged
    ) -> None:
        http, _ = stranger
        with unchanged():
            for method, path in (
                ("GET", "/api/orders"),
                ("DELETE", "/api/orders"),
                ("GET", "/api/executions"),
                ("GET", "/api/transfers"),
            ):
                answer = http.request(method, path, params={"account_id": ids["account_id"]})
                refused(answer, 404, "not_found")

    def test_in_every_body(
        self, refused: Refused, stranger: tuple[httpx.Client, str], ids: dict[str, str], unchanged: Unchanged
    ) -> None:
        http, _ = stranger
        account_id = ids["account_id"]
        deposit = {"account_id": account_id, "direction": "deposit", "asset": "USD", "amount": "1.00"}
        with unchanged():
            for path, body in (
                ("/api/orders", resting_order(account_id)),
                ("/api/portfolios", {"name": "x", "account_ids": [account_id]}),
                ("/api/transfers", deposit),
            ):
                answer = http.post(path, json=body)
                assert answer.status_code in {403, 404}
                refused(answer, answer.status_code, answer.json()["code"])

    def test_in_no_list(self, stranger: tuple[httpx.Client, str], ids: dict[str, str]) -> None:
        http, _ = stranger
        for path in ("accounts", "orders", "executions", "transfers", "portfolios", "keys"):
            listed = http.get(f"/api/{path}", params={"limit": 1000})
            assert listed.status_code == 200
            assert not [value for value in ids.values() if value in listed.text], path
