"""One side of a book: price levels, best first, each a queue in order of arrival."""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from agio.trading.ports import Side


class RestingOrder:
    """An order waiting at a price; `quantity` is what is left of it."""

    __slots__ = ("order_id", "owner", "price", "quantity", "side")

    def __init__(self, order_id: str, owner: str, side: Side, price: int, quantity: int) -> None:
        self.order_id = order_id
        self.owner = owner
        self.side = side
        self.price = price
        self.quantity = quantity


RestingT = TypeVar("RestingT", bound=RestingOrder)


class Level(Generic[RestingT]):
    """The orders at one price, oldest first, and the sum of what is left of them."""

    __slots__ = ("orders", "price", "quantity")

    def __init__(self, price: int) -> None:
        self.price = price
        self.quantity = 0
        # An OrderedDict, not a dict: taking the oldest again and again from a dict walks over the
        # holes left by those taken before, which is quadratic.
        self.orders: OrderedDict[str, RestingT] = OrderedDict()


class Ladder(Generic[RestingT]):
    """Price levels of one side: the best in O(1), a new or emptied level in O(log n) compares.

    Levels are kept by *rank* (price for buys, minus price for sells): a higher rank is a better price.
    """

    __slots__ = ("_changed", "_levels", "_ranks", "_sign")

    def __init__(self, side: Side) -> None:
        self._sign = 1 if side == "buy" else -1
        self._ranks: list[int] = []
        self._levels: dict[int, Level[RestingT]] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._ranks)

    def best(self) -> Level[RestingT] | None:
        return self._levels[self._ranks[-1]] if self._ranks else None

    def best_price(self) -> int | None:
        return self._ranks[-1] * self._sign if self._ranks else None

    def quantity_at(self, price: int) -> int:
        level = self._levels.get(price * self._sign)
        return level.quantity if level is not None else 0

    def add(self, order: RestingT) -> None:
        """Queue the order behind all others at its price."""
        rank = order.price * self._sign
        level = self._levels.get(rank)
        if level is None:
            level = self._levels[rank] = Level(order.price)
            insort(self._ranks, rank)
        level.orders[order.order_id] = order
        level.quantity += order.quantity
        self._changed.add(rank)

    def take(self, order: RestingT, quantity: int) -> None:
        """Lower what is left of a queued order, which keeps its place; at zero it leaves the ladder."""
        rank = order.price * self._sign
        level = self._levels[rank]
        order.quantity -= quantity
        level.quantity -= quantity
        self._changed.add(rank)
        if order.quantity == 0:
            del level.orders[order.order_id]
            if not level.orders:
                self._drop(rank)

    def remove(self, order: RestingT) -> None:
        """Take a queued order out whole; its own `quantity` stays as it was."""
        rank = order.price * self._sign
        level = self._levels[rank]
        del level.orders[order.order_id]
        level.quantity -= order.quantity
        self._changed.add(rank)
        if not level.orders:
            self._drop(rank)

    def levels(self) -> Iterator[Level[RestingT]]:
        """All levels, best first."""
        levels = self._levels
        return (levels[rank] for rank in reversed(self._ranks))

    def reached(self, price: int) -> list[Level[RestingT]]:
        """Levels whose price is `price` or better, best first: those a trade at `price` reaches."""
        levels = self._levels
        return [levels[rank] for rank in self._ranks[bisect_left(self._ranks, price * self._sign) :][::-1]]

    def top(self, count: int) -> list[tuple[int, int]]:
        """The best `count` levels as (price, quantity), best first."""
        levels = self._levels
        return [(levels[rank].price, levels[rank].quantity) for rank in self._ranks[: -count - 1 : -1]]

    def take_changes(self) -> list[tuple[int, int]]:
        """Levels touched since the last call as (price, quantity), best first; quantity 0 = level gone."""
        if not self._changed:
            return []
        levels, sign = self._levels, self._sign
        changes = [
            (rank * sign, levels[rank].quantity if rank in levels else 0)
            for rank in sorted(self._changed, reverse=True)
        ]
        self._changed.clear()
        return changes

    def _drop(self, rank: int) -> None:
        del self._levels[rank]
        ranks = self._ranks
        if ranks[-1] == rank:
            ranks.pop()
        else:
            del ranks[bisect_left(ranks, rank)]
