"""A book that changes thousands of times a second, told as the engine's publisher tells books."""

import asyncio
import random
import time
from typing import Final

import msgspec

from agio.marketdata.book import changed_levels, checksum
from agio.marketdata.events import BookDelta, Level, MarketSnapshot, book_subject, encode, snapshot_subject
from agio.platform.bus import Bus
from benchmarks.fanout.orders import Told

DEPTH: Final = 25
_MIDDLE: Final = 3_000_00
_TICK: Final = 10
_BURST_SECONDS: Final = 0.001
_SETTLE_SECONDS: Final = 0.3
"""For a snapshot before the first delta, and for late questions after the last."""


class BookFeed:
    """Deltas made beforehand, so that telling them costs little; answers requests for snapshots."""

    def __init__(self, bus: Bus, symbol: str) -> None:
        self._bus = bus
        self._symbol = symbol
        self._q = time.time_ns() // 1000
        self._books: list[tuple[list[Level], list[Level]]] = []
        self._deltas: list[BookDelta] = []
        self._place = 0

    async def tell(self, rate: float, seconds: float) -> Told:
        """Prepare, answer snapshots, tell the deltas at a steady pace."""
        self._prepare(round(rate * seconds))
        responder = await self._bus.respond(snapshot_subject(self._symbol), self._answer)
        subject = book_subject(self._symbol)
        told = Told(self._deltas[1].q, self._deltas[-1].q, len(self._deltas) - 1)
        # A whole book first: every subscriber begins anew from it.
        await self._bus.publish(subject, self._encode(0))
        await self._bus.flush()
        await asyncio.sleep(_SETTLE_SECONDS)
        begun = time.monotonic()
        while self._place < told.messages:
            due = min(told.messages, int((time.monotonic() - begun) * rate) + 1)
            for place in range(self._place + 1, due + 1):
                told.moments.append((self._deltas[place].q, time.time_ns()))
                await self._bus.publish(subject, self._encode(place))
                self._place = place
            await asyncio.sleep(_BURST_SECONDS)
        await self._bus.flush()
        told.seconds = time.monotonic() - begun
        await asyncio.sleep(_SETTLE_SECONDS)
        await responder.unsubscribe()
        return told

    def _prepare(self, count: int) -> None:
        draw = random.Random(11)
        bids: list[Level] = [(_MIDDLE - step * _TICK, draw.randrange(1, 10**9)) for step in range(DEPTH)]
        asks: list[Level] = [
            (_MIDDLE + (step + 1) * _TICK, draw.randrange(1, 10**9)) for step in range(DEPTH)
        ]
        self._add(None, bids, asks, bids, asks)
        for _ in range(count):
            side = bids if draw.random() < 0.5 else asks
            changed = list(side)
            place = draw.randrange(DEPTH)
            changed[place] = (changed[place][0], draw.randrange(1, 10**9))
            after = (changed, asks) if side is bids else (bids, changed)
            self._add(self._q, changed_levels(bids, after[0]), changed_levels(asks, after[1]), *after)
            bids, asks = after

    def _add(
        self,
        previous: int | None,
        bid_changes: list[Level],
        ask_changes: list[Level],
        bids: list[Level],
        asks: list[Level],
    ) -> None:
        self._q += 1
        self._books.append((bids, asks))
        crc = checksum(bids, asks)
        self._deltas.append(BookDelta(self._symbol, self._q, previous, 0, crc, bid_changes, ask_changes, 0))

    def _encode(self, place: int) -> bytes:
        return encode(msgspec.structs.replace(self._deltas[place], told_us=time.time_ns() // 1000))

    async def _answer(self, _subject: str, _request: bytes) -> bytes:
        bids, asks = self._books[self._place]
        delta = self._deltas[self._place]
        whole = BookDelta(self._symbol, delta.q, None, 0, delta.crc, bids, asks, time.time_ns() // 1000)
        return encode(MarketSnapshot(self._symbol, None, whole, None, []))
