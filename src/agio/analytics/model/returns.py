"""Returns from values and flows: time-weighted chain, annualisation, Modified Dietz, monthly table."""

from itertools import pairwise
from typing import Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from agio.analytics.model.metric import (
    NO_OBSERVATIONS,
    TOTAL_LOSS,
    Null,
    Outcome,
    reason_of,
    screen,
    value_of,
)

Floats = NDArray[np.float64]
FlowTiming = Literal["split", "start", "end", "middle"]
FLOW_TIMINGS: tuple[FlowTiming, ...] = get_args(FlowTiming)

DAYS_PER_YEAR = 365.25
MINIMUM_DAYS = 365


def period_returns(
    values: Floats,
    inflows: Floats,
    outflows: Floats,
    timing: FlowTiming = "split",
    fees: Floats | None = None,
) -> Floats:
    """Simple return of each period, NaN where no capital was at work.

    `values` are the n + 1 valuations at the boundaries, `inflows` and `outflows` the n non-negative sums
    of external flows between them. `split` counts inflows at the start and outflows at the end of their
    period, `start` and `end` both, `middle` half-way (Modified Dietz within the period). `fees` paid in a
    period, when given, are added back to its closing value: the return gross of fees.
    """
    before, after = values[:-1], values[1:] if fees is None else values[1:] + fees
    net = inflows - outflows
    match timing:
        case "split":
            base, gain = before + inflows, after + outflows - before - inflows
        case "start":
            base, gain = before + net, after - before - net
        case "end":
            base, gain = before, after - net - before
        case "middle":
            base, gain = before + 0.5 * net, after - before - net
    result = np.full(base.shape, np.nan)
    np.divide(gain, base, out=result, where=base > 0)
    return result


def observed(returns: Floats) -> Floats:
    """The returns that exist."""
    return returns[np.isfinite(returns)]


def total_return(returns: Floats) -> Outcome:
    """Geometric link of the returns (GIPS: time-weighted)."""
    if returns.size == 0:
        return NO_OBSERVATIONS
    return screen(float(np.prod(1.0 + returns) - 1.0))


def annualised_return(returns: Floats, days: float) -> Outcome:
    """wealth^(365.25/days) - 1 over calendar days; below 365 days there is none (GIPS)."""
    if returns.size == 0:
        return NO_OBSERVATIONS
    if days < MINIMUM_DAYS:
        return Null("shorter_than_365_days")
    return annualised_over(returns, DAYS_PER_YEAR / days)


def annualised_over(returns: Floats, exponent: float) -> Outcome:
    """wealth^exponent - 1, whatever the exponent counts (years, or periods: factor/n)."""
    if returns.size == 0:
        return NO_OBSERVATIONS
    wealth = float(np.prod(1.0 + returns))
    if wealth <= 0:
        return TOTAL_LOSS
    return screen(float(np.expm1(exponent * np.log(wealth))))


def flow_weights(periods: int, timing: FlowTiming) -> tuple[Floats, Floats]:
    """The share of the window that an inflow and an outflow of each period are invested for."""
    elapsed = np.arange(periods, dtype=np.float64)
    start, end = (periods - elapsed) / periods, (periods - elapsed - 1.0) / periods
    match timing:
        case "split":
            return start, end
        case "start":
            return start, start
        case "end":
            return end, end
        case "middle":
            return 0.5 * (start + end), 0.5 * (start + end)


def modified_dietz(
    values: Floats,
    inflows: Floats,
    outflows: Floats,
    timing: FlowTiming = "split",
    fees: Floats | None = None,
) -> Outcome:
    """Gain over average capital of the whole window, flows weighted by the time they were invested."""
    if inflows.size == 0:
        return NO_OBSERVATIONS
    weight_in, weight_out = flow_weights(inflows.size, timing)
    gain = values[-1] - values[0] - np.sum(inflows) + np.sum(outflows)
    if fees is not None:
        gain = gain + np.sum(fees)
    capital = values[0] + np.sum(weight_in * inflows) - np.sum(weight_out * outflows)
    if capital <= 0:
        return Null("no_capital")
    return screen(float(gain / capital))


class MonthReturn(msgspec.Struct, frozen=True):
    """The linked return of one calendar month, UTC."""

    month: str
    value: float | None
    n: int
    missing: int
    null_reason: str | None = None


def monthly_table(starts: NDArray[np.int64], returns: Floats) -> list[MonthReturn]:
    """Returns linked per calendar month (UTC) of their period's start, microseconds since 1970.

    Months without any period are left out.
    """
    if returns.size == 0:
        return []
    months = starts.astype("datetime64[us]").astype("datetime64[M]")
    firsts = [0, *(np.flatnonzero(months[1:] != months[:-1]) + 1).tolist(), returns.size]
    rows: list[MonthReturn] = []
    for begin, end in pairwise(firsts):
        part = observed(returns[begin:end])
        linked = total_return(part)
        rows.append(
            MonthReturn(
                month=str(months[begin]),
                value=value_of(linked),
                n=part.size,
                missing=end - begin - part.size,
                null_reason=reason_of(linked),
            )
        )
    return rows
