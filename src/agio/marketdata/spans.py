"""What the lists of the market have in common: spans of time, sequences, and one kind of cursor.

A cursor names its list and the place after which the next page begins, so that one of another symbol,
interval or time zone is refused. It is good for ever: places do not move.
"""

from datetime import datetime
from typing import Final

from agio.kernel.page import InvalidCursor, decode_cursor, encode_cursor
from agio.kernel.problem import InvalidRequest
from agio.kernel.time import to_micros

MAX_NS: Final = 2**63 - 1


def read_time(text: str | None, field: str) -> int | None:
    """RFC 3339 text as nanoseconds, kept within 64 bits; raises InvalidRequest."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        hint = "; in a URL, + is written %2B" if " " in text else ""
        raise InvalidRequest(
            f"{field} must be a time with its zone, such as 2013-09-01T17:00:00Z{hint}",
            extra={"field": field},
        )
    return max(-MAX_NS, min(MAX_NS, to_micros(instant) * 1000))


def check_sequence(number: int, field: str) -> int:
    """Return a sequence number of 64 bits, or raise InvalidRequest."""
    if not 0 <= number <= MAX_NS:
        raise InvalidRequest(f"{field} is a sequence number", extra={"field": field})
    return number


def next_cursor(of: str, after: str | int) -> str:
    return encode_cursor({"of": of, "after": after})


def read_text_cursor(cursor: str | None, of: str) -> str:
    """The place of a cursor of this list, empty without one; raises InvalidCursor."""
    after = _read(cursor, of) if cursor is not None else ""
    if not isinstance(after, str):
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return after


def read_number_cursor(cursor: str | None, of: str, first: int) -> int:
    """The place of a cursor of this list, `first` without one; raises InvalidCursor."""
    after = _read(cursor, of) if cursor is not None else first
    if not isinstance(after, int) or isinstance(after, bool) or not -MAX_NS <= after <= MAX_NS:
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return after


def _read(cursor: str, of: str) -> str | int | None:
    position = decode_cursor(cursor)
    if position.get("of") != of:
        raise InvalidCursor("this cursor belongs to another list")
    return position.get("after")
