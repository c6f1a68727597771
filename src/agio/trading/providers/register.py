"""Which orders a venue holds and which it is done with: what makes its commands idempotent."""

from collections.abc import Iterator

from agio.kernel.ids import OrderId
from agio.trading.ports import Canceled, Entered, Report, WorkingOrder

REMEMBERED_ORDERS = 100_000
UNKNOWN_ORDER = "unknown_order"


class OrderRegister:
    """Keep a venue's live orders, and the ids of the latest finished ones.

    At least the last `remembered` finished ids are kept: a command is removed in the transaction
    that settles it, so a repeat can only follow closely.
    """

    __slots__ = ("_finished", "_live", "_owed_entry", "_remembered")

    def __init__(self, remembered: int = REMEMBERED_ORDERS) -> None:
        self._live: dict[OrderId, WorkingOrder] = {}
        self._owed_entry: set[OrderId] = set()
        self._finished: dict[OrderId, None] = {}
        self._remembered = remembered

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._live

    def __iter__(self) -> Iterator[WorkingOrder]:
        return iter(self._live.values())

    def get(self, order_id: str) -> WorkingOrder | None:
        return self._live.get(OrderId(order_id))

    def add(self, order: WorkingOrder) -> None:
        self._live[order.order_id] = order

    def restore(self, order: WorkingOrder) -> None:
        """Add an order of an earlier run. If it is submitted yet, its `Entered` was never settled."""
        self._live[order.order_id] = order
        self._owed_entry.add(order.order_id)

    def answer_repeat(self, order_id: OrderId) -> list[Report] | None:
        """Reports for a submit of an order that is known already; None when it is new."""
        if order_id in self._owed_entry:
            self._owed_entry.discard(order_id)
            return [Entered(order_id=order_id)]
        if order_id in self._live or order_id in self._finished:
            return []
        return None

    def answer_unknown(self, order_id: OrderId) -> list[Report]:
        """Reports for a cancel of an order that is not live; a later submit of it is void."""
        if order_id in self._finished:
            return []
        self.finish(order_id)
        return [Canceled(order_id=order_id, reason=UNKNOWN_ORDER)]

    def note_fill(self, order_id: OrderId) -> None:
        """A fill says that the order was entered: nothing is owed any more."""
        self._owed_entry.discard(order_id)

    def finish(self, order_id: OrderId) -> None:
        self._live.pop(order_id, None)
        self._owed_entry.discard(order_id)
        self._finished[order_id] = None
        if len(self._finished) > self._remembered * 2:
            # In bulk: taking a dict's first key over and over walks over the holes, which is quadratic.
            self._finished = dict.fromkeys(list(self._finished)[self._remembered :])
