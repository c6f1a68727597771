"""Recorded sessions of two venues that prove little: every frame read, the books as the reference has them.

They never cross; damage is told as `Malformed` about the right symbol.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.marketdata.decoders.sessions import ReferenceBook, in_decimals

from agio.marketdata.books.continuity import VenueBooks
from agio.marketdata.decoders.bitstamp import BitstampBooks, BitstampDecoder
from agio.marketdata.decoders.bitstamp import read_instruments as read_bitstamp
from agio.marketdata.decoders.decoder import Decoder
from agio.marketdata.decoders.gemini import GeminiBooks, GeminiDecoder
from agio.marketdata.decoders.gemini import read_instrument as read_gemini
from agio.marketdata.decoders.recording import Recording, read_recording
from agio.marketdata.normalised import (
    BookSnapshot,
    BookUpdate,
    Heartbeat,
    Instrument,
    Malformed,
    Message,
    OrderEvent,
    Subscription,
    Trade,
    Unread,
    Verdict,
)


class Played(NamedTuple):
    instruments: dict[str, Instrument]
    """By the venue's symbol."""
    decoder: Decoder
    messages: list[Message]
    books: VenueBooks
    verdicts: Counter[Verdict]


@pytest.fixture(scope="module")
def bitstamp_recording(real_data: Path) -> Recording:
    return read_recording(real_data / "market" / "ws" / "BITSTAMP.jsonl.zst")


@pytest.fixture(scope="module")
def bitstamp(bitstamp_recording: Recording) -> Played:
    pairs = next(bitstamp_recording.answers("trading-pairs-info")).data
    instruments = {one.venue_symbol: one for one in read_bitstamp(pairs)}
    decoder = BitstampDecoder(instruments.values())
    rest = [
        decoder.decode_snapshot(event.address.rpartition("/")[2], event.data, event.at_ns)
        for event in bitstamp_recording.answers("/order_book/")
    ]
    return play(bitstamp_recording, instruments, decoder, BitstampBooks(), rest)


@pytest.fixture(scope="module")
def gemini_recording(real_data: Path) -> Recording:
    return read_recording(real_data / "market" / "ws" / "GEMINI.jsonl.zst")


@pytest.fixture(scope="module")
def gemini(gemini_recording: Recording) -> Played:
    found = [read_gemini(event.data) for event in gemini_recording.answers("/symbols/details/")]
    instruments = {one.venue_symbol: one for one in found if one is not None}
    return play(gemini_recording, instruments, GeminiDecoder(instruments.values()), GeminiBooks(), [])


def play(
    recording: Recording,
    instruments: dict[str, Instrument],
    decoder: Decoder,
    books: VenueBooks,
    rest: list[BookSnapshot | Malformed],
) -> Played:
    verdicts = Counter(judgement.verdict for judgement in books.apply(rest))
    messages: list[Message] = []
    for event in recording.received():
        told = decoder.decode(event.data, event.at_ns)
        messages += told
        verdicts.update(judgement.verdict for judgement in books.apply(told))
    return Played(instruments, decoder, messages, books, verdicts)


class TestBitstampSession:
    def test_every_frame_is_read(self, bitstamp: Played) -> None:
        kinds = Counter(type(message) for message in bitstamp.messages)

        assert kinds == {BookUpdate: 717, Subscription: 20, Trade: 10}
        assert bitstamp.verdicts == {Verdict.OK: 10}

    def test_the_books_equal_the_plain_reference(
        self, bitstamp: Played, bitstamp_recording: Recording
    ) -> None:
        for pair, reference in bitstamp_reference(bitstamp_recording):
            instrument = bitstamp.instruments[pair]
            book = bitstamp.books.good(instrument.symbol)
            assert book is not None
            assert in_decimals(book, instrument, 100) == reference.top(100)

    def test_trades_have_sides_and_times(self, bitstamp: Played) -> None:
        trades = [message for message in bitstamp.messages if isinstance(message, Trade)]

        assert [trade.aggressor for trade in trades] == ["buy"] + ["sell"] * 8 + ["sell"]
        first = trades[0]
        assert (first.symbol, first.price, first.size) == ("ETH-USD", 380_544, 7_920_000)
        assert (first.venue_ns, first.trade_id) == (1_641_343_699_596_000_000, "216000477")


def bitstamp_reference(recording: Recording) -> Iterator[tuple[str, ReferenceBook]]:
    for answer in recording.answers("/order_book/"):
        pair, snapshot = answer.address.rpartition("/")[2], json.loads(answer.data)
        reference = ReferenceBook()
        frames = [json.loads(event.data) for event in recording.received()]
        newer = [
            frame["data"]
            for frame in frames
            if frame["channel"] == f"diff_order_book_{pair}"
            and int(frame["data"].get("microtimestamp", 0)) > int(snapshot["microtimestamp"])
        ]
        for levels in (snapshot, *newer):
            for side, rows in (("bid", levels["bids"]), ("ask", levels["asks"])):
                for price, size in rows:
                    reference.put(side, price, size)
        yield pair, reference


class TestGeminiSession:
    def test_every_frame_is_read(self, gemini: Played) -> None:
        kinds = Counter(type(message) for message in gemini.messages)

        assert kinds == {BookSnapshot: 10, BookUpdate: 549, Trade: 812, Heartbeat: 2}
        assert gemini.verdicts == {Verdict.OK: 10}

    def test_the_books_equal_the_plain_reference(self, gemini: Played, gemini_recording: Recording) -> None:
        references: dict[str, ReferenceBook] = {}
        for event in gemini_recording.received():
            frame = json.loads(event.data)
            reference = references.setdefault(frame.get("symbol", ""), ReferenceBook())
            for side, price, size in frame.get("changes", ()):
                reference.put({"buy": "bid", "sell": "ask"}[side], price, size)
        del references[""]
        assert len(references) == 10
        for venue_symbol, reference in references.items():
            instrument = gemini.instruments[venue_symbol]
            book = gemini.books.good(instrument.symbol)
            assert book is not None
            assert in_decimals(book, instrument, 5000) == reference.top(5000)

    def test_trades_told_with_the_snapshot_are_history(self, gemini: Played) -> None:
        live = [one for one in gemini.messages if isinstance(one, Trade) and not one.is_history]

        assert [(one.symbol, one.aggressor, one.price, one.size) for one in live] == [
            ("BTC-USD", "buy", 6_520_629, 7667),
            ("BTC-USD", "buy", 6_520_629, 7667),
        ]

    def test_perpetuals_do_not_share_the_name_of_the_spot(self, gemini: Played) -> None:
        assert gemini.instruments["SOLUSDCPERP"].symbol == "SOL-USDC-PERP"
        assert len({one.symbol for one in gemini.instruments.values()}) == 347


def diff(bids: object, time: str = "1641343700000000", pair: str = "ethusd") -> str:
    data = {"timestamp": "1641343700", "microtimestamp": time, "bids": bids, "asks": []}
    return json.dumps({"event": "data", "channel": f"diff_order_book_{pair}", "data": data})


class TestHostileBitstamp:
    @pytest.mark.parametrize(
        ("frame", "symbol", "fault"),
        [
            (diff([["3800.71", "-1.0"]]), "ETH-USD", "number"),
            (diff([["NaN", "1.0"]]), "ETH-USD", "number"),
            (diff([["1e400", "1.0"]]), "ETH-USD", "number"),
            (diff([["9" * 60, "1.0"]]), "ETH-USD", "number"),
            (diff([["3800.715", "1.0"]]), "ETH-USD", "off_tick"),
            (diff([["0", "1.0"]]), "ETH-USD", "number"),
            (diff([["3800.71"]]), "ETH-USD", "shape"),
            (diff([[3800.71, 1]]), "ETH-USD", "shape"),
            (diff([], time="yesterday"), "ETH-USD", "number"),
            (diff([], pair="nonono"), None, "unknown_symbol"),
            ('{"event":"order_exploded","channel":"live_orders_ethusd","data":{}}', "ETH-USD", "shape"),
            ('{"event":"bts:surprise","channel":"live_orders_ethusd","data":{}}', None, "shape"),
            ('{"event":"data","channel":', None, "json"),
            ('{"event":"data","data":' + "[" * 100_000, None, "json"),
            ("", None, "json"),
        ],
    )
    def test_a_broken_frame_is_named(
        self, bitstamp: Played, frame: str, symbol: str | None, fault: str
    ) -> None:
        (message,) = bitstamp.decoder.decode(frame, 1)

        assert isinstance(message, Malformed)
        assert (message.symbol, message.fault) == (symbol, fault)

    @given(garbage=st.binary(max_size=200) | st.text(max_size=200))
    def test_no_garbage_raises(self, bitstamp: Played, gemini: Played, garbage: bytes | str) -> None:
        for decoder in (bitstamp.decoder, gemini.decoder):
            assert all(isinstance(one, Malformed | Unread) for one in decoder.decode(garbage, 1))

    def test_a_book_whose_time_goes_back_waits_for_a_snapshot(self, bitstamp: Played) -> None:
        books = BitstampBooks()
        rest = '{"microtimestamp":"1641343700000000","bids":[["3800.00","1"]],"asks":[["3801.00","1"]]}'
        decoder = bitstamp.decoder
        assert isinstance(decoder, BitstampDecoder)
        books.apply([decoder.decode_snapshot("ethusd", rest, 1)])
        books.apply(decoder.decode(diff([["3799.00", "2"]], "1641343700000002"), 2))

        (judgement,) = books.apply(decoder.decode(diff([["3798.00", "2"]], "1641343700000001"), 3))

        assert judgement.verdict is Verdict.GAP
        assert books.good("ETH-USD") is None

    def test_differences_that_came_before_the_snapshot_are_not_lost(self, bitstamp: Played) -> None:
        books, decoder = BitstampBooks(), bitstamp.decoder
        assert isinstance(decoder, BitstampDecoder)
        books.apply(decoder.decode(diff([["3798.00", "9"]], "1641343699999999"), 1))
        books.apply(decoder.decode(diff([["3800.00", "2"]], "1641343700000002"), 2))
        rest = '{"microtimestamp":"1641343700000000","bids":[["3800.00","1"]],"asks":[["3801.00","1"]]}'

        books.apply([decoder.decode_snapshot("ethusd", rest, 3)])

        book = books.good("ETH-USD")
        assert book is not None
        assert book.bids.top(5) == [(380_000, 200_000_000)]

    def test_single_orders_are_told(self, bitstamp: Played) -> None:
        order = {
            "id_str": "17",
            "order_type": 1,
            "amount_str": "0.50000000",
            "price_str": "3801.00",
            "microtimestamp": "1641343700000000",
        }
        frame = json.dumps({"event": "order_created", "channel": "live_orders_ethusd", "data": order})

        (event,) = bitstamp.decoder.decode(frame, 1)

        assert isinstance(event, OrderEvent)
        assert (event.kind, event.order_id, event.side) == ("add", "17", "ask")
        assert (event.price, event.size) == (380_100, 50_000_000)


class TestHostileGemini:
    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            (["buy", "1.0", "-1"], "number"),
            (["buy", "inf", "1"], "number"),
            (["buy", "1.001", "1"], "off_tick"),
            (["hold", "1.0", "1"], "shape"),
            (["buy", "1.0"], "shape"),
        ],
    )
    def test_a_broken_level_is_named(self, gemini: Played, change: list[str], fault: str) -> None:
        frame = json.dumps({"type": "l2_updates", "symbol": "BTCUSD", "changes": [change]})

        (message,) = gemini.decoder.decode(frame, 1)

        assert isinstance(message, Malformed)
        assert (message.symbol, message.channel, message.fault) == ("BTC-USD", "book", fault)

    def test_a_crossed_book_is_not_served(self, gemini: Played) -> None:
        books = GeminiBooks()
        first = {
            "type": "l2_updates",
            "symbol": "BTCUSD",
            "changes": [["buy", "10", "1"], ["sell", "11", "1"]],
            "trades": [],
        }
        books.apply(gemini.decoder.decode(json.dumps(first), 1))
        assert books.good("BTC-USD") is not None
        crossing = {"type": "l2_updates", "symbol": "BTCUSD", "changes": [["buy", "11", "1"]]}

        (judgement,) = books.apply(gemini.decoder.decode(json.dumps(crossing), 2))

        assert judgement.verdict is Verdict.CROSSED
        assert books.good("BTC-USD") is None
