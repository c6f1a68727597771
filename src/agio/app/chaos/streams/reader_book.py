"""An order book as a reader keeps it, written for the proof alone: the server shares nothing of it."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final
from zlib import crc32

CHECKED: Final = 10

Levels = Sequence[Sequence[str]]


class ReaderBook:
    """Levels by price text, as they came over the wire."""

    def __init__(self) -> None:
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        self._prices: dict[str, Decimal] = {}

    def replace(self, bids: Levels, asks: Levels) -> None:
        self._bids.clear()
        self._asks.clear()
        self._prices.clear()
        self.change(bids, asks)

    def change(self, bids: Levels, asks: Levels) -> None:
        self._set(self._bids, bids)
        self._set(self._asks, asks)

    def checksum(self) -> int:
        """CRC32 of ten asks, then ten bids, best first: digits of price and size (Kraken WebSocket v2)."""
        asks = sorted(self._asks.items(), key=self._price)[:CHECKED]
        bids = sorted(self._bids.items(), key=self._price, reverse=True)[:CHECKED]
        return crc32("".join(_digits(part) for level in (*asks, *bids) for part in level).encode())

    def digest(self) -> int:
        """One number for the whole book, every level of it."""
        return digest_levels(self._bids.items(), self._asks.items())

    def _price(self, level: tuple[str, str]) -> Decimal:
        return self._prices[level[0]]

    def _set(self, side: dict[str, str], levels: Levels) -> None:
        for price, size in levels:
            if size.strip("0.") == "":
                side.pop(price, None)
            else:
                side[price] = size
                if price not in self._prices:
                    self._prices[price] = Decimal(price)


def digest_levels(bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> int:
    """Order does not matter, every price and size does."""
    parts = sorted(f"b{price}:{size}" for price, size in bids)
    parts += sorted(f"a{price}:{size}" for price, size in asks)
    return crc32(",".join(parts).encode())


def _digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")
