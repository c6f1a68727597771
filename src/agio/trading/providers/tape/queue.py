"""Open orders of one symbol waiting for the tape."""

import heapq

from agio.kernel.ids import OrderId
from agio.trading.matching import Ladder, Level, RestingOrder
from agio.trading.ports import Canceled, Filled, Report, WorkingOrder

NO_HIGH = 1 << 127
NO_LOW = -NO_HIGH


class QueuedOrder(RestingOrder):
    """An order at its limit (market: protection) price; `arrival` is its time priority."""

    __slots__ = ("arrival", "order")

    def __init__(self, order: WorkingOrder, arrival: int) -> None:
        super().__init__(
            order.order_id, order.account_id, order.side, order.limit_price, order.leaves_quantity
        )
        self.order = order
        self.arrival = arrival


class TapeQueue:
    """Share each tape trade among the orders it reaches, first come first served.

    `quiet_band` makes the tape cheap while nothing happens. The safe band is where no market order's
    protection price is passed.
    """

    __slots__ = ("_buys", "_ioc", "_markets", "_orders", "_safe_high", "_safe_low", "_sells")

    def __init__(self) -> None:
        self._buys: Ladder[QueuedOrder] = Ladder("buy")
        self._sells: Ladder[QueuedOrder] = Ladder("sell")
        self._orders: dict[OrderId, QueuedOrder] = {}
        self._ioc: dict[OrderId, QueuedOrder] = {}
        self._markets: dict[OrderId, QueuedOrder] = {}
        self._safe_low, self._safe_high = NO_LOW, NO_HIGH

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, order_id: OrderId) -> bool:
        return order_id in self._orders

    def add(self, order: WorkingOrder, arrival: int) -> None:
        queued = QueuedOrder(order, arrival)
        self._orders[order.order_id] = queued
        (self._buys if order.side == "buy" else self._sells).add(queued)
        if order.time_in_force == "ioc":
            self._ioc[order.order_id] = queued
        elif order.type == "market":
            self._markets[order.order_id] = queued
            self._tighten(queued)

    def remove(self, order_id: OrderId) -> bool:
        queued = self._orders.get(order_id)
        if queued is None:
            return False
        (self._buys if queued.side == "buy" else self._sells).remove(queued)
        self._forget(order_id)
        return True

    def quiet_band(self) -> tuple[int, int]:
        """A trade strictly between these prices concerns no order here."""
        if self._ioc:
            return (0, 0)
        buy, sell = self._buys.best_price(), self._sells.best_price()
        low = NO_LOW if buy is None else buy
        high = NO_HIGH if sell is None else sell
        # Market orders are in the ladders too; a price past their protection is outside of the safe band.
        return max(low, self._safe_low - 1), min(high, self._safe_high + 1)

    def on_trade(self, seq: int, price: int, size: int, venue_time_ns: int) -> list[Report]:
        """Fill what the trade reaches, oldest first, then end the orders whose chance this was."""
        reports: list[Report] = []
        levels = self._buys.reached(price) + self._sells.reached(price)
        # One head per level: the oldest of all is found without looking at the orders behind.
        heads = [(_oldest(level).arrival, index) for index, level in enumerate(levels)]
        heapq.heapify(heads)
        while size > 0 and heads:
            index = heads[0][1]
            queued = _oldest(levels[index])
            quantity = min(size, queued.quantity)
            size -= quantity
            reports.append(_fill(queued.order, quantity, seq, price, venue_time_ns))
            self._take(queued, quantity)
            if levels[index].orders:
                heapq.heapreplace(heads, (_oldest(levels[index]).arrival, index))
            else:
                heapq.heappop(heads)
        if self._ioc:
            reports += self._end([*self._ioc], "ioc_remainder")
        if not self._safe_low <= price <= self._safe_high:
            reports += self._end(self._passed_protection(price), "protection_price")
        return reports

    def _take(self, queued: QueuedOrder, quantity: int) -> None:
        (self._buys if queued.side == "buy" else self._sells).take(queued, quantity)
        if queued.quantity == 0:
            self._forget(queued.order.order_id)

    def _end(self, order_ids: list[OrderId], reason: str) -> list[Report]:
        for order_id in order_ids:
            self.remove(order_id)
        return [Canceled(order_id=order_id, reason=reason) for order_id in order_ids]

    def _passed_protection(self, price: int) -> list[OrderId]:
        """Market orders whose protection price the trade passed; the safe band is drawn anew."""
        passed: list[OrderId] = []
        self._safe_low, self._safe_high = NO_LOW, NO_HIGH
        for order_id, queued in self._markets.items():
            if price > queued.price if queued.side == "buy" else price < queued.price:
                passed.append(order_id)
            else:
                self._tighten(queued)
        return passed

    def _tighten(self, queued: QueuedOrder) -> None:
        if queued.side == "buy":
            self._safe_high = min(self._safe_high, queued.price)
        else:
            self._safe_low = max(self._safe_low, queued.price)

    def _forget(self, order_id: OrderId) -> None:
        del self._orders[order_id]
        self._ioc.pop(order_id, None)
        if self._markets.pop(order_id, None) is not None and not self._markets:
            self._safe_low, self._safe_high = NO_LOW, NO_HIGH


def _oldest(level: Level[QueuedOrder]) -> QueuedOrder:
    return next(iter(level.orders.values()))


def _fill(order: WorkingOrder, quantity: int, seq: int, price: int, venue_time_ns: int) -> Filled:
    return Filled(
        order_id=order.order_id,
        quantity=quantity,
        price=price,
        liquidity="maker" if order.type == "limit" and order.time_in_force != "ioc" else "taker",
        venue_time_ns=venue_time_ns,
        trade_id=str(seq),
        trade_seq=seq,
    )
