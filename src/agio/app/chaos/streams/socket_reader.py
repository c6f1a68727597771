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
from agio.app.chaos.streams.slow_manners import Dawdling, Gulping, Prompt, Stalling
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
LARGEST_MESSAGE: Final = 16 * 2**20
CONNECT_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 40.0
LOST: Final = 1006
LOSSES: Final = (aiohttp.ClientError, OSError, TimeoutError)


class Manner(Enum):
    """How a subscriber reads."""

    STEADY = "steady"
    SLOW = "slow"
    """Leaves much unread, then reads it in a trickle: gets newest values only, and is told so."""
    STALLED = "stalled"
    """Reads, and then not at all until it is closed with 4008."""
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
        self._dawdling = self._choose_dawdling()

    @property
    def is_slow(self) -> bool:
        """Whether it reads badly on purpose."""
        return self._manner in {Manner.SLOW, Manner.STALLED}

    @property
    def is_witness(self) -> bool:
        """Whether what it was told says what others should have been told."""
        return self._manner is Manner.STEADY

    def _choose_dawdling(self) -> Dawdling:
        if self._manner is Manner.SLOW:
            return Gulping(self._random, lambda: self.notes.slowness)
        if self._manner is Manner.STALLED:
            books = [wish.channel for wish in self._wishes if is_book(wish.channel)]
            return Stalling(self._random, books)
        return Prompt()

    async def run(self) -> None:
        while True:
            with suppress(*LOSSES):
                async with self._connect() as connection:
                    await self._serve(connection)
            await pause(self._random, 0.05, 0.6)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        connector = aiohttp.TCPConnector(
            ssl=self._door.trust,
            socket_factory=_make_small_socket if self.is_slow else None,
            force_close=True,
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
        talk = Conversation(self.notes, self._wishes, self._find_line(connection))
        leaves_at: float | None = None
        loop = asyncio.get_running_loop()

        async def send(operation: dict[str, object]) -> None:
            # Whether the server has closed is read, not written.
            with suppress(*LOSSES):
                await self._send(connection, operation)

        try:
            await self._subscribe(connection, talk, [wish.channel for wish in self._wishes])
            while True:
                message = await connection.receive(SILENCE_SECONDS)
                if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    self.notes.write(closed(_read_code(connection, message), str(message.extra or "")))
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
                if talk.is_answered:
                    await self._dawdling.dawdle(send, lambda: self.is_calm)
        except LOSSES as error:
            self.notes.write(closed(connection.close_code or LOST, repr(error)))
            raise

    def _pick_leave(self) -> float:
        if self._manner is not Manner.RESTLESS or self.is_calm:
            return float("inf")
        return asyncio.get_running_loop().time() + self._random.uniform(1.0, 8.0)

    def _find_line(self, connection: aiohttp.ClientWebSocketResponse) -> str:
        """The gateway behind it, where skips can be judged: no tier, no snapshots that we ask for."""
        is_raw = all(wish.tier == "raw" for wish in self._wishes)
        if self._manner is Manner.STALLED or not is_raw:
            return ""
        own = connection.get_extra_info("sockname")
        return self._door.lines.get(own[1], "") if isinstance(own, tuple) else ""

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


def _read_code(connection: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> int:
    """What the server said; the connection forgets it when our answer does not get through any more."""
    if message.type is aiohttp.WSMsgType.CLOSE and isinstance(message.data, int):
        return message.data
    return connection.close_code or LOST


def _make_small_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    return made
