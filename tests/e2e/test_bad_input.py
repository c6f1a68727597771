"""Whatever is wrong with a request: a documented problem, and nothing has changed."""

import httpx
import pytest
from tests.e2e.tenants import Refused, Tenant, Unchanged, connect, resting_order

from benchmarks.harness import Platform, wait_until

TEN_MEGABYTES = 10_000_000
JSON = {"Content-Type": "application/json"}
NOTHING = "0" * 20


class TestOrders:
    @pytest.mark.parametrize(
        ("field", "code", "values"),
        [
            (
                "symbol",
                "unknown_symbol",
                ["NOPE-USD", "", "acme-usd", "ACME-USD ", "A" * 5000, "../ACME-USD"],
            ),
            ("quantity", "invalid_quantity", ["0", "-1", "-0", "0.5", "1.0000000000000000000000001"]),
            ("quantity", "invalid_quantity", ["NaN", "nan", "Infinity", "-Infinity", "sNaN1"]),
            ("quantity", "invalid_quantity", ["1e3", "1E3", "1e-3", "1E+400", "0x10", "1_000", "1,5"]),
            (
                "quantity",
                "invalid_quantity",
                ["", " 1", "1 ", "+1", "\u0661", "1\n", ".5", "5.", "9" * 39, "9" * 5000],
            ),
            ("quantity", "order_too_large", ["1000000001", "9" * 38]),
            ("limit_price", "invalid_limit_price", ["0", "-1", "1.001", "NaN", "Infinity", "1e2", "", "1 "]),
            ("limit_price", "invalid_limit_price", ["9" * 39, "9" * 5000, None]),
            ("limit_price", "order_too_large", ["9" * 30]),
            ("quantity", "insufficient_funds", ["100001"]),
            ("side", "invalid_request", ["hold", "BUY", "", 1, None]),
            ("type", "invalid_request", ["stop", "LIMIT", "", [], {}]),
            ("time_in_force", "invalid_request", ["fok", "GTC", "", 0]),
            ("quantity", "invalid_request", [1, 1.5, None, True, [], {}, ["1"]]),
            ("limit_price", "invalid_request", [90, 90.5, False, {"value": "90"}]),
            ("symbol", "invalid_request", [1, None, ["ACME-USD"], "ACME\u0000USD"]),
            ("client_order_id", "invalid_client_order_id", ["", "a b", "x" * 129, "\u00e9", "a\nb"]),
            ("client_order_id", "invalid_request", [7, [], {}]),
            ("unknown_field", "invalid_request", [1, None]),
            ("Quantity", "invalid_request", ["1"]),
        ],
    )
    def test_a_bad_value(
        self,
        refused: Refused,
        http: httpx.Client,
        ours: Tenant,
        unchanged: Unchanged,
        field: str,
        code: str,
        values: list[object],
    ) -> None:
        with unchanged():
            for value in values:
                body = resting_order(ours.ids["account_id"], **{field: value})
                problem = refused(http.post("/api/orders", json=body), 422, code)
                assert problem.get("field", field) in {field, "quantity"}

    def test_missing_and_contradicting_fields(
        self, refused: Refused, http: httpx.Client, ours: Tenant, unchanged: Unchanged
    ) -> None:
        account_id = ours.ids["account_id"]
        with unchanged():
            for field in ("account_id", "symbol", "side", "type", "quantity"):
                body = {name: value for name, value in resting_order(account_id).items() if name != field}
                assert refused(http.post("/api/orders", json=body), 422, "invalid_request")["field"] == field
            for changes, code in (
                ({"type": "market", "time_in_force": "day"}, "invalid_limit_price"),
                ({"type": "market", "limit_price": None}, "invalid_time_in_force"),
                ({"side": "sell"}, "insufficient_funds"),
            ):
                body = resting_order(account_id, **changes)
                refused(http.post("/api/orders", json=body), 422, code)

    def test_the_same_client_order_id_for_another_order(
        self, refused: Refused, http: httpx.Client, ours: Tenant, unchanged: Unchanged
    ) -> None:
        body = resting_order(ours.ids["account_id"], client_order_id="mine")
        order = http.post("/api/orders", json=body).json()
        self._wait_for(http, order["order_id"], "new")
        with unchanged():
            for field, value in (("quantity", "2"), ("limit_price", "1.01"), ("symbol", "EUR-USD")):
                changed = (
                    {**body, "quantity": "100", field: value} if field == "symbol" else {**body, field: value}
                )
                problem = refused(http.post("/api/orders", json=changed), 422, "client_order_id_conflict")
                assert (problem["differs"], problem["order_id"]) == (field, order["order_id"])
            again = http.post("/api/orders", json=body)
            assert (again.status_code, again.headers["idempotent-replay"]) == (200, "true")
            assert again.json()["order_id"] == order["order_id"]

    def test_an_order_that_is_over_cannot_be_canceled(
        self, refused: Refused, http: httpx.Client, ours: Tenant, unchanged: Unchanged
    ) -> None:
        body = resting_order(ours.ids["account_id"], time_in_force="ioc")
        order_id = http.post("/api/orders", json=body).json()["order_id"]
        self._wait_for(http, order_id, "canceled")
        with unchanged():
            refused(http.delete(f"/api/orders/{order_id}"), 409, "order_already_closed")
            refused(http.delete(f"/api/orders/ord_{NOTHING}"), 404, "not_found")
            refused(http.delete("/api/orders"), 422, "invalid_request")

    @staticmethod
    def _wait_for(http: httpx.Client, order_id: str, status: str) -> None:
        wait_until(lambda: http.get(f"/api/orders/{order_id}").json()["status"] == status, 60, status)


class TestTransfers:
    @pytest.mark.parametrize(
        ("field", "code", "values"),
        [
            (
                "amount",
                "invalid_amount",
                ["0", "-1", "0.00", "0.001", "NaN", "Infinity", "1e2", "", "9" * 39],
            ),
            ("amount", "invalid_amount", ["9" * 25, "9" * 5000, "1,00", "$1"]),
            ("amount", "invalid_request", [1, 1.5, None, True]),
            ("asset", "unknown_asset", ["XYZ", "usd", "", "A" * 1000]),
            ("direction", "invalid_request", ["sideways", "", None]),
            ("reference", "invalid_request", ["", "x" * 141, "a\nb", 1]),
            ("unknown_field", "invalid_request", [1]),
        ],
    )
    def test_a_bad_value(
        self,
        refused: Refused,
        http: httpx.Client,
        ours: Tenant,
        unchanged: Unchanged,
        field: str,
        code: str,
        values: list[object],
    ) -> None:
        with unchanged():
            for value in values:
                body = {**self._deposit(ours), field: value}
                assert refused(http.post("/api/transfers", json=body), 422, code)["field"] == field

    def test_more_than_there_is(
        self, refused: Refused, http: httpx.Client, ours: Tenant, unchanged: Unchanged
    ) -> None:
        with unchanged():
            body = {**self._deposit(ours), "direction": "withdrawal", "amount": "100000.01"}
            problem = refused(http.post("/api/transfers", json=body), 422, "insufficient_funds")
            assert "are available" in str(problem["detail"])

    def test_idempotency_keys_that_are_misused(
        self, refused: Refused, http: httpx.Client, ours: Tenant, unchanged: Unchanged
    ) -> None:
        deposit, used = self._deposit(ours), {"Idempotency-Key": "bad-input-1"}
        first = http.post("/api/transfers", json=deposit, headers=used)
        assert first.status_code == 201
        with unchanged():
            other = {**deposit, "amount": "2.00"}
            refused(http.post("/api/transfers", json=other, headers=used), 422, "idempotency_key_reused")
            refused(
                http.post("/api/accounts", json={"name": "x"}, headers=used), 422, "idempotency_key_reused"
            )
            for key in ("", "a b", "x" * 256):
                answer = http.post("/api/transfers", json=deposit, headers={"Idempotency-Key": key})
                assert refused(answer, 400, "invalid_header")["header"] == "Idempotency-Key"
            again = http.post("/api/transfers", json=deposit, headers=used)
            assert again.json() == first.json()
            assert again.headers["idempotent-replay"] == "true"

    def test_money_cannot_move_in_the_live_environment(
        self, refused: Refused, sim_platform: Platform, ours: Tenant, unchanged: Unchanged
    ) -> None:
        with connect(sim_platform, ours.live_secret) as live:
            account_id = live.post("/api/accounts", json={"name": "Live"}).json()["account_id"]
            with unchanged():
                body = {**self._deposit(ours), "account_id": account_id}
                refused(live.post("/api/transfers", json=body), 403, "rail_not_connected")

    @staticmethod
    def _deposit(ours: Tenant) -> dict[str, object]:
        return {
            "account_id": ours.ids["account_id"],
            "direction": "deposit",
            "asset": "USD",
            "amount": "1.00",
        }


class TestBodies:
    @pytest.mark.parametrize(
        ("content", "headers", "status", "code"),
        [
            (b'{"name":"' + b"x" * TEN_MEGABYTES + b'"}', JSON, 413, "body_too_large"),
            (b"[" * 100_000 + b"]" * 100_000, JSON, 400, "malformed_body"),
            (b'{"name":' * 33 + b"1" + b"}" * 33, JSON, 400, "malformed_body"),
            (b'{"name":', JSON, 400, "malformed_body"),
            (b"{'name':'x'}", JSON, 400, "malformed_body"),
            (b'{"name":"x"} {}', JSON, 400, "malformed_body"),
            (b'{"name":"x","name":"y"}', JSON, 400, "malformed_body"),
            (b'{"name":NaN}', JSON, 400, "malformed_body"),
            (b'{"name":"\xff"}', JSON, 400, "malformed_body"),
            ('{"name":"x"}'.encode("utf-16"), JSON, 400, "malformed_body"),
            (b"", JSON, 400, "malformed_body"),
            (b"null", JSON, 422, "invalid_request"),
            (b'[{"name":"x"}]', JSON, 422, "invalid_request"),
            (b'{"name":"x"}', {}, 415, "unsupported_media_type"),
            (b'{"name":"x"}', {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
            (b"name=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
            (
                b'{"name":"x"}',
                {"Content-Type": "application/json; charset=latin-1"},
                415,
                "unsupported_media_type",
            ),
        ],
        ids=lambda value: repr(value)[:24],
    )
    def test_a_bad_body_on_every_door_that_takes_one(
        self,
        refused: Refused,
        http: httpx.Client,
        ours: Tenant,
        unchanged: Unchanged,
        content: bytes,
        headers: dict[str, str],
        status: int,
        code: str,
    ) -> None:
        doors = ("orders", "accounts", "transfers", "portfolios", "keys", "market/replays")
        with unchanged():
            for door in doors if len(content) < TEN_MEGABYTES else doors[:1]:
                refused(http.post(f"/api/{door}", content=content, headers=headers), status, code)


class TestLists:
    LISTS = (
        "/api/accounts",
        "/api/orders",
        "/api/executions",
        "/api/transfers",
        "/api/keys",
        "/api/portfolios",
        "/api/instruments",
        "/api/market/ACME-USD/trades",
        "/api/market/ACME-USD/bars",
    )

    @pytest.mark.parametrize("limit", ["0", "-1", "1001", "9" * 30, "1.5", "abc", "", "NaN", "0x1"])
    def test_a_bad_limit(self, refused: Refused, http: httpx.Client, limit: str) -> None:
        for path in self.LISTS:
            refused(http.get(path, params={"limit": limit}), 422, "invalid_request")

    @pytest.mark.parametrize(
        "cursor", ["", "x", "!!!", "bnVsbA", "e30", "eyJhZnRlciI6MX0", "eyJiZWZvcmUiOiJ4In0", "A" * 4000]
    )
    def test_a_bad_cursor(self, refused: Refused, http: httpx.Client, cursor: str) -> None:
        for path in self.LISTS:
            refused(http.get(path, params={"cursor": cursor}), 422, "invalid_cursor")

    def test_the_cursor_of_another_list(self, refused: Refused, http: httpx.Client) -> None:
        cursor = http.get("/api/keys", params={"limit": 1}).json()["next_cursor"]
        for path in self.LISTS:
            if path != "/api/keys":
                refused(http.get(path, params={"cursor": cursor}), 422, "invalid_cursor")

    def test_a_bad_filter(self, refused: Refused, http: httpx.Client, ours: Tenant) -> None:
        for path, code in (
            ("/api/orders?status=maybe", "invalid_request"),
            ("/api/orders?account=acc_x", "invalid_request"),
            ("/api/orders?limit=1&limit=2", "invalid_request"),
            ("/api/market/ACME-USD/trades?start=yesterday", "invalid_request"),
            ("/api/market/ACME-USD/trades?after_seq=-1", "invalid_request"),
            ("/api/market/ACME-USD/bars?interval=7x", "invalid_request"),
            ("/api/market/ACME-USD/book?depth=0", "invalid_request"),
            (f"/api/portfolios/{ours.ids['portfolio_id']}/analytics?rf=NaN", "invalid_query"),
            (
                f"/api/portfolios/{ours.ids['portfolio_id']}/analytics?from=2030-01-01&to=2020-01-01",
                "invalid_query",
            ),
        ):
            refused(http.get(path), 422, code)
        for path in ("trades", "trades/latest", "quote", "book", "bars"):
            refused(http.get(f"/api/market/NOPE-USD/{path}"), 404, "unknown_instrument")
