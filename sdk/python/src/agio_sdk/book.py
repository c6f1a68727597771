"""An order book kept from a snapshot and deltas, checked by CRC32 at every step."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import NamedTuple
from zlib import crc32

import msgspec

CHECKED_LEVELS = 10


class BookMessage(msgspec.Struct, frozen=True):
    """Levels as (price, size) texts; size 0 removes a level."""

    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class Level(NamedTuple):
    """A price, and how much there is at it."""

    price: Decimal
    size: Decimal


class Levels(NamedTuple):
    """The best levels of both sides, best first."""

    bids: list[Level]
    asks: list[Level]


class Change(Enum):
    """What became of a message."""

    APPLIED = "applied"
    SEEN = "seen"
    """A delta that the book holds already."""
    GAP = "gap"
    """The message does not follow the one before; the book waits for a snapshot."""
    CHECKSUM = "checksum"
    """The checksum is another one; the book waits for a snapshot."""


class _Side:
    """Levels in the order of prices; `sign` -1 puts the highest first."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._prices: list[Decimal] = []
        self._levels: dict[Decimal, tuple[Level, str]] = {}

    def __len__(self) -> int:
        return len(self._prices)

    def __iter__(self) -> Iterator[Level]:
        return (self._levels[key][0] for key in self._prices)

    def clear(self) -> None:
        self._prices.clear()
        self._levels.clear()

    def set(self, levels: Iterable[tuple[str, str]]) -> None:
        """Change levels as told; size 0 removes."""
        for price_text, size_text in levels:
            price, size = Decimal(price_text), Decimal(size_text)
            key = price * self._sign
            if size == 0:
                if self._levels.pop(key, None) is not None:
                    del self._prices[bisect_left(self._prices, key)]
                continue
            if key not in self._levels:
                insort(self._prices, key)
            self._levels[key] = Level(price, size), _digits(price_text) + _digits(size_text)

    def digits(self) -> str:
        return "".join([self._levels[key][1] for key in self._prices[:CHECKED_LEVELS]])


class Book:
    """Bids and asks of one symbol.

    `is_valid` is False before the first snapshot, and from a gap or a wrong checksum until the next one:
    then the levels are what was last known to be true, or not even that. Look at it before you act on them.
    """

    def __init__(self, symbol: str, depth: int = CHECKED_LEVELS) -> None:
        self.symbol = symbol
        self.depth = depth
        """Levels of a side that are given where no number is asked for."""
        self.is_valid = False
        self.sequence = 0
        self._bids = _Side(-1)
        self._asks = _Side(1)

    @property
    def best_bid(self) -> Level | None:
        """The highest bid; None while there is none."""
        return next(iter(self._bids), None)

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask; None while there is none."""
        return next(iter(self._asks), None)

    @property
    def spread(self) -> Decimal | None:
        """Best ask less best bid; None while a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return ask.price - bid.price if bid is not None and ask is not None else None

    @property
    def mid(self) -> Decimal | None:
        """Half-way between best bid and best ask; None while a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return (ask.price + bid.price) / 2 if bid is not None and ask is not None else None

    def bids(self, depth: int | None = None) -> list[Level]:
        """Best bid first."""
        return list(islice(self._bids, self.depth if depth is None else depth))

    def asks(self, depth: int | None = None) -> list[Level]:
        """Best ask first."""
        return list(islice(self._asks, self.depth if depth is None else depth))

    def levels(self, depth: int | None = None) -> Levels:
        """The best levels of both sides."""
        return Levels(self.bids(depth), self.asks(depth))

    def load(self, message: BookMessage, sequence: int, checksum: int | None) -> Change:
        """Replace everything by a snapshot."""
        self._bids.clear()
        self._asks.clear()
        return self._change(message, sequence, checksum)

    def apply(
        self, message: BookMessage, sequence: int, previous: int | None, checksum: int | None
    ) -> Change:
        """Apply a delta that follows `previous`."""
        if not self.is_valid:
            return Change.GAP
        if sequence <= self.sequence:
            return Change.SEEN
        if previous is not None and previous != self.sequence:
            self.is_valid = False
            return Change.GAP
        return self._change(message, sequence, checksum)

    def checksum(self) -> int:
        """CRC32 over the ten best asks, then the ten best bids (Kraken WebSocket v2 book checksum)."""
        return crc32((self._asks.digits() + self._bids.digits()).encode())

    def invalidate(self) -> None:
        """Continuity is not proven any more; only a snapshot helps."""
        self.is_valid = False

    def _change(self, message: BookMessage, sequence: int, checksum: int | None) -> Change:
        self._bids.set(message.bids)
        self._asks.set(message.asks)
        self.sequence = sequence
        self.is_valid = checksum is None or checksum == self.checksum()
        return Change.APPLIED if self.is_valid else Change.CHECKSUM


def _digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")
