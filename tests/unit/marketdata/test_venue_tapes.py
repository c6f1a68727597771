"""Vendors' files as tapes: surveyed whole, then played; what cannot be played is refused with its line."""

import gzip
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agio.kernel.time import format_micros
from agio.marketdata.errors import TapeError
from agio.marketdata.events import BUY, SELL, Trade
from agio.marketdata.tape.files import open_tape, symbol_of
from agio.marketdata.tape.quotes import TapeQuote, read_quotes, survey_quotes
from agio.marketdata.tape.survey import Survey, TapeLimits
from agio.marketdata.tape.trades import read_trades, survey_trades

UTC = ZoneInfo("UTC")
LIMITS = TapeLimits()
TRADES = b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
TRADE = b"binance,BTCUSD,1582329602111000,1582329602418379,1,buy,9682.5,0.132\n"
QUOTES = b"exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
QUOTE = b"binance,BTCUSD,1582329602111000,1582329602418379,1,9683,9682.5,0.5\n"


def play(path: Path) -> tuple[Survey, list[Trade]]:
    with open_tape(str(path)) as tape:
        assert tape.kind == "trades"
        found = survey_trades(tape, UTC, LIMITS)
        return found, list(read_trades(tape, UTC, LIMITS, found.price_scale, found.quantity_scale))


def refusal(folder: Path, content: bytes, name: str = "binance-futures_BTCUSD_trades.csv") -> TapeError:
    path = folder / name
    path.write_bytes(content)
    with open_tape(str(path)) as tape, pytest.raises(TapeError) as caught:
        (survey_quotes(tape, LIMITS) if tape.kind == "quotes" else survey_trades(tape, UTC, LIMITS))
    return caught.value


class TestTardis:
    def test_recorded_trades(self, real_data: Path) -> None:
        path = real_data / "market" / "tardis" / "binance-futures_BTCUSDT_2020-02-22_trades.csv.gz"

        found, trades = play(path)

        assert (found.rows, found.price_scale, found.quantity_scale) == (9999, 2, 3)
        assert found.volume == sum(trade.size for trade in trades)
        assert trades[0] == Trade(1_582_329_602_111_000_000, 968_200, 132, BUY, "42377944")
        assert trades[-1].side == SELL
        assert symbol_of(path) == "BTCUSDT"

    def test_recorded_quotes(self, real_data: Path) -> None:
        path = real_data / "market" / "tardis" / "binance-futures_BTCUSDT_2020-02-22_quotes.csv.gz"
        with open_tape(str(path)) as tape:
            assert tape.kind == "quotes"
            found = survey_quotes(tape, LIMITS)
            quotes = list(read_quotes(tape, found.price_scale, found.quantity_scale))

        assert (found.rows, found.price_scale, found.quantity_scale) == (9999, 2, 3)
        assert quotes[0] == TapeQuote(1_582_329_601_096_000_000, 968_192, 670, 968_200, 840)

    def test_vendor_names_hide_the_symbol(self) -> None:
        assert symbol_of(Path("binance-futures_trades_2020-02-22_BTCUSDT.csv.gz")) == "BTCUSDT"

    @pytest.mark.parametrize(
        ("content", "line", "reason"),
        [
            (TRADES + TRADE + TRADE.replace(b"9682.5", b"NaN"), 3, "no plain decimal"),
            (TRADES + TRADE + TRADE.replace(b"9682.5", b"0.0000000001"), 3, "1E-9"),
            (TRADES + TRADE + TRADE.replace(b"0.132", b"0"), 3, "volume is zero"),
            (TRADES + TRADE + TRADE.replace(b"BTCUSD", b"ETHUSD"), 3, "one symbol"),
            (TRADES + TRADE + TRADE.replace(b"602111000", b"602110000"), 3, "earlier"),
            (TRADES + TRADE + TRADE.replace(b"9682.5", b"1" * 18), 3, "more than 18 digits"),
            (TRADES, None, "no trade"),
            (TRADES.replace(b"price", b"cost") + TRADE, 1, "price"),
            (QUOTES + QUOTE + QUOTE.replace(b"9683", b"9682"), 3, "bid is higher"),
            (QUOTES + QUOTE + QUOTE.replace(b"1,9683", b","), 3, "side of the quote is empty"),
            (QUOTES, None, "no quote"),
            (gzip.compress(TRADES + TRADE * 99)[:-12], 1, "damaged"),
        ],
    )
    def test_a_wrong_line_refuses_the_tape(
        self, tmp_path: Path, content: bytes, line: int | None, reason: str
    ) -> None:
        error = refusal(tmp_path, content)

        assert reason in error.reason
        assert error.line == line


class TestLobster:
    NAME = "AAPL_2012-06-21_34200000_57600000_message_10.csv.gz"

    def test_recorded_trades(self, real_data: Path) -> None:
        found, trades = play(real_data / "market" / "lobster-aapl" / self.NAME)

        assert (found.rows, found.price_scale, found.quantity_scale) == (98 + 61, 2, 0)
        assert trades[0].side == BUY
        assert format_micros(found.first_ns // 1000) == "2012-06-21T13:30:00.275016Z"

    def test_without_a_day_in_the_name_it_is_refused(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, b"34200.275016159,4,5740544,40,5857400,-1\n", "aapl.csv")

        assert "tells its day" in error.reason


class TestMbo:
    def test_recorded_trades(self, real_data: Path) -> None:
        path = real_data / "market" / "esm4_mbo_2024-05-08_2s.dbn.zst"

        found, trades = play(path)

        assert (found.rows, found.price_scale, found.quantity_scale, found.volume) == (5, 2, 0, 6)
        assert {(trade.price, trade.side) for trade in trades} == {(521_425, BUY)}
        assert symbol_of(path) == "ESM4"

    def test_a_cut_file_is_refused(self, real_data: Path, tmp_path: Path) -> None:
        content = (real_data / "market" / "esm4_mbo_2024-05-08_2s.dbn.zst").read_bytes()

        assert "cut" in refusal(tmp_path, content[:-300], "esm4.dbn.zst").reason
        assert refusal(tmp_path, b"DBN" + bytes(60), "esm4.dbn").line is None
