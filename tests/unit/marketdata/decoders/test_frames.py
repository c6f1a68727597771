"""What each venue documents about its frames: answers, heartbeats, refusals, and frames that break rules."""

import json

import pytest
from tests.unit.marketdata.decoders.cases import DECODERS, decode

from agio.marketdata.decoders.decoder import MAX_FRAME
from agio.marketdata.normalised import (
    BookUpdate,
    Heartbeat,
    Malformed,
    Message,
    Quote,
    Status,
    Subscription,
    Trade,
    Unread,
)

OFF_TICK = [1, {"a": [["1.05", "2", "1.0"]], "c": "1"}, "book-10", "XBT/USD"]


class TestControlMessages:
    """Answers, heartbeats, refusals and words about the venue itself."""

    @pytest.mark.parametrize(
        ("venue", "message", "told"),
        [
            ("KRAKEN", {"event": "heartbeat"}, Heartbeat(7)),
            ("KRAKEN", {"event": "pong", "reqid": 42}, Heartbeat(7)),
            (
                "KRAKEN",
                {"event": "systemStatus", "status": "maintenance", "version": "1"},
                Status(None, None, 7, None, "closed", "maintenance"),
            ),
            (
                "KRAKEN",
                {
                    "event": "subscriptionStatus",
                    "status": "error",
                    "pair": "XBT/USD",
                    "channelName": "book-10",
                }
                | {"errorMessage": "Subscription depth not supported"},
                Subscription("BTC-USD", 7, None, "book", False, "Subscription depth not supported"),
            ),
            (
                "KRAKEN",
                {"event": "error", "errorMessage": "Malformed request"},
                Subscription(None, 7, None, "unknown", False, "Malformed request"),
            ),
            ("KRAKEN", {"event": "addOrderStatus"}, Unread(7, None, "addOrderStatus")),
            ("KRAKEN", [42, ["5541.3"], "spread", "XBT/USD"], Unread(7, None, "spread")),
            (
                "OKX",
                {"event": "error", "code": "60018", "msg": "wrong channel", "connId": "a"},
                Subscription(None, 7, None, "unknown", False, "60018 wrong channel"),
            ),
            (
                "OKX",
                {"event": "unsubscribe", "arg": {"channel": "books", "instId": "BTC-USD"}},
                Subscription("BTC-USD", 7, None, "book", False),
            ),
            (
                "OKX",
                {"event": "notice", "code": "64008", "msg": "The connection will soon be closed"},
                Status(None, None, 7, None, "unknown", "64008 The connection will soon be closed"),
            ),
            ("OKX", {"arg": {"channel": "funding-rate"}, "data": [{}]}, Unread(7, None, "funding-rate")),
            (
                "COINBASE",
                {"type": "error", "message": "authentication failure"},
                Subscription(None, 7, None, "unknown", False, "authentication failure"),
            ),
            ("COINBASE", {"channel": "candles", "sequence_num": 3, "events": [{}]}, Unread(7, 3, "candles")),
            ("COINBASE", {"channel": "l2_data", "sequence_num": 3, "events": []}, Unread(7, 3, "l2_data")),
            (
                "BINANCE",
                {"error": {"code": 2, "msg": "Invalid request"}, "id": 1},
                Subscription(None, 7, None, "unknown", False, "2 Invalid request"),
            ),
            ("BINANCE", {"result": None, "id": 1}, Subscription(None, 7, None, "unknown", True)),
            (
                "BINANCE",
                {"e": "serverShutdown", "E": 1},
                Status(None, None, 7, None, "closed", "serverShutdown"),
            ),
            ("BINANCE", {"stream": "btcusd@kline_1m", "data": {}}, Unread(7, None, "kline_1m")),
        ],
    )
    def test_is_told_as_documented(self, venue: str, message: object, told: Message) -> None:
        assert decode(venue, message) == [told]

    def test_okx_answers_ping_with_a_bare_word(self) -> None:
        assert DECODERS["OKX"].decode("pong", 7) == [Heartbeat(7)]

    def test_a_coinbase_heartbeat_has_a_counter_and_the_sequence(self) -> None:
        events = [{"current_time": "x", "heartbeat_counter": "3049"}]
        told = decode("COINBASE", {"channel": "heartbeats", "sequence_num": 9, "events": events})
        assert told == [Heartbeat(7, 9, 3049)]


class TestFaults:
    @pytest.mark.parametrize(
        ("venue", "message", "fault", "channel", "symbol"),
        [
            ("KRAKEN", [1, {"a": [], "c": "1"}, "book-10", "XBT/USD"], "shape", "book", "BTC-USD"),
            ("KRAKEN", [1, {"a": [["1.0", "2", "1.0"]]}, "book-10", "XBT/USD"], "shape", "book", "BTC-USD"),
            (
                "KRAKEN",
                [1, {"a": [["1.05", "2", "1.0"]], "c": "1"}, "book-10", "XBT/USD"],
                "off_tick",
                "book",
                "BTC-USD",
            ),
            ("KRAKEN", [1, {"a": [["1.0"]], "c": "1"}, "book-10", "XBT/USD"], "shape", "book", "BTC-USD"),
            ("KRAKEN", [1, [["1.0"]], "trade", "XBT/USD"], "shape", "trades", "BTC-USD"),
            ("KRAKEN", [1, {}, "book-10", "ETH/USD"], "unknown_symbol", "book", None),
            (
                "OKX",
                {"arg": {"channel": "books", "instId": "BTC-USD"}, "action": "update"},
                "json",
                "book",
                "BTC-USD",
            ),
            ("OKX", {}, "shape", "unknown", None),
            ("COINBASE", {"channel": "l2_data", "events": []}, "shape", "unknown", None),
            (
                "COINBASE",
                {"channel": "market_trades", "sequence_num": 1, "events": [{}]},
                "shape",
                "trades",
                None,
            ),
            ("BINANCE", {"stream": "btcusd@depth", "data": {"s": "BTCUSD"}}, "shape", "book", "BTC-USD"),
            ("BINANCE", [], "shape", "unknown", None),
        ],
    )
    def test_names_what_is_wrong(
        self, venue: str, message: object, fault: str, channel: str, symbol: str | None
    ) -> None:
        (told,) = decode(venue, message)
        assert isinstance(told, Malformed)
        assert (told.fault, told.channel, told.symbol) == (fault, channel, symbol)
        assert told.excerpt == json.dumps(message)[:120]

    def test_a_book_of_okx_without_any_proof_is_refused(self) -> None:
        data = [{"asks": [], "bids": [], "ts": "1", "checksum": 0}]
        arg = {"channel": "books", "instId": "BTC-USD"}
        (told,) = decode("OKX", {"arg": arg, "action": "update", "data": data})
        assert isinstance(told, Malformed)

    def test_one_broken_event_of_coinbase_leaves_its_neighbours(self) -> None:
        level = {
            "side": "bid",
            "event_time": "2026-08-09T21:05:48Z",
            "price_level": "1.0",
            "new_quantity": "1",
        }
        good = {"type": "update", "product_id": "BTC-USD", "updates": [level]}
        bad = {"type": "update", "product_id": "BTC-USD", "updates": [level | {"side": "both"}]}
        told = decode("COINBASE", {"channel": "l2_data", "sequence_num": 5, "events": [bad, good]})
        assert [type(message) for message in told] == [Malformed, BookUpdate]
        assert all(message.sequence == 5 for message in told)

    @pytest.mark.parametrize("venue", DECODERS)
    def test_a_frame_beyond_the_limit_is_not_read(self, venue: str) -> None:
        (told,) = DECODERS[venue].decode("[" + " " * MAX_FRAME, 7)
        assert isinstance(told, Malformed)
        assert told.fault == "too_long"


class TestQuotesAndTrades:
    def test_an_empty_side_of_a_quote_is_none(self) -> None:
        data = {"s": "BTCUSD", "u": 5, "b": "0.00000000", "B": "0.000", "a": "1.5", "A": "2"}
        told = decode("BINANCE", {"stream": "btcusd@bookTicker", "data": data})
        assert told == [Quote("BTC-USD", None, 7, 5, None, None, 15, 2000)]

    def test_the_seller_is_the_aggressor_where_the_buyer_was_the_maker(self) -> None:
        data = {"s": "BTCUSD", "T": 3, "p": "1.5", "q": "2", "m": True, "a": 9}
        told = decode("BINANCE", {"stream": "btcusd@aggTrade", "data": data})
        assert told == [Trade("BTC-USD", 3_000_000, 7, 9, 15, 2000, "sell", "9")]
