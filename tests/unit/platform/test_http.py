"""The HTTP layer with two small handlers behind it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, Response, Router, get, post

from agio.kernel.problem import Conflict, Problem
from agio.platform.http import (
    UndeclaredAccess,
    build_document,
    create_app,
    entity_tag,
    find_problems,
    list_operations,
    not_modified,
    tagged,
)
from agio.platform.http.problems import problem_members

PUBLIC = {"public": True}


class Leg(msgspec.Struct, forbid_unknown_fields=True):
    amount: str


class Journal(msgspec.Struct, forbid_unknown_fields=True):
    legs: list[Leg]
    note: str | None = None
    count: int = 0


class OutOfStock(Conflict):
    """There is none left."""

    code = "out_of_stock"
    title = "Out of stock"


class Seen:
    """Remembers what the observer was told."""

    def __init__(self) -> None:
        self.exchanges: list[tuple[str, str, int]] = []

    def request_finished(self, method: str, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.exchanges.append((method, route, status))


@post("/journals", opt=PUBLIC)
async def post_journal(data: Journal) -> Journal:
    """Post a journal."""
    return data


@post("/anything", opt=PUBLIC)
async def post_anything(data: dict[str, object]) -> dict[str, object]:
    return data


@post("/optional", opt=PUBLIC)
async def post_optional(data: Journal | None = None) -> dict[str, object]:
    return {"given": data is not None}


@get("/things/{thing_id:str}", opt={"scope": "market:read"})
async def show_thing(request: Request[Any, Any, Any], thing_id: str, depth: int = 1) -> Response[Any]:
    """Show a thing."""
    tag = entity_tag(thing_id, depth)
    return not_modified(request, tag) or tagged({"thing_id": thing_id, "depth": depth}, tag)


@get("/fail", opt=PUBLIC)
async def fail() -> None:
    raise ValueError("the password is hunter2")


@get("/refuse", opt=PUBLIC)
async def refuse() -> None:
    raise OutOfStock("none left", extra={"left": 0, "status": 200}, headers={"Retry-After": "3"})


def make_app(seen: Seen | None = None) -> Litestar:
    return create_app(
        [post_journal, post_anything, post_optional, show_thing, fail, refuse],
        guards=[],
        dependencies={},
        version="1.2.3",
        observer=seen,
    )


def connect(app: Litestar) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agio.example")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with connect(make_app()) as running:
        yield running


def as_json(content: bytes) -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": "application/json"}}


class TestProblems:
    async def test_a_problem_carries_its_members_and_headers(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/refuse")

        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "3"
        body = answer.json()
        assert body == {
            "type": "/problems/out_of_stock",
            "title": "Out of stock",
            "status": 409,
            "detail": "none left",
            "instance": "/refuse",
            "code": "out_of_stock",
            "request_id": answer.headers["x-request-id"],
            "left": 0,
        }

    async def test_a_fault_of_ours_tells_nothing_of_its_inside(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/fail")

        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "hunter2" not in answer.text
        assert "ValueError" not in answer.text

    async def test_an_unknown_path_is_a_problem_too(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/nothing/here")

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_a_wrong_method_says_which_are_right(self, client: httpx.AsyncClient) -> None:
        answer = await client.put("/journals", json={})

        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert "POST" in answer.headers["allow"]

    async def test_head_has_the_headers_of_get_and_no_content(self, client: httpx.AsyncClient) -> None:
        for path, status in (("/problems/not_found", 200), ("/nothing/here", 404)):
            got, asked = await client.get(path), await client.head(path)
            assert (asked.status_code, asked.content) == (status, b"")
            for name in ("content-type", "content-length"):
                assert asked.headers[name] == got.headers[name]

    async def test_allow_lists_head_beside_get(self, client: httpx.AsyncClient) -> None:
        answer = await client.delete("/problems/not_found")

        assert answer.status_code == 405
        assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", "))

    async def test_every_problem_has_a_page(self, client: httpx.AsyncClient) -> None:
        for code, kind in find_problems().items():
            page = await client.get(f"/problems/{code}")
            described = await client.get(f"/problems/{code}", headers={"Accept": "application/json"})
            assert page.status_code == 200
            assert page.headers["content-type"].startswith("text/html")
            assert described.json()["status"] == kind.status
        assert (await client.get("/problems/nonsense")).status_code == 404

    def test_an_added_member_never_replaces_a_standard_one(self) -> None:
        members = problem_members(Conflict("x", extra={"type": "evil", "seq": 1}), "/a", "req_1")

        assert members["type"] == "/problems/conflict"
        assert members["seq"] == 1

    def test_codes_are_unique_and_documented(self) -> None:
        kinds = find_problems()
        for code, kind in kinds.items():
            assert issubclass(kind, Problem)
            assert kind.__doc__, code
            assert 400 <= kind.status < 600, code


class TestBodies:
    @pytest.mark.parametrize(
        ("content", "status", "code", "field"),
        [
            (b'{"legs":[{"amount":"1"}]', 400, "malformed_body", None),
            (b"not json", 400, "malformed_body", None),
            (b"\xff\xfe{}", 400, "malformed_body", None),
            (b'{"legs":[],"legs":[]}', 400, "malformed_body", None),
            (b'{"legs":[{"amount":"1","amount":"2"}]}', 400, "malformed_body", None),
            (b'{"legs":[]} {}', 400, "malformed_body", None),
            (b"", 400, "malformed_body", None),
            (b'{"legs":[],"count":NaN}', 400, "malformed_body", None),
            (b'{"legs":[],"count":Infinity}', 400, "malformed_body", None),
            (b'{"legs":[],"count":1e400}', 400, "malformed_body", None),
            (b'{"legs":[],"count":"1"}', 422, "invalid_request", "count"),
            (b'{"legs":[],"count":1.5}', 422, "invalid_request", "count"),
            (b'{"legs":[],"count":true}', 422, "invalid_request", "count"),
            (b'{"legs":[{"amount":"1"},{"amount":2}]}', 422, "invalid_request", "legs[1].amount"),
            (b'{"legs":[],"extra":1}', 422, "invalid_request", "extra"),
            (b'{"note":"x"}', 422, "invalid_request", "legs"),
            (b"[]", 422, "invalid_request", ""),
            (b"null", 422, "invalid_request", ""),
        ],
    )
    async def test_a_bad_body_is_refused_and_its_field_named(
        self, client: httpx.AsyncClient, content: bytes, status: int, code: str, field: str | None
    ) -> None:
        answer = await client.post("/journals", **as_json(content))

        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.json().get("field") == field

    async def test_a_good_body_is_read(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/journals", json={"legs": [{"amount": "1:2"}], "note": '"[{:'})

        assert answer.status_code == 201
        assert answer.json() == {"legs": [{"amount": "1:2"}], "note": '"[{:', "count": 0}

    @pytest.mark.parametrize("depth", [1, 31])
    async def test_depth_within_the_limit_is_read(self, client: httpx.AsyncClient, depth: int) -> None:
        content = b'{"a":' + b"[" * depth + b"]" * depth + b"}"

        assert (await client.post("/anything", **as_json(content))).status_code == 201

    @pytest.mark.parametrize(
        "content", [b"[" * 32 + b"]" * 32, b"[" * 500_000, b'{"a":' * 40 + b"1" + b"}" * 40]
    )
    async def test_deeper_is_refused(self, client: httpx.AsyncClient, content: bytes) -> None:
        answer = await client.post("/anything", **as_json(b'{"a":' + content + b"}"))

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")

    async def test_many_shallow_brackets_are_not_deep(self, client: httpx.AsyncClient) -> None:
        content = b'{"a":[' + b",".join([b'{"b":[]}'] * 1000) + b'],"c":"]]]}}}"}'

        assert (await client.post("/anything", **as_json(content))).status_code == 201

    @pytest.mark.parametrize(
        "content_type",
        ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "json"],
    )
    async def test_other_media_types_are_refused(self, client: httpx.AsyncClient, content_type: str) -> None:
        answer = await client.post(
            "/journals", content=b'{"legs":[]}', headers={"Content-Type": content_type}
        )

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")

    @pytest.mark.parametrize(
        "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.agio+json"]
    )
    async def test_json_in_any_spelling_is_read(self, client: httpx.AsyncClient, content_type: str) -> None:
        answer = await client.post(
            "/journals", content=b'{"legs":[]}', headers={"Content-Type": content_type}
        )

        assert answer.status_code == 201

    async def test_more_than_one_mebibyte_is_refused(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/journals", **as_json(b" " * (1024 * 1024 + 1)))

        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    async def test_an_optional_body_may_be_absent(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/optional")).json() == {"given": False}
        assert (await client.post("/optional", json={"legs": []})).json() == {"given": True}


class TestParameters:
    @pytest.mark.parametrize("query", ["depth=x", "depth=1.5", "depht=2", "depth=1&other=2"])
    async def test_a_bad_parameter_is_named(self, client: httpx.AsyncClient, query: str) -> None:
        answer = await client.get(f"/things/a?{query}")

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["field"] in {"depth", "depht", "other"}


class TestConditionalReads:
    async def test_a_poll_with_the_tag_is_answered_304(self, client: httpx.AsyncClient) -> None:
        first = await client.get("/things/a")

        for wanted in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
            again = await client.get("/things/a", headers={"If-None-Match": wanted})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-cache"

    async def test_another_version_is_answered_in_full(self, client: httpx.AsyncClient) -> None:
        tag = (await client.get("/things/a")).headers["etag"]

        answer = await client.get("/things/a?depth=2", headers={"If-None-Match": tag})

        assert answer.status_code == 200
        assert answer.headers["etag"] != tag


class TestEdge:
    async def test_a_plain_request_id_is_kept_and_another_replaced(self, client: httpx.AsyncClient) -> None:
        kept = await client.get("/things/a", headers={"X-Request-ID": "trace-12345678"})
        replaced = await client.get("/things/a", headers={"X-Request-ID": "<script>alert(1)</script>"})

        assert kept.headers["x-request-id"] == "trace-12345678"
        assert replaced.headers["x-request-id"].startswith("req_")

    async def test_answers_are_not_stored_and_not_framed(self, client: httpx.AsyncClient) -> None:
        headers = (await client.post("/journals", json={"legs": []})).headers

        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]

    async def test_transport_security_is_not_forced_upon_localhost(self, client: httpx.AsyncClient) -> None:
        local = await client.get("/things/a", headers={"Host": "localhost:8443"})
        remote = await client.get("/things/a", headers={"Host": "agio.example"})

        assert "strict-transport-security" not in local.headers
        assert "strict-transport-security" in remote.headers

    async def test_the_observer_hears_templates_and_never_raw_paths(self) -> None:
        seen = Seen()
        async with connect(make_app(seen)) as client:
            await client.get("/things/a")
            await client.get("/made/up")
            await client.get("/fail")

        assert seen.exchanges == [
            ("GET", "/things/{thing_id}", 200),
            ("GET", "(unmatched)", 404),
            ("GET", "/fail", 500),
        ]


class TestCreateApp:
    @pytest.mark.parametrize(
        "options", [{}, {"scope": ""}, {"scope": "a:b", "public": True}, {"public": False}]
    )
    def test_a_route_without_clear_access_keeps_the_application_from_starting(
        self, options: dict[str, object]
    ) -> None:
        @get("/open", opt=options)
        async def forgotten() -> None:
            return None

        with pytest.raises(UndeclaredAccess, match="GET /open"):
            create_app([forgotten], guards=[], dependencies={}, version="1")

    def test_a_router_may_declare_for_its_handlers(self) -> None:
        @get("/open")
        async def inherited() -> None:
            return None

        app = create_app(
            [Router("/r", route_handlers=[inherited], opt=PUBLIC)], guards=[], dependencies={}, version="1"
        )

        assert ("/r/open", None) in [(operation.path, operation.scope) for operation in list_operations(app)]


class TestDocument:
    def test_it_says_what_the_server_does(self) -> None:
        document = build_document(make_app(), title="agio", version="1", description="x")

        assert document["openapi"].startswith("3.1")
        assert document["components"]["schemas"]["Journal"]["additionalProperties"] is False
        shown = document["paths"]["/things/{thing_id}"]["get"]
        assert shown["security"] == [{"key": []}]
        assert shown["x-agio-scope"] == "market:read"
        posted = document["paths"]["/journals"]["post"]
        assert "security" not in posted
        assert posted["summary"] == "Post a journal."
        assert {"400", "413", "415", "422"} <= posted["responses"].keys()

    async def test_it_is_served_as_json_and_for_reading(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/openapi.json")).json()
        page = await client.get("/docs")

        assert "/journals" in document["paths"]
        assert "/docs" not in document["paths"]
        assert "<script" not in page.text
        assert "/things/{thing_id}" in page.text
