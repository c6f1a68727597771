"""Conflation points of a book: deltas are gathered once for all who share a chain and a tier."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import msgspec

from agio.platform.channels import Push
from agio.streaming.chunks import Chunk
from agio.streaming.hub import HubServices, Subscription
from agio.streaming.tiers import TIERS, TierTimer

RECENT_DELTAS = 512

Levels = list[tuple[str, str]]


class Sides(msgspec.Struct):
    """Changed levels as [price, size]; a size of "0" deletes."""

    bids: Levels
    asks: Levels


decode_sides = msgspec.json.Decoder(Sides).decode


def merge_deltas(deltas: Sequence[Push]) -> Push:
    """One delta with the effect of several consecutive ones."""
    if len(deltas) == 1:
        return deltas[0]
    bids: dict[str, str] = {}
    asks: dict[str, str] = {}
    for delta in deltas:
        sides = decode_sides(delta.d)
        bids.update(sides.bids)
        asks.update(sides.asks)
    last = deltas[-1]
    payload = msgspec.json.encode(Sides(bids=list(bids.items()), asks=list(asks.items())))
    return Push(q=last.q, t=last.t, d=payload, p=deltas[0].p, crc=last.crc)


class Chain(Protocol):
    """What the deltas of a point are of."""

    number: int
    label: bytes
    services: HubServices


class BookReader(Subscription):
    """The part of a subscription that a book's points know."""

    @abstractmethod
    def deliver(self, chunk: Chunk) -> None:
        """Take consecutive deltas."""

    @abstractmethod
    def restart(self) -> None:
        """Begin again from a snapshot."""


class BookPoint:
    """A conflation point: all subscriptions of one tier, and the deltas since its last flush."""

    def __init__(self, hub: Chain, tier: str) -> None:
        self.flushed_at = 0.0
        self.subscriptions: dict[BookReader, None] = {}
        self._hub = hub
        self._is_raw = tier == "raw"
        self._deltas: list[Push] = []
        self._timer = TierTimer(TIERS[tier], self.flush)

    def add(self, delta: Push) -> None:
        if not self.subscriptions:
            return
        self._deltas.append(delta)
        if self._is_raw:
            self._hub.services.ticker.offer_channel(self, is_urgent=False)
        else:
            self._timer.arm()

    def flush(self) -> None:
        deltas, self._deltas = self._deltas, []
        if not deltas:
            return
        self.flushed_at = self._hub.services.ticker.paced(self.flushed_at)
        pushes = deltas if self._is_raw else [merge_deltas(deltas)]
        chunk = Chunk(self._hub.number, self._hub.label, pushes, is_shared=True)
        for subscription in list(self.subscriptions):
            subscription.deliver(chunk)

    def forget(self) -> None:
        """Drop what was gathered: a snapshot replaces it."""
        self._deltas = []

    def stop(self) -> None:
        self._timer.stop()
