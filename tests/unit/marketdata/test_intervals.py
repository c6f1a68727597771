"""Where bars begin: calendar, time zones, days of 23 and 25 hours."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.kernel.problem import InvalidRequest
from agio.marketdata.ticks.intervals import read_interval, read_time_zone

SECOND = 1_000_000_000
ZONES = ("UTC", "America/New_York", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe")


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def text(instant_ns: int) -> str:
    return datetime.fromtimestamp(instant_ns // SECOND, UTC).strftime("%m-%dT%H:%M")


class TestReadInterval:
    @pytest.mark.parametrize(
        ("name", "seconds"), [("1s", 1), ("5s", 5), ("90s", 90), ("15m", 900), ("4h", 14_400), ("1d", 86_400)]
    )
    def test_what_divides_a_day(self, name: str, seconds: int) -> None:
        assert read_interval(name, "UTC").width_ns == seconds * SECOND

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "1",
            "m",
            "0s",
            "-1m",
            "7s",
            "7m",
            "5h",
            "90m",
            "2d",
            "1w",
            "1M",
            "1.5h",
            "99999d",
            "1m ",
            "\u0661m",
        ],
    )
    def test_anything_else_is_refused(self, name: str) -> None:
        with pytest.raises(InvalidRequest):
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

    @given(
        st.sampled_from(["1m", "1h", "2h", "4h", "12h", "1d"]),
        st.sampled_from(ZONES),
        st.integers(0, 9_000_000_000),
        st.integers(-50, 50),
    )
    def test_every_instant_is_in_exactly_one_bar(
        self, name: str, zone: str, seconds: int, count: int
    ) -> None:
        interval = read_interval(name, zone)
        instant = seconds * SECOND

        start = interval.floor(instant)
        following = interval.after(start, 1)

        assert start <= instant < following
        assert interval.floor(following) == following == interval.ceil(following)
        assert interval.floor(following - 1) == start
        assert interval.ceil(instant) in {instant, following}
        assert interval.after(interval.after(start, count), -count) == start
