"""Order-by-order books: orders to price levels, and whether the result may be trusted.

A book is **good** when every event since its snapshot fitted what was there before and the best bid is below
the best ask. It is **crossed** while the best bid is at or above the best ask. It is **broken** before its
first snapshot and from the first event that cannot be true (a delete of an unknown order, a second order with
the same id): something was lost, so anything may be wrong, until a snapshot begins it anew. Only a good book
is served; the others are shown, with their state, to who asks what is wrong.
"""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from agio.marketdata.books.sides import BookSide, Order, PriceLevel
from agio.marketdata.findings import Finding, FindingCode
from agio.marketdata.normalised import BookChange, BookSnapshot, OrderEvent, OrderKind, Side

MAX_ORDERS: Final = 5_000_000
"""Most orders of one book; a venue that tells more is lying, and memory is not."""
KEPT_FINDINGS: Final = 100
"""How many findings are kept in full; all are counted."""


class BookState(StrEnum):
    """Whether a book may be served."""

    GOOD = "good"
    CROSSED = "crossed"
    BROKEN = "broken"


class L3Book:
    """The book of one instrument, built of order events.

    `is_strict` False is for venues whose snapshot is known to be older or thinner than their live feed: there
    a delete of an unknown order is a finding, but it does not break the book, since the order is gone anyway.
    """

    def __init__(self, symbol: str, *, is_strict: bool = True, max_orders: int = MAX_ORDERS) -> None:
        self.symbol = symbol
        self.findings: list[Finding] = []
        self.finding_counts: Counter[FindingCode] = Counter()
        self.event_counts: Counter[OrderKind] = Counter()
        self.crossed_events = 0
        """Events (instants of several events count once) after which the book was crossed."""
        self.broken_by: Finding | None = None
        self._is_strict = is_strict
        self._max_orders = max_orders
        self._is_begun = False
        self._is_complete = False
        self._is_settled = False
        self._is_crossed = False
        self._venue_ns: int | None = None
        self._received_ns = 0
        self._sequence: int | None = None
        self._reset()

    @property
    def state(self) -> BookState:
        """As of the last instant that was told completely, and broken at once."""
        if self.broken_by is not None or not self._is_complete:
            return BookState.BROKEN
        return BookState.CROSSED if self._is_crossed else BookState.GOOD

    @property
    def is_crossed(self) -> bool:
        """The best bid is at or above the best ask, whatever else is wrong."""
        return self._is_crossed

    @property
    def order_count(self) -> int:
        return len(self._orders)

    @property
    def best_bid(self) -> PriceLevel | None:
        return _best(self._bids)

    @property
    def best_ask(self) -> PriceLevel | None:
        return _best(self._asks)

    def order(self, order_id: str) -> Order | None:
        return self._orders.get(order_id)

    def levels(self, side: Side, depth: int) -> list[PriceLevel]:
        """Levels in any state, best first: for operators and tests, not for customers."""
        return self._side(side).top(depth)

    def orders_at(self, side: Side, price: int) -> tuple[Order, ...]:
        """The orders at a price, first in time first."""
        level = self._side(side).levels.get(price)
        return tuple(level.orders.values()) if level is not None else ()

    def served(self, depth: int) -> BookSnapshot | None:
        """What a customer may see: None unless the book is good and its last instant is complete."""
        if self.state is not BookState.GOOD or not self._is_settled:
            return None
        return BookSnapshot(
            self.symbol,
            self._venue_ns,
            self._received_ns,
            self._sequence,
            tuple(BookChange("bid", level.price, level.size) for level in self._bids.proven(depth)),
            tuple(BookChange("ask", level.price, level.size) for level in self._asks.proven(depth)),
        )

    def seed(
        self, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], window: int | None = None
    ) -> None:
        """Begin anew with levels (price, size) whose orders are not known, as LOBSTER and REST books are.

        `window` is how many levels of a side the feed tells. The book then forgets what it can't know: levels
        beyond the worst that the window ever ended with are not served, and where the best one is, it breaks.
        """
        self._reset(window)
        self._is_begun = True
        for side, levels in ((self._bids, bids), (self._asks, asks)):
            for price, size in levels:
                if size > 0:
                    side.add_anonymous(price, size)
        self._settle(0, is_last=True)

    def distrust(self, finding: Finding) -> None:
        """Break the book for a reason from outside: a gap, a record that could not be read."""
        self._note(finding)
        self.broken_by = self.broken_by or finding

    def apply(self, event: OrderEvent, record: int = 0) -> Finding | None:
        """Apply one event; the finding, if it does not fit, names `record`."""
        self._venue_ns, self._received_ns, self._sequence = event.venue_ns, event.received_ns, event.sequence
        self.event_counts[event.kind] += 1
        fault = self._change(event)
        finding = None
        if fault is not None:
            finding = Finding(fault, record, f"{event.kind} of order {event.order_id[:40]}, {_WORDS[fault]}")
            if self._is_tolerable(event, fault):
                self._note(finding)
            else:
                self.distrust(finding)
        return self._settle(record, is_last=event.is_last) or finding

    def _change(self, event: OrderEvent) -> FindingCode | None:
        kind = event.kind
        if kind == "clear":
            self._reset()
            self._is_begun = True
            return None
        if event.size < 0:
            return "negative"
        order = self._orders.get(event.order_id)
        if kind == "add":
            return self._add(event, order)
        if order is None:
            is_taken = kind != "modify" and self._side(event.side).take_anonymous(event.price, event.size)
            return None if is_taken else "unknown_order"
        if kind == "delete":
            self._drop(order)
            return None
        return self._modify(event, order) if kind == "modify" else self._execute(event, order)

    def _add(self, event: OrderEvent, known: Order | None) -> FindingCode | None:
        if known is not None:
            self._drop(known)
        elif len(self._orders) >= self._max_orders:
            return "too_many_orders"
        self._rest(Order(event.order_id, event.side, event.price, event.size))
        return "duplicate_order" if known is not None else None

    def _modify(self, event: OrderEvent, order: Order) -> FindingCode | None:
        if order.side == event.side and order.price == event.price and 0 < event.size <= order.size:
            self._side(order.side).reduce(order, order.size - event.size)
            return None
        self._drop(order)
        self._rest(Order(event.order_id, event.side, event.price, event.size))
        return "side_changed" if order.side != event.side else None

    def _execute(self, event: OrderEvent, order: Order) -> FindingCode | None:
        if event.size < order.size:
            self._side(order.side).reduce(order, event.size)
            return None
        self._drop(order)
        return "overfill" if event.size > order.size else None

    def _rest(self, order: Order) -> None:
        self._orders[order.order_id] = order
        if order.size:
            self._side(order.side).add(order)

    def _drop(self, order: Order) -> None:
        del self._orders[order.order_id]
        if order.size:
            self._side(order.side).remove(order)

    def _settle(self, record: int, *, is_last: bool) -> Finding | None:
        self._is_settled = is_last
        if not is_last:
            return None
        self._is_complete = self._is_begun
        bid, ask = self._bids.best, self._asks.best
        self._is_crossed = bid is not None and ask is not None and bid >= ask
        self.crossed_events += self._is_crossed
        if self._bids.is_best_proven() and self._asks.is_best_proven():
            return None
        finding = Finding("window", record, "the best price is beyond the levels that the feed tells")
        if self.broken_by is None:
            self.distrust(finding)
        return finding

    def _reset(self, window: int | None = None) -> None:
        self._orders: dict[str, Order] = {}
        self._bids, self._asks = BookSide("bid", window), BookSide("ask", window)
        self.broken_by = None
        self._is_complete = self._is_crossed = False

    def _is_tolerable(self, event: OrderEvent, fault: FindingCode) -> bool:
        return not self._is_strict and fault == "unknown_order" and event.kind == "delete"

    def _note(self, finding: Finding) -> None:
        self.finding_counts[finding.code] += 1
        if len(self.findings) < KEPT_FINDINGS:
            self.findings.append(finding)

    def _side(self, side: Side) -> BookSide:
        return self._bids if side == "bid" else self._asks


_WORDS: Final[dict[FindingCode, str]] = {
    "negative": "whose size is negative",
    "unknown_order": "which is not in the book",
    "duplicate_order": "which is in the book already",
    "side_changed": "which was on the other side",
    "overfill": "which had less than that",
    "too_many_orders": "beyond the limit of the book",
}


def _best(side: BookSide) -> PriceLevel | None:
    price = side.best
    return side.read(price) if price is not None else None
