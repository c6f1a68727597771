from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.marketdata.books.l3 import BookState, L3Book
from agio.marketdata.findings import Finding
from agio.marketdata.normalised import OrderEvent, OrderKind, Side


def event(
    kind: OrderKind,
    order_id: str = "1",
    side: Side = "bid",
    price: int = 100,
    size: int = 5,
    *,
    is_last: bool = True,
) -> OrderEvent:
    return OrderEvent("X", 1, 2, None, kind, order_id, side, price, size, is_last=is_last)


def begun() -> L3Book:
    book = L3Book("X")
    book.apply(event("clear"))
    return book


class TestState:
    def test_a_book_without_a_snapshot_is_broken(self) -> None:
        book = L3Book("X")
        book.apply(event("add"))

        assert book.state is BookState.BROKEN
        assert book.served(1) is None

    def test_a_snapshot_is_served_only_when_it_is_whole(self) -> None:
        book = L3Book("X")
        book.apply(event("clear", is_last=False))
        book.apply(event("add", "1", "bid", 100, is_last=False))
        assert (book.state, book.served(1)) == (BookState.BROKEN, None)

        book.apply(event("add", "2", "ask", 101))

        assert book.state is BookState.GOOD
        assert book.served(1) is not None

    def test_a_crossed_book_is_good_again_when_it_uncrosses(self) -> None:
        book = begun()
        book.apply(event("add", "1", "bid", 100))

        book.apply(event("add", "2", "ask", 100))
        assert (book.state, book.served(1)) == (BookState.CROSSED, None)
        book.apply(event("delete", "1"))

        assert book.state is BookState.GOOD
        assert book.crossed_events == 1

    def test_in_the_middle_of_an_instant_a_book_may_cross_and_is_not_served(self) -> None:
        book = begun()
        book.apply(event("add", "1", "bid", 100))
        book.apply(event("add", "2", "ask", 99, is_last=False))
        assert book.served(1) is None

        book.apply(event("delete", "1"))

        assert (book.state, book.crossed_events) == (BookState.GOOD, 0)

    def test_a_reason_from_outside_breaks_the_book_until_the_next_snapshot(self) -> None:
        book = begun()
        book.distrust(Finding("gap", 7, "the connection was lost"))
        book.apply(event("add"))
        assert book.served(1) is None

        book.apply(event("clear"))

        assert book.state is BookState.GOOD
        assert book.order_count == 0


class TestHostileEvents:
    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            (event("delete", "9"), "unknown_order"),
            (event("modify", "9"), "unknown_order"),
            (event("execute", "9"), "unknown_order"),
            (event("add", "1"), "duplicate_order"),
            (event("add", "2", size=-1), "negative"),
            (event("modify", "1", size=-1), "negative"),
            (event("execute", "1", size=6), "overfill"),
            (event("modify", "1", "ask"), "side_changed"),
        ],
    )
    def test_what_cannot_be_is_named_and_breaks_the_book(self, wrong: OrderEvent, code: str) -> None:
        book = begun()
        book.apply(event("add", "1"))

        finding = book.apply(wrong, 42)

        assert finding is not None
        assert (finding.code, finding.record) == (code, 42)
        assert book.broken_by == finding
        assert (book.state, book.served(1)) == (BookState.BROKEN, None)

    def test_a_tolerant_book_survives_unknown_deletes_only(self) -> None:
        book = L3Book("X", is_strict=False)
        book.apply(event("clear"))

        assert book.apply(event("delete", "9")) is not None
        assert book.state is BookState.GOOD
        book.apply(event("modify", "9"))

        assert book.state is BookState.BROKEN

    def test_orders_beyond_the_limit_are_refused(self) -> None:
        book = L3Book("X", max_orders=2)
        book.apply(event("clear"))

        found = [book.apply(event("add", str(number))) for number in range(3)]

        assert [finding.code if finding else None for finding in found] == [None, None, "too_many_orders"]
        assert book.order_count == 2

    def test_an_order_of_size_zero_is_known_and_rests_nowhere(self) -> None:
        book = begun()

        book.apply(event("add", "1", "bid", 999_999_999, size=0))
        assert book.best_bid is None
        assert book.apply(event("modify", "1", "bid", 100, size=3)) is None
        assert book.best_bid == book.levels("bid", 1)[0]

        assert book.apply(event("delete", "1")) is None
        assert book.order_count == 0


class TestPriority:
    def test_a_smaller_order_keeps_its_place_and_a_larger_one_loses_it(self) -> None:
        book = begun()
        for order_id in "abc":
            book.apply(event("add", order_id))

        book.apply(event("modify", "a", size=2))
        book.apply(event("modify", "b", size=9))

        assert [(order.order_id, order.size) for order in book.orders_at("bid", 100)] == [
            ("a", 2),
            ("c", 5),
            ("b", 9),
        ]


class TestSeed:
    def test_orders_that_were_there_before_are_taken_from_their_level(self) -> None:
        book = L3Book("X")
        book.seed([(100, 10)], [(101, 3)])

        assert book.apply(event("execute", "old", "bid", 100, 4)) is None
        assert book.levels("bid", 1)[0].size == 6
        finding = book.apply(event("delete", "older", "bid", 100, 7))

        assert finding is not None
        assert finding.code == "unknown_order"

    def test_beyond_the_window_nothing_is_served(self) -> None:
        book = L3Book("X")
        book.seed([(100, 1), (99, 1)], [(101, 1), (102, 1)], window=2)
        book.apply(event("add", "deep", "bid", 90))
        book.apply(event("delete", "old", "bid", 99, 1))

        served = book.served(5)
        assert served is not None
        assert [level.price for level in served.bids] == [100]
        book.apply(event("delete", "old", "bid", 100, 1))

        assert book.broken_by is not None
        assert book.broken_by.code == "window"


KINDS: tuple[OrderKind, ...] = ("add", "modify", "delete", "execute")


@st.composite
def histories(draw: st.DrawFn) -> list[OrderEvent]:
    """Events of few orders at few prices, true and untrue ones."""
    events = st.builds(
        event,
        st.sampled_from(KINDS),
        st.sampled_from("abcdef"),
        st.sampled_from(("bid", "ask")),
        st.integers(98, 102),
        st.integers(-1, 6),
    )
    return draw(st.lists(events, max_size=60))


class TestAgainstTheReference:
    @given(history=histories())
    def test_levels_are_the_sums_of_the_orders_and_only_good_books_are_served(
        self, history: list[OrderEvent]
    ) -> None:
        book = begun()
        orders: dict[str, tuple[Side, int, int]] = {}
        is_true = True
        for number, one in enumerate(history, start=1):
            finding = book.apply(one, number)
            is_true = is_true and finding is None
            if finding is None:
                follow(orders, one)
            if not is_true:
                assert book.served(9) is None
                continue
            bids, asks = (levels_of(orders, side) for side in ("bid", "ask"))
            assert [(one.price, one.size) for one in book.levels("bid", 9)] == sorted(bids.items())[::-1]
            assert [(one.price, one.size) for one in book.levels("ask", 9)] == sorted(asks.items())
            is_crossed = bool(bids and asks) and max(bids) >= min(asks)
            assert (book.served(9) is None) == is_crossed


def follow(orders: dict[str, tuple[Side, int, int]], one: OrderEvent) -> None:
    if one.kind in ("add", "modify"):
        orders[one.order_id] = (one.side, one.price, one.size)
    elif one.kind == "delete":
        del orders[one.order_id]
    else:
        side, price, size = orders.pop(one.order_id)
        if size > one.size:
            orders[one.order_id] = (side, price, size - one.size)


def levels_of(orders: dict[str, tuple[Side, int, int]], side: str) -> dict[int, int]:
    levels: dict[int, int] = defaultdict(int)
    for order_side, price, size in orders.values():
        if order_side == side and size:
            levels[price] += size
    return levels
