from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.trading.matching import BookDepth, Match, OrderBook, Placement
from agio.trading.ports import Side


@dataclass
class NaiveOrder:
    order_id: str
    owner: str
    side: Side
    price: int
    quantity: int


class NaiveBook:
    """The same rules by sorting one list of all orders at every step; list order is arrival."""

    def __init__(self) -> None:
        self.orders: list[NaiveOrder] = []

    def place(self, taker: NaiveOrder, rests: bool) -> Placement:
        sign = 1 if taker.side == "buy" else -1
        matches: list[Match] = []
        opposite = sorted((o for o in self.orders if o.side != taker.side), key=lambda o: o.price * sign)
        for maker in opposite:
            if taker.quantity == 0 or maker.price * sign > taker.price * sign:
                break
            if taker.owner and taker.owner == maker.owner:
                return Placement(matches, 0, taker.quantity, True)
            size = min(maker.quantity, taker.quantity)
            maker.quantity -= size
            taker.quantity -= size
            matches.append(Match(maker.price, size, maker.order_id, taker.order_id, taker.side))
            self.orders = [o for o in self.orders if o.quantity]
        if rests and taker.quantity:
            self.orders.append(taker)
            return Placement(matches, taker.quantity, 0, False)
        return Placement(matches, 0, taker.quantity, False)

    def depth(self) -> BookDepth:
        sums: dict[Side, dict[int, int]] = {"buy": {}, "sell": {}}
        for order in self.orders:
            side = sums[order.side]
            side[order.price] = side.get(order.price, 0) + order.quantity
        return BookDepth(sorted(sums["buy"].items(), reverse=True), sorted(sums["sell"].items()))


PLACE = st.tuples(
    st.just("place"),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 12),
    st.integers(95, 105),
    st.booleans(),
    st.sampled_from(["", "", "ann", "bob"]),
)
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 60))
REDUCE = st.tuples(st.just("reduce"), st.integers(0, 60), st.integers(0, 12))
COMMANDS = st.lists(st.one_of(PLACE, PLACE, CANCEL, REDUCE), max_size=60)


def apply_to_both(book: OrderBook, naive: NaiveBook, number: int, command: tuple[Any, ...]) -> None:
    if command[0] == "place":
        _, side, quantity, price, rests, owner = command
        placement = book.place(str(number), side, quantity, price, rests=rests, owner=owner)
        expected = naive.place(NaiveOrder(str(number), owner, side, price, quantity), rests)
        assert placement == expected
        assert sum(m.quantity for m in placement.matches) + placement.rested + placement.dropped == quantity
        return
    known = [o for o in naive.orders if o.order_id == str(command[1])]
    left = known[0].quantity if known else 0
    target = 0 if command[0] == "cancel" else min(command[2], left)
    if command[0] == "cancel":
        assert book.cancel(str(command[1])) == left
    else:
        assert book.reduce(str(command[1]), command[2]) == left - target
    for order in known:
        order.quantity = target
    naive.orders = [o for o in naive.orders if o.quantity]


class TestAgainstNaiveBook:
    @given(COMMANDS)
    @settings(max_examples=300, deadline=None)
    def test_same_trades_same_depth_and_never_crossed(self, commands: list[tuple[Any, ...]]) -> None:
        book, naive = OrderBook(), NaiveBook()
        for number, command in enumerate(commands):
            apply_to_both(book, naive, number, command)
            assert book.depth(100) == naive.depth()
            bid, ask = book.best_bid(), book.best_ask()
            assert bid is None or ask is None or bid < ask
        assert len(book) == len(naive.orders)

    @given(COMMANDS, st.integers(1, 9))
    @settings(max_examples=150, deadline=None)
    def test_a_follower_of_changes_holds_the_same_book(
        self, commands: list[tuple[Any, ...]], every: int
    ) -> None:
        book, naive = OrderBook(), NaiveBook()
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        for number, command in enumerate(commands):
            apply_to_both(book, naive, number, command)
            if number % every:
                continue
            changes = book.take_changes()
            bids.update(changes.bids)
            asks.update(changes.asks)
            depth = book.depth(100)
            assert {p: q for p, q in bids.items() if q} == dict(depth.bids)
            assert {p: q for p, q in asks.items() if q} == dict(depth.asks)
        book.take_changes()
        assert book.take_changes() == BookDepth([], [])

    @given(COMMANDS)
    @settings(max_examples=150, deadline=None)
    def test_every_order_ends_at_most_once_and_no_quantity_is_lost(
        self, commands: list[tuple[Any, ...]]
    ) -> None:
        book, naive = OrderBook(), NaiveBook()
        placed: dict[str, int] = {}
        gone: dict[str, int] = {}
        for number, command in enumerate(commands):
            match command:
                case ("place", side, quantity, price, rests, owner):
                    placement = book.place(str(number), side, quantity, price, rests=rests, owner=owner)
                    naive.place(NaiveOrder(str(number), owner, side, price, quantity), rests)
                    placed[str(number)] = quantity
                    gone[str(number)] = placement.dropped
                    for trade in placement.matches:
                        gone[trade.maker_id] += trade.quantity
                        gone[trade.taker_id] += trade.quantity
                case ("cancel", target):
                    taken = book.cancel(str(target))
                    assert book.cancel(str(target)) == 0
                    gone[str(target)] = gone.get(str(target), 0) + taken
                case ("reduce", target, quantity):
                    gone[str(target)] = gone.get(str(target), 0) + book.reduce(str(target), quantity)
        for order_id, quantity in placed.items():
            assert gone[order_id] + book.leaves(order_id) == quantity
            assert (order_id in book) == (gone[order_id] < quantity)


class TestPlace:
    def test_the_earlier_order_at_a_price_trades_first_and_the_maker_sets_the_price(self) -> None:
        book = OrderBook()
        book.place("first", "sell", 5, 100)
        book.place("second", "sell", 5, 100)
        book.place("worse", "sell", 5, 101)
        matches = book.place("taker", "buy", 12, 103).matches
        assert [(m.maker_id, m.price, m.quantity) for m in matches] == [
            ("first", 100, 5),
            ("second", 100, 5),
            ("worse", 101, 2),
        ]

    def test_a_reduced_order_keeps_its_place(self) -> None:
        book = OrderBook()
        book.place("first", "buy", 5, 100)
        book.place("second", "buy", 5, 100)
        book.reduce("first", 1)
        assert [m.maker_id for m in book.place("taker", "sell", 2, 100).matches] == ["first", "second"]

    def test_what_does_not_rest_is_dropped_at_its_limit(self) -> None:
        book = OrderBook()
        book.place("near", "sell", 5, 100)
        book.place("far", "sell", 5, 110)
        placement = book.place("taker", "buy", 9, 105, rests=False)
        assert (placement.dropped, len(placement.matches), len(book)) == (4, 1, 1)

    def test_orders_of_one_owner_do_not_trade_and_the_later_is_dropped(self) -> None:
        book = OrderBook()
        book.place("other", "sell", 1, 99, owner="bob")
        book.place("own", "sell", 5, 100, owner="ann")
        placement = book.place("taker", "buy", 5, 100, owner="ann")
        assert placement.is_self_trade
        assert (placement.dropped, placement.rested, len(placement.matches)) == (4, 0, 1)
        assert book.leaves("own") == 5

    def test_an_id_in_the_book_and_a_quantity_below_one_are_refused(self) -> None:
        book = OrderBook()
        book.place("a", "buy", 1, 100)
        with pytest.raises(ValueError, match="already"):
            book.place("a", "sell", 1, 100)
        with pytest.raises(ValueError, match="at least 1"):
            book.place("b", "buy", 0, 100)
        assert len(book) == 1


class TestDepth:
    def test_best_levels_first_and_no_more_than_asked(self) -> None:
        book = OrderBook()
        for price in (97, 99, 98):
            book.place(f"b{price}", "buy", 2, price)
        for price in (103, 101, 102):
            book.place(f"s{price}", "sell", 3, price)
        assert book.depth(2) == BookDepth([(99, 2), (98, 2)], [(101, 3), (102, 3)])
        assert book.depth(0) == BookDepth([], [])
