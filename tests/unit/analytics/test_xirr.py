"""The internal rate of return: pyxirr as oracle, and what pyxirr does not say."""

from datetime import date, timedelta

import numpy as np
import pytest
import pyxirr
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.analytics.model.metric import Null
from agio.analytics.model.xirr import xirr

START = date(2020, 1, 1)


def present_value(rate: float, dates: list[date], amounts: list[float]) -> float:
    return sum(
        amount / (1 + rate) ** ((day - dates[0]).days / 365)
        for day, amount in zip(dates, amounts, strict=True)
    )


class TestXirr:
    def test_the_spreadsheet_example(self) -> None:
        """Microsoft's documentation of XIRR: 0.373362535 to its precision."""
        dates = [date(2008, 1, 1), date(2008, 3, 1), date(2008, 10, 30), date(2009, 2, 15), date(2009, 4, 1)]
        answer = xirr(dates, [-10000, 2750, 4250, 3250, 2750])
        assert answer.outcome == pytest.approx(0.373362535, abs=1e-8)

    @settings(max_examples=150, deadline=None)
    @given(
        # A steep loss within days has an annual rate that is -1 to the last digit, and so no root.
        deposits=st.lists(st.tuples(st.integers(0, 1900), st.floats(1, 1e6)), min_size=1, max_size=12),
        days=st.integers(2001, 6000),
        growth=st.floats(0.05, 8),
    )
    def test_equals_pyxirr_for_ordinary_investments(
        self, deposits: list[tuple[int, float]], days: int, growth: float
    ) -> None:
        dates = [START + timedelta(days=day) for day, _ in deposits] + [START + timedelta(days=days)]
        amounts = [-amount for _, amount in deposits] + [growth * sum(amount for _, amount in deposits)]
        answer = xirr(dates, amounts)
        oracle = pyxirr.xirr(dates, amounts)
        if oracle is None:  # it gives up on steep losses
            assert len(answer.roots) == 1
            return
        assert answer.outcome == pytest.approx(oracle, rel=1e-7, abs=1e-9)

    @settings(max_examples=150, deadline=None)
    @given(
        flows=st.lists(
            st.tuples(st.integers(0, 3000), st.floats(-1e5, 1e5).filter(lambda x: abs(x) > 1)),
            min_size=2,
            max_size=30,
        )
    )
    def test_every_root_makes_the_present_value_vanish(self, flows: list[tuple[int, float]]) -> None:
        dates = [START + timedelta(days=day) for day, _ in sorted(flows)]
        amounts = [amount for _, amount in sorted(flows)]
        answer = xirr(dates, amounts)
        span = max(1, (dates[-1] - dates[0]).days) / 365
        for root in answer.roots:
            if not -0.999999 < root < 1e6:
                continue
            scale = present_value(root, dates, [abs(amount) for amount in amounts])
            assert abs(present_value(root, dates, amounts)) <= 1e-9 * scale * max(1.0, span)

    def test_several_roots_are_named_not_chosen(self) -> None:
        """The textbook case: -1000, +2500, -1540 a year apart has the rates 10 % and 40 %."""
        dates = [date(2021, 1, 1), date(2022, 1, 1), date(2023, 1, 1)]
        answer = xirr(dates, [-1000, 2500, -1540])
        assert answer.outcome == Null("multiple_roots")
        assert answer.roots == pytest.approx((0.1, 0.4), abs=1e-9)

    def test_three_roots_of_a_cubic(self) -> None:
        factors = np.poly([1.05, 1.2, 1.5])
        dates = [date(2021, 1, 1) + timedelta(days=365 * year) for year in range(4)]
        assert xirr(dates, factors.tolist()).roots == pytest.approx((0.05, 0.2, 0.5), abs=1e-8)

    def test_many_flows_with_two_roots(self) -> None:
        dates = [date(2021, 1, 1) + timedelta(days=365 * year) for year in range(16)]
        amounts = np.poly([1.08, 1.3, *([-0.5] * 13)]).tolist()
        roots = [root for root in xirr(dates, amounts).roots if root > 0]
        assert roots == pytest.approx([0.08, 0.3], abs=1e-6)

    def test_no_root_is_an_answer(self) -> None:
        dates = [date(2021, 1, 1), date(2022, 1, 1), date(2023, 1, 1)]
        assert xirr(dates, [1000, -1000, 1000]).outcome == Null("none")
        assert xirr(dates, [-1, -2, -3]).outcome == Null("none")

    def test_one_date_leaves_a_rate_no_time(self) -> None:
        assert xirr([START, START], [-100, 101]).outcome == Null("single_date")
        assert xirr([START, START], [-100, 100]).outcome == Null("none")
        assert xirr([], []).outcome == Null("none")

    def test_a_day_of_large_gain_and_a_near_total_loss_are_found(self) -> None:
        next_day = START + timedelta(days=1)
        assert xirr([START, next_day], [-100, 105]).outcome == pytest.approx(1.05**365 - 1, rel=1e-9)
        year = START + timedelta(days=365)
        assert xirr([START, year], [-1e9, 1e-3]).outcome == pytest.approx(1e-12 - 1, rel=1e-15)
