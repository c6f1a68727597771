import gzip
import os
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agio.kernel.time import format_micros
from agio.marketdata.errors import TapeError, TapeNotAllowed
from agio.marketdata.events import Trade
from agio.marketdata.tape.files import open_tape, symbol_of
from agio.marketdata.tape.quotes import read_quotes, survey_quotes
from agio.marketdata.tape.survey import Survey, TapeLimits
from agio.marketdata.tape.trades import read_trades, survey_trades

UTC = ZoneInfo("UTC")
HEADER = b"DateTime,Price,Volume\n"
GOOD = b"2013-09-01 17:00:00.083,1640.25,8\n"


def write(folder: Path, content: bytes, name: str = "es.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def survey(path: Path, zone: ZoneInfo = UTC, limits: TapeLimits | None = None) -> Survey:
    with open_tape(str(path)) as tape:
        return survey_trades(tape, zone, limits or TapeLimits())


def read(path: Path, zone: ZoneInfo = UTC) -> list[Trade]:
    with open_tape(str(path)) as tape:
        found = survey_trades(tape, zone, TapeLimits())
        return list(read_trades(tape, zone, TapeLimits(), found.price_scale, found.quantity_scale))


class TestSurveyTrades:
    def test_the_recorded_tape(self, real_data: Path) -> None:
        found = survey(real_data / "market" / "es_ticks_2013-09-01_to_03_0830.csv.gz")

        assert (found.rows, found.volume) == (141_996, 444_453)
        assert (found.price_scale, found.quantity_scale) == (2, 0)
        assert format_micros(found.first_ns // 1000) == "2013-09-01T17:00:00.083000Z"

    def test_precision_is_what_the_digits_need(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEADER + b"2020-01-01 00:00:00,1.500,2\n2020-01-01 00:00:00,1.25,0.5\n")

        found = survey(path)

        assert (found.price_scale, found.quantity_scale, found.volume) == (2, 1, 25)

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b"2013-09-01 17:00:00.083,NaN,8\n", "price must be"),
            (b"2013-09-01 17:00:00.083,-1640.25,8\n", "price must be"),
            (b"2013-09-01 17:00:00.083,1e3,8\n", "price must be"),
            (b"2013-09-01 17:00:00.083,1640.25,inf\n", "volume must be"),
            (b"2013-09-01 17:00:00.083,1640.25,\n", "volume must be"),
            (b"2013-09-01 17:00:00.083,1640.25,0\n", "volume is zero"),
            (b"2013-09-01 17:00:00.083,0.00,8\n", "price is zero"),
            (b"2013-09-01 17:00:00.083,1640.25\n", "three fields"),
            (b"2013-09-01 17:00:00.083,1640.25,8,9\n", "three fields"),
            (b"2013-09-31 17:00:00.083,1640.25,8\n", "no date and time"),
            (b"2013-09-01 25:00:00.083,1640.25,8\n", "no date and time"),
            (b"yesterday,1640.25,8\n", "the time must look like"),
            (b"2013-09-01 16:59:59.999,1640.25,8\n", "earlier"),
            (b"\n", "empty"),
            (b"\x00\xff\xfe\x01\n", "three fields"),
            (b"2013-09-01 17:00:00.083,1640.0000000001,8\n", "more than 9 decimals"),
            (b"2013-09-01 17:00:00.083,123456789012345678,8\n", "more than 18 digits"),
            ("2013-09-01 17:00:00.083,١٢,8\n".encode(), "price must be"),
        ],
    )
    def test_the_first_wrong_line_is_named(self, tmp_path: Path, line: bytes, reason: str) -> None:
        path = write(tmp_path, HEADER + GOOD + GOOD + line + GOOD)

        with pytest.raises(TapeError, match=reason) as caught:
            survey(path)

        assert caught.value.line == 4

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            (b"", 1),
            (HEADER, 2),
            (b"Time,Price,Size\n" + GOOD, 1),
            (GOOD, 1),
            (os.urandom(4096).replace(b"\n", b"x").replace(b"\x1f", b"x"), 1),
            (gzip.compress(HEADER + GOOD * 1000)[:-20], None),
            (b"\x1f\x8b" + b"x" * 100, 1),
        ],
    )
    def test_what_is_no_tape_is_refused(self, tmp_path: Path, content: bytes, line: int | None) -> None:
        with pytest.raises(TapeError) as caught:
            survey(write(tmp_path, content))

        assert line is None or caught.value.line == line

    def test_a_gzip_bomb_stops_at_the_first_over_long_line(self, tmp_path: Path) -> None:
        path = write(tmp_path, gzip.compress(HEADER + b"1" * 50_000_000))

        with pytest.raises(TapeError, match="longer than 256 bytes"):
            survey(path)

    def test_a_gzip_bomb_of_valid_lines_stops_at_the_limit(self, tmp_path: Path) -> None:
        path = write(tmp_path, gzip.compress(HEADER + GOOD * 10_000))

        with pytest.raises(TapeError, match="longer than 10000 bytes"):
            survey(path, limits=TapeLimits(max_bytes=10_000))
        with pytest.raises(TapeError, match="more than 100 trades"):
            survey(path, limits=TapeLimits(max_rows=100))

    def test_windows_line_ends_and_a_byte_order_mark_are_fine(self, tmp_path: Path) -> None:
        path = write(tmp_path, b"\xef\xbb\xbf" + (HEADER + GOOD + b"\n").replace(b"\n", b"\r\n"))

        assert survey(path).rows == 1

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(garbage=st.binary(max_size=400))
    def test_no_garbage_does_more_than_raise_tape_error(self, tmp_path: Path, garbage: bytes) -> None:
        path = write(tmp_path, HEADER + garbage)

        with suppress(TapeError):
            assert survey(path).rows >= 1


class TestReadTrades:
    def test_duplicates_are_kept_and_values_scaled(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEADER + GOOD + GOOD + b"2013-09-01 17:00:01,1641.5,1\n")

        rows = read(path)

        assert rows[0] == rows[1] == Trade(1_378_054_800_083_000_000, 164_025, 8)
        assert rows[2].price == 164_150

    def test_naive_times_are_of_the_given_zone(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEADER + GOOD)

        rows = read(path, ZoneInfo("America/Chicago"))

        assert format_micros(rows[0].venue_time_ns // 1000) == "2013-09-01T22:00:00.083000Z"

    def test_the_hour_that_comes_twice_goes_forward(self, tmp_path: Path) -> None:
        lines = b"2013-11-03 01:59:59,10.00,1\n2013-11-03 01:00:01,10.00,1\n2013-11-03 02:00:00,10.00,1\n"

        rows = read(write(tmp_path, HEADER + lines), ZoneInfo("America/Chicago"))

        assert [row.venue_time_ns // 10**9 - rows[0].venue_time_ns // 10**9 for row in rows] == [0, 2, 3601]

    def test_the_hour_that_does_not_exist_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEADER + b"2013-03-10 02:30:00,10.00,1\n")

        with pytest.raises(TapeError, match="does not exist in America/Chicago"):
            read(path, ZoneInfo("America/Chicago"))


class TestQuotes:
    def test_the_recorded_tape(self, real_data: Path) -> None:
        with open_tape(str(real_data / "market" / "eurusd_histdata_2020-01-30_quotes.parquet")) as tape:
            found = survey_quotes(tape, TapeLimits())
            first = next(read_quotes(tape, found.price_scale, found.quantity_scale))

        assert tape.kind == "quotes"
        assert (found.rows, found.price_scale, found.quantity_scale) == (99_308, 5, 0)
        assert first == (1_580_380_071_336_000_000, 110_274, 100_000, 110_276, 100_000)

    def test_fixed_point_integers_are_read_as_billionths(self, tmp_path: Path) -> None:
        path = quote_file(
            tmp_path,
            "1102740000::bigint, 5000000000::bigint, 1102760000::bigint, 7000000000::bigint, 1::ubigint",
        )

        with open_tape(str(path)) as tape:
            found = survey_quotes(tape, TapeLimits())
            assert list(read_quotes(tape, found.price_scale, 0)) == [(1, 110_274, 5, 110_276, 7)]

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ("'2', '1', '1', '1', 1::ubigint", "bid is higher"),
            ("'nan', '1', '1', '1', 1::ubigint", "bid must be"),
            ("'1', '-1', '1', '1', 1::ubigint", "bid_size must be"),
            ("'1', '1', null::varchar, '1', 1::ubigint", "ask must be"),
            ("'1', '1', '1', '0', 1::ubigint", "ask_size must be"),
            ("'1', '1', '1', '1', 0::ubigint", "no time"),
            ("1.5::double, '1', '1', '1', 1::ubigint", "has type DOUBLE"),
        ],
    )
    def test_a_wrong_row_is_named(self, tmp_path: Path, row: str, reason: str) -> None:
        path = quote_file(tmp_path, row)

        with open_tape(str(path)) as tape, pytest.raises(TapeError, match=reason):
            survey_quotes(tape, TapeLimits())

    def test_a_damaged_file_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, b"PAR1" + os.urandom(2000) + b"PAR1", "eurusd.parquet")

        with open_tape(str(path)) as tape, pytest.raises(TapeError, match="cannot be read"):
            survey_quotes(tape, TapeLimits())


def quote_file(folder: Path, row: str) -> Path:
    path = folder / "eurusd.parquet"
    duckdb.execute(
        f"copy (select * from (values ({row})) as t(bid, bid_size, ask, ask_size, ts_event)) to '{path}'"
        " (format parquet)"
    )
    return path


class TestOpenTape:
    def test_a_file_below_an_allowed_folder_is_opened(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEADER + GOOD)

        with open_tape(str(path), [tmp_path]) as tape:
            assert tape.size == len(HEADER + GOOD)

    def test_a_link_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        write(tmp_path, HEADER + GOOD, "secret.csv")
        (tmp_path / "in" / "es.csv").symlink_to(tmp_path / "secret.csv")

        with pytest.raises(TapeNotAllowed, match="not below"):
            open_tape(str(tmp_path / "in" / "es.csv"), [tmp_path / "in"])

    def test_dots_out_of_the_folder_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        write(tmp_path, HEADER + GOOD, "secret.csv")

        with pytest.raises(TapeNotAllowed, match="not below"):
            open_tape(str(tmp_path / "in" / ".." / "secret.csv"), [tmp_path / "in"])

    def test_without_a_folder_nothing_is_allowed(self, tmp_path: Path) -> None:
        with pytest.raises(TapeNotAllowed):
            open_tape(str(write(tmp_path, HEADER)), [])

    def test_pipes_folders_devices_and_relative_paths_are_refused(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")

        for path in (tmp_path / "pipe", tmp_path, Path("/dev/null"), Path("/dev/zero"), Path("es.csv")):
            with pytest.raises(TapeNotAllowed):
                open_tape(str(path), [tmp_path, Path("/dev")])

    def test_a_file_that_is_missing_or_has_a_bad_name_is_refused(self, tmp_path: Path) -> None:
        for path in (str(tmp_path / "none"), "", "a\0b", "x" * 5000):
            with pytest.raises(TapeNotAllowed):
                open_tape(path)


class TestSymbolOf:
    @pytest.mark.parametrize(
        ("name", "symbol"), [("es_ticks_2013.csv.gz", "ES"), ("eurusd_histdata.parquet", "EURUSD")]
    )
    def test_the_first_word_of_the_name(self, name: str, symbol: str) -> None:
        assert symbol_of(Path(name)) == symbol

    def test_a_name_without_a_word_is_refused(self) -> None:
        with pytest.raises(TapeError):
            symbol_of(Path("_.csv"))
