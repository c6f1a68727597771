"""The same pushes for a peer: as lines over TCP, or as a client of NATS."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

from agio.kernel.time import format_micros
from benchmarks.fanout.orders import TellPeer, Told

SUBJECT: Final = "all"
_GREETING: Final = b'CONNECT {"verbose":false,"pedantic":false}\r\n'


class PeerFeed:
    """One publisher connection."""

    def __init__(self, writer: asyncio.StreamWriter, *, is_nats: bool) -> None:
        self._writer = writer
        self._is_nats = is_nats
        self._q = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, order: TellPeer) -> AsyncIterator[Self]:
        _, writer = await asyncio.open_connection("127.0.0.1", order.port)
        is_nats = order.protocol == "nats"
        if is_nats:
            writer.write(_GREETING)
        yield cls(writer, is_nats=is_nats)
        await writer.drain()
        writer.close()

    async def tell(self, count: int, told: Told) -> None:
        """Send some pushes in one write, as a batch of trades is one bus message."""
        pushes = [self._push() for _ in range(count)]
        told.first, told.last = told.first or 1, self._q
        told.moments.append((self._q, time.time_ns()))
        told.messages += 1
        if self._is_nats:
            pushes = [b"PUB %s %d\r\n%s\r" % (SUBJECT.encode(), len(push), push) for push in pushes]
        self._writer.write(b"\n".join([*pushes, b""]))
        await self._writer.drain()

    def _push(self) -> bytes:
        """A trade as our own gateway writes it."""
        self._q += 1
        now_us = time.time_ns() // 1_000
        price = 61_250 + self._q * 7919 % 2_000
        return (
            f'{{"n":1,"q":{self._q},"t":{now_us},"d":{{"price":"{price}.00","size":"0.05000000","side":"buy",'
            f'"venue_time":"{format_micros(now_us)}","id":"bench-{self._q:09d}"}}}}'
        ).encode()
