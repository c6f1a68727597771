"""Falls of compounded wealth below its running peak; the initial capital is the first peak."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from agio.analytics.model.metric import NO_OBSERVATIONS, Outcome
from agio.kernel.time import format_micros

Floats = NDArray[np.float64]

_ROUNDING = 8 * float(np.finfo(np.float64).eps)


class Drawdown(msgspec.Struct, frozen=True):
    """One fall from a peak; positions count boundaries, 0 being the initial capital."""

    start: int
    """The peak."""
    trough: int
    recovery: int | None
    """The first boundary at or above the peak again; None while the drawdown is open."""
    depth: float
    """Negative."""


class DrawdownRow(msgspec.Struct, frozen=True):
    """One drawdown as it is shown: instants of peak, trough and recovery."""

    start: str
    trough: str
    recovery: str | None
    depth: float
    periods_to_trough: int
    periods_to_recovery: int | None


def wealth_index(returns: Floats) -> Floats:
    """Wealth at each boundary, beginning with 1."""
    return np.concatenate(([1.0], np.cumprod(1.0 + returns)))


def drawdown_series(wealth: Floats) -> Floats:
    """Distance from the running peak, 0 or negative; differences of rounding size are none."""
    peaks = np.maximum.accumulate(wealth)
    series = wealth / peaks - 1.0
    series[series > -_ROUNDING] = 0.0
    return series


def max_drawdown(wealth: Floats) -> Outcome:
    """The deepest fall, 0 when there was none; never below -1 unless wealth went below zero."""
    if wealth.size < 2:
        return NO_OBSERVATIONS
    return float(np.min(drawdown_series(wealth)))


def find_drawdowns(wealth: Floats, limit: int) -> list[Drawdown]:
    """The `limit` deepest drawdowns, deepest first, the earlier one on a tie."""
    series = drawdown_series(wealth)
    is_below = (series < 0).astype(np.int8)
    edges = np.flatnonzero(np.diff(is_below, prepend=np.int8(0), append=np.int8(0)))
    found = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        trough = first + int(np.argmin(series[first:end]))
        recovery = end if end < wealth.size else None
        found.append(Drawdown(first - 1, trough, recovery, float(series[trough])))
    found.sort(key=lambda drawdown: (drawdown.depth, drawdown.start))
    return found[:limit]


def drawdown_rows(
    drawdowns: Sequence[Drawdown], boundaries: NDArray[np.int64], positions: NDArray[np.int64]
) -> list[DrawdownRow]:
    """Name the instants of drawdowns; `positions[i]` is the boundary that wealth point i stands at."""

    def instant(point: int) -> str:
        return format_micros(int(boundaries[positions[point]]))

    def periods(first: int, last: int) -> int:
        return int(positions[last] - positions[first])

    return [
        DrawdownRow(
            start=instant(fall.start),
            trough=instant(fall.trough),
            recovery=None if fall.recovery is None else instant(fall.recovery),
            depth=fall.depth,
            periods_to_trough=periods(fall.start, fall.trough),
            periods_to_recovery=None if fall.recovery is None else periods(fall.start, fall.recovery),
        )
        for fall in drawdowns
    ]
