"""Subscribers to server-sent events: their whole memory is the last id."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

import aiohttp
import msgspec

from agio.app.chaos.streams.socket_reader import LOSSES, LOST
from agio.app.chaos.streams.subscriber import Conversation, Door, Notes, Wish, closed, pause

SILENCE_SECONDS: Final = 40.0
CONNECT_SECONDS: Final = 5.0


class EventReader:
    """Follows `GET /stream/sse`, and comes back with `Last-Event-ID`."""

    def __init__(self, name: str, notes: Notes, door: Door, wishes: Sequence[Wish], seed: int) -> None:
        self.name = name
        self.notes = notes
        self.is_calm = False
        self._door = door
        self._wishes = list(wishes)
        self._random = random.Random(seed)  # noqa: S311
        self._last_id = ""

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._door.trust, force_close=True)
        timeout = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
        )
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                with suppress(*LOSSES):
                    await self._follow(session)
                await pause(self._random, 0.05, 0.6)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        query = [("ch", wish.channel) for wish in self._wishes]
        headers = {"Authorization": f"Bearer {self._door.api_key}"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        async with session.get(f"{self._door.url}/stream/sse", params=query, headers=headers) as response:
            if response.status != 200:
                return
            talk = Conversation(self.notes, self._wishes)
            for wish in self._wishes:
                talk.resume_at(wish.channel)
            leaves_at = self._pick_leave()
            try:
                async for identity, text in _events(response.content):
                    talk.take(msgspec.json.decode(text))
                    # Only now has the event been handled.
                    self._last_id = identity or self._last_id
                    if talk.verdict is not None:
                        self.notes.write(closed(*talk.verdict))
                        return
                    if asyncio.get_running_loop().time() >= leaves_at:
                        self.notes.write(closed(1000, "left", is_ours=True))
                        return
                self.notes.write(closed(LOST, "ended"))
            except LOSSES as error:
                self.notes.write(closed(LOST, repr(error)))
                raise

    def _pick_leave(self) -> float:
        if self.is_calm or self._random.random() < 0.5:
            return float("inf")
        return asyncio.get_running_loop().time() + self._random.uniform(2.0, 15.0)


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[tuple[str, str]]:
    """Id and data of each whole event (HTML, server-sent events, 9.2.6)."""
    identity, data, rest = "", "", b""
    while chunk := await content.readany():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not line:
                if data:
                    yield identity, data
                identity, data = "", ""
            elif line.startswith(b"id: "):
                identity = line[4:].decode()
            elif line.startswith(b"data: "):
                data += line[6:].decode()
