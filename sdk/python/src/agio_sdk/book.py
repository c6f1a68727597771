"""An order book kept from a snapshot and deltas, checked by CRC32 at every step."""

from collections.abc import Iterable
from decimal import Decimal
from zlib import crc32

import msgspec

CHECKED_LEVELS = 10


class BookMessage(msgspec.Struct, frozen=True):
    """Levels as (price, size) texts; size 0 removes a level."""

    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class Book:
    """Bids and asks of one symbol.

    `is_valid` is False from a gap or a wrong checksum until the next snapshot.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.is_valid = False
        self.sequence = 0
        self._bids: dict[Decimal, tuple[str, str]] = {}
        self._asks: dict[Decimal, tuple[str, str]] = {}

    def bids(self, depth: int = CHECKED_LEVELS) -> list[tuple[Decimal, Decimal]]:
        """Best bid first."""
        return [(price, Decimal(self._bids[price][1])) for price in sorted(self._bids, reverse=True)[:depth]]

    def asks(self, depth: int = CHECKED_LEVELS) -> list[tuple[Decimal, Decimal]]:
        """Best ask first."""
        return [(price, Decimal(self._asks[price][1])) for price in sorted(self._asks)[:depth]]

    def load(self, message: BookMessage, sequence: int, checksum: int | None) -> bool:
        """Replace everything by a snapshot; returns whether the checksum holds."""
        self._bids.clear()
        self._asks.clear()
        return self._change(message, sequence, checksum)

    def apply(self, message: BookMessage, sequence: int, previous: int | None, checksum: int | None) -> bool:
        """Apply a delta; returns False (and marks the book invalid) on a gap or a wrong checksum."""
        if not self.is_valid or (previous is not None and previous != self.sequence):
            self.is_valid = False
            return False
        return self._change(message, sequence, checksum)

    def checksum(self) -> int:
        """CRC32 over the ten best asks, then the ten best bids (Kraken WebSocket v2 book checksum)."""
        text = "".join(
            _digits(part)
            for side, prices in (
                (self._asks, sorted(self._asks)),
                (self._bids, sorted(self._bids, reverse=True)),
            )
            for price in prices[:CHECKED_LEVELS]
            for part in side[price]
        )
        return crc32(text.encode())

    def _change(self, message: BookMessage, sequence: int, checksum: int | None) -> bool:
        _set_levels(self._bids, message.bids)
        _set_levels(self._asks, message.asks)
        self.sequence = sequence
        self.is_valid = checksum is None or checksum == self.checksum()
        return self.is_valid


def _set_levels(side: dict[Decimal, tuple[str, str]], levels: Iterable[tuple[str, str]]) -> None:
    for price, size in levels:
        key = Decimal(price)
        if Decimal(size) == 0:
            side.pop(key, None)
        else:
            side[key] = (price, size)


def _digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")
