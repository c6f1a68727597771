"""Text files of recorded markets, line by line, plain or gzip: a fault is a finding, nothing is raised."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import BinaryIO, Final, Protocol, TypeVar

import msgspec

from agio.marketdata.decoders.numbers import BadNumber, OffTick
from agio.marketdata.findings import Finding, FindingCode

T = TypeVar("T")

GZIP_MAGIC: Final = b"\x1f\x8b"
SHOWN: Final = 60

_MAX_EXPONENT: Final = 38
_MAX_NUMBER: Final = 80
_MAX_INTEGER: Final = 19


class LineLimits(msgspec.Struct, frozen=True):
    """How much of a file is read; uncompressed, so that a small file cannot unpack into all memory."""

    max_line_bytes: int = 4096
    max_bytes: int = 16 * 1024**3
    max_lines: int = 200_000_000


class BadLine(ValueError):
    """A line that cannot be read; raised and caught within this package."""

    def __init__(self, code: FindingCode, detail: str) -> None:
        super().__init__(detail)
        self.code: FindingCode = code


def read_lines(stream: BinaryIO, limits: LineLimits) -> Iterator[tuple[int, bytes | Finding]]:
    """Numbered lines without their ends. After a finding about the file itself there are no more."""
    number, total = 0, 0
    source = _unpacked(stream)
    try:
        while line := source.readline(limits.max_line_bytes + 1):
            number += 1
            total += len(line)
            finding = _beyond(limits, number, total, len(line))
            if finding is not None:
                yield number, finding
                return
            yield number, line.rstrip(b"\r\n")
            if not line.endswith(b"\n"):
                yield number, Finding("unterminated", number, "the line has no end: the file may be cut")
    except (EOFError, OSError, zlib.error) as fault:
        yield number + 1, Finding("truncated", number + 1, f"the compressed data is damaged: {fault}")
    if not number:
        yield 1, Finding("truncated", 1, "the file is empty")


def read_whole(stream: BinaryIO, max_bytes: int) -> bytes | Finding:
    """The content of a file that has no lines, unpacked; a finding when it is damaged or too long."""
    try:
        content = _unpacked(stream).read(max_bytes + 1)
    except (EOFError, OSError, zlib.error) as fault:
        return Finding("truncated", 0, f"the compressed data is damaged: {fault}")
    if len(content) > max_bytes:
        return Finding("too_long", 0, f"the file is longer than {max_bytes} bytes")
    return content


def read_fields(
    stream: BinaryIO, limits: LineLimits, columns: int, read: Callable[[list[bytes], int], T]
) -> Iterator[tuple[int, T | Finding]]:
    """Comma-separated lines of a file without a header, each read by `read(fields, line)`."""
    for number, line in read_lines(stream, limits):
        if isinstance(line, Finding):
            yield number, line
        else:
            yield number, _read_line(line, number, columns, read)


def read_table(
    stream: BinaryIO, limits: LineLimits, columns: Sequence[str], read: Callable[[list[bytes], int], T]
) -> Iterator[tuple[int, T | Finding]]:
    """The same with a header: `columns` are found by name, in any order; others are passed over."""
    lines = read_lines(stream, limits)
    number, header = next(lines)
    if isinstance(header, Finding):
        yield number, header
        return
    names = header.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split(",")
    missing = [name for name in columns if names.count(name) != 1]
    if missing:
        detail = f"columns {', '.join(missing)} are missing or double in {','.join(names)[:SHOWN]!a}"
        yield 1, Finding("header", 1, detail)
        return
    order = [names.index(name) for name in columns]
    is_as_asked = order == list(range(len(names)))

    def pick(fields: list[bytes], line: int) -> T:
        return read(fields if is_as_asked else [fields[place] for place in order], line)

    for number, line in lines:
        if isinstance(line, Finding):
            yield number, line
        else:
            yield number, _read_line(line, number, len(names), pick)


def plain_number(text: str) -> str:
    """The text without an exponent: `7.18e-06` is 0.00000718. Raises BadNumber."""
    if "e" not in text and "E" not in text:
        return text
    mantissa, _, exponent = text.lower().partition("e")
    digits = exponent.lstrip("+-")
    is_number = mantissa.replace(".", "", 1).isdigit() and digits.isdigit() and text.isascii()
    if not is_number or len(text) > _MAX_NUMBER or len(digits) > 4 or int(digits) > _MAX_EXPONENT:
        raise BadNumber(f"{text[:SHOWN]!r} is no number")
    return format(Decimal(text), "f")


def plain_text(field: bytes, what: str) -> str:
    """Text without control characters, which the database would refuse; raises BadLine."""
    text = field.decode("utf-8", "replace")
    if not text.isprintable() or "\ufffd" in text:
        raise BadLine("shape", f"{what} is no plain text: {_shown(field)}")
    return text


def whole_number(field: bytes, what: str) -> int:
    """A non-negative integer of at most 19 digits; raises BadLine."""
    if not field.isdigit() or len(field) > _MAX_INTEGER:
        code: FindingCode = "negative" if field[:1] == b"-" and field[1:].isdigit() else "number"
        raise BadLine(code, f"{what} must be a whole number, not {_shown(field)}")
    return int(field)


def time_ns(field: bytes, unit_ns: int, what: str) -> int:
    """Nanoseconds of a time since 1970 that is told in whole units; raises BadLine."""
    count = whole_number(field, what) * unit_ns
    if not 0 < count < 2**63:
        raise BadLine("number", f"{what} is no time: {_shown(field)}")
    return count


class TimeOrder:
    """Notices times that go back; each stream of times needs its own."""

    __slots__ = ("_code", "_newest", "_what")

    def __init__(self, what: str, code: FindingCode = "time_back") -> None:
        self._what = what
        self._code: FindingCode = code
        self._newest = -(2**63)

    def check(self, time_ns: int, record: int) -> Finding | None:
        """A finding when the time is earlier than that of the record before it."""
        back_ns = self._newest - time_ns
        self._newest = time_ns
        if back_ns <= 0:
            return None
        return Finding(self._code, record, f"{self._what} goes back by {back_ns} ns")


class _Timed(Protocol):
    @property
    def venue_ns(self) -> int | None: ...
    @property
    def received_ns(self) -> int: ...


Timed = TypeVar("Timed", bound=_Timed)


def in_time_order(
    rows: Iterator[tuple[int, Timed | Finding]], venue: str, received: str
) -> Iterator[tuple[int, Timed | Finding]]:
    """The rows, each after findings where its venue time or its time of receipt goes back."""
    venue_order, received_order = TimeOrder(venue), TimeOrder(received, "received_back")
    for line, row in rows:
        if not isinstance(row, Finding):
            for finding in (
                venue_order.check(row.venue_ns or 0, line),
                received_order.check(row.received_ns, line),
            ):
                if finding is not None:
                    yield line, finding
        yield line, row


def _read_line(line: bytes, number: int, columns: int, read: Callable[[list[bytes], int], T]) -> T | Finding:
    fields = line.split(b",")
    if len(fields) != columns:
        return Finding("shape", number, f"{columns} fields are needed, not {len(fields)}: {_shown(line)}")
    try:
        return read(fields, number)
    except BadLine as fault:
        return Finding(fault.code, number, str(fault))
    except BadNumber as fault:
        code: FindingCode = "off_tick" if isinstance(fault, OffTick) else "number"
        if code == "number" and any(field[:1] == b"-" for field in fields):
            code = "negative"
        return Finding(code, number, str(fault)[:200])
    except ValueError as fault:
        return Finding("number", number, f"{str(fault)[:120]}: {_shown(line)}")


def _shown(line: bytes) -> str:
    return ascii(line[:SHOWN].decode("latin-1"))


def _unpacked(stream: BinaryIO) -> BinaryIO:
    is_gzip = stream.read(2) == GZIP_MAGIC
    stream.seek(0)
    return io.BufferedReader(gzip.GzipFile(fileobj=stream)) if is_gzip else stream


def _beyond(limits: LineLimits, number: int, total: int, length: int) -> Finding | None:
    if length > limits.max_line_bytes:
        return Finding("too_long", number, f"longer than {limits.max_line_bytes} bytes")
    if total > limits.max_bytes:
        return Finding("too_long", number, f"the file is longer than {limits.max_bytes} bytes")
    if number > limits.max_lines:
        return Finding("too_many_records", number, f"the file has more than {limits.max_lines} lines")
    return None
