"""Trade tapes: CSV with the header `DateTime,Price,Volume`, plain or gzip, read line by line.

Vendors' own formats are read by `venue_files`; both functions here take any tape of trades.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from agio.kernel.time import to_micros
from agio.marketdata.errors import TapeError
from agio.marketdata.events import Trade
from agio.marketdata.tape.files import TapeFile
from agio.marketdata.tape.survey import Precision, Survey, TapeLimits, check_volume
from agio.marketdata.tape.venue_files import read_venue_trades, survey_venue_trades

_HEADER: Final = b"datetime,price,volume"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_NUMBER: Final = rb"([0-9]{1,18})(?:\.([0-9]{1,18}))?"
_LINE: Final = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}):([0-5][0-9])(?:\.([0-9]{1,9}))?,"
    + _NUMBER
    + rb","
    + _NUMBER
    + rb"\r?\n?"
)
_SHOWN: Final = 60


class _Row(NamedTuple):
    line: int
    venue_time_ns: int
    price: bytes
    price_decimals: bytes
    size: bytes
    size_decimals: bytes


def survey_trades(tape: TapeFile, zone: ZoneInfo, limits: TapeLimits) -> Survey:
    """Read the whole tape without keeping it; raises TapeError naming the first line that is wrong."""
    if tape.format != "csv":
        return survey_venue_trades(tape, limits)
    prices, sizes = Precision(), Precision()
    rows, first_ns, last_ns = 0, 0, 0
    volume_by_scale: dict[int, int] = {}
    for row in _rows(tape, zone, limits):
        price_decimals, size_decimals = row.price_decimals.rstrip(b"0"), row.size_decimals.rstrip(b"0")
        prices.add(len(row.price.lstrip(b"0")), len(price_decimals), row.line)
        sizes.add(len(row.size.lstrip(b"0")), len(size_decimals), row.line)
        scale = len(size_decimals)
        volume_by_scale[scale] = volume_by_scale.get(scale, 0) + int(row.size + size_decimals)
        if not rows:
            first_ns = row.venue_time_ns
        rows += 1
        last_ns = row.venue_time_ns
    if not rows:
        raise TapeError("there is no trade after the header", 2)
    price_scale, quantity_scale = prices.check("price"), sizes.check("volume")
    volume = sum(total * 10 ** (quantity_scale - scale) for scale, total in volume_by_scale.items())
    return Survey(rows, first_ns, last_ns, price_scale, quantity_scale, check_volume(volume))


def read_trades(
    tape: TapeFile, zone: ZoneInfo, limits: TapeLimits, price_scale: int, quantity_scale: int
) -> Iterator[Trade]:
    """The trades in order, at the given scales, which are at least the survey's."""
    if tape.format != "csv":
        yield from read_venue_trades(tape, limits, price_scale, quantity_scale)
        return
    for row in _rows(tape, zone, limits):
        yield Trade(
            row.venue_time_ns,
            int(row.price + row.price_decimals[:price_scale].ljust(price_scale, b"0")),
            int(row.size + row.size_decimals[:quantity_scale].ljust(quantity_scale, b"0")),
        )


def _rows(tape: TapeFile, zone: ZoneInfo, limits: TapeLimits) -> Iterator[_Row]:
    clock = _TapeClock(zone)
    earlier_ns = -(2**63)
    for line, text in _lines(tape, limits):
        match = _LINE.fullmatch(text)
        if match is None:
            raise TapeError(_what_is_wrong(text), line)
        minute, second, fraction, price, price_decimals, size, size_decimals = match.groups(b"")
        venue_time_ns = clock.minute_ns(minute, line) + int(second + fraction.ljust(9, b"0"))
        if venue_time_ns < earlier_ns:
            venue_time_ns += clock.repeated_hour_ns(minute)
            if venue_time_ns < earlier_ns:
                raise TapeError("the time is earlier than that of the line before", line)
        earlier_ns = venue_time_ns
        if not int(price + price_decimals):
            raise TapeError("the price is zero", line)
        if not int(size + size_decimals):
            raise TapeError("the volume is zero", line)
        yield _Row(line, venue_time_ns, price, price_decimals, size, size_decimals)


def _lines(tape: TapeFile, limits: TapeLimits) -> Iterator[tuple[int, bytes]]:
    """Numbered lines after the header; all limits are kept here."""
    line, read_bytes = 0, 0
    with tape.reader() as raw:
        is_gzip = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        stream = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if is_gzip else raw
        try:
            while text := stream.readline(limits.max_line_bytes + 1):
                line += 1
                read_bytes += len(text)
                _check_limits(text, line, read_bytes, limits)
                if line == 1:
                    _check_header(text)
                elif text.strip() or stream.read(1):
                    yield line, text
        except (EOFError, OSError, zlib.error) as error:
            raise TapeError(f"the compressed data is damaged: {error}", line + 1) from error
    if not line:
        raise TapeError("the file is empty", 1)


def _check_limits(text: bytes, line: int, read_bytes: int, limits: TapeLimits) -> None:
    if len(text) > limits.max_line_bytes:
        raise TapeError(f"longer than {limits.max_line_bytes} bytes", line)
    if read_bytes > limits.max_bytes:
        raise TapeError(f"the tape is longer than {limits.max_bytes} bytes", line)
    if line > limits.max_rows + 1:
        raise TapeError(f"the tape has more than {limits.max_rows} trades", line)


def _check_header(text: bytes) -> None:
    if text.removeprefix(_BYTE_ORDER_MARK).strip().lower() != _HEADER:
        raise TapeError(f"the header must be DateTime,Price,Volume, not {_shown(text)}", 1)


def _what_is_wrong(text: bytes) -> str:
    """Name the fault of a line that does not match; rare, so it may be slow."""
    fields = text.strip().split(b",")
    if not text.strip():
        return "the line is empty"
    if len(fields) != 3:
        return f"three fields are needed, {_shown(text)} has {len(fields)}"
    stamp, price, size = fields
    for name, number in (("price", price), ("volume", size)):
        if re.fullmatch(_NUMBER, number) is None:
            return f"{name} must be a positive plain decimal, not {_shown(number)}"
    return f"the time must look like 2013-09-01 17:00:00.083, not {_shown(stamp)}"


def _shown(text: bytes) -> str:
    return ascii(text[:_SHOWN].decode("latin-1").strip())


class _TapeClock:
    """Local minutes as UTC nanoseconds, remembering the last one: a tape has many lines a minute."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._minute = b""
        self._minute_ns = 0

    def minute_ns(self, minute: bytes, line: int) -> int:
        if minute != self._minute:
            self._minute_ns = self._convert(minute, line)
            self._minute = minute
        return self._minute_ns

    def repeated_hour_ns(self, minute: bytes) -> int:
        """How much later a local minute comes the second time, when clocks are set back; else 0."""
        local = datetime.fromisoformat(minute.decode()).replace(tzinfo=self._zone)
        return (to_micros(local.replace(fold=1)) - to_micros(local)) * 1000

    def _convert(self, minute: bytes, line: int) -> int:
        try:
            local = datetime.fromisoformat(minute.decode()).replace(tzinfo=self._zone)
            micros = to_micros(local)
        except (ValueError, OverflowError) as error:
            raise TapeError(f"{_shown(minute)} is no date and time: {error}", line) from error
        if to_micros(local.replace(fold=1)) < micros:
            raise TapeError(f"{_shown(minute)} does not exist in {self._zone.key}: clocks went forward", line)
        return micros * 1000
