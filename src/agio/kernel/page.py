"""Cursor pagination: opaque cursors that name where the next page begins."""

import base64
import binascii
from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from agio.kernel.ids import is_id
from agio.kernel.problem import InvalidRequest

T = TypeVar("T")

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


class InvalidCursor(InvalidRequest):
    """The cursor was not issued by this endpoint, or was changed on its way."""

    code = "invalid_cursor"
    title = "Invalid cursor"


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items and, when there are more, the cursor of the next page."""

    items: list[T]
    next_cursor: str | None = None


def encode_cursor(position: Mapping[str, str | int]) -> str:
    """Pack a position (small JSON object) into URL-safe text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> dict[str, str | int]:
    """Unpack a cursor; raises InvalidCursor for anything that `encode_cursor` did not make."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(
            base64.b64decode(padded, altchars=b"-_", validate=True), type=dict[str, str | int]
        )
    except (binascii.Error, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise InvalidCursor("use next_cursor exactly as the previous page gave it") from error


def read_id_cursor(cursor: str | None, name: str, prefix: str) -> str | None:
    """The id at which a page begins; None without a cursor. Raises InvalidCursor for another list's."""
    if cursor is None:
        return None
    value = decode_cursor(cursor).get(name)
    if not isinstance(value, str) or not is_id(value, prefix):
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return value


def check_limit(limit: int) -> int:
    """Return a page size between 1 and 1,000, or raise InvalidRequest."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit must be between 1 and {MAX_LIMIT}", extra={"field": "limit"})
    return limit
