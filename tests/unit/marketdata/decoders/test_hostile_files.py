"""Damaged and malicious files: each fault is a finding with its line or record, and nothing is raised."""

import gzip
import json
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from random import Random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agio.marketdata.decoders import bitfinex, bitstamp_l3, dbn_mbo, lobster, tardis
from agio.marketdata.decoders.decoder import Market
from agio.marketdata.decoders.lines import LineLimits
from agio.marketdata.findings import Finding
from agio.marketdata.normalised import Instrument

BTC = Instrument("TEST", "BTC-USD", "BTCUSD", Decimal("0.01"), Decimal("0.001"))
MARKETS = {"BTCUSD": Market(BTC)}
TRADES = b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
TRADE = b"binance,BTCUSD,1582329602111000,1582329602418379,1,buy,9682.5,0.132\n"
QUOTES = b"exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
ORDERS = b"id,timestamp,exchange_timestamp,price,volume,action,direction\n"
ORDER = b"17,1777689383201,1777689380521,78318.0,1.534,created,bid\n"
MESSAGE = b"34200.004241176,1,16113575,18,5853300,1\n"
Reader = Callable[[bytes], list[Finding]]


def findings(rows: Iterable[tuple[int, object]]) -> list[Finding]:
    found = [row for _, row in rows if isinstance(row, Finding)]
    assert all(finding.detail for finding in found)
    return found


def read_trades(content: bytes, limits: LineLimits | None = None) -> list[Finding]:
    return findings(tardis.read_trades(BytesIO(content), MARKETS, limits))


def read_quotes(content: bytes) -> list[Finding]:
    return findings(tardis.read_quotes(BytesIO(content), MARKETS))


def read_orders(content: bytes) -> list[Finding]:
    return findings(bitstamp_l3.read_orders(BytesIO(content), BTC))


def read_order_trades(content: bytes) -> list[Finding]:
    return findings(bitstamp_l3.read_trades(BytesIO(content), BTC))


def read_messages(content: bytes) -> list[Finding]:
    return findings(lobster.LobsterReader("AAPL", date(2012, 6, 21)).read(BytesIO(content)))


def read_books(content: bytes) -> list[Finding]:
    return findings(lobster.read_books(BytesIO(content), "AAPL", 1))


def read_raw_feed(content: bytes) -> list[Finding]:
    instrument = Instrument("BITFINEX", "BTC-USD", "tBTCUSD", Decimal("1e-8"), Decimal("1e-8"))
    return findings(bitfinex.read_file(BytesIO(content), bitfinex.BitfinexDecoder([instrument])))


def read_mbo(content: bytes) -> list[Finding]:
    es = Instrument("CME", "ES", "ESM4", Decimal("0.25"), Decimal(1))
    return findings(dbn_mbo.read_file(BytesIO(content), {"ESM4": es}))


READERS: list[Reader] = [
    read_trades,
    read_quotes,
    read_orders,
    read_order_trades,
    read_messages,
    read_books,
    read_raw_feed,
    read_mbo,
]


class TestAnyFile:
    @pytest.mark.parametrize("read", READERS)
    @given(content=st.binary(max_size=300))
    def test_no_garbage_raises(self, read: Reader, content: bytes) -> None:
        assert read(content)
        read(gzip.compress(content))
        read(zstandard.compress(content))

    @pytest.mark.parametrize("read", READERS)
    def test_an_empty_file_is_a_finding(self, read: Reader) -> None:
        assert [finding.code for finding in read(b"")] == ["truncated"]


class TestTardis:
    @pytest.mark.parametrize(
        ("line", "code"),
        [
            (TRADE.replace(b"9682.5", b"NaN"), "number"),
            (TRADE.replace(b"9682.5", b"inf"), "number"),
            (TRADE.replace(b"9682.5", b"9" * 70), "number"),
            (TRADE.replace(b"9682.5", b"1e999999999"), "number"),
            (TRADE.replace(b"9682.5", b"-9682.5"), "negative"),
            (TRADE.replace(b"9682.5", b"0"), "number"),
            (TRADE.replace(b"9682.5", b"9682.505"), "off_tick"),
            (TRADE.replace(b"0.132", b"-0.132"), "negative"),
            (TRADE.replace(b"0.132", b""), "number"),
            (TRADE.replace(b"buy", b"hold"), "shape"),
            (TRADE.replace(b"BTCUSD", b"DOGE"), "unknown_symbol"),
            (TRADE.replace(b"1582329602111000", b"1_582"), "number"),
            (TRADE.replace(b"1582329602111000", b"9" * 19), "number"),
            (TRADE.replace(b"1582329602111000", b"0"), "number"),
            (TRADE[:30] + b"\n", "shape"),
            (b"\n", "shape"),
            (b"\xff\x00" * 20 + b"\n", "shape"),
            (TRADE.replace(b",1,buy", b",\xff\xfe,buy"), "shape"),
            (TRADE.replace(b",1,buy", b",\x00,buy"), "shape"),
        ],
    )
    def test_a_wrong_line_is_named_and_the_next_is_read(self, line: bytes, code: str) -> None:
        rows = list(tardis.read_trades(BytesIO(TRADES + TRADE + line + TRADE), MARKETS))

        assert [(number, type(row) is Finding) for number, row in rows] == [(2, False), (3, True), (4, False)]
        finding = rows[1][1]
        assert isinstance(finding, Finding)
        assert (finding.code, finding.record) == (code, 3)

    def test_times_that_go_back_are_named_and_told_apart(self) -> None:
        earlier = TRADE.replace(b"602111000", b"602110999").replace(b"602418379", b"602418378")

        found = read_trades(TRADES + TRADE + earlier)

        assert [(one.code, one.record) for one in found] == [("time_back", 3), ("received_back", 3)]

    @pytest.mark.parametrize(
        "header", [QUOTES, TRADE, b"a,b\n", b",,,,,,,\n", TRADES.replace(b"id", b"symbol")]
    )
    def test_a_wrong_header_is_named(self, header: bytes) -> None:
        assert [(one.code, one.record) for one in read_trades(header + TRADE)] == [("header", 1)]

    def test_columns_may_stand_in_another_order(self) -> None:
        header = b"side,exchange,symbol,timestamp,local_timestamp,id,more,price,amount\n"
        line = b"sell,binance,BTCUSD,1582329602111000,1582329602418379,1,x,9682.5,0.132\n"

        assert read_trades(header + line) == []

    def test_an_empty_side_of_a_quote_is_none_and_half_a_side_is_named(self) -> None:
        good = b"b,BTCUSD,1582329602111000,1582329602418379,,,1.00,1.000\n"
        half = b"b,BTCUSD,1582329602111000,1582329602418379,1,,1.00,1.000\n"

        assert [(one.code, one.record) for one in read_quotes(QUOTES + good + half)] == [("shape", 3)]

    def test_cut_files_are_named(self) -> None:
        packed = gzip.compress(TRADES + TRADE * 100)

        assert read_trades(packed[:-12])[-1].code == "truncated"
        assert read_trades(TRADES + TRADE[:-1])[-1].code == "unterminated"
        assert read_trades(TRADES + TRADE + TRADE[:-30])[-2].code == "shape"

    def test_bombs_stop_at_the_limits(self) -> None:
        limits = LineLimits(max_bytes=5000, max_lines=20)

        assert [one.code for one in read_trades(gzip.compress(TRADES + b"1" * 50_000_000))] == ["too_long"]
        assert [one.code for one in read_trades(TRADES + TRADE * 30, limits)] == ["too_many_records"]
        assert [one.code for one in read_trades(TRADES + TRADE * 15 + b"x" * 4000, limits)] == ["too_long"]


class TestBitstampOrders:
    @pytest.mark.parametrize(
        ("line", "code"),
        [
            (ORDER.replace(b"78318.0", b"nan"), "number"),
            (ORDER.replace(b"1.534", b"-1.534"), "negative"),
            (ORDER.replace(b"1.534", b"1e-39"), "number"),
            (ORDER.replace(b"1.534", b"1.5341"), "off_tick"),
            (ORDER.replace(b"created", b"exploded"), "shape"),
            (ORDER.replace(b"17,", b"-17,", 1), "shape"),
        ],
    )
    def test_a_wrong_line_is_named(self, line: bytes, code: str) -> None:
        assert [(one.code, one.record) for one in read_orders(ORDERS + ORDER + line)] == [(code, 3)]


class TestLobster:
    @pytest.mark.parametrize(
        ("line", "code"),
        [
            (MESSAGE.replace(b",18,", b",-18,"), "negative"),
            (MESSAGE.replace(b",18,", b",0,"), "number"),
            (MESSAGE.replace(b"5853300", b"nan"), "number"),
            (MESSAGE.replace(b",1\n", b",2\n"), "shape"),
            (MESSAGE.replace(b",1,", b",8,", 1), "shape"),
            (MESSAGE.replace(b"34200.", b"86400."), "number"),
            (MESSAGE.replace(b"34200.", b"34199."), "time_back"),
        ],
    )
    def test_a_wrong_line_is_named(self, line: bytes, code: str) -> None:
        assert [(one.code, one.record) for one in read_messages(MESSAGE + line)] == [(code, 2)]

    def test_orders_without_end_stop_at_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lobster, "MAX_ORDERS", 2)
        orders = b"".join(MESSAGE.replace(b"16113575", b"%d" % number) for number in range(4))

        assert [(one.code, one.record) for one in read_messages(orders)] == [
            ("too_many_orders", 3),
            ("too_many_orders", 4),
        ]


class TestBitfinex:
    FRAMES = (
        {"event": "subscribed", "channel": "book", "chanId": 7, "symbol": "tBTCUSD", "prec": "R0"},
        [7, [[1, 100, 2.5], [2, 101, -0.00000001]]],
    )

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            ("[7, [3, NaN, 1]]", "shape"),
            ("[7, [3, 1e308, 1]]", "number"),
            ("[7, [3, 100, 1e-9]]", "off_tick"),
            ("[7, [3, -100, 1]]", "number"),
            ("[7, [-3, 100, 1]]", "shape"),
            ("[7, [3, 100]]", "shape"),
            ("[7, [true, 100, 1]]", "shape"),
            ("[7, 5]", "shape"),
            ("[8, [3, 100, 1]]", "shape"),
            ("[]", "shape"),
            ("17", "shape"),
            (
                '{"event": "subscribed", "channel": "book", "chanId": 9, "symbol": "tX", "prec": "R0"}',
                "unknown_symbol",
            ),
        ],
    )
    def test_a_wrong_frame_is_named(self, frame: str, code: str) -> None:
        content = f"[{json.dumps(self.FRAMES[0])}, {json.dumps(self.FRAMES[1])}, {frame}]"

        assert [(one.code, one.record) for one in read_raw_feed(content.encode())] == [(code, 3)]

    def test_a_cut_file_is_read_up_to_there(self) -> None:
        content = json.dumps([*self.FRAMES, [7, [3, 100, 1]]]).encode()

        assert [(one.code, one.record) for one in read_raw_feed(content[:-5])] == [("truncated", 3)]
        assert read_raw_feed(content) == []


class TestMbo:
    @pytest.fixture
    def packed(self, real_data: Path) -> bytes:
        return (real_data / "market" / "esm4_mbo_2024-05-08_2s.dbn.zst").read_bytes()

    @pytest.fixture
    def plain(self, packed: bytes) -> bytes:
        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as stream:
            return stream.read()

    HEADER = 206
    RECORD = 56

    def test_a_cut_file_is_named_with_its_record(self, packed: bytes, plain: bytes) -> None:
        assert [one.code for one in read_mbo(packed[: len(packed) // 2])] == ["truncated"]
        found = read_mbo(plain[: self.HEADER + 10 * self.RECORD + 30])
        assert [(one.code, one.record) for one in found] == [("truncated", 11)]
        assert [(one.code, one.record) for one in read_mbo(plain[:100])] == [("truncated", 0)]

    def test_a_wrong_header_is_named(self, plain: bytes) -> None:
        for wrong in (b"DBX" + plain[3:], plain[:4] + b"\xff" * 4 + plain[8:], b"DBN" + bytes(300)):
            assert [(one.code, one.record) for one in read_mbo(wrong)] == [("header", 0)]

    @pytest.mark.parametrize(
        ("offset", "value", "code"),
        [
            (0, b"\x00", "truncated"),
            (0, b"\x0a", "shape"),
            (1, b"\x17\x00", None),
            (1, b"\x55", "shape"),
            (4, b"\xff\xff\xff\xff", "unknown_symbol"),
            (8, b"\xff\xff\xff\xff\xff\xff\xff\xff", "number"),
            (24, b"\xff\xff\xff\xff\xff\xff\xff\x7f", "number"),
            (24, b"\x01\x00\x00\x00\x00\x00\x00\x00", "off_tick"),
            (32, b"\x00\x00\x00\x00", "number"),
            (39, b"N", "shape"),
            (40, b"\x01\x00\x00\x00\x00\x00\x00\x00", "received_back"),
        ],
    )
    def test_a_wrong_record_is_named(self, plain: bytes, offset: int, value: bytes, code: str | None) -> None:
        start = self.HEADER + 9 * self.RECORD + offset
        content = bytearray(plain[: self.HEADER + 12 * self.RECORD])
        content[start : start + len(value)] = value

        found = read_mbo(bytes(content))

        assert [(one.code, one.record) for one in found[:1]] == ([(code, 10)] if code else [])

    def test_orders_without_end_stop_at_the_limit(
        self, plain: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dbn_mbo, "MAX_ORDERS", 4)

        found = read_mbo(plain[: self.HEADER + 9 * self.RECORD])

        assert {one.code for one in found} == {"too_many_orders"}

    def test_random_damage_never_raises(self, plain: bytes) -> None:
        random = Random(4)
        for _ in range(200):
            content = bytearray(plain[: self.HEADER + 20 * self.RECORD])
            for _ in range(random.randint(1, 5)):
                content[random.randrange(len(content))] = random.randrange(256)
            read_mbo(bytes(content))

    def test_a_bomb_stops_at_the_limit(self, plain: bytes) -> None:
        bomb = zstandard.compress(plain[: self.HEADER] + bytes(50_000_000))

        assert read_mbo(bomb)[-1].code == "truncated"
        es = {"ESM4": Instrument("CME", "ES", "ESM4", Decimal("0.25"), Decimal(1))}
        packed = zstandard.compress(plain)
        limited = findings(dbn_mbo.read_file(BytesIO(packed), es, max_bytes=10_000))
        assert [one.code for one in limited] == ["too_long"]
