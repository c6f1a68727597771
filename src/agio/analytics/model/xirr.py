"""Money-weighted return: every rate that makes the present value of dated flows zero, ACT/365F.

In x = log(1 + rate) the present value is sum(a_i exp(-t_i x)). Such a sum has at most as many real zeros as
its coefficients, in order of time, change sign (Descartes' rule for generalised polynomials, Laguerre 1883).
Between neighbouring zeros of its derivative it is monotone, so that recursing on derivatives finds them all;
for the many flows of real portfolios a scan over a fine grid does, with the count of sign changes as bound.
"""

import math
from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from agio.analytics.model.metric import Null, Outcome

Floats = NDArray[np.float64]

DAYS = 365.0
_GRID = 2048
_LOG_GROWTH_LIMIT = 40.0
"""Rates are sought for which money grows or shrinks by at most e^40 over the whole span."""
_EXACT_TERMS = 12


class MoneyWeighted(msgspec.Struct, frozen=True):
    """The internal rate of return, and all roots when there are several."""

    outcome: Outcome
    roots: tuple[float, ...] = ()


def xirr(dates: Sequence[date], amounts: Sequence[float]) -> MoneyWeighted:
    """Annual rate from the investor's flows: money paid in is negative, money got out positive.

    One root is the answer; several give `multiple_roots` with all of them, none gives `none`.
    """
    times, flows = _by_date(dates, amounts)
    if times.size < 2:
        return MoneyWeighted(Null("single_date" if times.size else "none"))
    if _sign_changes(flows) == 0:
        return MoneyWeighted(Null("none"))
    span = float(times[-1])
    roots = _find_roots(times / span, flows)
    rates = tuple(math.expm1(root / span) if root / span < 700 else math.inf for root in roots)
    if len(rates) > 1:
        return MoneyWeighted(Null("multiple_roots"), rates)
    if not rates:
        return MoneyWeighted(Null("none"))
    if not math.isfinite(rates[0]):
        return MoneyWeighted(Null("not_finite"))
    return MoneyWeighted(rates[0], rates)


def _by_date(dates: Sequence[date], amounts: Sequence[float]) -> tuple[Floats, Floats]:
    """Years since the first date and the net flow of each date, dates without a net flow left out."""
    sums: dict[date, list[float]] = {}
    for day, amount in zip(dates, amounts, strict=True):
        sums.setdefault(day, []).append(amount)
    netted = [(day, math.fsum(parts)) for day, parts in sorted(sums.items())]
    flows = [(day, amount) for day, amount in netted if amount != 0]
    if not flows:
        return np.empty(0), np.empty(0)
    first = flows[0][0]
    years = np.array([(day - first).days / DAYS for day, _ in flows])
    return years, np.array([amount for _, amount in flows])


def _sign_changes(flows: Floats) -> int:
    signs = np.sign(flows)
    return int(np.count_nonzero(signs[1:] != signs[:-1]))


def _find_roots(times: Floats, flows: Floats) -> list[float]:
    """Zeros of sum(a exp(-t x)) within the growth limit, ascending; times run from 0 to 1."""
    flows = flows / np.max(np.abs(flows))
    limit = _LOG_GROWTH_LIMIT
    if _sign_changes(flows) == 1:
        # Exactly one zero; it may lie far out, as a loss of nearly everything does.
        for reach in (limit, 8 * limit, 17 * limit):
            points = np.array([-reach, reach])
            if _present_value(times, flows, -reach) * _present_value(times, flows, reach) <= 0:
                return _zeros_between(times, flows, points)
        return []
    if times.size <= _EXACT_TERMS:
        return _roots_by_derivatives(times, flows, limit)
    return _zeros_between(times, flows, np.linspace(-limit, limit, _GRID))


def _roots_by_derivatives(times: Floats, flows: Floats, limit: float) -> list[float]:
    """All zeros, by isolating them between the zeros of the derivative, which has one term less."""
    if times.size < 2:
        return []
    shifted = times - times[0]
    turning = _roots_by_derivatives(shifted[1:], -shifted[1:] * flows[1:], limit)
    return _zeros_between(shifted, flows, np.array([-limit, *turning, limit]))


def _zeros_between(times: Floats, flows: Floats, points: Floats) -> list[float]:
    """One zero for each pair of neighbouring points with opposite signs, and points that are zeros."""
    values = [_present_value(times, flows, float(point)) for point in points]
    zeros = [float(point) for point, value in zip(points, values, strict=True) if value == 0.0]
    zeros.extend(
        _bracketed(times, flows, float(points[index]), float(points[index + 1]))
        for index in range(len(points) - 1)
        if values[index] * values[index + 1] < 0
    )
    return sorted(zeros)


def _present_value(times: Floats, flows: Floats, x: float) -> float:
    """The sum, scaled by its largest possible factor so that it cannot overflow; only its sign matters."""
    exponents = -times * x
    terms = flows * np.exp(exponents - np.max(exponents))
    total = float(np.sum(terms))
    return 0.0 if abs(total) <= 1e-16 * float(np.sum(np.abs(terms))) else total


def _bracketed(times: Floats, flows: Floats, low: float, high: float) -> float:
    """Bisection with Newton steps kept inside the bracket, to the last representable digit."""
    is_rising = _present_value(times, flows, high) > 0
    x = 0.5 * (low + high)
    for _ in range(200):
        terms = flows * np.exp(-times * x + np.max(times * x))
        value, slope = float(np.sum(terms)), -float(np.sum(times * terms))
        if value == 0.0:
            return x
        if (value > 0) == is_rising:
            high = x
        else:
            low = x
        following = x - value / slope if slope != 0.0 else math.nan
        if not low < following < high:
            following = 0.5 * (low + high)
        if abs(following - x) <= 4e-16 * max(1.0, abs(x)) or following in (low, high):
            return following
        x = following
    return x
