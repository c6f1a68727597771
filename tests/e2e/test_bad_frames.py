"""WebSocket peers that break the rules on the real port: each is cut off, and nobody else notices."""

import asyncio
import base64
import os
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import httpx
import pytest
from tests.e2e.tenants import Refused, Tenant, Unchanged

from agio.platform.crypto import mint_token
from benchmarks.harness import Platform

CLOSE, PING, TEXT, BINARY, MORE = 8, 9, 1, 2, 0
CHANNELS = {
    "account_id": ("orders", "fills", "ledger", "balances"),
    "portfolio_id": ("positions", "analytics"),
}
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


class Peer:
    """Writes whatever bytes it likes, through TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, content: bytes) -> None:
        self._writer.write(content)

    def frame(
        self, opcode: int, payload: bytes, *, is_final: bool = True, is_masked: bool = True, reserved: int = 0
    ) -> None:
        head = bytearray([(0x80 if is_final else 0) | reserved | opcode])
        masked = 0x80 if is_masked else 0
        if len(payload) < 126:
            head.append(masked | len(payload))
        elif len(payload) < 65_536:
            head += struct.pack("!BH", masked | 126, len(payload))
        else:
            head += struct.pack("!BQ", masked | 127, len(payload))
        # A mask of zeros is a mask.
        self.write(bytes(head) + (bytes(4) if is_masked else b"") + payload)

    async def messages_until_close(self) -> tuple[list[bytes], int | None]:
        """What the server says, and the code with which it ends the connection; None when it just ends."""
        said = []
        async with asyncio.timeout(20):
            with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while True:
                    opcode, payload = await self._read_frame()
                    if opcode == CLOSE:
                        return said, int.from_bytes(payload[:2], "big")
                    said.append(payload)
        return said, None

    async def message(self) -> bytes:
        """The next message or pong."""
        async with asyncio.timeout(20):
            return (await self._read_frame())[1]

    async def _read_frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        assert not second & 0x80, "a server never masks"
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
        return first & 0x0F, await self._reader.readexactly(length)


@asynccontextmanager
async def peer_of(platform: Platform, secret: str) -> AsyncIterator[Peer]:
    url = httpx.URL(platform.url)
    reader, writer = await asyncio.open_connection(
        url.host, url.port, ssl=ssl.create_default_context(cafile=platform.ca_file)
    )
    head = {"Host": url.netloc.decode(), "Authorization": f"Bearer {secret}", **UPGRADE}
    lines = [f"{name}: {value}" for name, value in head.items()]
    writer.write("\r\n".join(["GET /stream HTTP/1.1", *lines, "", ""]).encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101"), answer
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


def garbage(peer: Peer) -> None:
    peer.write(os.urandom(4096))


def http_again(peer: Peer) -> None:
    peer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def unmasked(peer: Peer) -> None:
    peer.frame(TEXT, b'{"op":"ping"}', is_masked=False)


def unknown_opcode(peer: Peer) -> None:
    peer.frame(3, b"x")


def reserved_bit(peer: Peer) -> None:
    peer.frame(TEXT, b'{"op":"ping"}', reserved=0x40)


def fragmented_ping(peer: Peer) -> None:
    peer.frame(PING, b"x", is_final=False)


def long_ping(peer: Peer) -> None:
    peer.frame(PING, b"x" * 126)


def continuation_of_nothing(peer: Peer) -> None:
    peer.frame(MORE, b"x")


def text_within_a_text(peer: Peer) -> None:
    peer.frame(TEXT, b'{"op":', is_final=False)
    peer.frame(TEXT, b'"ping"}')


def invalid_utf_8(peer: Peer) -> None:
    peer.frame(TEXT, b'{"op":"ping","id":"\xc3\x28"}')


def binary_on_a_text_connection(peer: Peer) -> None:
    peer.frame(BINARY, b'{"op":"ping"}')


def oversized(peer: Peer) -> None:
    peer.frame(TEXT, b"x" * 1_000_000)


def oversized_by_its_head(peer: Peer) -> None:
    peer.write(bytes([0x80 | TEXT, 0xFF]) + struct.pack("!Q", 2**62) + bytes(4))


def oversized_in_fragments(peer: Peer) -> None:
    peer.frame(TEXT, b"x" * 1_000, is_final=False)
    for _ in range(80):
        peer.frame(MORE, b"x" * 1_000, is_final=False)


def empty_fragments_for_ever(peer: Peer) -> None:
    peer.frame(TEXT, b"", is_final=False)
    for _ in range(5_000):
        peer.frame(MORE, b"", is_final=False)


def malformed_operations(peer: Peer) -> None:
    for _ in range(20):
        peer.frame(TEXT, b'{"op":"sub","ch":42}')


def a_storm_of_pings(peer: Peer) -> None:
    for _ in range(1_000):
        peer.frame(PING, b"x")


def a_storm_of_operations(peer: Peer) -> None:
    for number in range(1_000):
        peer.frame(TEXT, b'{"op":"ping","id":%d}' % number)


class TestFrames:
    @pytest.mark.parametrize(
        ("attack", "codes"),
        [
            (garbage, {1002, 1007, 1009, None}),
            (http_again, {1002}),
            (unmasked, {1002}),
            (unknown_opcode, {1002}),
            (reserved_bit, {1002}),
            (fragmented_ping, {1002}),
            (long_ping, {1002}),
            (continuation_of_nothing, {1002}),
            (text_within_a_text, {1002}),
            (invalid_utf_8, {1007}),
            (binary_on_a_text_connection, {1003}),
            (oversized, {1009}),
            (oversized_by_its_head, {1009}),
            (oversized_in_fragments, {1009}),
            (empty_fragments_for_ever, {1009}),
            (malformed_operations, {4500}),
            (a_storm_of_pings, {4429}),
            (a_storm_of_operations, {4429}),
        ],
    )
    async def test_the_peer_is_cut_off_and_its_neighbour_served(
        self,
        sim_platform: Platform,
        ours: Tenant,
        unchanged: Unchanged,
        attack: Callable[[Peer], None],
        codes: set[int | None],
    ) -> None:
        with unchanged():
            async with (
                neighbour_of(sim_platform, ours) as neighbour,
                peer_of(sim_platform, ours.secret) as peer,
            ):
                attack(peer)
                _, code = await peer.messages_until_close()
                assert code in codes
                await neighbour.send_json({"op": "ping", "id": 7})
                assert (await next_answer(neighbour))["id"] == 7

    async def test_a_message_in_fragments_is_one_message(self, sim_platform: Platform, ours: Tenant) -> None:
        async with peer_of(sim_platform, ours.secret) as peer:
            peer.frame(TEXT, b'{"op":"pi', is_final=False)
            peer.frame(PING, b"in between")
            peer.frame(MORE, b'ng","id', is_final=False)
            peer.frame(MORE, b'":9}')
            said = [await peer.message() for _ in range(3)]
            peer.frame(CLOSE, struct.pack("!H", 1000))
            _, code = await peer.messages_until_close()
        assert b"in between" in said
        assert b'"id":9' in said[-1]
        assert code == 1000


class TestOperations:
    async def test_each_is_answered_by_what_is_wrong(
        self, sim_platform: Platform, ours: Tenant, theirs: Tenant, refused: Refused, unchanged: Unchanged
    ) -> None:
        channels = {
            "trades:NOPE-USD": "unknown_channel",
            "trades": "unknown_channel",
            "nothing:x": "unknown_channel",
            "x" * 5000: "invalid_operation",
        }
        for key, kinds in CHANNELS.items():
            channels |= {f"{kind}:{theirs.ids[key]}": "unknown_channel" for kind in kinds}
        with unchanged():
            async with neighbour_of(sim_platform, ours) as socket:
                await socket.send_json({"op": "sub", "id": 1, "ch": list(channels)})
                answer = await next_answer(socket)
                assert answer["subs"] == []
                assert [error["code"] for error in answer["errs"]] == list(channels.values())
                for operation, code in (
                    ("{", "invalid_operation"),
                    ("[]", "invalid_operation"),
                    ('{"op":"drop table"}', "invalid_operation"),
                    ('{"op":"sub","ch":[{"ch":"book:BTC-USD","depth":-1}]}', "invalid_operation"),
                    (f'{{"op":"auth","token":"{theirs.secret}"}}', "other_subject"),
                ):
                    await socket.send_str(operation)
                    error = await next_answer(socket)
                    assert (error["op"], error["code"]) == ("error", code)
                    assert refused.documented_status(code) >= 400


class TestHandshakes:
    @pytest.mark.parametrize(
        ("path", "changes", "status", "code"),
        [
            ("/stream", {"Authorization": "Bearer nonsense"}, 401, "unauthorized"),
            ("/stream", {"Authorization": f"Bearer {mint_token('agio_live')}"}, 401, "unauthorized"),
            ("/stream?ticket=nonsense", {"Authorization": ""}, 401, "invalid_ticket"),
            ("/stream", {"Origin": "https://elsewhere.example"}, 403, "origin_not_allowed"),
            ("/stream/a/b", {}, 404, "not_found"),
            ("/stream/NOPE-USD", {}, 404, "unknown_channel"),
            ("/api/orders", {}, 404, "not_found"),
            ("/stream", {"Sec-WebSocket-Version": "12"}, 400, "invalid_handshake"),
            ("/stream", {"Sec-WebSocket-Key": "short"}, 400, "invalid_handshake"),
            ("/stream", {"Sec-WebSocket-Protocol": "graphql-ws"}, 400, "invalid_handshake"),
        ],
    )
    def test_a_refusal_is_a_problem_like_any_other(
        self, http: httpx.Client, refused: Refused, path: str, changes: dict[str, str], status: int, code: str
    ) -> None:
        refused(http.get(path, headers={**UPGRADE, **changes}), status, code)


@asynccontextmanager
async def neighbour_of(platform: Platform, tenant: Tenant) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A well-behaved client."""
    context = ssl.create_default_context(cafile=platform.ca_file)
    headers = {"Authorization": f"Bearer {tenant.secret}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.ws_connect(f"{platform.url}/stream", ssl=context) as socket,
    ):
        assert (await socket.receive_json(timeout=20))["op"] == "welcome"
        yield socket


async def next_answer(socket: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    while True:
        message: dict[str, object] = await socket.receive_json(timeout=20)
        if message.get("op") != "hb":
            return message
