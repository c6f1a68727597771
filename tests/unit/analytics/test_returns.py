"""Returns against hand-made cases, the S&P 500 and algebraic properties."""

import csv
import gzip
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agio.analytics.model.metric import Null
from agio.analytics.model.returns import (
    annualised_over,
    annualised_return,
    modified_dietz,
    monthly_table,
    period_returns,
    total_return,
)

NOTHING = np.zeros(1)


def index_levels(real_data: Path) -> tuple[list[date], np.ndarray]:
    with gzip.open(real_data / "prices" / "sp500_index.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    return [date.fromisoformat(row["Date"]) for row in rows], np.array([float(row["SP500"]) for row in rows])


class TestPeriodReturns:
    def test_an_inflow_counts_at_the_start_and_an_outflow_at_the_end(self) -> None:
        values = np.array([100.0, 165.0, 121.5])
        inflows, outflows = np.array([50.0, 0.0]), np.array([0.0, 60.0])
        assert period_returns(values, inflows, outflows).tolist() == pytest.approx([0.1, 0.1])

    @pytest.mark.parametrize(
        ("timing", "expected"),
        [("split", 15 / 150), ("start", 15 / 150), ("end", 15 / 100), ("middle", 15 / 125)],
    )
    def test_each_flow_timing_has_its_own_capital(self, timing: str, expected: float) -> None:
        result = period_returns(np.array([100.0, 165.0]), np.array([50.0]), NOTHING, timing)  # type: ignore[arg-type]
        assert result[0] == pytest.approx(expected, abs=1e-15)

    def test_the_first_deposit_is_the_capital_of_its_day(self) -> None:
        assert period_returns(np.array([0.0, 1010.0]), np.array([1000.0]), NOTHING)[0] == pytest.approx(0.01)

    def test_without_capital_there_is_no_return(self) -> None:
        assert np.isnan(period_returns(np.array([0.0, 0.0]), NOTHING, NOTHING)[0])
        assert np.isnan(period_returns(np.array([0.0, 100.0]), np.array([100.0]), NOTHING, "end")[0])

    def test_a_missing_value_takes_both_neighbours_with_it(self) -> None:
        returns = period_returns(np.array([100.0, np.nan, 110.0, 121.0]), np.zeros(3), np.zeros(3))
        assert np.isnan(returns[:2]).all()
        assert returns[2] == pytest.approx(0.1)

    def test_gross_adds_fees_back(self) -> None:
        values, fees = np.array([100.0, 99.0]), np.array([1.0])
        assert period_returns(values, NOTHING, NOTHING)[0] == pytest.approx(-0.01)
        assert period_returns(values, NOTHING, NOTHING, "split", fees)[0] == 0.0

    @given(
        growth=arrays(np.float64, 12, elements=st.floats(-0.5, 0.5)),
        flows=arrays(np.float64, 12, elements=st.floats(-40, 80)),
    )
    def test_flows_of_clients_leave_the_time_weighted_return_alone(
        self, growth: np.ndarray, flows: np.ndarray
    ) -> None:
        """GIPS: whatever clients do, a manager who earned these returns is told these returns."""
        values = [1000.0]
        for rate, flow in zip(growth, flows, strict=True):
            values.append((values[-1] + max(flow, 0)) * (1 + rate) + min(flow, 0))
        inflows, outflows = np.maximum(flows, 0), np.maximum(-flows, 0)
        if min(values) <= 1:
            return
        measured = period_returns(np.array(values), inflows, outflows)
        assert measured == pytest.approx(growth, abs=1e-9)


class TestTotalReturn:
    def test_links_to_the_index_itself(self, real_data: Path) -> None:
        _, levels = index_levels(real_data)
        returns = period_returns(levels, np.zeros(levels.size - 1), np.zeros(levels.size - 1))
        assert total_return(returns) == pytest.approx(levels[-1] / levels[0] - 1, rel=1e-12)

    def test_nothing_observed_is_not_zero(self) -> None:
        assert total_return(np.empty(0)) == Null("no_observations")


class TestAnnualisedReturn:
    def test_uses_calendar_days(self, real_data: Path) -> None:
        dates, levels = index_levels(real_data)
        days = (dates[-1] - dates[0]).days
        expected = (levels[-1] / levels[0]) ** (365.25 / days) - 1
        assert annualised_return(np.diff(levels) / levels[:-1], days) == pytest.approx(expected, rel=1e-12)

    def test_below_a_year_there_is_none(self) -> None:
        assert annualised_return(np.array([0.1]), 364.99) == Null("shorter_than_365_days")
        assert isinstance(annualised_return(np.array([0.1]), 365), float)

    def test_a_total_loss_has_no_rate(self) -> None:
        assert annualised_over(np.array([-1.0]), 1.0) == Null("total_loss")


class TestModifiedDietz:
    def test_a_flow_within_the_month_weighs_by_its_days(self) -> None:
        """74.2 m become 104.4 m with 37.1 m paid in on day 14 of 31: -6.9 / (74.2 + 17/31 37.1)."""
        values = np.concatenate(([74.2], np.full(30, np.nan), [104.4]))
        inflows = np.zeros(31)
        inflows[13] = 37.1
        assert modified_dietz(values, inflows, np.zeros(31), "end") == pytest.approx(-0.0729810, abs=5e-8)

    def test_without_flows_it_is_the_simple_return(self) -> None:
        assert modified_dietz(np.array([100.0, 50.0, 110.0]), np.zeros(2), np.zeros(2)) == pytest.approx(0.1)

    def test_no_capital_no_return(self) -> None:
        assert modified_dietz(np.array([0.0, 0.0]), NOTHING, NOTHING) == Null("no_capital")


class TestMonthlyTable:
    def test_months_link_to_the_whole(self, real_data: Path) -> None:
        dates, levels = index_levels(real_data)
        returns = np.diff(levels) / levels[:-1]
        starts = np.array([str(day) for day in dates[1:]], dtype="datetime64[us]").astype(np.int64)
        rows = monthly_table(starts, returns)
        wealth = 1.0
        for row in rows:
            assert row.value is not None
            wealth *= 1 + row.value
        assert wealth - 1 == pytest.approx(levels[-1] / levels[0] - 1, rel=1e-12)
        assert sum(row.n for row in rows) == returns.size
        assert [row.month for row in rows] == sorted({f"{day:%Y-%m}" for day in dates[1:]})

    def test_a_month_says_how_many_days_it_misses(self) -> None:
        starts = np.arange("2026-01-30", "2026-02-03", dtype="datetime64[D]").astype("datetime64[us]")
        january, february = monthly_table(starts.astype(np.int64), np.array([0.01, np.nan, np.nan, np.nan]))
        assert (january.month, january.n, january.missing) == ("2026-01", 1, 1)
        assert (february.value, february.null_reason) == (None, "no_observations")
