"""What the lists of the market have in common: spans of time, sequences, and one kind of cursor.

A cursor names its list and the place after which the next page begins, so that one of another symbol,
interval or time zone is refused. It is good for ever: places do not move.
"""

import re
from collections.abc import Iterable
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
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise InvalidRequest(
            f"{field} must be a time with its zone, such as 2013-09-01T17:00:00Z", extra={"field": field}
        )
    return max(-MAX_NS, min(MAX_NS, to_micros(instant) * 1000))


_WHOLE: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_WHOLE_FIELDS: Final = ("limit", "depth", "after_seq")


def check_whole_numbers(query: Iterable[tuple[str, str]]) -> None:
    """Refuse parameters that a lenient reader would take for a number, such as `1e2`, `1_0` or ` 5`.

    Also those given twice: which one counts would be a guess. Raises InvalidRequest.
    """
    seen = set()
    for field, text in query:
        if field not in _WHOLE_FIELDS:
            continue
        if _WHOLE.fullmatch(text) is None:
            raise InvalidRequest(f"{field} must be a whole number in plain digits", extra={"field": field})
        if field in seen:
            raise InvalidRequest(f"{field} is given twice", extra={"field": field})
        seen.add(field)


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
