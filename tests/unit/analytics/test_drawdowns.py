"""Drawdowns: the table against a plain loop, and the cases that libraries get wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agio.analytics.model.drawdowns import find_drawdowns, max_drawdown, wealth_index

RETURNS = arrays(np.float64, st.integers(1, 50), elements=st.floats(-0.9, 0.9))


def slow_depths(returns: np.ndarray) -> list[float]:
    """Every wealth point's distance from its running peak, by the definition."""
    wealth, depths = [1.0], []
    for rate in returns:
        wealth.append(wealth[-1] * (1 + rate))
        depths.append(wealth[-1] / max(wealth) - 1)
    return depths


def test_the_initial_capital_is_a_peak() -> None:
    wealth = wealth_index(np.array([-0.1, 0.05]))
    assert max_drawdown(wealth) == pytest.approx(-0.1)
    (fall,) = find_drawdowns(wealth, 5)
    assert (fall.start, fall.trough, fall.recovery) == (0, 1, None)


def test_start_trough_and_recovery_of_each_fall() -> None:
    wealth = wealth_index(np.array([0.1, -0.2, 0.1, 0.3, -0.05, 0.1]))
    deep, shallow = find_drawdowns(wealth, 5)
    assert (deep.start, deep.trough, deep.recovery) == (1, 2, 4)
    assert deep.depth == pytest.approx(-0.2)
    assert (shallow.start, shallow.trough, shallow.recovery) == (4, 5, 6)


def test_a_drawdown_that_goes_on_has_no_recovery() -> None:
    assert find_drawdowns(wealth_index(np.array([0.1, -0.2, 0.1])), 5)[0].recovery is None


def test_a_touch_of_the_old_peak_is_a_recovery() -> None:
    wealth = np.array([1.0, 0.5, 1.0, 0.9])
    assert [fall.recovery for fall in find_drawdowns(wealth, 5)] == [2, None]


def test_rounding_alone_is_no_drawdown() -> None:
    assert find_drawdowns(np.array([1.0, 1.0 - 1e-16, 1.0]), 5) == []


@given(RETURNS)
def test_the_deepest_equals_the_definition(returns: np.ndarray) -> None:
    wealth = wealth_index(returns)
    assert max_drawdown(wealth) == pytest.approx(min(0.0, *slow_depths(returns)), abs=1e-12)


@given(RETURNS)
def test_falls_do_not_overlap_and_cover_every_point_below_a_peak(returns: np.ndarray) -> None:
    wealth = wealth_index(returns)
    falls = sorted(find_drawdowns(wealth, 1000), key=lambda fall: fall.start)
    covered: set[int] = set()
    for fall in falls:
        end = wealth.size if fall.recovery is None else fall.recovery
        points = set(range(fall.start + 1, end))
        assert not covered & points
        covered |= points
        assert fall.trough in points
        assert fall.depth == pytest.approx(wealth[fall.trough] / wealth[fall.start] - 1, abs=1e-12)
    below = {i + 1 for i, depth in enumerate(slow_depths(returns)) if depth < -1e-12}
    assert below <= covered
