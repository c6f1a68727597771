"""A price-level book: price -> size for each side, kept sorted, in whole ticks and lots."""

from bisect import bisect_left, insort
from collections.abc import Iterable

from agio.marketdata.normalised import BookChange

Level = tuple[int, int]
"""(price, size)"""


class L2Side:
    """The levels of one side. Prices are kept ascending, whichever end is the best one."""

    __slots__ = ("_is_bid", "_prices", "_sizes")

    def __init__(self, *, is_bid: bool) -> None:
        self._is_bid = is_bid
        self._prices: list[int] = []
        self._sizes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._prices)

    @property
    def best(self) -> int | None:
        """The best price, None when the side is empty."""
        if not self._prices:
            return None
        return self._prices[-1] if self._is_bid else self._prices[0]

    def size(self, price: int) -> int:
        """What rests at the price; 0 when nothing does."""
        return self._sizes.get(price, 0)

    def put(self, price: int, size: int) -> None:
        """Set the size of a level; 0 removes it. Removing what is not there is normal at most venues."""
        if size:
            if price not in self._sizes:
                insort(self._prices, price)
            self._sizes[price] = size
        elif self._sizes.pop(price, None) is not None:
            del self._prices[bisect_left(self._prices, price)]

    def replace(self, levels: Iterable[Level]) -> None:
        """Forget everything and take these levels."""
        self._sizes = {price: size for price, size in levels if size}
        self._prices = sorted(self._sizes)

    def prices(self, depth: int) -> list[int]:
        """The best prices, best first, at most `depth` of them."""
        if self._is_bid:
            return self._prices[: -depth - 1 : -1] if depth else []
        return self._prices[:depth]

    def top(self, depth: int) -> list[Level]:
        """The best levels, best first, at most `depth` of them."""
        return [(price, self._sizes[price]) for price in self.prices(depth)]

    def truncate(self, depth: int) -> list[int]:
        """Drop the levels beyond `depth`, and return their prices."""
        excess = len(self._prices) - depth
        if excess <= 0:
            return []
        if self._is_bid:
            dropped, self._prices = self._prices[:excess], self._prices[excess:]
        else:
            self._prices, dropped = self._prices[:depth], self._prices[depth:]
        for price in dropped:
            del self._sizes[price]
        return dropped


class L2Book:
    """Both sides. It follows what it is told; whether that is right is the business of a `VenueBook`."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = L2Side(is_bid=True)
        self.asks = L2Side(is_bid=False)

    def replace(self, bids: Iterable[BookChange], asks: Iterable[BookChange]) -> None:
        """Forget everything and take these levels; levels of size 0 are left out."""
        self.bids.replace((level.price, level.size) for level in bids)
        self.asks.replace((level.price, level.size) for level in asks)

    def apply(self, changes: Iterable[BookChange]) -> None:
        """Set each level to its new size, in the order told: the last word about a price counts."""
        bids, asks = self.bids, self.asks
        for change in changes:
            (bids if change.side == "bid" else asks).put(change.price, change.size)

    def clear(self) -> None:
        self.bids.replace(())
        self.asks.replace(())

    @property
    def best_bid(self) -> int | None:
        return self.bids.best

    @property
    def best_ask(self) -> int | None:
        return self.asks.best

    @property
    def is_crossed(self) -> bool:
        """Whether somebody would buy at the price at which somebody sells, or above it."""
        bid, ask = self.bids.best, self.asks.best
        return bid is not None and ask is not None and bid >= ask

    def depth(self, levels: int) -> tuple[list[Level], list[Level]]:
        """(bids, asks), each best first, at most `levels` of them."""
        return self.bids.top(levels), self.asks.top(levels)
