"""Each venue's proof of continuity, case by case: what keeps a book good, what ends it, what heals it."""

from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.marketdata.decoders.cases import decode, snapshot
from tests.unit.marketdata.decoders.sessions import VENUES

from agio.marketdata.books.continuity import VenueBook
from agio.marketdata.decoders.binance import BinanceBooks
from agio.marketdata.decoders.coinbase import CoinbaseBooks
from agio.marketdata.decoders.kraken import KrakenBook
from agio.marketdata.decoders.okx import OkxBook
from agio.marketdata.normalised import (
    BookChange,
    BookUpdate,
    Heartbeat,
    Malformed,
    Message,
    Subscription,
    Verdict,
)

SIDES = st.dictionaries(st.integers(1, 10**9), st.integers(1, 10**9), max_size=40)


class TestKrakenBook:
    def test_levels_beyond_the_depth_of_the_subscription_go(self) -> None:
        book = KrakenBook("BTC-USD")
        book.apply(snapshot({10: 1, 9: 1}, {11: 1, 12: 1}, depth=2))
        changes = (BookChange("bid", 8, 5, "85"), BookChange("ask", 11, 3, "113"))
        checksum = crc32(b"11312110191")
        update = BookUpdate("BTC-USD", None, 7, None, changes, checksum=checksum)
        assert book.apply(update) is Verdict.OK
        assert book.levels.depth(10) == ([(10, 1), (9, 1)], [(11, 3), (12, 1)])

    @settings(deadline=None)
    @given(SIDES, SIDES)
    def test_the_checksum_equals_a_plain_one(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        book = KrakenBook("BTC-USD")
        book.apply(snapshot(bids, asks))
        text = "".join(f"{price}{asks[price]}" for price in sorted(asks)[:10])
        text += "".join(f"{price}{bids[price]}" for price in sorted(bids, reverse=True)[:10])
        assert book.checksum() == crc32(text.encode())


def okx_update(changes: dict[int, int], previous: int, sequence: int) -> BookUpdate:
    told = tuple(BookChange("bid", price, size, f"{price}:{size}") for price, size in changes.items())
    return BookUpdate("BTC-USD", None, 7, sequence, told, last_sequence=sequence, previous_sequence=previous)


class TestOkxChain:
    """Since 2026 `checksum` is 0, and `prevSeqId` names the message before."""

    def start(self) -> OkxBook:
        book = OkxBook("BTC-USD")
        assert book.apply(snapshot({10: 1}, {11: 1}, sequence=100)) is Verdict.OK
        return book

    def test_messages_that_name_their_predecessor_are_applied(self) -> None:
        book = self.start()
        assert book.apply(okx_update({9: 2}, 100, 107)) is Verdict.OK
        assert book.apply(okx_update({}, 107, 107)) is Verdict.OK  # nothing happened for 60 s
        assert book.apply(okx_update({}, 107, 107)) is Verdict.OK
        assert book.apply(okx_update({8: 2}, 107, 3)) is Verdict.OK  # the venue began its count anew
        assert book.apply(okx_update({7: 2}, 3, 5)) is Verdict.OK
        assert book.levels.bids.top(9) == [(10, 1), (9, 2), (8, 2), (7, 2)]
        assert book.proofs == 5

    def test_a_message_told_twice_changes_nothing(self) -> None:
        book = self.start()
        book.apply(okx_update({9: 2}, 100, 107))
        assert book.apply(okx_update({9: 2}, 100, 107)) is Verdict.OK

    def test_a_missing_message_is_a_gap_until_the_next_snapshot(self) -> None:
        book = self.start()
        assert book.apply(okx_update({9: 2}, 104, 107)) is Verdict.GAP
        assert book.apply(okx_update({8: 2}, 107, 109)) is Verdict.GAP
        assert book.levels.bids.top(9) == [(10, 1)]
        assert book.apply(snapshot({9: 1}, {11: 1}, sequence=110)) is Verdict.OK

    @settings(deadline=None)
    @given(SIDES, SIDES)
    def test_the_checksum_equals_a_plain_one(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        book = OkxBook("BTC-USD")
        book.apply(snapshot(bids, asks))
        best_bids, best_asks = sorted(bids, reverse=True)[:25], sorted(asks)[:25]
        parts = []
        for place in range(25):
            parts += [f"{price}{bids[price]}" for price in best_bids[place : place + 1]]
            parts += [f"{price}{asks[price]}" for price in best_asks[place : place + 1]]
        assert book.checksum() == int.from_bytes(
            crc32(":".join(parts).encode()).to_bytes(4, "big"), "big", signed=True
        )

    def test_the_fields_are_read(self) -> None:
        data = [{"asks": [["1.5", "2", "0", "1"]], "bids": [], "ts": "3", "checksum": 0}]
        data[0] |= {"seqId": 9, "prevSeqId": 8}
        arg = {"channel": "books", "instId": "BTC-USD"}
        (told,) = decode("OKX", {"arg": arg, "action": "update", "data": data})
        assert isinstance(told, BookUpdate)
        assert (told.previous_sequence, told.last_sequence, told.checksum) == (8, 9, None)


def binance_update(first: int, last: int, size: int = 1) -> BookUpdate:
    changes = (BookChange("bid", 10, size),)
    return BookUpdate("BTC-USD", None, 7, last, changes, first_sequence=first, last_sequence=last)


class TestBinanceJoin:
    """ "How to manage a local order book correctly", step by step."""

    def test_a_snapshot_older_than_the_first_event_must_be_fetched_again(self) -> None:
        books = BinanceBooks()
        books.apply([binance_update(105, 107)])
        books.apply([snapshot({9: 1}, {11: 1}, sequence=103)])
        assert books.good("BTC-USD") is None
        assert "ends before the first event" in books.doubtful["BTC-USD"]
        books.apply([snapshot({9: 1}, {11: 1}, sequence=106)])
        book = books.good("BTC-USD")
        assert book is not None
        assert book.bids.top(5) == [(10, 1), (9, 1)]

    def test_a_snapshot_whose_next_event_has_overtaken_it_is_joined(self) -> None:
        books = BinanceBooks()
        books.apply([binance_update(105, 107)])
        books.apply([snapshot({9: 1}, {11: 1}, sequence=104)])
        book = books.good("BTC-USD")
        assert book is not None
        assert book.bids.top(5) == [(10, 1), (9, 1)]

    def test_events_that_the_snapshot_has_are_left_out(self) -> None:
        books = BinanceBooks()
        books.apply([binance_update(100, 102, size=5)])
        books.apply([binance_update(103, 104, size=6)])
        books.apply([snapshot({10: 7}, {11: 1}, sequence=104)])
        book = books.good("BTC-USD")
        assert book is not None
        assert book.bids.size(10) == 7
        books.apply([binance_update(105, 105, size=8)])
        assert book.bids.size(10) == 8

    def test_a_gap_among_the_waiting_events_is_found(self) -> None:
        books = BinanceBooks()
        books.apply([binance_update(100, 102)])
        books.apply([binance_update(105, 106)])
        books.apply([snapshot({9: 1}, {11: 1}, sequence=101)])
        assert books.good("BTC-USD") is None
        books.apply([snapshot({9: 1}, {11: 1}, sequence=106)])
        assert books.good("BTC-USD") is not None

    def test_a_jump_is_a_gap_and_the_next_snapshot_joins_what_came_since(self) -> None:
        books = BinanceBooks()
        books.apply([snapshot({9: 1}, {11: 1}, sequence=100)])
        (judgement,) = books.apply([binance_update(103, 104)])
        assert judgement.verdict is Verdict.GAP
        books.apply([binance_update(105, 105, size=9)])
        books.apply([snapshot({10: 1}, {11: 1}, sequence=104)])
        book = books.good("BTC-USD")
        assert book is not None
        assert book.bids.size(10) == 9

    def test_ids_that_go_back_are_no_proof(self) -> None:
        books = BinanceBooks()
        books.apply([snapshot({9: 1}, {11: 1}, sequence=100)])
        books.apply([binance_update(101, 901)])
        books.apply([binance_update(102, 103, size=2)])
        assert books.good("BTC-USD") is None


class TestCoinbaseSequence:
    def books(self) -> CoinbaseBooks:
        books = CoinbaseBooks()
        books.apply([snapshot({10: 1}, {11: 1}, sequence=0)])
        return books

    def update(self, sequence: int, size: int = 2) -> list[Message]:
        return [BookUpdate("BTC-USD", None, 7, sequence, (BookChange("bid", 10, size),))]

    def test_a_missing_frame_of_any_channel_doubts_every_book(self) -> None:
        books = self.books()
        books.apply([Heartbeat(7, 1, 1)])
        (judgement,) = books.apply([Heartbeat(7, 3, 2)])
        assert (judgement.verdict, judgement.reason) == (Verdict.GAP, "frames 2 to 2 are missing")
        assert books.good("BTC-USD") is None

    def test_a_frame_told_twice_is_ignored(self) -> None:
        books = self.books()
        books.apply(self.update(1))
        assert books.apply(self.update(1)) == []
        assert books.apply(self.update(2)) == []
        assert books.good("BTC-USD") is not None

    def test_a_late_frame_is_not_applied_and_the_count_goes_on(self) -> None:
        books = self.books()
        books.apply(self.update(2, size=5))
        books.apply(self.update(1, size=4))
        books.apply([snapshot({10: 9}, {11: 1}, sequence=3)])
        books.apply(self.update(4, size=6))
        book = books.good("BTC-USD")
        assert book is not None
        assert book.bids.size(10) == 6

    def test_a_count_that_jumped_by_mistake_heals(self) -> None:
        books = self.books()
        books.apply(self.update(9_000_001))
        books.apply(self.update(2))
        books.apply(self.update(3))
        books.apply([snapshot({10: 9}, {11: 1}, sequence=4)])
        assert books.good("BTC-USD") is not None


class TestVenueBook:
    @pytest.mark.parametrize("venue", VENUES)
    def test_a_crossed_book_is_never_served(self, venue: str) -> None:
        books = VENUES[venue].make_books()
        (judgement,) = books.apply([snapshot({12: 1}, {11: 1}, sequence=1)]) or [None]
        assert books.good("BTC-USD") is None
        found = books.get("BTC-USD")
        assert isinstance(found, VenueBook)
        assert found.verdict is Verdict.CROSSED
        assert judgement is not None

    @pytest.mark.parametrize("venue", VENUES)
    def test_an_unsubscribed_book_is_no_longer_served(self, venue: str) -> None:
        books = VENUES[venue].make_books()
        books.apply([snapshot({10: 1}, {11: 1}, sequence=1)])
        books.apply([Subscription("BTC-USD", 7, None, "book", False)])
        assert books.good("BTC-USD") is None

    @pytest.mark.parametrize("venue", VENUES)
    def test_a_fault_of_trades_does_not_doubt_the_books(self, venue: str) -> None:
        books = VENUES[venue].make_books()
        books.apply([snapshot({1: 1}, {2: 1}, sequence=1)])
        books.apply([Malformed("BTC-USD", 7, None, "trades", "shape", "")])
        books.apply([Malformed(None, 7, None, "book", "unknown_symbol", "")])
        assert books.good("BTC-USD") is not None
        books.apply([Malformed(None, 7, None, "unknown", "json", "")])
        assert books.good("BTC-USD") is None
        assert books.doubtful == {"BTC-USD": "unreadable message: json"}
