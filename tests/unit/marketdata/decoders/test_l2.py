from hypothesis import given, settings
from hypothesis import strategies as st

from agio.marketdata.books.l2 import L2Book, Level
from agio.marketdata.normalised import BookChange

PRICES = st.integers(1, 40)
CHANGES = st.lists(
    st.builds(BookChange, st.sampled_from(["bid", "ask"]), PRICES, st.integers(0, 5)), max_size=120
)


def levels_of(changes: list[BookChange]) -> tuple[list[Level], list[Level]]:
    """The plain reference: the last word about every price, sorted."""
    sides: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
    for change in changes:
        sides[change.side][change.price] = change.size
    bids, asks = ([level for level in sides[side].items() if level[1]] for side in ("bid", "ask"))
    return sorted(bids, reverse=True), sorted(asks)


class TestApply:
    @settings(deadline=None)
    @given(CHANGES, CHANGES)
    def test_updates_give_the_book_that_a_rebuild_gives(
        self, first: list[BookChange], second: list[BookChange]
    ) -> None:
        book = L2Book()
        book.apply(first)
        book.apply(second)
        bids, asks = levels_of(first + second)
        assert book.depth(1000) == (bids, asks)
        assert book.depth(3) == (bids[:3], asks[:3])
        assert book.depth(0) == ([], [])
        assert (book.best_bid, book.best_ask) == (
            bids[0][0] if bids else None,
            asks[0][0] if asks else None,
        )
        assert book.is_crossed == bool(bids and asks and bids[0][0] >= asks[0][0])
        assert all(book.bids.size(price) == size for price, size in bids)
        assert (len(book.bids), len(book.asks)) == (len(bids), len(asks))

    @settings(deadline=None)
    @given(CHANGES)
    def test_a_snapshot_gives_the_book_that_its_updates_give(self, changes: list[BookChange]) -> None:
        book, other = L2Book(), L2Book()
        book.apply([BookChange("bid", 99, 1), *changes])
        book.replace(
            [change for change in changes if change.side == "bid"],
            [change for change in changes if change.side == "ask"],
        )
        other.apply(changes)
        assert {*book.bids.top(1000)} >= {*other.bids.top(1000)}
        assert len(book.bids) == len({one.price for one in changes if one.side == "bid" and one.size})


class TestTruncate:
    @settings(deadline=None)
    @given(CHANGES, st.integers(0, 12))
    def test_the_best_levels_stay(self, changes: list[BookChange], depth: int) -> None:
        book = L2Book()
        book.apply(changes)
        bids, asks = book.depth(1000)
        dropped = book.bids.truncate(depth) + book.asks.truncate(depth)
        assert book.depth(1000) == (bids[:depth], asks[:depth])
        assert sorted(dropped) == sorted(price for price, _ in bids[depth:] + asks[depth:])
