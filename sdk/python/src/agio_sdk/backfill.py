"""Reading from REST what a stream could not give again."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from agio_sdk.errors import AgioError
from agio_sdk.gaps import Gap
from agio_sdk.message import Message
from agio_sdk.models import Page

Fetch = Callable[[str, Mapping[str, str | int | None]], Awaitable[Page[msgspec.Raw]]]
"""`fetch(path, query)`: one page of a list of the interface."""
ReadHole = Callable[[Gap], AsyncGenerator[Message | Gap, None]]

PAGE = 1_000
_FAILED = (AgioError, OSError, TimeoutError, msgspec.MsgspecError)


class _Numbered(msgspec.Struct):
    seq: int
    venue_time: datetime | None = None


class Backfill:
    """Reads the hole of a log channel from the REST list that the server named.

    Yields first the gap, as `is_recovered`, then its messages in order; what REST lacks, or fails to give, is
    told as a further gap at its place. After an epoch's end the whole new epoch is read; the gap itself stays
    unrecovered, because nobody can tell how the old epoch went on.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def __call__(self, gap: Gap) -> AsyncGenerator[Message | Gap, None]:
        is_same = gap.reason != "epoch"
        yield msgspec.structs.replace(gap, is_recovered=is_same)
        expected = gap.first if is_same else 1
        path, _, _ = (gap.rest or "").partition("?")
        cursor: str | None = None
        try:
            while expected <= gap.last:
                query: dict[str, str | int | None] = {
                    "after_seq": expected - 1 if cursor is None else None,
                    "limit": PAGE,
                    "cursor": cursor,
                }
                page = await self._fetch(path, query)
                for item in page.items:
                    number = msgspec.json.decode(item, type=_Numbered)
                    if number.seq < expected:
                        continue
                    if number.seq > gap.last:
                        break
                    if number.seq > expected:
                        yield self._missing(gap, expected, number.seq - 1)
                    expected = number.seq + 1
                    instant = _micros(number.venue_time)
                    yield Message(
                        gap.channel, number.seq, instant, bytes(item), is_late=True, epoch=gap.epoch
                    )
                cursor = page.next_cursor
                if cursor is None:
                    break
        except _FAILED:
            # What could not be read is told below; the stream itself goes on.
            pass
        if expected <= gap.last:
            yield self._missing(gap, expected, gap.last)

    @staticmethod
    def _missing(gap: Gap, first: int, last: int) -> Gap:
        return msgspec.structs.replace(gap, first=first, last=last, is_recovered=False)


def _micros(instant: datetime | None) -> int:
    return round(instant.timestamp() * 1_000_000) if instant is not None else 0
