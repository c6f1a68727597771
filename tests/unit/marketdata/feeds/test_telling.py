"""What a feed passes on of books: never an update of a doubtful one, and always the whole of a new one."""

from agio.marketdata.books.continuity import VenueBooks
from agio.marketdata.decoders.binance import BinanceBooks
from agio.marketdata.decoders.coinbase import CoinbaseBooks
from agio.marketdata.decoders.okx import OkxBooks
from agio.marketdata.feeds.telling import apply_and_tell
from agio.marketdata.normalised import BookChange, BookSnapshot, BookUpdate, Message, Trade, Verdict

BID, ASK = BookChange("bid", 10, 1), BookChange("ask", 20, 1)
TRADE = Trade("A", 1, 1, 1, 15, 1)


def snapshot(sequence: int, checksum: int | None = None) -> BookSnapshot:
    return BookSnapshot("A", 1, 1, sequence, (BID,), (ASK,), checksum)


def update(change: BookChange, first: int, last: int | None = None) -> BookUpdate:
    last = first if last is None else last
    return BookUpdate("A", 1, 1, last, (change,), first_sequence=first, last_sequence=last)


def tell(books: VenueBooks, *messages: Message) -> list[Message]:
    return list(apply_and_tell(books, messages)[0])


class TestApplyAndTell:
    def test_updates_before_a_snapshot_are_kept_back_and_told_within_it(self) -> None:
        books = BinanceBooks()

        assert tell(books, update(BookChange("bid", 11, 5), 101), TRADE) == [TRADE]
        (whole,) = tell(books, snapshot(101))  # it has the update already
        assert isinstance(whole, BookSnapshot)
        assert [(level.price, level.size) for level in whole.bids] == [(10, 1)]

    def test_updates_that_waited_are_in_the_first_snapshot(self) -> None:
        books = BinanceBooks()
        tell(books, update(BookChange("bid", 11, 5), 101, 103))

        (whole,) = tell(books, snapshot(102))

        assert isinstance(whole, BookSnapshot)
        assert [(level.price, level.size) for level in whole.bids] == [(11, 5), (10, 1)]

    def test_an_update_older_than_the_book_is_not_told(self) -> None:
        books = BinanceBooks()
        tell(books, snapshot(100))

        assert tell(books, update(BookChange("bid", 11, 5), 99)) == []
        assert len(tell(books, update(BookChange("bid", 11, 5), 101))) == 1

    def test_an_update_that_crosses_the_book_is_not_told(self) -> None:
        books = CoinbaseBooks()
        tell(books, snapshot(0))

        told, judgements = apply_and_tell(books, [update(BookChange("bid", 20, 1), 1), TRADE])

        assert told == [TRADE]
        assert [judgement.verdict for judgement in judgements] == [Verdict.CROSSED]

    def test_a_snapshot_with_a_wrong_checksum_is_not_told(self) -> None:
        assert tell(OkxBooks(), snapshot(1, checksum=5)) == []

    def test_two_updates_of_which_one_is_old_are_told_as_the_book(self) -> None:
        books = BinanceBooks()
        tell(books, snapshot(100))

        (whole,) = tell(books, update(BookChange("bid", 9, 9), 98), update(BookChange("bid", 11, 5), 101))

        assert isinstance(whole, BookSnapshot)
        assert [(level.price, level.size) for level in whole.bids] == [(11, 5), (10, 1)]
