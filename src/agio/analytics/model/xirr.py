"""Money-weighted return: every rate that makes the present value of dated flows zero, ACT/365F.

In x = log(1 + rate) the present value is sum(a_i exp(-t_i x)). Such a sum has at most as many real zeros as
its coefficients, in order of time, change sign (Descartes' rule for generalised polynomials, Laguerre 1883).
Between neighbouring zeros of its derivative it is monotone, so recursing on derivatives finds them all. For
the many flows of real portfolios a coarse scan finds the root and a bound proves it the only one; where that
fails, a fine scan looks for the others.
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
_COARSE = 65
_FINE = 2049
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
            roots = _zeros_between(times, flows, np.array([-reach, reach]))
            if roots:
                return roots
        return []
    if times.size <= _EXACT_TERMS:
        return _roots_by_derivatives(times, flows, limit)
    roots = _zeros_between(times, flows, np.linspace(-limit, limit, _COARSE))
    if len(roots) == 1 and _is_only_root(times, flows, roots[0]):
        return roots
    return _zeros_between(times, flows, np.linspace(-limit, limit, _FINE))


def _is_only_root(times: Floats, flows: Floats, root: float) -> bool:
    """Whether no zero can lie on either side of one that was found.

    Beyond any x0 there are at most as many zeros as the partial sums of a exp(-t x0) change sign, before
    it as many as those summed from the end do (Laguerre 1883).
    """
    step = 1e-7 * max(1.0, abs(root))
    above = np.cumsum(flows * np.exp(-times * (root + step)))
    below = np.cumsum((flows * np.exp(-times * (root - step)))[::-1])
    return _sign_changes(above[above != 0]) == 0 and _sign_changes(below[below != 0]) == 0


def _roots_by_derivatives(times: Floats, flows: Floats, limit: float) -> list[float]:
    """All zeros, by isolating them between the zeros of the derivative, which has one term less."""
    if times.size < 2:
        return []
    shifted = times - times[0]
    turning = _roots_by_derivatives(shifted[1:], -shifted[1:] * flows[1:], limit)
    return _zeros_between(shifted, flows, np.array([-limit, *turning, limit]))


def _zeros_between(times: Floats, flows: Floats, points: Floats) -> list[float]:
    """One zero for each pair of neighbouring points with opposite signs, and points that are zeros."""
    signs = np.concatenate([_signs(times, flows, part) for part in np.array_split(points, _chunks(points))])
    zeros = [float(point) for point in points[signs == 0]]
    zeros.extend(
        _bracketed(times, flows, float(points[index]), float(points[index + 1]))
        for index in np.flatnonzero(signs[:-1] * signs[1:] < 0).tolist()
    )
    return sorted(zeros)


def _chunks(points: Floats) -> int:
    return 1 + points.size // 128


def _signs(times: Floats, flows: Floats, points: Floats) -> Floats:
    """Signs of the sum at some points; scaled by each point's largest factor, so nothing overflows."""
    exponents = np.outer(points, -times)
    terms = flows * np.exp(exponents - np.max(exponents, axis=1, keepdims=True))
    totals = np.sum(terms, axis=1)
    return np.where(np.abs(totals) <= 1e-16 * np.sum(np.abs(terms), axis=1), 0.0, np.sign(totals))


def _bracketed(times: Floats, flows: Floats, low: float, high: float) -> float:
    """Bisection with Newton steps kept inside the bracket, to the last representable digit."""
    is_rising = _signs(times, flows, np.array([high]))[0] > 0
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
