"""Peers that break the protocol, storm, or never read: each is cut off and the others notice nothing."""

import asyncio
import base64
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.integration.streaming.conftest import PATIENCE_SECONDS, World, receive, receive_one, subscribe

from agio.streaming.settings import StreamingSettings

UPGRADE = b"GET /stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


class RawPeer:
    """A peer that writes whatever bytes it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, opcode: int, payload: bytes, *, is_final: bool = True, is_masked: bool = True) -> None:
        head = bytearray([(0x80 if is_final else 0) | opcode])
        mask_bit = 0x80 if is_masked else 0
        if len(payload) < 126:
            head.append(mask_bit | len(payload))
        elif len(payload) < 65_536:
            head += struct.pack("!BH", mask_bit | 126, len(payload))
        else:
            head += struct.pack("!BQ", mask_bit | 127, len(payload))
        # A mask of zeros is a mask.
        self.writer.write(bytes(head) + (b"\0\0\0\0" if is_masked else b"") + payload)

    async def close_code(self) -> int | None:
        """Read frames until the close frame; None when the connection ends without one."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    first, second = await self.reader.readexactly(2)
                    length = second & 0x7F
                    if length == 126:
                        length = int.from_bytes(await self.reader.readexactly(2), "big")
                    elif length == 127:
                        length = int.from_bytes(await self.reader.readexactly(8), "big")
                    payload = await self.reader.readexactly(length)
                    if first & 0x0F == 8:
                        return int.from_bytes(payload[:2], "big")
        return None


@asynccontextmanager
async def raw_peer(world: World, *, token: str | None = "good") -> AsyncIterator[RawPeer]:  # noqa: S107
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", world.port, ssl=world.tls, server_hostname="127.0.0.1"
    )
    key = base64.b64encode(os.urandom(16)).decode()
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    host = f"Host: 127.0.0.1:{world.port}\r\n"
    secrets = f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{authorization}\r\n"
    writer.write(UPGRADE.replace(b"Host: x\r\n", host.encode()) + secrets.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.transport.abort()


class TestBrokenFrames:
    async def test_garbage(self, world: World) -> None:
        async with raw_peer(world) as peer:
            peer.writer.write(b"\xff" * 100)

            assert await peer.close_code() == 1002

    async def test_oversized_by_its_header_alone(self, world: World) -> None:
        async with raw_peer(world) as peer:
            peer.writer.write(bytes([0x81, 0xFF]) + struct.pack("!Q", 2**40) + b"\0\0\0\0")

            assert await peer.close_code() == 1009

    async def test_oversized_in_fragments(self, world: World) -> None:
        async with raw_peer(world) as peer:
            peer.send(1, b"x" * 1_000, is_final=False)
            for _ in range(70):
                peer.send(0, b"x" * 1_000, is_final=False)

            assert await peer.close_code() == 1009

    @pytest.mark.parametrize(
        "head",
        [
            UPGRADE,
            UPGRADE + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n",
            UPGRADE.replace(b"GET", b"POST") + b"Sec-WebSocket-Version: 13\r\n",
        ],
    )
    async def test_broken_handshake(self, world: World, head: bytes) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", world.port, ssl=world.tls, server_hostname="127.0.0.1"
        )
        writer.write(head + b"\r\n")
        status = await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)
        writer.transport.abort()

        assert status.split()[1] in {b"400", b"405"}


class TestStorms:
    async def test_subscribe_storm_is_bounded_and_others_are_served(self, world: World) -> None:
        async with world.connect(token="twin") as fine, raw_peer(world) as peer:
            await subscribe(fine, "trades:ES")
            for number in range(300):
                names = [f"balances:acc_{number}_{index}" for index in range(500)]
                peer.send(1, msgspec.json.encode({"id": number, "op": "sub", "ch": names}))
            await world.publish("trades", "ES", world.trades.trades(1)[0])
            push = await receive_one(fine)
            code = await peer.close_code()

            assert push["q"] == 1
            assert code in {4429, 4008, 1009, None}

    async def test_a_reader_that_never_reads_is_closed_and_memory_stays_bounded(self, world: World) -> None:
        async with world.connect(token="twin") as fine, raw_peer(world) as peer:
            await subscribe(fine, "trades:ES")
            peer.send(1, b'{"id":1,"op":"sub","ch":["trades:ES"]}')
            peer.writer.transport.pause_reading()
            got, worst = 0, 0
            async with asyncio.timeout(PATIENCE_SECONDS):
                while world.gateway._keys.get("key_good"):
                    for batch in world.trades.trades(500, batch=500):
                        await world.publish("trades", "ES", batch)
                    while got < len(world.trades.history):
                        got += len(await receive(fine))
                    worst = max(worst, world.gateway._budget.used_bytes)
                    await asyncio.sleep(0.01)

            assert worst <= 3 * 1024 * 1024


@pytest.fixture
def streaming_settings() -> StreamingSettings:
    return StreamingSettings(verify_seconds=0.2, queue_seconds=3.0, open_burst=500)
