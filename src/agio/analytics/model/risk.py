"""Risk of a series of simple returns. Sample (n - 1) dispersion, arithmetic ratios, population shape."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from agio.analytics.model.metric import (
    FEWER_THAN_TWO,
    NO_OBSERVATIONS,
    ZERO_DISPERSION,
    Null,
    Outcome,
    screen,
)

Floats = NDArray[np.float64]

_ROUNDING = 8 * float(np.finfo(np.float64).eps)


class Moments(msgspec.Struct, frozen=True):
    """Mean and central population moments, computed about the mean (never from raw power sums)."""

    n: int
    mean: float
    m2: float
    m3: float
    m4: float
    is_constant: bool
    """True when the spread is no more than what rounding of equal returns leaves behind."""

    @property
    def sample_deviation(self) -> float:
        """ddof 1; only for n >= 2."""
        return math.sqrt(self.m2 * self.n / (self.n - 1))

    @property
    def population_deviation(self) -> float:
        return math.sqrt(self.m2)


def moments_of(returns: Floats) -> Moments:
    """Moments of at least one finite return."""
    mean = float(np.mean(returns))
    deviations = returns - mean
    squares = deviations * deviations
    m2 = float(np.mean(squares))
    return Moments(
        n=returns.size,
        mean=mean,
        m2=m2,
        m3=float(np.mean(squares * deviations)),
        m4=float(np.mean(squares * squares)),
        is_constant=math.sqrt(m2) <= _ROUNDING * (1.0 + float(np.max(np.abs(returns)))),
    )


def per_period(annual_rate: float, periods_per_year: float) -> float:
    """The rate of one period that compounds to the annual rate."""
    return math.expm1(math.log1p(annual_rate) / periods_per_year)


def volatility(moments: Moments, periods_per_year: float) -> Outcome:
    """Sample standard deviation x sqrt(periods per year)."""
    if moments.n < 2:
        return FEWER_THAN_TWO
    return 0.0 if moments.is_constant else moments.sample_deviation * math.sqrt(periods_per_year)


def mean_return(moments: Moments, periods_per_year: float) -> Outcome:
    """Arithmetic mean x periods per year."""
    return moments.mean * periods_per_year


def sharpe(moments: Moments, rf: float, periods_per_year: float) -> Outcome:
    """Mean excess over sample deviation of excess, annualised (Sharpe 1994). `rf` is per period."""
    if moments.n < 2:
        return FEWER_THAN_TWO
    if moments.is_constant:
        return ZERO_DISPERSION
    return screen((moments.mean - rf) / moments.sample_deviation * math.sqrt(periods_per_year))


def downside_per_period(returns: Floats, mar: float) -> float:
    """Root of the mean squared shortfall below `mar` (per period), over all n observations."""
    shortfall = np.minimum(returns - mar, 0.0)
    return math.sqrt(float(np.mean(shortfall * shortfall)))


def downside_deviation(returns: Floats, mar: float, periods_per_year: float) -> Outcome:
    """Downside deviation x sqrt(periods per year)."""
    if returns.size == 0:
        return NO_OBSERVATIONS
    return downside_per_period(returns, mar) * math.sqrt(periods_per_year)


def sortino(returns: Floats, mar: float, periods_per_year: float) -> Outcome:
    """Mean over the minimum acceptable return by downside deviation, annualised."""
    if returns.size < 2:
        return FEWER_THAN_TWO
    downside = downside_per_period(returns, mar)
    if downside <= _ROUNDING:
        return Null("no_downside")
    return screen((float(np.mean(returns)) - mar) / downside * math.sqrt(periods_per_year))


def skewness(moments: Moments) -> Outcome:
    """Third standardised population moment."""
    if moments.n < 2:
        return FEWER_THAN_TWO
    return ZERO_DISPERSION if moments.is_constant else screen(moments.m3 / moments.m2**1.5)


def excess_kurtosis(moments: Moments) -> Outcome:
    """Fourth standardised population moment minus 3."""
    if moments.n < 2:
        return FEWER_THAN_TWO
    return ZERO_DISPERSION if moments.is_constant else screen(moments.m4 / moments.m2**2 - 3.0)


def calmar(annual_return: Outcome, max_drawdown: Outcome) -> Outcome:
    """Annualised return over the depth of the worst drawdown."""
    if isinstance(annual_return, Null):
        return annual_return
    if isinstance(max_drawdown, Null):
        return max_drawdown
    if max_drawdown == 0:
        return Null("no_drawdown")
    return screen(annual_return / -max_drawdown)
