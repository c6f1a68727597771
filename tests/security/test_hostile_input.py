"""Whatever is sent, the answer is a documented problem, quickly, and the server goes on serving."""

import asyncio
import json
from typing import NamedTuple

import pytest
from tests.nodes import LOCAL, Node, Owner

from agio.platform.http import MAX_BODY_BYTES, find_problems, server


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


async def send_raw(port: int, *parts: bytes, pause: float = 0.0) -> Answer | None:
    """Write bytes and read one answer; None when the server closed without one."""
    reader, writer = await asyncio.open_connection(LOCAL, port)
    try:
        for part in parts:
            writer.write(part)
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(pause)
        async with asyncio.timeout(20):
            return await read_answer(reader)
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> Answer | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(lines[0].split(" ")[1]), headers, body)


def post(path: str, owner: Owner, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {owner.secret}",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers]).encode("latin-1") + b"\r\n\r\n"


async def assert_alive(port: int) -> None:
    answer = await send_raw(port, get("/healthz"))
    assert answer is not None
    assert answer.status == 200


class TestBodies:
    async def test_ten_megabytes_are_refused_before_they_are_read(self, port: int, owner: Owner) -> None:
        answer = await send_raw(port, post("/api/keys", owner, b"", length=10_000_000))

        assert answer is not None
        assert (answer.status, answer.code) == (413, "body_too_large")

    async def test_ten_megabytes_that_do_come_are_refused_too(self, port: int, owner: Owner) -> None:
        answer = await send_raw(port, post("/api/keys", owner, b"[" * 10_000_000))

        assert answer is None or (answer.status, answer.code) == (413, "body_too_large")
        await assert_alive(port)

    async def test_an_endless_chunked_body_is_counted(self, port: int, owner: Owner) -> None:
        head = post("/api/keys", owner, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"

        # No more than is read: a server that closes on what it has not read resets the connection.
        answer = await send_raw(port, head, *([chunk] * (MAX_BODY_BYTES // 65536)), b"1\r\n \r\n")

        assert answer is not None
        assert (answer.status, answer.code) == (413, "body_too_large")
        await assert_alive(port)

    async def test_a_hostile_body_is_a_problem_and_makes_no_key(
        self, port: int, node: Node, owner: Owner
    ) -> None:
        for body, status, code in [
            (b'{"name":"x","scopes":["orders:read"]', 400, "malformed_body"),
            (b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "malformed_body"),
            (b'{"a":' * 100_000, 400, "malformed_body"),
            (b'{"name":"x","scopes":["orders:read"],"expires_in_days":NaN}', 400, "malformed_body"),
            (b'{"name":"x","scopes":["orders:read"],"expires_in_days":-Infinity}', 400, "malformed_body"),
            (b'{"name":"x","scopes":["orders:read"],"expires_in_days":1e999}', 400, "malformed_body"),
            (b'{"name":"x","scopes":["orders:read"],"expires_in_days":7.5}', 422, "invalid_request"),
            (b'{"name":"x","name":"y","scopes":["orders:read"]}', 400, "malformed_body"),
            (b'{"name":"x","scopes":["orders:read"],"is_admin":true}', 422, "invalid_request"),
            (b'{"name":"\\ud800","scopes":["orders:read"]}', 400, "malformed_body"),
            (b"\x00\x01\x02", 400, "malformed_body"),
            (b"\xef\xbb\xbf{}", 400, "malformed_body"),
            (b'{"name":"' + b"x" * 1000 + b'","scopes":["orders:read"]}', 422, "invalid_request"),
            (b'{"name":"a\\u0000b","scopes":["orders:read"]}', 422, "invalid_request"),
            (b'{"name":"x","scopes":["orders:read\\u0000"]}', 422, "invalid_request"),
            (b"[]", 422, "invalid_request"),
            (b'"text"', 422, "invalid_request"),
        ]:
            answer = await send_raw(port, post("/api/keys", owner, body))
            assert answer is not None
            assert (answer.status, answer.code) == (status, code), body[:60]

        assert len((await node.service.list_keys(owner.principal, 10, None)).items) == 1

    async def test_a_body_that_ends_early_changes_nothing(self, port: int, node: Node, owner: Owner) -> None:
        body = b'{"name":"x","scopes":["orders:read"]}'
        reader, writer = await asyncio.open_connection(LOCAL, port)
        writer.write(post("/api/keys", owner, body[:-5], length=len(body)))
        writer.write_eof()
        async with asyncio.timeout(20):
            await reader.read()
        writer.close()

        assert len((await node.service.list_keys(owner.principal, 10, None)).items) == 1
        await assert_alive(port)


class TestHeads:
    async def test_what_is_not_http_is_refused(self, port: int) -> None:
        for request_bytes in [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n",
            b"POST /api/keys HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            b"POST /api/keys HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n",
            b"POST /api/keys HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        ]:
            answer = await send_raw(port, request_bytes)
            assert answer is None or (answer.status, answer.code) == (400, "request_refused"), request_bytes
        await assert_alive(port)

    async def test_an_oversized_head_is_refused(self, port: int) -> None:
        for head in [
            get("/healthz", "X-Long: " + "a" * 40_000),
            get("/healthz", *[f"X-{number}: {'b' * 100}" for number in range(400)]),
            get("/" + "a" * 40_000),
        ]:
            answer = await send_raw(port, head)
            assert answer is not None
            assert (answer.status, answer.code) == (431, "head_too_large")
        await assert_alive(port)

    async def test_a_head_without_end_is_cut_off(self, port: int) -> None:
        answer = await send_raw(
            port, b"GET /healthz HTTP/1.1\r\nX-Long: ", *([b"a" * 65536] * 12), pause=0.01
        )

        assert answer is None or answer.code == "head_too_large"
        await assert_alive(port)

    async def test_a_head_that_dawdles_is_cut_off(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)

        answer = await send_raw(port, b"GET /healthz HTTP/1.1\r\n")

        assert answer is not None
        assert (answer.status, answer.code) == (408, "head_too_slow")

    async def test_a_header_cannot_be_injected_through_the_request_id(self, port: int) -> None:
        answer = await send_raw(port, get("/healthz", "X-Request-ID: abcdefgh\tSet-Cookie: a=b"))

        assert answer is not None
        assert answer.headers["x-request-id"].startswith("req_")
        assert "set-cookie" not in answer.headers

    async def test_a_hostile_path_is_refused(self, port: int, owner: Owner) -> None:
        for path in [
            "/api/keys/%0d%0aSet-Cookie:%20a=b",
            "/api/keys/..%2f..%2fetc%2fpasswd",
            "/problems/%3Cscript%3E",
            "/problems/" + "x" * 5000,
            "/api/keys/key_%00",
            "/api/keys/%ff%fe",
            "/api/keys?cursor=" + "A" * 5000,
            "/api/keys?cursor=eyJhZnRlciI6W119",
            "/api/keys?limit=99999999999999999999",
            "/api/keys?limit=1&limit=2",
            "/api/keys?limit=1e2",
            "/api/orders?limit=1_0",
            "//evil.example/x",
        ]:
            answer = await send_raw(port, get(path, f"Authorization: Bearer {owner.secret}"))
            assert answer is not None, path
            assert answer.status in {400, 404, 422}, (path, answer)
            assert answer.code in find_problems()
            assert "set-cookie" not in answer.headers

    async def test_other_methods_are_refused(self, port: int) -> None:
        for method in ["TRACE", "PROPFIND", "PUT", "PATCH"]:
            answer = await send_raw(port, f"{method} /api/me HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert answer is not None
            assert (answer.status, answer.code) == (405, "method_not_allowed")
            assert "GET" in answer.headers["allow"]


class TestCredentials:
    async def test_a_bad_credential_is_401_with_a_challenge(self, port: int) -> None:
        for credential in [
            "Bearer agio_sandbox_" + "0" * 49,
            "Bearer agio_live_" + "A" * 49,
            "Bearer null",
            "Bearer ' or 1=1 --",
            "Bearer " + "é" * 30,
            "Bearer",
            "bearer  ",
            "Basic YWRtaW46YWRtaW4=",
            "Negotiate x",
            "Bearer " + "A" * 20_000,
        ]:
            answer = await send_raw(port, get("/api/me", f"Authorization: {credential}"))
            assert answer is not None
            assert answer.status == 401, credential
            assert answer.headers["www-authenticate"].startswith("Bearer ")

    async def test_two_credentials_at_once_are_not_merged(self, port: int, owner: Owner) -> None:
        answer = await send_raw(
            port, get("/api/me", "Authorization: Bearer x", f"Authorization: Bearer {owner.secret}")
        )

        assert answer is not None
        assert answer.status == 401

    async def test_metrics_are_for_this_machine_and_not_for_a_proxy_on_it(
        self, port: int, owner: Owner
    ) -> None:
        direct = await send_raw(port, get("/metrics"))
        forwarded = await send_raw(port, get("/metrics", "X-Forwarded-For: 203.0.113.9"))
        with_scope = await send_raw(
            port, get("/metrics", "X-Forwarded-For: 203.0.113.9", f"Authorization: Bearer {owner.secret}")
        )

        assert direct is not None
        assert forwarded is not None
        assert with_scope is not None
        assert (direct.status, forwarded.status, with_scope.status) == (200, 401, 200)
        assert b"process_resident_memory_bytes" in direct.body
