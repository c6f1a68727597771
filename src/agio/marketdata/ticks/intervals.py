"""Which intervals bars can have, and where they begin: pure rules of calendar and time zone.

What divides a day and is at most an hour begins at whole multiples since 1970 UTC. Everything else follows
the calendar of the time zone, where a day begins at its first instant and has 23, 24 or 25 hours:

- whole hours that divide a day begin at the wall clock: `4h` at 00:00, 04:00, ...;
- what does not divide a day (`7m`, `25m`, `5h`), and `90m` and its like, begin anew with each day and count
  the time that has passed since: the day's last bar is as short as the day leaves it;
- days are counted from 1 January 1970, weeks from the Monday of its week, 29 December 1969 (ISO 8601), months
  from January: `2d` begins every other day through the ends of months, `3mo` is a quarter.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from agio.kernel.problem import InvalidRequest
from agio.kernel.time import from_nanos, to_micros

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 3600 * SECOND_NS
DAY_SECONDS: Final = 86_400
DAY_NS: Final = DAY_SECONDS * SECOND_NS

Cycle = Literal["day", "week", "month"]
"""What bars are counted in: shorter ones within a day, longer ones by whole days, weeks or months."""

_INTERVAL: Final = re.compile(r"([1-9][0-9]{0,7})(ms|s|m|h|d|w|mo|y)", re.ASCII)
_UNITS: Final[dict[str, tuple[Cycle, int, int]]] = {
    "ms": ("day", 1_000_000, DAY_NS),
    "s": ("day", SECOND_NS, DAY_NS),
    "m": ("day", MINUTE_NS, DAY_NS),
    "h": ("day", HOUR_NS, DAY_NS),
    "d": ("day", DAY_NS, 366 * DAY_NS),
    "w": ("week", 7 * DAY_NS, 52 * 7 * DAY_NS),
    "mo": ("month", 30 * DAY_NS, 12 * 30 * DAY_NS),
    "y": ("month", 12 * 30 * DAY_NS, 12 * 30 * DAY_NS),
}
"""Cycle, nominal width and the widest that is allowed."""
_MONTH_NS: Final = 30 * DAY_NS
INTERVAL_RULE: Final = (
    "a whole number with its unit: ms, s, m or h up to a day, d up to 366, w up to 52,"
    " mo 1, 2, 3, 4, 6 or 12, 1y; such as 250ms, 7s, 15m, 4h, 1d, 2w, 3mo"
)
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", re.ASCII)
_ANCHORS: Final[dict[Cycle, date]] = {"day": date(1970, 1, 1), "week": date(1969, 12, 29)}
_FIRST_DAY: Final = date(1020, 1, 1)
_LAST_DAY: Final = date(9990, 1, 1)
_FIRST_NS: Final = -29_900_000_000 * SECOND_NS
_LAST_NS: Final = 253_000_000_000 * SECOND_NS
"""Years 1022 and 9987: well within what a date can hold, whatever is added to it."""


class BarInterval(msgspec.Struct, frozen=True):
    """A name as it was asked for, a width in nanoseconds (a month counts as 30 days), and the time zone."""

    name: str
    width_ns: int
    time_zone: str = "UTC"
    cycle: Cycle = "day"

    @property
    def is_fixed(self) -> bool:
        """Do bars begin at whole multiples since 1970 UTC?"""
        if self.cycle != "day":
            return False
        if self.time_zone != "UTC":
            return self.width_ns <= HOUR_NS and DAY_NS % self.width_ns == 0
        return DAY_NS % self.width_ns == 0 or self.width_ns % DAY_NS == 0

    @property
    def is_beyond_a_day(self) -> bool:
        return self.width_ns > DAY_NS

    def floor(self, instant_ns: int) -> int:
        """The beginning of the bar that holds an instant."""
        if self.is_fixed:
            return instant_ns // self.width_ns * self.width_ns
        instant_ns = max(_FIRST_NS, min(instant_ns, _LAST_NS))
        bars = self._bars(self._first_day(instant_ns))
        return bars[bisect_right(bars, instant_ns) - 1]

    def ceil(self, instant_ns: int) -> int:
        """The first beginning at or after an instant."""
        start_ns = self.floor(instant_ns)
        return start_ns if start_ns == instant_ns else self.after(start_ns, 1)

    def after(self, start_ns: int, count: int) -> int:
        """The beginning of the bar that is `count` bars later, backwards when negative.

        Stops at the ends of the calendar.
        """
        if self.is_fixed:
            return start_ns + count * self.width_ns
        day = self._first_day(start_ns)
        bars = self._bars(day)
        place = bisect_right(bars, start_ns) - 1 + count
        while not 0 <= place < len(bars):
            is_forward = place >= 0
            following = self._next(day, 1 if is_forward else -1)
            if not _FIRST_DAY < following < _LAST_DAY:
                return self._midnight(day)
            passed, day, bars = len(bars), following, self._bars(following)
            place += -passed if is_forward else len(bars)
        return bars[place]

    def edges(self, first_ns: int, last_ns: int) -> list[int]:
        """All beginnings from that of the bar that holds `first_ns` until the first after `last_ns`."""
        begin_ns = self.floor(first_ns)
        if self.is_fixed:
            return list(range(begin_ns, last_ns + self.width_ns + 1, self.width_ns))
        edges: list[int] = []
        for edge_ns in self._from(begin_ns):
            edges.append(edge_ns)
            if edge_ns > last_ns:
                break
        return edges

    def _from(self, begin_ns: int) -> Iterator[int]:
        day = self._first_day(begin_ns)
        bars = self._bars(day)
        yield from bars[bisect_right(bars, begin_ns) - 1 :]
        while (day := self._next(day, 1)) < _LAST_DAY:
            yield from self._bars(day)

    def _bars(self, day: date) -> Sequence[int]:
        """The beginnings from a day on, before the next cycle; none where the zone left the day out."""
        begin_ns, end_ns = self._midnight(day), self._midnight(self._next(day, 1))
        if begin_ns >= end_ns:
            return ()
        if self.width_ns >= DAY_NS:
            return (begin_ns,)
        if self.width_ns <= HOUR_NS or DAY_NS % self.width_ns or self.width_ns % HOUR_NS:
            return range(begin_ns, end_ns, self.width_ns)
        bars = [begin_ns]
        for hour in range(self.width_ns // HOUR_NS, 24, self.width_ns // HOUR_NS):
            edge_ns = self._midnight(day, hour)
            # A wall clock that is skipped in spring would begin a bar of no length.
            if bars[-1] < edge_ns < end_ns:
                bars.append(edge_ns)
        return bars

    def _midnight(self, day: date, hour: int = 0) -> int:
        """The first instant at which the zone's clock shows an hour of a day, or where it is skipped."""
        local = datetime.combine(day, time_of_day(hour), ZoneInfo(self.time_zone))
        return to_micros(local.astimezone(UTC)) * 1000

    def _first_day(self, instant_ns: int) -> date:
        """The first day of the cycle that holds an instant."""
        today = from_nanos(instant_ns).astimezone(ZoneInfo(self.time_zone)).date()
        # A clock that is set back at midnight shows the day before once more, in a day that has begun.
        day = self._begin(today + timedelta(days=1))
        while self._midnight(day) > instant_ns:
            day = self._next(day, -1)
        return day

    def _begin(self, day: date) -> date:
        if self.cycle == "month":
            return date(day.year, (day.month - 1) // self._months * self._months + 1, 1)
        return day - timedelta(days=(day - _ANCHORS[self.cycle]).days % self._days)

    def _next(self, day: date, direction: Literal[1, -1]) -> date:
        if self.cycle == "month":
            months = day.year * 12 + day.month - 1 + direction * self._months
            return date(months // 12, months % 12 + 1, 1)
        return day + direction * timedelta(days=self._days)

    @property
    def _days(self) -> int:
        return max(1, self.width_ns // DAY_NS)

    @property
    def _months(self) -> int:
        return self.width_ns // _MONTH_NS


def read_interval(text: str, time_zone: str) -> BarInterval:
    """`250ms`, `7s`, `4h`, `1d`, `2w`, `3mo`, ... as INTERVAL_RULE says; raises InvalidRequest."""
    found = _INTERVAL.fullmatch(text)
    if found is not None:
        count = int(found[1])
        cycle, unit_ns, widest_ns = _UNITS[found[2]]
        months = count * unit_ns // _MONTH_NS if cycle == "month" else 1
        if count * unit_ns <= widest_ns and 12 % months == 0:
            return BarInterval(text, count * unit_ns, time_zone, cycle)
    raise InvalidRequest(f"interval must be {INTERVAL_RULE}", extra={"field": "interval"})


def read_time_zone(text: str) -> str:
    """The name of a time zone of the IANA database; raises InvalidRequest."""
    if len(text) <= 64 and _ZONE.fullmatch(text) is not None:
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(text).key
    raise InvalidRequest(
        "time_zone must be a name such as UTC or America/New_York", extra={"field": "time_zone"}
    )
