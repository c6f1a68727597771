"""One side of an order-by-order book: price levels, best first, with the orders of each in time priority."""

from heapq import heapify, heappop, heappush, nlargest, nsmallest
from typing import Final

import msgspec

from agio.marketdata.normalised import Side

_SPARE_HEAP: Final = 1024


class Order(msgspec.Struct):
    """A resting order. Size 0 rests nowhere and is at no level, but its id is known."""

    order_id: str
    side: Side
    price: int
    size: int


class PriceLevel(msgspec.Struct, frozen=True):
    """What rests at a price; `orders` counts those whose ids are known."""

    price: int
    size: int
    orders: int


class Level:
    """The orders at one price in time priority, and size that was told without orders (`anonymous`)."""

    __slots__ = ("anonymous", "orders", "size")

    def __init__(self) -> None:
        self.size = 0
        self.anonymous = 0
        self.orders: dict[str, Order] = {}


class BookSide:
    """Price levels of one side. The best price costs O(1) amortised: a heap that forgets lazily."""

    __slots__ = ("_heap", "_horizon", "_sign", "_window", "levels")

    def __init__(self, side: Side, window: int | None = None) -> None:
        self._window = window
        self._horizon: int | None = None
        self._sign = -1 if side == "bid" else 1
        self._heap: list[int] = []
        self.levels: dict[int, Level] = {}

    def add(self, order: Order) -> None:
        """Behind all others of its price."""
        level = self._level(order.price)
        level.orders[order.order_id] = order
        level.size += order.size

    def add_anonymous(self, price: int, size: int) -> None:
        level = self._level(price)
        level.anonymous += size
        level.size += size

    def remove(self, order: Order) -> None:
        level = self.levels[order.price]
        del level.orders[order.order_id]
        self._shrink(order.price, level, order.size)

    def reduce(self, order: Order, size: int) -> None:
        """Take `size`, less than rests, from an order that keeps its priority."""
        order.size -= size
        self._shrink(order.price, self.levels[order.price], size)

    def take_anonymous(self, price: int, size: int) -> bool:
        """Take size that was told without orders; False, and nothing taken, where there is not enough."""
        level = self.levels.get(price)
        if level is None or not 0 < size <= level.anonymous:
            return False
        level.anonymous -= size
        self._shrink(price, level, size)
        return True

    @property
    def best(self) -> int | None:
        """The best price, None for an empty side."""
        heap, levels, sign = self._heap, self.levels, self._sign
        while heap:
            price = heap[0] * sign
            if price in levels:
                return price
            heappop(heap)
        return None

    def top(self, depth: int) -> list[PriceLevel]:
        """At most `depth` levels, best first."""
        return [self.read(price) for price in self._prices(depth)]

    def proven(self, depth: int) -> list[PriceLevel]:
        """The same without what lies beyond the window that is told."""
        horizon, sign = self._horizon, self._sign
        return [level for level in self.top(depth) if horizon is None or level.price * sign <= horizon * sign]

    def is_best_proven(self) -> bool:
        """Narrow the horizon to the window's worst level; False once the best price lies beyond it.

        Where a feed tells only the best `window` levels, nobody tells what happens beyond the last of them,
        even when the window gets there later.
        """
        if self._window is None:
            return True
        prices, sign = self._prices(self._window), self._sign
        if len(prices) == self._window and (
            self._horizon is None or prices[-1] * sign < self._horizon * sign
        ):
            self._horizon = prices[-1]
        return self._horizon is None or (bool(prices) and prices[0] * sign <= self._horizon * sign)

    def read(self, price: int) -> PriceLevel:
        level = self.levels[price]
        return PriceLevel(price, level.size, len(level.orders))

    def _prices(self, depth: int) -> list[int]:
        if depth == 1:
            best = self.best
            return [] if best is None else [best]
        return (nlargest if self._sign < 0 else nsmallest)(depth, self.levels)

    def _level(self, price: int) -> Level:
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = Level()
            heappush(self._heap, price * self._sign)
            if len(self._heap) > 2 * len(self.levels) + _SPARE_HEAP:
                self._heap = [known * self._sign for known in self.levels]
                heapify(self._heap)
        return level

    def _shrink(self, price: int, level: Level, size: int) -> None:
        level.size -= size
        if not level.size and not level.orders:
            del self.levels[price]
