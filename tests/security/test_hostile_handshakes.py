"""Hostile handshakes: each is refused for what is wrong with it, never as a fault of ours that may pass."""

import asyncio

import aiohttp
import msgspec
import pytest
from tests.integration.streaming.conftest import World
from tests.nodes import LOCAL, Owner, bearer
from tests.security.hostile import handshake, open_raw

DEFECTS: dict[str, tuple[str, list[str], int, str]] = {
    "query of many fields": ("/stream?" + "a=1&" * 20, [], 400, "invalid_handshake"),
    "two keys at once": ("/stream", ["Authorization: Bearer other"], 400, "invalid_handshake"),
    "two hosts": ("/stream", ["Host: evil.example"], 400, "invalid_handshake"),
    "two origins": ("/stream", ["Origin: https://a", "Origin: https://b"], 400, "invalid_handshake"),
    "origin that is no address": ("/stream", ["Origin: https://[evil"], 403, "origin_not_allowed"),
    "two versions": ("/stream", ["Sec-WebSocket-Version: 8"], 400, "invalid_handshake"),
    "foreign subprotocol": ("/stream", ["Sec-WebSocket-Protocol: graphql-ws"], 400, "invalid_handshake"),
    "subprotocols that are no list": ("/stream", ["Sec-WebSocket-Protocol: ,,;"], 400, "invalid_handshake"),
    "extensions that are no list": ("/stream", ["Sec-WebSocket-Extensions: ;;="], 400, "invalid_handshake"),
    "body": ("/stream", ["Content-Length: 5"], 400, "invalid_handshake"),
    "body in chunks": ("/stream", ["Transfer-Encoding: chunked"], 400, "invalid_handshake"),
    "header of nine kilobytes": ("/stream", ["X-Long: " + "x" * 9_000], 400, "invalid_handshake"),
    "two hundred headers": ("/stream", [f"X-{number}: 1" for number in range(200)], 400, "invalid_handshake"),
    "path with a line's end": ("/stream/a%0d%0aX:%20b", [], 404, "unknown_channel"),
    "path that is not UTF-8": ("/stream/%ff%00", [], 404, "unknown_channel"),
}


@pytest.mark.parametrize(("path", "headers", "status", "code"), DEFECTS.values(), ids=DEFECTS)
async def test_is_told_what_is_wrong(
    attacked: World, path: str, headers: list[str], status: int, code: str
) -> None:
    head = handshake(attacked, "good", *headers).replace(b"/stream", path.encode(), 1)
    async with open_raw(attacked) as peer, asyncio.timeout(30):
        peer.writer.write(head)
        answer, _, body = (await peer.reader.read()).partition(b"\r\n\r\n")

    assert (int(answer.split()[1]), msgspec.json.decode(body)["code"]) == (status, code)
    assert b"retry-after" not in answer.lower()


async def test_another_version_is_told_ours(attacked: World) -> None:
    """RFC 6455, 4.4."""
    head = handshake(attacked, "good").replace(b"Version: 13", b"Version: 8")
    async with open_raw(attacked) as peer, asyncio.timeout(30):
        peer.writer.write(head)
        answer = await peer.reader.read()

    assert b"\r\nsec-websocket-version: 13\r\n" in answer.lower()


async def test_events_of_an_origin_that_is_no_address(attacked: World) -> None:
    url = f"https://127.0.0.1:{attacked.port}/stream/sse?ch=trades:ES"
    headers = {**bearer("good"), "Origin": "https://[evil"}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers, ssl=attacked.tls) as answer:
        assert answer.status == 403


async def test_an_upgrade_does_not_overtake_the_answer_before_it(stream_port: int, owner: Owner) -> None:
    """Sent on one connection at once: the answers come in order, or the later one would be read as frames."""
    asked = f"GET /api/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {owner.secret}\r\n\r\n"
    upgrade = (
        f"GET /stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {owner.secret}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(LOCAL, stream_port)
    writer.write(asked.encode() + upgrade.encode())
    async with asyncio.timeout(30):
        statuses = [await read_status(reader) for _ in range(2)]
    writer.transport.abort()

    assert statuses == [200, 426]


async def read_status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
    return int(head.split()[1])
