"""Which intervals bars can have, and where they begin: pure rules of calendar and time zone.

Up to an hour bars begin at whole multiples since 1970 UTC. Longer ones begin at the wall clock of the time
zone: `1d` at midnight, `4h` at 00:00, 04:00, ... so that a day of 23 or 25 hours is one day.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from agio.kernel.problem import InvalidRequest
from agio.kernel.time import from_nanos, to_micros

SECOND_NS: Final = 1_000_000_000
HOUR_NS: Final = 3600 * SECOND_NS
DAY_SECONDS: Final = 86_400
PART_NS: Final = 900 * SECOND_NS
"""The wall clocks of all time zones differ from UTC by multiples of a quarter of an hour."""

_INTERVAL: Final = re.compile(r"([1-9][0-9]{0,4})([smhd])", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", re.ASCII)
_FIRST_NS: Final = -30_000_000_000 * SECOND_NS
_LAST_NS: Final = 253_370_764_800 * SECOND_NS
"""Years 1019 and 9999: well within what a datetime can hold."""


class BarInterval(msgspec.Struct, frozen=True):
    """A width in nanoseconds, its name as it was asked for, and the time zone of its beginnings."""

    name: str
    width_ns: int
    time_zone: str = "UTC"

    @property
    def is_fixed(self) -> bool:
        """Do bars begin at whole multiples since 1970 UTC?"""
        return self.width_ns <= HOUR_NS or self.time_zone == "UTC"

    def floor(self, instant_ns: int) -> int:
        """The beginning of the bar that holds an instant."""
        if self.is_fixed:
            return instant_ns // self.width_ns * self.width_ns
        edges = self.edges(instant_ns, instant_ns + 1)
        return next(edge for edge in reversed(edges) if edge <= instant_ns)

    def ceil(self, instant_ns: int) -> int:
        """The first beginning at or after an instant."""
        start_ns = self.floor(instant_ns)
        return start_ns if start_ns == instant_ns else self.after(start_ns, 1)

    def after(self, start_ns: int, count: int) -> int:
        """The beginning of the bar that is `count` bars later; backwards when negative."""
        if self.is_fixed:
            return start_ns + count * self.width_ns
        span_ns = (abs(count) + 2) * self.width_ns * 2
        first_ns, last_ns = (start_ns, start_ns + span_ns) if count >= 0 else (start_ns - span_ns, start_ns)
        edges = self.edges(first_ns, last_ns)
        place = edges.index(start_ns) + count
        assert place >= 0, "the span holds more bars than are counted"  # noqa: S101
        return edges[place]

    def edges(self, first_ns: int, last_ns: int) -> list[int]:
        """All beginnings from that of the bar that holds `first_ns` until the first after `last_ns`."""
        if self.is_fixed:
            begin = self.floor(first_ns)
            return list(range(begin, last_ns + self.width_ns + 1, self.width_ns))
        zone = ZoneInfo(self.time_zone)
        hours = range(0, 24, max(1, self.width_ns // HOUR_NS))
        day = from_nanos(max(_FIRST_NS, min(first_ns, _LAST_NS))).astimezone(zone).date() - timedelta(days=1)
        edges: list[int] = []
        while not edges or edges[-1] <= last_ns:
            for hour in hours:
                local = datetime.combine(day, time_of_day(hour), zone)
                edge = to_micros(local.astimezone(UTC)) * 1000
                # A wall clock that is skipped in spring would begin a bar of no length.
                if not edges or edge > edges[-1]:
                    edges.append(edge)
            day += timedelta(days=1)
        begin = max(place for place, edge in enumerate(edges) if edge <= max(first_ns, edges[0]))
        end = next(place for place, edge in enumerate(edges) if edge > last_ns)
        return edges[begin : end + 1]


def read_interval(text: str, time_zone: str) -> BarInterval:
    """`1s` to `1d`, dividing a day; raises InvalidRequest."""
    found = _INTERVAL.fullmatch(text)
    seconds = int(found[1]) * _UNITS[found[2]] if found is not None else 0
    is_longer_than_an_hour = seconds > _UNITS["h"]
    if (
        not 1 <= seconds <= DAY_SECONDS
        or DAY_SECONDS % seconds
        or (is_longer_than_an_hour and seconds % 3600)
    ):
        raise InvalidRequest(
            "interval must divide a day: 1s, 5s, 30s, 1m, 5m, 15m, 1h, 4h, 1d, ...",
            extra={"field": "interval"},
        )
    return BarInterval(text, seconds * SECOND_NS, time_zone)


def read_time_zone(text: str) -> str:
    """The name of a time zone of the IANA database; raises InvalidRequest."""
    if len(text) <= 64 and _ZONE.fullmatch(text) is not None:
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(text).key
    raise InvalidRequest(
        "time_zone must be a name such as UTC or America/New_York", extra={"field": "time_zone"}
    )
