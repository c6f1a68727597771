"""Every recorded frame of the four venues: nothing malformed, every proof holds, the right books come out."""

import json
import zlib
from collections import Counter
from decimal import Decimal

import pytest
from tests.unit.marketdata.decoders.sessions import (
    Change,
    ReferenceBook,
    Session,
    book_messages,
    in_decimals,
    raw_changes,
    two_sides,
)

from agio.marketdata.books.continuity import VenueBooks
from agio.marketdata.decoders.kraken import KrakenBook
from agio.marketdata.decoders.okx import OkxBook
from agio.marketdata.normalised import (
    BookSnapshot,
    BookUpdate,
    Malformed,
    Message,
    Trade,
    Verdict,
)


def play(session: Session) -> tuple[list[Message], VenueBooks]:
    """The whole session; every book becomes good once and stays so."""
    told: list[Message] = []
    judgements = Counter[tuple[str, Verdict]]()
    books = session.venue.make_books()
    for _, messages, books, found in session.play():  # noqa: B007 # the last one is the answer
        told += messages
        judgements.update((judgement.symbol, judgement.verdict) for judgement in found)
    symbols = {message.symbol for message in book_messages(told)}
    assert judgements == dict.fromkeys(((symbol, Verdict.OK) for symbol in symbols), 1)
    assert not [message for message in told if isinstance(message, Malformed)]
    return told, books


def proofs(books: VenueBooks, session: Session) -> int:
    found = (books.get(symbol) for symbol in session.instruments)
    return sum(book.proofs for book in found if book is not None)


def rebuild(session: Session) -> dict[str, ReferenceBook]:
    """The books at the end of the session by the plain reference, by our symbols."""
    ours = {one.venue_symbol: one.symbol for one in session.instruments.values()}
    books: dict[str, ReferenceBook] = {}
    for event in session.events:
        for venue_symbol, is_snapshot, changes in raw_changes(session.venue.name, event.data):
            if is_snapshot:
                books[ours[venue_symbol]] = ReferenceBook()
            for change in changes:
                books[ours[venue_symbol]].put(*change)
    return books


class TestKraken:
    def test_all_4269_checksums_are_reproduced(self, kraken_session: Session) -> None:
        told, books = play(kraken_session)
        assert len([message for message in told if isinstance(message, BookUpdate)]) == 4269
        assert proofs(books, kraken_session) == 4269
        assert len([message for message in told if isinstance(message, BookSnapshot)]) == 10

    def test_the_books_equal_the_plain_reference(self, kraken_session: Session) -> None:
        _, books = play(kraken_session)
        for symbol, reference in rebuild(kraken_session).items():
            book = books.good(symbol)
            assert book is not None
            assert in_decimals(book, kraken_session.instruments[symbol], 1000) == reference.top(1000)

    def test_the_checksum_equals_the_documented_string(self, kraken_session: Session) -> None:
        _, books = play(kraken_session)
        for symbol, reference in rebuild(kraken_session).items():
            bids, asks = reference.top(10)
            levels = [("ask", price) for price, _ in asks] + [("bid", price) for price, _ in bids]
            parts = [text.replace(".", "").lstrip("0") for level in levels for text in reference.texts[level]]
            book = books.get(symbol)
            assert isinstance(book, KrakenBook)
            assert book.checksum() == zlib.crc32("".join(parts).encode())

    def test_trades_and_steps_are_exact(self, kraken_session: Session) -> None:
        told, _ = play(kraken_session)
        trade = next(message for message in told if isinstance(message, Trade))
        instrument = kraken_session.instruments[trade.symbol]
        assert (trade.symbol, trade.aggressor, trade.conditions) == ("XMR-USD", "sell", ("limit",))
        assert instrument.price(trade.price) == Decimal("354.11")
        assert instrument.size(trade.size) == Decimal("0.89594024")
        assert trade.venue_ns == 1_618_678_142_557_535_000
        assert len([message for message in told if isinstance(message, Trade)]) == 10


class TestOkx:
    def test_all_290_checksums_are_reproduced(self, okx_session: Session) -> None:
        told, books = play(okx_session)
        assert len(book_messages(told)) == 290
        assert proofs(books, okx_session) == 290

    def test_the_books_equal_the_plain_reference(self, okx_session: Session) -> None:
        _, books = play(okx_session)
        for symbol, reference in rebuild(okx_session).items():
            book = books.good(symbol)
            assert book is not None
            assert in_decimals(book, okx_session.instruments[symbol], 500) == reference.top(500)

    def test_the_checksum_equals_the_documented_string(self, okx_session: Session) -> None:
        _, books = play(okx_session)
        for symbol, reference in rebuild(okx_session).items():
            bids, asks = reference.top(25)
            parts: list[str] = []
            for place in range(25):
                for side, levels in (("bid", bids), ("ask", asks)):
                    if place < len(levels):
                        parts += reference.texts[side, levels[place][0]]
            unsigned = zlib.crc32(":".join(parts).encode())
            book = books.get(symbol)
            assert isinstance(book, OkxBook)
            assert book.checksum() % 2**32 == unsigned

    def test_every_trade_is_told(self, okx_session: Session) -> None:
        told, _ = play(okx_session)
        trades = [message for message in told if isinstance(message, Trade)]
        assert len(trades) == 74
        assert {trade.aggressor for trade in trades} == {"buy", "sell"}


class TestCoinbase:
    def test_74193_book_updates_279_trades_and_no_gap(self, coinbase_session: Session) -> None:
        told, books = play(coinbase_session)
        levels = 0
        for message in book_messages(told):
            if isinstance(message, BookUpdate):
                levels += len(message.changes)
            else:
                levels += len(message.bids) + len(message.asks)
        assert levels == 74_193
        assert len([message for message in told if isinstance(message, Trade)]) == 279
        sequences = [message.sequence for message in told]
        assert list(dict.fromkeys(sequences)) == list(range(1030))
        assert proofs(books, coinbase_session) == 773

    def test_the_books_equal_the_plain_reference(self, coinbase_session: Session) -> None:
        _, books = play(coinbase_session)
        for symbol, reference in rebuild(coinbase_session).items():
            book = books.good(symbol)
            assert book is not None
            assert in_decimals(book, coinbase_session.instruments[symbol], 10**6) == reference.top(10**6)

    def test_a_trade_s_side_is_the_maker_s_so_buyers_trade_at_the_ask(
        self, coinbase_session: Session
    ) -> None:
        nearer = Counter[tuple[str, str]]()
        for _, messages, books, _ in coinbase_session.play():
            for trade in messages:
                book = books.good(trade.symbol) if isinstance(trade, Trade) and not trade.is_history else None
                if isinstance(trade, Trade) and book and book.best_ask and book.best_bid:
                    is_ask = abs(trade.price - book.best_ask) < abs(trade.price - book.best_bid)
                    nearer[trade.aggressor, "ask" if is_ask else "bid"] += 1
        assert nearer["buy", "ask"] + nearer["sell", "bid"] > 10 * (
            nearer["buy", "bid"] + nearer["sell", "ask"]
        )

    def test_trades_are_told_oldest_first(self, coinbase_session: Session) -> None:
        for _, messages, _, _ in coinbase_session.play(coinbase_session.events[:200]):
            numbers = [int(trade.trade_id or 0) for trade in messages if isinstance(trade, Trade)]
            assert numbers == sorted(numbers)


class TestBinance:
    def test_four_snapshots_join_the_stream_without_a_gap(self, binance_session: Session) -> None:
        told, books = play(binance_session)
        updates = [message for message in told if isinstance(message, BookUpdate)]
        assert len(updates) == 177
        snapshots = {one.symbol: one for one in told if isinstance(one, BookSnapshot)}
        assert len(snapshots) == 4
        newer = [one for one in updates if (one.sequence or 0) > (snapshots[one.symbol].sequence or 0)]
        assert proofs(books, binance_session) == len(newer) == 172

    def test_the_books_equal_the_plain_reference(self, binance_session: Session) -> None:
        _, books = play(binance_session)
        for symbol, reference in rebuild_binance(binance_session).items():
            book = books.good(symbol)
            assert book is not None
            assert in_decimals(book, binance_session.instruments[symbol], 10_000) == reference.top(10_000)

    def test_sizes_finer_than_the_present_lot_are_kept(self, binance_session: Session) -> None:
        """An order of 11,979.3 NKN rests in a book whose step size is 1."""
        instrument = binance_session.instruments["NKN-USDT"]
        assert (instrument.size_increment, instrument.lot) == (Decimal(1), Decimal("1e-8"))
        assert instrument.price_increment == Decimal("0.0001")


def rebuild_binance(session: Session) -> dict[str, ReferenceBook]:
    """Snapshot, then every event whose `u` is above the snapshot's id; order of arrival does not matter."""
    books: dict[str, ReferenceBook] = {}
    for event in session.events:
        if event.kind == "http":
            venue_symbol = event.address.partition("symbol=")[2].partition("&")[0]
            snapshot = json.loads(event.data)
            changes: list[Change] = two_sides(snapshot, "bids", "asks")
            for other in session.events:
                for symbol, _, rows in raw_changes("BINANCE", other.data) if other.kind == "recv" else ():
                    if (
                        symbol == venue_symbol
                        and json.loads(other.data)["data"]["u"] > snapshot["lastUpdateId"]
                    ):
                        changes += rows
            symbol = next(
                one.symbol for one in session.instruments.values() if one.venue_symbol == venue_symbol
            )
            books[symbol] = ReferenceBook()
            for change in changes:
                books[symbol].put(*change)
    return books


@pytest.mark.parametrize("name", ["kraken", "okx", "coinbase", "binance"])
def test_text_and_bytes_say_the_same(name: str, request: pytest.FixtureRequest) -> None:
    session: Session = request.getfixturevalue(f"{name}_session")
    decoder = session.decoder()
    for event in [event for event in session.events if event.kind == "recv"][:60]:
        assert decoder.decode(event.data, 1) == decoder.decode(event.data.encode(), 1)
