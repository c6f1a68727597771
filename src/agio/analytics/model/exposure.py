"""What the equity consists of at one instant: weights, concentration, gross and net."""

from collections.abc import Sequence

import numpy as np

from agio.analytics.model.metric import Null, Outcome, screen

TOP_N = 5


def weight(market_value: float, equity: float) -> Outcome:
    """Share of the equity; negative for a short position."""
    return screen(market_value / equity) if equity > 0 else Null("no_equity")


def gross(market_values: Sequence[float], equity: float) -> Outcome:
    """Sum of absolute market values over equity."""
    return weight(float(np.sum(np.abs(market_values))), equity)


def net(market_values: Sequence[float], equity: float) -> Outcome:
    """Sum of market values over equity."""
    return weight(float(np.sum(market_values)), equity)


def concentration(market_values: Sequence[float]) -> Outcome:
    """Herfindahl-Hirschman index of the positions' shares of gross exposure, cash left out: 1/n to 1."""
    shares = _gross_shares(market_values)
    return Null("no_positions") if shares is None else float(np.sum(shares * shares))


def top_share(market_values: Sequence[float], count: int) -> Outcome:
    """Share of gross exposure in the `count` largest positions."""
    shares = _gross_shares(market_values)
    return Null("no_positions") if shares is None else float(np.sum(np.sort(shares)[::-1][:count]))


def _gross_shares(market_values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    absolute = np.abs(np.asarray(market_values, dtype=np.float64))
    total = float(np.sum(absolute))
    return absolute / total if total > 0 else None
