"""Value at risk and expected shortfall: NumPy, numerical integration, published figures."""

import csv
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agio.analytics.model.metric import Null, Outcome
from agio.analytics.model.tail import TailRequest, estimate_tail, is_in_domain

SAMPLE = np.array([-0.05, -0.02, -0.01, 0.0, 0.01, 0.012, 0.02, 0.03, 0.04, 0.06])


def number(outcome: Outcome) -> float:
    assert not isinstance(outcome, Null)
    return outcome


def managers(real_data: Path, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Monthly returns of a manager, and those in excess of three-month bills."""
    with (real_data / "prices" / "pa_managers.csv").open() as file:
        rows = [row for row in list(csv.reader(file))[1:] if row[column]]
    returns, bills = (np.array([float(row[c]) for row in rows]) for c in (column, 10))
    return returns, returns - bills


class TestHistorical:
    def test_linear_type_7_and_the_mean_beyond(self) -> None:
        estimate = estimate_tail(SAMPLE, TailRequest("historical", 0.85))
        expected = float(np.quantile(SAMPLE, 0.15))
        assert estimate.quantile == pytest.approx(expected, rel=1e-14)
        assert expected == pytest.approx(-0.02 + 0.35 * 0.01)
        assert estimate.shortfall == pytest.approx((-0.05 - 0.02) / 2)

    def test_too_small_a_sample_is_said(self) -> None:
        assert estimate_tail(SAMPLE, TailRequest("historical", 0.99)).warnings

    def test_a_horizon_compounds_overlapping_windows(self) -> None:
        estimate = estimate_tail(SAMPLE, TailRequest("historical", 0.9, 3))
        windows = [np.prod(1 + SAMPLE[i : i + 3]) - 1 for i in range(8)]
        assert estimate.quantile == pytest.approx(np.quantile(windows, 0.1), rel=1e-12)
        assert estimate.n == 8

    def test_a_horizon_longer_than_the_sample(self) -> None:
        assert estimate_tail(SAMPLE, TailRequest("historical", 0.9, 10)).quantile == Null("horizon_too_long")

    @given(
        arrays(np.float64, st.integers(2, 80), elements=st.floats(-0.9, 0.9)),
        st.sampled_from([0.9, 0.95, 0.99]),
    )
    def test_the_shortfall_is_never_better_than_the_quantile(
        self, returns: np.ndarray, confidence: float
    ) -> None:
        estimate = estimate_tail(returns, TailRequest("historical", confidence))
        assert number(estimate.shortfall) <= number(estimate.quantile) + 1e-12


class TestParametric:
    def test_horizon_scales_mean_and_root(self) -> None:
        one, ten = (estimate_tail(SAMPLE, TailRequest("parametric", 0.95, h)) for h in (1, 10))
        mean, deviation = np.mean(SAMPLE), np.std(SAMPLE)
        z = NormalDist().inv_cdf(0.05)
        assert one.quantile == pytest.approx(mean + z * deviation, rel=1e-12)
        assert ten.quantile == pytest.approx(10 * mean + z * deviation * 10**0.5, rel=1e-12)

    def test_equal_returns_have_no_distribution(self) -> None:
        assert estimate_tail(np.full(10, 0.01), TailRequest("parametric")).quantile == Null("zero_dispersion")


class TestCornishFisher:
    @pytest.mark.parametrize(
        ("column", "expected"), [(1, 0.2306863), (3, 0.2504936), (4, 0.09553906), (8, 0.07957460)]
    )
    def test_published_modified_figures(self, real_data: Path, column: int, expected: float) -> None:
        """PerformanceAnalytics prints mean excess over modified VaR 95 % for its managers data."""
        returns, excess = managers(real_data, column)
        estimate = estimate_tail(returns, TailRequest("cornish_fisher"))
        assert np.mean(excess) / -number(estimate.quantile) == pytest.approx(expected, rel=1e-6)

    def test_shortfall_is_the_integral_of_the_quantile(self) -> None:
        mean, deviation = np.mean(SAMPLE), np.std(SAMPLE)
        centred = (SAMPLE - mean) / deviation
        s, k = np.mean(centred**3), np.mean(centred**4) - 3
        probability = 0.05
        grid = (np.arange(200_000) + 0.5) / 200_000 * probability
        z = np.array([NormalDist().inv_cdf(p) for p in grid[::20]])
        quantiles = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
        expected = mean + deviation * np.mean(quantiles)
        estimate = estimate_tail(SAMPLE, TailRequest("cornish_fisher"))
        assert estimate.shortfall == pytest.approx(expected, rel=2e-4)

    def test_without_skew_and_excess_it_is_the_normal_estimate(self) -> None:
        z = np.sqrt(3.0)
        returns = 0.01 * np.array([-z, 0, 0, 0, 0, z])
        assert np.mean(returns**4) / np.mean(returns**2) ** 2 == pytest.approx(3.0)
        normal, corrected = (
            estimate_tail(returns, TailRequest(method)) for method in ("parametric", "cornish_fisher")
        )
        assert corrected.quantile == pytest.approx(number(normal.quantile), rel=1e-12)
        assert corrected.shortfall == pytest.approx(number(normal.shortfall), rel=1e-12)

    def test_outside_its_domain_it_warns(self) -> None:
        returns = np.concatenate((np.full(99, 0.001), [-0.5]))
        returns[0] = 0.002
        assert estimate_tail(returns, TailRequest("cornish_fisher")).warnings
        fat = 0.01 * np.array([-3.0, -1, -1, 0, 0, 0, 0, 1, 1, 3])
        assert not estimate_tail(fat, TailRequest("cornish_fisher")).warnings

    @given(st.floats(-3, 3), st.floats(-2, 40))
    def test_the_domain_is_where_the_quantile_rises(self, s: float, k: float) -> None:
        z = np.linspace(-30, 30, 6001)
        slope = 1 + z * s / 3 + (3 * z**2 - 3) * k / 24 - (6 * z**2 - 5) * s**2 / 36
        if np.min(slope) < -1e-9:
            assert not is_in_domain(s, k)
