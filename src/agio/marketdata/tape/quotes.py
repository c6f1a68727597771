"""Quote tapes: Parquet with `bid, bid_size, ask, ask_size, ts_event`, read in batches of bounded size.

Prices and sizes are decimal texts, or 64-bit integers in units of 10**-9. `ts_event` counts nanoseconds
since 1970 in UTC. Tardis CSV is read by `venue_files`; both functions here take any tape of quotes.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from agio.marketdata.errors import TapeError
from agio.marketdata.tape.files import TapeFile
from agio.marketdata.tape.survey import Precision, Survey, TapeLimits
from agio.marketdata.tape.venue_files import TapeQuote, read_venue_quotes, survey_venue_quotes

if TYPE_CHECKING:
    import duckdb

__all__ = ["TapeQuote", "read_quotes", "survey_quotes"]

_COLUMNS: Final = ("bid", "bid_size", "ask", "ask_size", "ts_event")
_FETCH_ROWS: Final = 1024
_FIXED_POINT: Final = 9
_DECIMAL: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?", re.ASCII)
_TEXT_TYPES: Final = {"VARCHAR"}
_INTEGER_TYPES: Final = {"BIGINT", "UBIGINT"}


class _Decimal(NamedTuple):
    whole: str
    decimals: str

    def at(self, scale: int) -> int:
        return int(self.whole + self.decimals.ljust(scale, "0"))


def survey_quotes(tape: TapeFile, limits: TapeLimits) -> Survey:
    """Read the whole tape without keeping it; raises TapeError naming the first row that is wrong."""
    if tape.format != "parquet":
        return survey_venue_quotes(tape, limits)
    prices, sizes = Precision(), Precision()
    row, first_ns, last_ns = 0, 0, 0
    for row, (bid, bid_size, ask, ask_size, venue_time_ns) in enumerate(_rows(tape), start=1):
        if row > limits.max_rows:
            raise TapeError(f"the tape has more than {limits.max_rows} quotes", row)
        if venue_time_ns < last_ns:
            raise TapeError("the time is earlier than that of the row before", row)
        for precision, numbers in ((prices, (bid, ask)), (sizes, (bid_size, ask_size))):
            for number in numbers:
                precision.add(len(number.whole), len(number.decimals), row)
        if bid.at(18) > ask.at(18):
            raise TapeError("bid is higher than ask", row)
        first_ns = first_ns or venue_time_ns
        last_ns = venue_time_ns
    if not row:
        raise TapeError("there is no quote in the file")
    return Survey(row, first_ns, last_ns, prices.check("price"), sizes.check("size"), 0)


def read_quotes(tape: TapeFile, price_scale: int, quantity_scale: int) -> Iterator[TapeQuote]:
    """The quotes in order, at the given scales, which are at least the survey's."""
    if tape.format != "parquet":
        yield from read_venue_quotes(tape, price_scale, quantity_scale)
        return
    for bid, bid_size, ask, ask_size, venue_time_ns in _rows(tape):
        yield TapeQuote(
            venue_time_ns,
            bid.at(price_scale),
            bid_size.at(quantity_scale),
            ask.at(price_scale),
            ask_size.at(quantity_scale),
        )


_Numbers = tuple[_Decimal, _Decimal, _Decimal, _Decimal, int]


def _rows(tape: TapeFile) -> Iterator[_Numbers]:
    import duckdb  # noqa: PLC0415 - a third of a start's memory, needed by quote tapes alone

    row = 0
    try:
        with duckdb.connect(config={"threads": 1, "memory_limit": "256MB"}) as connection:
            _check_columns(connection, tape)
            cursor = connection.execute(
                f"select {', '.join(_COLUMNS)} from read_parquet(?)", [tape.descriptor_path]
            )
            while batch := cursor.fetchmany(_FETCH_ROWS):
                for values in batch:
                    row += 1
                    yield _read_row(values, row)
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0].replace(tape.descriptor_path, tape.path.name)
        raise TapeError(f"the Parquet file cannot be read: {reason}", row + 1) from error


def _check_columns(connection: "duckdb.DuckDBPyConnection", tape: TapeFile) -> None:
    described = connection.execute(
        "describe select * from read_parquet(?)", [tape.descriptor_path]
    ).fetchall()
    types = {str(column[0]): str(column[1]) for column in described}
    missing = [name for name in _COLUMNS if name not in types]
    if missing:
        raise TapeError(f"columns {', '.join(missing)} are missing; needed are {', '.join(_COLUMNS)}")
    for name in _COLUMNS:
        allowed = _INTEGER_TYPES if name == "ts_event" else _TEXT_TYPES | _INTEGER_TYPES
        if types[name] not in allowed:
            raise TapeError(f"column {name} has type {types[name]}, not {' or '.join(sorted(allowed))}")


def _read_row(values: tuple[object, ...], row: int) -> _Numbers:
    bid, bid_size, ask, ask_size = (
        _read_number(value, name, row) for value, name in zip(values[:4], _COLUMNS[:4], strict=True)
    )
    venue_time_ns = values[4]
    if not isinstance(venue_time_ns, int) or not 0 < venue_time_ns < 2**63:
        raise TapeError(f"ts_event is no time in nanoseconds: {venue_time_ns!r}", row)
    return bid, bid_size, ask, ask_size, venue_time_ns


def _read_number(value: object, name: str, row: int) -> _Decimal:
    if isinstance(value, int) and value > 0:
        digits = str(value).rjust(_FIXED_POINT + 1, "0")
        return _Decimal(digits[:-_FIXED_POINT].lstrip("0"), digits[-_FIXED_POINT:].rstrip("0"))
    match = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    if match is None or not (match[1] + (match[2] or "")).strip("0"):
        raise TapeError(f"{name} must be a positive plain decimal, not {ascii(value)[:60]}", row)
    return _Decimal(match[1].lstrip("0"), (match[2] or "").rstrip("0"))
