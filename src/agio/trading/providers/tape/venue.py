"""Fill orders against the trades of a replayed tape.

The tape is what really traded, so an order can have at most what traded, at the price at which it
traded, and cannot move the market: orders of different customers never trade with each other here.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from agio.kernel.ids import OrderId
from agio.trading.ports import Canceled, Entered, Expired, Filled, Rejected, Report, WorkingOrder
from agio.trading.providers.register import OrderRegister
from agio.trading.providers.tape.queue import TapeQueue


class PrintedTrade(Protocol):
    """What the venue reads of a trade: any frozen struct or named tuple with these fields."""

    @property
    def venue_time_ns(self) -> int: ...

    @property
    def price(self) -> int: ...

    @property
    def size(self) -> int: ...


class TapeTrade(NamedTuple):
    """The plainest `PrintedTrade`."""

    venue_time_ns: int
    price: int
    size: int


class TapeVenue:
    """Queue orders and share out the trades that the tape brings.

    - A trade reaches a buy at its limit (market: protection) price or below, a sell at or above.
    - Orders that are reached fill at the trade's price, so never worse than their limit.
    - Each trade's size is shared once by all orders, buys and sells together, in order of arrival, in
      whole lots; what is left of it is nobody's.
    - `ioc` gets its share of the next trade, whatever its price, and the rest is canceled.
    - `market` fills from as many trades as it needs; the first trade past its protection price cancels
      the rest.
    - An order sees only trades handed over after its `submit`.
    """

    def __init__(
        self,
        name: str = "TAPE",
        *,
        lots: Mapping[str, int] | None = None,
        positions: Mapping[str, int] | None = None,
    ) -> None:
        """`lots`: lot size by symbol, 1 where missing. `positions`: the highest settled `seq` by symbol."""
        self.name = name
        self._lots = dict(lots or {})
        self._positions = dict(positions or {})
        self._register = OrderRegister()
        self._queues: dict[str, TapeQueue] = {}
        self._arrivals = 0

    def list_symbol(self, symbol: str, lot: int) -> None:
        """Set the symbol's lot; a replay may bring a new instrument at any time."""
        if lot < 1:
            raise ValueError(f"lot of {symbol} is {lot}; it must be at least 1")
        self._lots[symbol] = lot

    def position(self, symbol: str) -> int:
        """The highest `seq` decided; 0 when no trade was."""
        return self._positions.get(symbol, 0)

    def restore(self, orders: Sequence[WorkingOrder]) -> None:
        """Queue the orders of an earlier run again, in order of acceptance."""
        for order in sorted(orders, key=lambda order: order.entered_no):
            self._register.restore(order)
            self._queue(order)

    def submit(self, order: WorkingOrder) -> list[Report]:
        repeat = self._register.answer_repeat(order.order_id)
        if repeat is not None:
            return repeat
        if order.leaves_quantity < 1 or order.limit_price < 1:
            self._register.finish(order.order_id)
            return [Rejected(order_id=order.order_id, reason="not_positive")]
        self._register.add(order)
        self._queue(order)
        return [Entered(order_id=order.order_id)]

    def cancel(self, order_id: OrderId) -> list[Report]:
        order = self._register.get(order_id)
        if order is None:
            return self._register.answer_unknown(order_id)
        self._take_out(order)
        return [Canceled(order_id=order_id, reason="requested")]

    def end_of_day(self, symbol: str) -> list[Report]:
        """Expire the symbol's `day` orders, oldest first."""
        ending = [
            order for order in self._register if order.symbol == symbol and order.time_in_force == "day"
        ]
        for order in ending:
            self._take_out(order)
        return [Expired(order_id=order.order_id, reason="end_of_day") for order in ending]

    def on_trades(self, symbol: str, first_seq: int, trades: Sequence[PrintedTrade]) -> list[Report]:
        """Fill orders from consecutive trades, the first with sequence `first_seq`.

        Trades up to `position(symbol)` are passed over: a batch may be handed over twice. Costs O(1)
        when the symbol has no order, and two comparisons for a trade that concerns none.
        """
        last_seq = first_seq + len(trades) - 1
        position = self._positions.get(symbol, 0)
        if last_seq <= position:
            return []
        self._positions[symbol] = last_seq
        queue = self._queues.get(symbol)
        if queue is None:
            return []
        if first_seq <= position:
            trades = trades[position - first_seq + 1 :]
            first_seq = position + 1
        reports = self._share_out(queue, self._lots.get(symbol, 1), first_seq, trades)
        if not queue:
            del self._queues[symbol]
        return reports

    def _share_out(
        self, queue: TapeQueue, lot: int, first_seq: int, trades: Sequence[PrintedTrade]
    ) -> list[Report]:
        reports: list[Report] = []
        low, high = queue.quiet_band()
        for seq, trade in enumerate(trades, first_seq):
            price = trade.price
            if low < price < high:
                continue
            caused = queue.on_trade(seq, price, trade.size - trade.size % lot, trade.venue_time_ns)
            self._note(queue, caused)
            reports += caused
            if not queue:
                break
            low, high = queue.quiet_band()
        return reports

    def _note(self, queue: TapeQueue, reports: list[Report]) -> None:
        for report in reports:
            if isinstance(report, Filled):
                self._register.note_fill(report.order_id)
            if report.order_id not in queue:
                self._register.finish(report.order_id)

    def _queue(self, order: WorkingOrder) -> None:
        self._arrivals += 1
        self._queues.setdefault(order.symbol, TapeQueue()).add(order, self._arrivals)

    def _take_out(self, order: WorkingOrder) -> None:
        queue = self._queues[order.symbol]
        queue.remove(order.order_id)
        if not queue:
            del self._queues[order.symbol]
        self._register.finish(order.order_id)
