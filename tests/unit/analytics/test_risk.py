"""Risk figures against published ones (PerformanceAnalytics, Bacon 2008) and against NumPy."""

import csv
import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agio.analytics.model import risk
from agio.analytics.model.drawdowns import max_drawdown, wealth_index
from agio.analytics.model.metric import Null, Outcome
from agio.analytics.model.returns import annualised_over

RETURNS = arrays(np.float64, st.integers(2, 60), elements=st.floats(-0.5, 0.5))


def monthly(real_data: Path, file: str, column: int) -> np.ndarray:
    """One column of a table of monthly returns, missing months left out."""
    with (real_data / "prices" / file).open() as handle:
        rows = list(csv.reader(handle))[1:]
    return np.array([float(row[column]) for row in rows if row[column]])


class TestPublishedFigures:
    """Figures that PerformanceAnalytics prints in its own reference examples, monthly data."""

    @pytest.mark.parametrize(
        ("column", "expected"), [(1, 0.3201889), (3, 0.2610141), (4, 0.1522615), (5, 0.02562009)]
    )
    def test_sharpe_of_the_managers(self, real_data: Path, column: int, expected: float) -> None:
        moments = risk.moments_of(monthly(real_data, "pa_managers.csv", column))
        assert risk.sharpe(moments, 0.035 / 12, 1) == pytest.approx(expected, rel=3e-7)

    @pytest.mark.parametrize(("column", "expected"), [(1, 0.7649), (2, 1.222), (4, 0.3234), (8, 0.3064)])
    def test_sortino_of_the_managers(self, real_data: Path, column: int, expected: float) -> None:
        returns = monthly(real_data, "pa_managers.csv", column)
        assert risk.sortino(returns, 0.0, 1) == pytest.approx(expected, abs=5e-4)

    @pytest.mark.parametrize(
        ("column", "expected"),
        [(1, 0.9061697), (2, 0.728094), (3, 0.5225829), (4, 0.4227315), (5, 0.1095909), (6, 1.742525)],
    )
    def test_calmar_of_the_managers(self, real_data: Path, column: int, expected: float) -> None:
        returns = monthly(real_data, "pa_managers.csv", column)
        annual = annualised_over(returns, 12 / returns.size)
        assert risk.calmar(annual, max_drawdown(wealth_index(returns))) == pytest.approx(expected, rel=1e-6)

    def test_downside_deviation_of_bacons_portfolio(self, real_data: Path) -> None:
        returns = monthly(real_data, "pa_portfolio_bacon.csv", 1)
        assert risk.downside_deviation(returns, 0.005, 1) == pytest.approx(0.02553674, rel=2e-7)

    @pytest.mark.parametrize(
        ("column", "expected"),
        [(1, 0.01454078), (2, 0.0115736), (3, 0.01735454), (4, 0.03406781), (5, 0.0304305), (6, 0.01214476)],
    )
    def test_downside_deviation_of_the_managers(self, real_data: Path, column: int, expected: float) -> None:
        returns = monthly(real_data, "pa_managers.csv", column)
        assert risk.downside_deviation(returns, 0.0, 1) == pytest.approx(expected, rel=4e-7)

    def test_skewness_over_kurtosis_of_bacons_portfolio(self, real_data: Path) -> None:
        moments = risk.moments_of(monthly(real_data, "pa_portfolio_bacon.csv", 1))
        skewness, excess = number(risk.skewness(moments)), number(risk.excess_kurtosis(moments))
        assert skewness == pytest.approx(-0.09, abs=0.01)
        assert skewness / (excess + 3) == pytest.approx(-0.03394204, rel=1e-6)

    def test_standard_deviation_of_the_managers(self, real_data: Path) -> None:
        figures = [0.02562881, 0.03671623, 0.03651259, 0.05319796, 0.04573149, 0.02381247]
        for column, expected in enumerate(figures, start=1):
            moments = risk.moments_of(monthly(real_data, "pa_managers.csv", column))
            assert risk.volatility(moments, 1) == pytest.approx(expected, rel=3e-7)


class TestAgainstNumpy:
    def test_the_index_since_1990(self, real_data: Path) -> None:
        with gzip.open(real_data / "prices" / "sp500_index.csv.gz", "rt") as file:
            levels = np.array([float(row["SP500"]) for row in csv.DictReader(file)])
        returns = np.diff(levels) / levels[:-1]
        moments = risk.moments_of(returns)
        assert risk.volatility(moments, 252) == pytest.approx(np.std(returns, ddof=1) * 252**0.5, rel=1e-12)
        rf = risk.per_period(0.02, 252)
        excess = returns - ((1.02) ** (1 / 252) - 1)
        expected = np.mean(excess) / np.std(excess, ddof=1) * np.sqrt(252)
        assert risk.sharpe(moments, rf, 252) == pytest.approx(expected, rel=1e-12)

    @given(RETURNS)
    def test_never_anything_but_a_finite_number_or_a_reason(self, returns: np.ndarray) -> None:
        moments = risk.moments_of(returns)
        outcomes = [
            risk.volatility(moments, 252),
            risk.sharpe(moments, 0.0, 252),
            risk.sortino(returns, 0.0, 252),
            risk.skewness(moments),
            risk.excess_kurtosis(moments),
            risk.downside_deviation(returns, 0.0, 252),
        ]
        for outcome in outcomes:
            assert isinstance(outcome, Null) or math.isfinite(outcome)

    @given(RETURNS, st.floats(0.1, 10))
    def test_ratios_do_not_depend_on_scale(self, returns: np.ndarray, factor: float) -> None:
        plain, scaled = risk.moments_of(returns), risk.moments_of(returns * factor)
        if isinstance(risk.sharpe(plain, 0.0, 1), Null) or isinstance(risk.sharpe(scaled, 0.0, 1), Null):
            return
        if plain.population_deviation < 1e-6:
            return
        assert risk.sharpe(scaled, 0.0, 1) == pytest.approx(risk.sharpe(plain, 0.0, 1), rel=1e-6, abs=1e-9)
        assert risk.skewness(scaled) == pytest.approx(risk.skewness(plain), rel=1e-6, abs=1e-6)


class TestNothingToDivideBy:
    @pytest.mark.parametrize("rate", [0.0, 0.01, -0.02, 1 / 3])
    def test_equal_returns_have_no_ratio(self, rate: float) -> None:
        values = np.cumprod(np.full(300, 1 + rate))
        returns = values[1:] / values[:-1] - 1
        moments = risk.moments_of(returns)
        assert risk.volatility(moments, 252) == 0.0
        assert risk.sharpe(moments, 0.0, 252) == Null("zero_dispersion")
        assert risk.skewness(moments) == Null("zero_dispersion")

    def test_no_loss_no_sortino(self) -> None:
        assert risk.sortino(np.array([0.01, 0.02]), 0.0, 252) == Null("no_downside")

    def test_one_return_has_no_dispersion(self) -> None:
        moments = risk.moments_of(np.array([0.01]))
        assert risk.volatility(moments, 252) == Null("fewer_than_two_observations")
        assert risk.sharpe(moments, 0.0, 252) == Null("fewer_than_two_observations")

    def test_never_below_the_start_has_no_calmar(self) -> None:
        assert risk.calmar(0.1, 0.0) == Null("no_drawdown")
        assert risk.calmar(Null("shorter_than_365_days"), -0.1) == Null("shorter_than_365_days")


def number(outcome: Outcome) -> float:
    assert not isinstance(outcome, Null)
    return outcome
