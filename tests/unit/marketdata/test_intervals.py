"""Where bars begin: calendar, time zones, days of 23 and 25 hours."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.kernel.problem import InvalidRequest
from agio.marketdata.ticks.intervals import BarInterval, read_interval, read_time_zone

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
ZONES = (
    "UTC",
    "America/New_York",
    "Europe/London",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def text(instant_ns: int) -> str:
    return datetime.fromtimestamp(instant_ns // SECOND, UTC).strftime("%m-%dT%H:%M")


def widths(interval: BarInterval, first_ns: int, last_ns: int) -> list[int]:
    """The lengths of the bars that hold something of a span."""
    return [after - before for before, after in pairwise(interval.edges(first_ns, last_ns))]


class TestReadInterval:
    @pytest.mark.parametrize(
        ("name", "seconds"),
        [
            ("100ms", 0.1),
            ("1s", 1),
            ("7s", 7),
            ("90s", 90),
            ("15m", 900),
            ("90m", 5400),
            ("4h", 14_400),
            ("5h", 18_000),
            ("86400000ms", 86_400),
            ("1d", 86_400),
            ("366d", 366 * 86_400),
            ("2w", 14 * 86_400),
            ("52w", 364 * 86_400),
        ],
    )
    def test_any_width_up_to_a_year(self, name: str, seconds: float) -> None:
        assert read_interval(name, "UTC").width_ns == int(seconds * SECOND)

    @pytest.mark.parametrize("name", ["1mo", "2mo", "3mo", "4mo", "6mo", "12mo", "1y"])
    def test_months_that_divide_a_year(self, name: str) -> None:
        assert read_interval(name, "UTC").name == name

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "",
                "1",
                "m",
                "0s",
                "00s",
                "07s",
                "-1m",
                "+1m",
                "1.5h",
                "1e3s",
                "7x",
                "1M",
                "1D",
                "1W",
                "1 m",
                "1m ",
                "1m\n",
            ),
            *(
                "25h",
                "1441m",
                "86401s",
                "86400001ms",
                "367d",
                "99999d",
                "53w",
                "5mo",
                "7mo",
                "24mo",
                "2y",
                "0mo",
            ),
            *("\u0661m", "\uff11m", "1\u217f", "1" * 9 + "ms", "9" * 5000 + "s", "1us", "1ns", "1q"),
        ],
    )
    def test_anything_else_is_refused_with_what_is_allowed(self, name: str) -> None:
        with pytest.raises(InvalidRequest, match="ms, s, m or h up to a day, d up to 366, w up to 52, mo 1"):
            read_interval(name, "UTC")


class TestReadTimeZone:
    @pytest.mark.parametrize(
        "name", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "UTC\0", "x" * 65, "New York"]
    )
    def test_what_is_no_zone_is_refused(self, name: str) -> None:
        with pytest.raises(InvalidRequest):
            read_time_zone(name)


class TestEdges:
    def test_a_day_in_new_york_has_23_hours_in_spring_and_25_in_autumn(self) -> None:
        day = read_interval("1d", "America/New_York")

        spring = day.edges(ns("2014-03-08T12:00:00Z"), ns("2014-03-10T12:00:00Z"))
        autumn = day.edges(ns("2013-11-02T12:00:00Z"), ns("2013-11-04T12:00:00Z"))

        hours = [[(b - a) // (3600 * SECOND) for a, b in pairwise(e)] for e in (spring, autumn)]
        assert hours == [[24, 23, 24], [24, 25, 24]]
        assert text(spring[0]) == "03-08T05:00"

    def test_four_hours_follow_the_wall_clock(self) -> None:
        edges = read_interval("4h", "America/New_York").edges(
            ns("2014-03-09T05:00:00Z"), ns("2014-03-09T15:00:00Z")
        )

        assert [text(edge) for edge in edges] == ["03-09T05:00", "03-09T08:00", "03-09T12:00", "03-09T16:00"]

    def test_an_hour_is_an_hour_everywhere(self) -> None:
        assert read_interval("1h", "America/New_York").floor(ns("2013-11-03T06:30:00Z")) == ns(
            "2013-11-03T06:00:00Z"
        )

    @pytest.mark.parametrize(
        ("name", "count", "last"),
        [("7s", 12_343, 6), ("7m", 206, 5 * 60), ("25m", 58, 15 * 60), ("5h", 5, 4 * 3600)],
    )
    def test_what_does_not_divide_a_day_begins_anew_at_midnight(
        self, name: str, count: int, last: int
    ) -> None:
        midnight = ns("2014-03-08T00:00:00Z")

        lengths = widths(read_interval(name, "UTC"), midnight, midnight + DAY - 1)

        assert len(lengths) == count
        assert set(lengths[:-1]) == {read_interval(name, "UTC").width_ns}
        assert lengths[-1] == last * SECOND

    def test_on_days_of_23_and_25_hours_it_counts_the_time_that_has_passed(self) -> None:
        for name, spring, autumn in (
            ("5h", [300, 300, 300, 300, 180], [300] * 5),
            ("90m", [90] * 15 + [30], [90] * 16 + [60]),
        ):
            interval = read_interval(name, "America/New_York")
            for midnight, hours, minutes in (
                ("2014-03-09T05:00:00Z", 23, spring),
                ("2013-11-03T04:00:00Z", 25, autumn),
            ):
                begin = ns(midnight)
                found = widths(interval, begin, begin + hours * 3600 * SECOND - 1)
                assert [length // (60 * SECOND) for length in found] == minutes

    def test_days_weeks_and_months_count_from_their_anchors(self) -> None:
        first, last = ns("2024-01-30T12:00:00Z"), ns("2024-03-01T12:00:00Z")
        for name, zone, expected in (
            ("5d", "UTC", ["01-28", "02-02", "02-07", "02-12", "02-17", "02-22", "02-27", "03-03"]),
            ("1w", "UTC", ["01-29", "02-05", "02-12", "02-19", "02-26", "03-04"]),
            ("2w", "UTC", ["01-29", "02-12", "02-26", "03-11"]),
            ("1mo", "UTC", ["01-01", "02-01", "03-01", "04-01"]),
            ("3mo", "Asia/Kathmandu", ["12-31", "03-31"]),
            ("6mo", "UTC", ["01-01", "07-01"]),
            ("1y", "UTC", ["01-01", "01-01"]),
        ):
            assert [text(edge)[:5] for edge in read_interval(name, zone).edges(first, last)] == expected

    def test_a_day_that_a_zone_left_out_is_in_no_bar(self) -> None:
        """Samoa went from Thursday 29 December 2011 to Saturday the 31st."""
        first, last = ns("2011-12-29T09:00:00Z"), ns("2011-12-31T09:00:00Z")

        for name in ("1d", "5h", "4h"):
            edges = read_interval(name, "Pacific/Apia").edges(first, last)
            assert edges == sorted(set(edges))
            assert {"12-29T10:00", "12-30T10:00", "12-31T10:00"} <= {text(edge) for edge in edges}
        days = read_interval("1d", "Pacific/Apia").edges(first, last)
        assert [text(day) for day in days] == ["12-28T10:00", "12-29T10:00", "12-30T10:00", "12-31T10:00"]

    def test_the_ends_of_the_calendar_stop_what_goes_beyond(self) -> None:
        year = read_interval("1y", "America/New_York")
        start = year.floor(ns("2024-01-30T12:00:00Z"))

        assert start < year.after(start, 40_000) < 10_000 * 366 * DAY
        assert -1000 * 366 * DAY < year.after(start, -40_000) < start
        assert year.floor(-(2**63)) < year.floor(2**63)


INSTANTS = st.one_of(
    st.integers(0, 9_000_000_000 * SECOND),
    st.builds(
        lambda near, offset: ns(near) + offset,
        st.sampled_from(
            [
                "2011-12-30T10:00:00Z",
                "2018-02-18T02:00:00Z",
                "2018-11-04T03:00:00Z",
                "2024-04-06T15:00:00Z",
                "2024-10-05T15:30:00Z",
                "2024-03-10T02:00:00Z",
                "2024-04-14T02:00:00Z",
                "2010-11-07T02:31:00Z",
                "2023-11-05T05:00:00Z",
                "1985-12-31T18:30:00Z",
                "1972-01-07T00:44:30Z",
            ]
        ),
        st.integers(-2 * DAY, 2 * DAY),
    ),
)
"""Any, and those around which clocks are changed."""
WITHIN_A_DAY = ["250ms", "7ms", "7s", "1m", "7m", "25m", "1h", "90m", "2h", "4h", "5h", "12h", "23h"]
BEYOND = ["1d", "2d", "5d", "366d", "1w", "3w", "52w", "1mo", "2mo", "3mo", "1y"]


class TestAnyInterval:
    @settings(deadline=None)
    @given(st.sampled_from(WITHIN_A_DAY + BEYOND), st.sampled_from(ZONES), INSTANTS, st.integers(-50, 50))
    def test_every_instant_is_in_exactly_one_bar(
        self, name: str, zone: str, instant: int, count: int
    ) -> None:
        interval = read_interval(name, zone)

        start = interval.floor(instant)
        following = interval.after(start, 1)

        assert start <= instant < following
        assert interval.floor(following) == following == interval.ceil(following)
        assert interval.floor(following - 1) == start
        assert interval.ceil(instant) == (start if start == instant else following)
        assert interval.after(interval.after(start, count), -count) == start

    @settings(deadline=None)
    @given(st.sampled_from(WITHIN_A_DAY + BEYOND), st.sampled_from(ZONES), INSTANTS, st.integers(0, 30))
    def test_edges_are_the_beginnings_one_after_the_other(
        self, name: str, zone: str, instant: int, count: int
    ) -> None:
        interval = read_interval(name, zone)
        start = interval.floor(instant)

        edges = interval.edges(instant, interval.after(start, count))

        assert edges[: count + 2] == [interval.after(start, place) for place in range(count + 2)]
        assert all(interval.floor(edge) == edge for edge in edges)

    @settings(deadline=None)
    @given(
        st.sampled_from(["7m", "25m", "90m", "2h", "4h", "5h", "12h", "23h"]),
        st.sampled_from(ZONES),
        INSTANTS,
    )
    def test_the_bars_of_a_day_sum_to_the_day(self, name: str, zone: str, instant: int) -> None:
        interval, day = read_interval(name, zone), read_interval("1d", zone)
        midnight = day.floor(instant)
        next_midnight = day.after(midnight, 1)

        lengths = widths(interval, midnight, next_midnight - 1)

        assert interval.floor(midnight) == midnight
        assert sum(lengths) == next_midnight - midnight
        assert min(lengths) > 0

    @settings(deadline=None)
    @given(st.sampled_from(BEYOND), st.sampled_from(ZONES), INSTANTS)
    def test_days_weeks_and_months_begin_with_a_day(self, name: str, zone: str, instant: int) -> None:
        start = read_interval(name, zone).floor(instant)

        local = datetime.fromtimestamp(start // SECOND, UTC).astimezone(ZoneInfo(zone))
        assert read_interval("1d", zone).floor(start) == start
        if name.endswith("w"):
            assert local.isoweekday() == 1
        if name.endswith(("mo", "y")):
            assert local.day == 1
        if name == "3mo":
            assert local.month in {1, 4, 7, 10}
