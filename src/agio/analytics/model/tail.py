"""Value at risk and expected shortfall: positive losses beside the negative returns they stand for."""

import math
from statistics import NormalDist
from typing import Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from agio.analytics.model.metric import FEWER_THAN_TWO, ZERO_DISPERSION, Null, Outcome, screen
from agio.analytics.model.risk import Moments, moments_of

Floats = NDArray[np.float64]
TailMethod = Literal["historical", "parametric", "cornish_fisher"]
TAIL_METHODS: tuple[TailMethod, ...] = get_args(TailMethod)

_NORMAL = NormalDist()


class TailRequest(msgspec.Struct, frozen=True):
    """Which estimate is wanted; the horizon counts periods of the return series."""

    method: TailMethod
    confidence: float = 0.95
    horizon: int = 1


class TailEstimate(msgspec.Struct, frozen=True):
    """Returns at the quantile and on average beyond it; losses are their negatives."""

    quantile: Outcome
    shortfall: Outcome
    n: int
    warnings: tuple[str, ...] = ()


def estimate_tail(returns: Floats, request: TailRequest) -> TailEstimate:
    """Estimate the tail of the returns over the horizon, by the method asked for."""
    if returns.size < 2:
        return TailEstimate(FEWER_THAN_TWO, FEWER_THAN_TWO, returns.size)
    if request.method == "historical":
        return _historical(returns, 1.0 - request.confidence, request.horizon)
    moments = moments_of(returns)
    if moments.is_constant:
        return TailEstimate(ZERO_DISPERSION, ZERO_DISPERSION, moments.n)
    if request.method == "parametric":
        return _parametric(moments, 1.0 - request.confidence, request.horizon)
    return _cornish_fisher(moments, 1.0 - request.confidence, request.horizon)


def compound_overlapping(returns: Floats, horizon: int) -> Floats:
    """Compounded returns of all windows of `horizon` periods."""
    if horizon == 1:
        return returns
    windows = np.lib.stride_tricks.sliding_window_view(1.0 + returns, horizon)
    return np.asarray(np.prod(windows, axis=1) - 1.0)


def _historical(returns: Floats, probability: float, horizon: int) -> TailEstimate:
    """Linear type 7 quantile (Hyndman and Fan 1996) and the mean of what lies at or below it."""
    if horizon > returns.size - 1:
        too_long = Null("horizon_too_long")
        return TailEstimate(too_long, too_long, returns.size)
    sample = compound_overlapping(returns, horizon)
    quantile = float(np.quantile(sample, probability, method="linear"))
    warnings = []
    if sample.size * probability < 1.0:
        warnings.append(f"fewer than one of {sample.size} observations lies beyond the quantile")
    if horizon > 1:
        warnings.append("windows overlap, so the observations are not independent")
    shortfall = float(np.mean(sample[sample <= quantile]))
    return TailEstimate(screen(quantile), screen(shortfall), sample.size, tuple(warnings))


def _parametric(moments: Moments, probability: float, horizon: int) -> TailEstimate:
    """Normal returns with the sample's population moments, scaled to the horizon."""
    mean, deviation = moments.mean * horizon, moments.population_deviation * math.sqrt(horizon)
    z = _NORMAL.inv_cdf(probability)
    density = _NORMAL.pdf(z) / probability
    return TailEstimate(screen(mean + z * deviation), screen(mean - density * deviation), moments.n)


def _cornish_fisher(moments: Moments, probability: float, horizon: int) -> TailEstimate:
    """Normal quantile corrected for skewness S and excess kurtosis K (Cornish and Fisher 1937).

    The shortfall integrates the corrected quantile in closed form (Maillard 2012). Over a horizon of
    independent periods S shrinks with its root, K with the horizon itself.
    """
    mean, deviation = moments.mean * horizon, moments.population_deviation * math.sqrt(horizon)
    s = moments.m3 / moments.m2**1.5 / math.sqrt(horizon)
    k = (moments.m4 / moments.m2**2 - 3.0) / horizon
    z = _NORMAL.inv_cdf(probability)
    corrected = z + (z * z - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s * s / 36
    factor = 1 + z * s / 6 + (z * z - 1) * k / 24 - (2 * z * z - 1) * s * s / 36
    shortfall = mean - _NORMAL.pdf(z) / probability * factor * deviation
    warnings: tuple[str, ...] = ()
    if not is_in_domain(s, k):
        warning = (
            f"skewness {s:.4g} and excess kurtosis {k:.4g} lie outside the domain"
            " in which the corrected quantile is monotone; prefer the historical estimate"
        )
        warnings = (warning,)
    return TailEstimate(screen(mean + corrected * deviation), screen(shortfall), moments.n, warnings)


def is_in_domain(s: float, k: float) -> bool:
    """Whether the Cornish-Fisher quantile rises with probability everywhere (Maillard 2012).

    Its derivative is a quadratic in z; it must have no real zero.
    """
    square = k / 8 - s * s / 6
    constant = 1 - k / 8 + 5 * s * s / 36
    return s * s / 9 - 4 * square * constant <= 0 and constant > 0
