"""Subscribers that speak WebSocket by themselves, in either encoding: steady, slow, stalled, or restless."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Final, Literal

import aiohttp
import msgspec

from agio.app.chaos.streams.journal import is_book
from agio.app.chaos.streams.subscriber import (
    REPEAT_SECONDS,
    Conversation,
    Door,
    Notes,
    Wish,
    closed,
    pause,
)

SMALL_BUFFER_BYTES: Final = 4 * 1024
CYCLE_SECONDS: Final = 40.0
SLOW_SECONDS: Final = 25.0
LARGEST_MESSAGE: Final = 16 * 2**20
CONNECT_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 40.0
LOST: Final = 1006
LOSSES: Final = (aiohttp.ClientError, OSError, TimeoutError)


class Manner(Enum):
    """How a subscriber reads."""

    STEADY = "steady"
    SLOW = "slow"
    """Reads a little for a while, then all of it: closed with 4008 when that takes too long."""
    STALLED = "stalled"
    """Reads, and then not at all for a while."""
    RESTLESS = "restless"
    """Leaves by itself, and returns."""


class SocketReader:
    """Resumes at its own positions whatever happens to the connection, and trusts the server with nothing."""

    def __init__(
        self,
        name: str,
        notes: Notes,
        door: Door,
        wishes: Sequence[Wish],
        encoding: Literal["json", "msgpack"],
        manner: Manner,
        seed: int,
    ) -> None:
        self.name = name
        self.notes = notes
        self.is_calm = False
        """Read steadily from now on: the end is near."""
        self._door = door
        self._wishes = list(wishes)
        self._encoding = encoding
        self._manner = manner
        self._random = random.Random(seed)  # noqa: S311
        self._phase = self._random.uniform(0.0, CYCLE_SECONDS)
        self._stalls_at = asyncio.get_running_loop().time() + self._random.uniform(2.0, 10.0)

    async def run(self) -> None:
        while True:
            with suppress(*LOSSES):
                async with self._connect() as connection:
                    await self._serve(connection)
            await pause(self._random, 0.05, 0.6)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        is_small = self._manner in {Manner.SLOW, Manner.STALLED}
        connector = aiohttp.TCPConnector(
            ssl=self._door.trust, socket_factory=_make_small_socket if is_small else None, force_close=True
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await session.ws_connect(
                    f"{self._door.url}/stream",
                    headers={"Authorization": f"Bearer {self._door.api_key}"},
                    protocols=(f"agio.v1.{self._encoding}",),
                    max_msg_size=LARGEST_MESSAGE,
                )
            try:
                yield connection
            finally:
                with suppress(*LOSSES):
                    async with asyncio.timeout(1.0):
                        await connection.close()

    async def _serve(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        """Read until the connection ends or we leave it."""
        talk = Conversation(self.notes, self._wishes)
        leaves_at: float | None = None
        loop = asyncio.get_running_loop()
        try:
            await self._subscribe(connection, talk, [wish.channel for wish in self._wishes])
            while True:
                message = await connection.receive(SILENCE_SECONDS)
                if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    self.notes.write(closed(connection.close_code or LOST, str(message.extra or "")))
                    return
                talk.take(self._decode(message.data))
                if talk.again:
                    await asyncio.sleep(REPEAT_SECONDS)
                    await self._subscribe(connection, talk, sorted(talk.again))
                if leaves_at is None and talk.is_answered:
                    leaves_at = self._pick_leave()
                if talk.drain_seconds is not None:
                    leaves_at = loop.time() + talk.drain_seconds
                    talk.drain_seconds = None
                if leaves_at is not None and loop.time() >= leaves_at:
                    self.notes.write(closed(1000, "left", is_ours=True))
                    return
                await self._dawdle(connection)
        except LOSSES as error:
            self.notes.write(closed(connection.close_code or LOST, repr(error)))
            raise

    def _pick_leave(self) -> float:
        if self._manner is not Manner.RESTLESS or self.is_calm:
            return float("inf")
        return asyncio.get_running_loop().time() + self._random.uniform(1.0, 8.0)

    async def _dawdle(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        """Be as bad a reader as this one is: ask for more than is read."""
        if self.is_calm:
            return
        now = asyncio.get_running_loop().time()
        if self._manner is Manner.SLOW and (now + self._phase) % CYCLE_SECONDS < SLOW_SECONDS:
            await self._resync(connection)
            await asyncio.sleep(0.5)
        elif self._manner is Manner.STALLED and now >= self._stalls_at:
            await self._stall(connection, now + self._random.uniform(10.0, 35.0))
            self._stalls_at = asyncio.get_running_loop().time() + self._random.uniform(5.0, 25.0)

    async def _stall(self, connection: aiohttp.ClientWebSocketResponse, until: float) -> None:
        while not self.is_calm and asyncio.get_running_loop().time() < until:
            await self._resync(connection)
            await asyncio.sleep(0.25)

    async def _resync(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        if books := [wish.channel for wish in self._wishes if is_book(wish.channel)]:
            # Whether the server has closed is read, not written.
            with suppress(*LOSSES):
                await self._send(connection, {"op": "resync", "ch": books})

    async def _subscribe(
        self, connection: aiohttp.ClientWebSocketResponse, talk: Conversation, channels: Sequence[str]
    ) -> None:
        talk.again.clear()
        entries = [talk.request(channel) for channel in channels]
        await self._send(connection, {"id": 1, "op": "sub", "ch": entries})

    async def _send(self, connection: aiohttp.ClientWebSocketResponse, operation: dict[str, object]) -> None:
        if self._encoding == "json":
            await connection.send_str(msgspec.json.encode(operation).decode())
        else:
            await connection.send_bytes(msgspec.msgpack.encode(operation))

    def _decode(self, data: str | bytes) -> object:
        return msgspec.json.decode(data) if isinstance(data, str) else msgspec.msgpack.decode(data)


def _make_small_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    return made
