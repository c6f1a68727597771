"""Backoff, breaker, plan of resyncs and clock skew, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.marketdata.feeds.pacing import MINUTE_SECONDS, Backoff, Breaker, ResyncPlan
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.feeds.skew import ClockSkew
from agio.marketdata.normalised import Trade

SETTINGS = FeedSettings()


class TestBackoff:
    def test_waits_double_up_to_the_limit_and_a_long_connection_resets_them(self) -> None:
        backoff = Backoff(SETTINGS, lambda: 1.0)
        waits = [backoff.wait_seconds()]
        for _ in range(8):
            backoff.failed(1.0)
            waits.append(backoff.wait_seconds())
        backoff.failed(SETTINGS.healthy_seconds)

        assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
        assert backoff.wait_seconds() == 0.5

    def test_jitter_is_full(self) -> None:
        backoff = Backoff(SETTINGS, lambda: 0.0)
        backoff.failed(0.0)

        assert backoff.wait_seconds() == 0.0


class TestBreaker:
    @given(st.integers(1, 12), st.lists(st.floats(0, 30), max_size=60))
    def test_no_minute_has_more_attempts_than_allowed(self, limit: int, pauses: list[float]) -> None:
        breaker, now, attempts = Breaker(limit), 0.0, []
        for pause in pauses:
            now += pause
            now += breaker.wait_seconds(now)
            breaker.attempted(now)
            attempts.append(now)

        for first, later in zip(attempts, attempts[limit:], strict=False):
            assert later - first >= MINUTE_SECONDS - 1e-6

    def test_none_per_minute_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            Breaker(0)


class TestResyncPlan:
    def test_a_doubt_is_answered_at_once_and_then_ever_more_slowly(self) -> None:
        plan = ResyncPlan(["A"], SETTINGS, 0.0)
        plan.recovered("A", 1.0)
        plan.doubted("A", 2.0)

        asked = [now / 2 for now in range(200) if plan.take_due(now / 2)]

        assert asked == [2.0, 7.0, 17.0, 37.0, 77.0]
        assert plan.attempts("A") == 5

    def test_a_first_snapshot_has_time_to_come(self) -> None:
        plan = ResyncPlan(["A", "B"], SETTINGS, 0.0)
        plan.recovered("B", 1.0)

        assert plan.take_due(4.9) == []
        assert plan.take_due(5.0) == ["A"]

    def test_a_book_that_does_not_hold_is_not_asked_for_in_a_loop(self) -> None:
        plan = ResyncPlan(["A"], SETTINGS, 0.0)
        plan.recovered("A", 0.0)
        requests = 0
        for step in range(600):  # a minute, doubted again as soon as it is good
            now = step / 10
            plan.doubted("A", now)
            if plan.take_due(now):
                requests += 1
                plan.recovered("A", now)

        assert requests == 4

    def test_a_book_that_held_is_asked_for_at_once_again(self) -> None:
        plan = ResyncPlan(["A"], SETTINGS, 0.0)
        plan.recovered("A", 0.0)
        plan.doubted("A", 1.0)
        plan.take_due(1.0)
        plan.recovered("A", 1.5)
        plan.doubted("A", 1.5 + SETTINGS.healthy_seconds)

        assert plan.take_due(1.5 + SETTINGS.healthy_seconds) == ["A"]
        assert plan.attempts("A") == 1


class TestClockSkew:
    def test_the_median_ignores_outliers_and_history(self) -> None:
        skew = ClockSkew()
        assert skew.median_ns is None
        skew.take(_trade(delay) for delay in (5, 7, 6, 9_000_000))
        skew.take([_trade(-1, is_history=True)] * 100)

        assert skew.median_ns == 6


def _trade(delay_ns: int, *, is_history: bool = False) -> Trade:
    return Trade("A", 1000, 1000 + delay_ns, None, 1, 1, is_history=is_history)
