"""Hostile peers of the streams: each is bounded, told why, and cut off; everybody else is served in order.

Next to every attack a bystander reads a log channel of the same gateway, over TLS, and gets all of it
(fixture `attacked`).
"""

import asyncio
import zlib

import msgspec
import pytest
from tests.integration.streaming.conftest import World
from tests.security.hostile import (
    CONTINUATION,
    PING,
    PONG,
    SETTINGS,
    TEXT,
    handshake,
    open_raw,
    read_answers,
    upgraded,
)

from agio.platform.http import server
from agio.streaming import protocol
from agio.streaming.settings import MIB

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
FINAL_RSV1_TEXT = 0xC1


class TestFrames:
    @pytest.mark.parametrize(("offer", "code"), [([DEFLATE], 1009), ([], 1002)])
    @pytest.mark.parametrize("token", ["good", None])
    async def test_deflate_bomb(
        self, attacked: World, token: str | None, offer: list[str], code: int
    ) -> None:
        """Refused by the size that it would have, or as a frame that nobody negotiated: never inflated."""
        bomb = zlib.compressobj(9, wbits=-15)
        packed = bomb.compress(bytes(64 * MIB)) + bomb.flush(zlib.Z_SYNC_FLUSH)
        payload = packed[:-4][: 4_000 if token is None else 60_000]
        async with upgraded(attacked, token, *offer) as peer:
            head = bytes([FINAL_RSV1_TEXT, 0x80 | 126]) + len(payload).to_bytes(2, "big")
            peer.writer.write(head + bytes(4) + payload)

            assert await peer.close_code() == code

    @pytest.mark.parametrize(("token", "size"), [("good", 65_537), (None, 4_097)])
    async def test_oversized_message(self, attacked: World, token: str | None, size: int) -> None:
        async with upgraded(attacked, token) as peer:
            peer.send(TEXT, b" " * size)

            assert await peer.close_code() == 1009

    async def test_fragments_for_ever(self, attacked: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocol, "_MESSAGE_SECONDS", 0.3)
        async with upgraded(attacked) as peer:
            ending = asyncio.create_task(read_answers(peer))
            peer.send(TEXT, b"[", is_final=False)
            while not ending.done():
                peer.send(CONTINUATION, b" ", is_final=False)
                await asyncio.sleep(0.02)

        assert (await ending)[-1] == {"close": 4500, "reason": "the message took too long"}

    @pytest.mark.parametrize("token", ["good", None])
    async def test_empty_fragments(self, attacked: World, token: str | None) -> None:
        async with upgraded(attacked, token) as peer:
            peer.send(TEXT, b"", is_final=False)
            for _ in range(5_000):
                peer.send(CONTINUATION, b"", is_final=False)

            assert await peer.close_code() == 1009

    async def test_unmasked_frame(self, attacked: World) -> None:
        async with upgraded(attacked) as peer:
            peer.send(TEXT, b'{"op":"ping"}', is_masked=False)

            assert await peer.close_code() == 1002

    @pytest.mark.parametrize("opcode", [PING, PONG])
    async def test_flood_of_control_frames(self, attacked: World, opcode: int) -> None:
        async with upgraded(attacked) as peer:
            for _ in range(50_000):
                peer.send(opcode, b"x" * 125)

            assert await peer.close_code() in {4429, None}


@pytest.mark.parametrize(
    "attacked", [msgspec.structs.replace(SETTINGS, authentication_seconds=0.4)], indirect=True, ids=["quick"]
)
class TestSlowness:
    async def test_head_of_the_handshake_that_never_ends(
        self, attacked: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
        async with open_raw(attacked) as peer:
            for byte in handshake(attacked, "good")[:-2]:
                peer.writer.write(bytes([byte]))
            async with asyncio.timeout(30):
                status = await peer.reader.readline()

        assert status.split()[1] == b"408"

    async def test_connection_that_never_authenticates(self, attacked: World) -> None:
        """Also when it is busy: pings and operations do not count."""
        async with upgraded(attacked, None) as peer:
            ending = asyncio.create_task(read_answers(peer))
            while not ending.done():
                peer.send(PING, b"")
                peer.send(TEXT, b'{"op":"sub","ch":["trades:ES"],"id":1}')
                await asyncio.sleep(0.1)
            answers = await ending

        assert {answer.get("code") for answer in answers[:-1]} <= {"unauthenticated"}
        assert answers[-1]["close"] == 4408

    async def test_reader_that_takes_no_end(self, attacked: World) -> None:
        """Closed, but neither answers nor goes: the connection is cut off."""
        async with upgraded(attacked, None) as peer:
            assert await peer.close_code() == 4408
            async with asyncio.timeout(30):
                assert await peer.reader.read() == b""
