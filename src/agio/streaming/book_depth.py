"""The best levels of a book as a chain of their own, shared by all who asked for about so many."""

import asyncio
from bisect import bisect_left, insort
from collections import deque
from decimal import Decimal
from typing import Protocol

import msgspec

from agio.platform.channels import Push
from agio.streaming.book_points import RECENT_DELTAS, BookPoint, Chain, Sides, decode_sides
from agio.streaming.errors import ChannelUnavailable
from agio.streaming.tiers import TIERS

DEPTHS = (10, 25, 100)
"""Levels of a side that a chain follows. What a client asks for is rounded up; beyond the last it gets
the whole book."""

_LOAD_ATTEMPTS = 10


def depth_class(wanted: int | None) -> int | None:
    """The depth that serves what a client wants to show; None is the whole book."""
    return None if wanted is None else next((depth for depth in DEPTHS if depth >= wanted), None)


class WholeBook(Chain, Protocol):
    """The chain of the whole book, which a chain of its best levels follows."""

    def after(self, sequence: int) -> list[Push] | None: ...

    async def snapshot(self) -> Push | None: ...


class _Side:
    """Levels of one side, best first, and which of them have been told."""

    def __init__(self, levels: list[tuple[str, str]], depth: int, sign: int) -> None:
        self._depth = depth
        self._sign = sign
        self._sizes: dict[str, str] = {}
        self._order: list[tuple[Decimal, str]] = []
        self._told: dict[str, str] = {}
        self.change(levels)

    def change(self, levels: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Follow a delta; the changes of the best levels, where a level that fell out is deleted."""
        is_concerned = False
        for price, size in levels:
            place = (self._sign * Decimal(price), price)
            if size == "0":
                if self._sizes.pop(price, None) is None:
                    continue
                del self._order[bisect_left(self._order, place)]
            else:
                if price not in self._sizes:
                    insort(self._order, place)
                self._sizes[price] = size
            is_concerned = is_concerned or price in self._told or self._is_among_best(place)
        return self._tell() if is_concerned else []

    def best(self) -> list[tuple[str, str]]:
        return [(price, self._sizes[price]) for _, price in self._order[: self._depth]]

    def _is_among_best(self, place: tuple[Decimal, str]) -> bool:
        return len(self._order) <= self._depth or place <= self._order[self._depth - 1]

    def _tell(self) -> list[tuple[str, str]]:
        told, self._told = self._told, dict(self.best())
        changed = [level for level in self._told.items() if told.get(level[0]) != level[1]]
        return [*changed, *((price, "0") for price in told if price not in self._told)]


class DepthView:
    """Follows the whole book while somebody subscribes to it; what changes nothing here is not told."""

    def __init__(self, hub: WholeBook, depth: int) -> None:
        self.number = hub.number
        self.label = hub.label
        self.services = hub.services
        self.points = {tier: BookPoint(self, tier) for tier in TIERS}
        self._hub = hub
        self._depth = depth
        self._sides: tuple[_Side, _Side] | None = None
        self._origin: Push | None = None
        """The snapshot that the sides came from; its other members hold until the next one."""
        self._at = 0
        """Up to where the whole book was followed."""
        self._last = 0
        """Up to where that was told: what came since changed nothing here."""
        self._told_at = 0
        self._crc: int | None = None
        self._recent: deque[Push] = deque(maxlen=RECENT_DELTAS)

    def accept(self, delta: Push) -> None:
        """Follow a delta of the whole book."""
        if self._sides is None or delta.q <= self._at:
            return
        if delta.p != self._at:
            self._begin_again()
            return
        self._at = delta.q
        if not any(point.subscriptions for point in self.points.values()):
            self.forget()
            return
        changes = decode_sides(delta.d)
        bids, asks = self._sides[0].change(changes.bids), self._sides[1].change(changes.asks)
        if not bids and not asks:
            return
        payload = msgspec.json.encode(Sides(bids=bids, asks=asks))
        told = Push(q=delta.q, t=delta.t, d=payload, p=self._last, crc=delta.crc)
        self._last, self._told_at, self._crc = delta.q, delta.t, delta.crc
        self._recent.append(told)
        for point in self.points.values():
            point.add(told)

    def forget(self) -> None:
        """The chain of the whole book is broken, or nobody listens: begin with a snapshot next time."""
        self._sides = None
        self._recent.clear()
        for point in self.points.values():
            point.forget()

    def _begin_again(self) -> None:
        """The snapshot of the beginning does not lead to what the bus brings now."""
        self.forget()
        for point in self.points.values():
            for subscription in list(point.subscriptions):
                subscription.restart()

    def after(self, sequence: int) -> list[Push] | None:
        """The deltas that lead from a sequence to the newest; None when the chain does not reach it."""
        if self._sides is None:
            return None
        deltas = [delta for delta in self._recent if delta.q > sequence]
        if not deltas:
            return [] if sequence >= self._last else None
        return deltas if deltas[0].p == sequence else None

    async def snapshot(self) -> Push | None:
        """The best levels now; None while the venue has told no book.

        Raises ChannelUnavailable when the snapshots of the whole book do not fit its deltas.
        """
        for _ in range(_LOAD_ATTEMPTS):
            if self._sides is not None:
                return self._best()
            whole = await self._hub.snapshot()
            if whole is None:
                return None
            self._load(whole)
            await asyncio.sleep(0)
        raise ChannelUnavailable("the book has no snapshot that fits its updates; subscribe again")

    def _load(self, whole: Push) -> None:
        deltas = self._hub.after(whole.q)
        if self._sides is not None or deltas is None:
            return
        told = decode_sides(whole.d)
        self._sides = bids, asks = _Side(told.bids, self._depth, -1), _Side(told.asks, self._depth, 1)
        for delta in deltas:
            changes = decode_sides(delta.d)
            bids.change(changes.bids)
            asks.change(changes.asks)
        newest = deltas[-1] if deltas else whole
        self._origin = whole
        self._at = self._last = newest.q
        self._told_at, self._crc = newest.t, newest.crc

    def _best(self) -> Push | None:
        if self._sides is None or self._origin is None:
            return None
        members = msgspec.json.decode(self._origin.d, type=dict[str, msgspec.Raw])
        bids, asks = (msgspec.Raw(msgspec.json.encode(side.best())) for side in self._sides)
        payload = msgspec.json.encode({**members, "bids": bids, "asks": asks})
        return Push(q=self._last, t=self._told_at, d=payload, crc=self._crc, snapshot=True)
