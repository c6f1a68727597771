"""A limit order book of one instrument with price-time priority."""

import msgspec

from agio.trading.matching.ladder import Ladder, RestingOrder
from agio.trading.ports import Side


class Match(msgspec.Struct, frozen=True, gc=False):
    """Two orders traded: at the maker's price, the smaller of both quantities."""

    price: int
    quantity: int
    maker_id: str
    taker_id: str
    taker_side: Side


class Placement(msgspec.Struct, frozen=True):
    """What became of an order on arrival: matched + `rested` + `dropped` is its whole quantity."""

    matches: list[Match]
    rested: int
    dropped: int
    is_self_trade: bool
    """The rest was dropped because the next order to trade with belongs to the same owner."""


class BookDepth(msgspec.Struct, frozen=True):
    """Levels as (price, quantity), best first. In a change, quantity 0 means that the level is gone."""

    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class OrderBook:
    """Match orders of one instrument; never crossed, first come first served at each price.

    Owners: two orders with the same non-empty `owner` never trade; the arriving one is dropped
    (expire taker). Not thread-safe.
    """

    __slots__ = ("_asks", "_bids", "_orders")

    def __init__(self) -> None:
        self._bids: Ladder[RestingOrder] = Ladder("buy")
        self._asks: Ladder[RestingOrder] = Ladder("sell")
        self._orders: dict[str, RestingOrder] = {}

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._orders

    def __len__(self) -> int:
        return len(self._orders)

    def place(
        self, order_id: str, side: Side, quantity: int, limit: int, *, rests: bool = True, owner: str = ""
    ) -> Placement:
        """Match the order at `limit` or better, then rest what is left, or drop it if not `rests`.

        A market order is one that does not rest, with its protection price as the limit. Raises
        ValueError for an id already in the book or a quantity below one: both are callers' mistakes.
        """
        if order_id in self._orders:
            raise ValueError(f"order {order_id} is already in the book")
        if quantity <= 0:
            raise ValueError(f"order {order_id} has quantity {quantity}; it must be at least 1")
        order = RestingOrder(order_id, owner, side, limit, quantity)
        best = (self._asks if side == "buy" else self._bids).best_price()
        matches: list[Match] = []
        is_self_trade = False
        if best is not None and (best <= limit if side == "buy" else best >= limit):
            is_self_trade = self._match(order, matches)
        left = order.quantity
        if left and rests and not is_self_trade:
            self._orders[order_id] = order
            (self._bids if side == "buy" else self._asks).add(order)
            return Placement(matches, left, 0, False)
        return Placement(matches, 0, left, is_self_trade)

    def cancel(self, order_id: str) -> int:
        """Take the order out; return what was left of it, 0 if it is not in the book."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return 0
        (self._bids if order.side == "buy" else self._asks).remove(order)
        return order.quantity

    def reduce(self, order_id: str, quantity: int) -> int:
        """Lower the order to `quantity`, keeping its place; return what was taken off.

        A quantity not below what is left changes nothing; zero or less cancels.
        """
        order = self._orders.get(order_id)
        if order is None or quantity >= order.quantity:
            return 0
        if quantity <= 0:
            return self.cancel(order_id)
        taken = order.quantity - quantity
        (self._bids if order.side == "buy" else self._asks).take(order, taken)
        return taken

    def leaves(self, order_id: str) -> int:
        """What is left of a resting order; 0 if it is not in the book."""
        order = self._orders.get(order_id)
        return order.quantity if order is not None else 0

    def best_bid(self) -> int | None:
        return self._bids.best_price()

    def best_ask(self) -> int | None:
        return self._asks.best_price()

    def level_count(self, side: Side) -> int:
        return len(self._bids if side == "buy" else self._asks)

    def depth(self, levels: int) -> BookDepth:
        """The best `levels` levels of each side."""
        return BookDepth(bids=self._bids.top(levels), asks=self._asks.top(levels))

    def take_changes(self) -> BookDepth:
        """Levels touched since the last call: what a follower of the book must overwrite."""
        return BookDepth(bids=self._bids.take_changes(), asks=self._asks.take_changes())

    def _match(self, taker: RestingOrder, matches: list[Match]) -> bool:
        """Trade down the opposite side; return whether an order of the same owner stopped it."""
        opposite, sign = (self._asks, 1) if taker.side == "buy" else (self._bids, -1)
        bound = taker.price * sign
        while taker.quantity:
            level = opposite.best()
            if level is None or level.price * sign > bound:
                break
            maker = next(iter(level.orders.values()))
            if taker.owner and maker.owner == taker.owner:
                return True
            size = min(taker.quantity, maker.quantity)
            taker.quantity -= size
            matches.append(Match(level.price, size, maker.order_id, taker.order_id, taker.side))
            opposite.take(maker, size)
            if maker.quantity == 0:
                del self._orders[maker.order_id]
        return False
