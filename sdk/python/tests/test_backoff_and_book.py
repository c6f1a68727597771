import random
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agio_sdk import Pace
from agio_sdk.backoff import AuthenticationBreaker, Backoff
from agio_sdk.book import Book, BookMessage, Change, Level


class TestBackoff:
    def test_delays_are_jittered_below_a_doubling_ceiling(self) -> None:
        backoff = Backoff(Pace(rng=random.Random(1)))
        delays = [backoff.next_delay() for _ in range(12)]
        assert all(0 <= delay <= min(20.0, 0.5 * 2**attempt) for attempt, delay in enumerate(delays))
        assert len(set(delays)) == 12

    def test_never_sooner_than_the_server_asks(self) -> None:
        assert Backoff(Pace(rng=random.Random(1))).next_delay(at_least_seconds=7.0) >= 7.0

    def test_a_short_life_does_not_reset_it_and_a_long_one_does(self) -> None:
        backoff = Backoff(Pace(rng=random.Random(1)))
        for _ in range(8):
            backoff.next_delay()
        backoff.was_healthy(29.9)
        assert max(backoff.next_delay() for _ in range(20)) > 0.5
        backoff.was_healthy(30.0)
        assert backoff.next_delay() <= 0.5


class TestAuthenticationBreaker:
    def test_opens_after_three_refusals_in_a_row(self) -> None:
        breaker = AuthenticationBreaker()
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
        breaker.failed()
        breaker.failed()
        assert not breaker.is_open
        breaker.failed()
        assert breaker.is_open


KRAKEN_ASKS = [
    ("45285.2", "0.00100000"),
    ("45286.4", "1.54571953"),
    ("45286.6", "1.54571109"),
    ("45289.6", "1.54560911"),
    ("45290.2", "0.15890660"),
    ("45291.8", "1.54553491"),
    ("45294.7", "0.04454749"),
    ("45296.1", "0.35380000"),
    ("45297.5", "0.09945542"),
    ("45299.5", "0.18772827"),
]
KRAKEN_BIDS = [
    ("45283.5", "0.10000000"),
    ("45283.4", "1.54582015"),
    ("45282.1", "0.10000000"),
    ("45281.0", "0.10000000"),
    ("45280.3", "1.54592586"),
    ("45279.0", "0.07990000"),
    ("45277.6", "0.03310103"),
    ("45277.5", "0.30000000"),
    ("45277.3", "1.54602737"),
    ("45276.6", "0.15445238"),
]


class TestBook:
    def test_the_checksum_is_the_published_example_of_the_rule(self) -> None:
        book = Book("BTC-USD")
        whole = BookMessage(bids=KRAKEN_BIDS, asks=KRAKEN_ASKS)
        assert book.load(whole, 1, 3310070434) is Change.APPLIED
        assert book.is_valid

    def test_a_wrong_checksum_invalidates_until_the_next_snapshot(self) -> None:
        book = Book("BTC-USD")
        book.load(BookMessage(bids=[("1.0", "2")], asks=[("1.1", "2")]), 1, None)
        assert book.apply(BookMessage(bids=[("1.0", "3")]), 2, 1, 12345) is Change.CHECKSUM
        assert book.apply(BookMessage(bids=[("1.0", "4")]), 3, 2, None) is Change.GAP
        assert not book.is_valid
        assert book.load(BookMessage(bids=[("1.0", "5")]), 9, None) is Change.APPLIED
        assert book.is_valid

    def test_a_gap_invalidates(self) -> None:
        book = Book("BTC-USD")
        book.load(BookMessage(bids=[("1.0", "2")]), 5, None)
        assert book.apply(BookMessage(bids=[("1.0", "3")]), 9, 8, None) is Change.GAP
        assert not book.is_valid

    def test_size_zero_removes_a_level(self) -> None:
        book = Book("BTC-USD")
        book.load(BookMessage(bids=[("1.0", "2"), ("0.9", "1")]), 1, None)
        book.apply(BookMessage(bids=[("1.0", "0")]), 2, 1, None)
        assert [str(price) for price, _ in book.bids()] == ["0.9"]

    def test_a_delta_that_is_told_again_changes_nothing(self) -> None:
        book = Book("BTC-USD")
        book.load(BookMessage(bids=[("1.0", "2")]), 5, None)
        assert book.apply(BookMessage(bids=[("1.0", "9")]), 5, 4, None) is Change.SEEN
        assert book.best_bid == Level(Decimal("1.0"), Decimal(2))

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), max_size=60), st.integers(0, 12))
    def test_levels_are_in_order_whatever_happens(self, changes: list[tuple[int, int]], depth: int) -> None:
        book, model = Book("X", depth), dict[int, int]()
        book.load(BookMessage(), 0, None)
        for q, (price, size) in enumerate(changes, 1):
            side = [(str(price), str(size))]
            book.apply(BookMessage(bids=side, asks=side), q, q - 1, None)
            model[price] = size
        kept = sorted(price for price, size in model.items() if size)
        assert [level.price for level in book.asks()] == kept[:depth]
        assert [level.price for level in book.bids(100)] == kept[::-1]
        assert book.best_ask == (Level(Decimal(kept[0]), Decimal(model[kept[0]])) if kept else None)
        assert (book.spread is None) == (not kept)
        assert [len(side) for side in book.levels()] == [min(depth, len(kept))] * 2
