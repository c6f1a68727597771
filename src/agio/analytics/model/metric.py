"""What every number is delivered as: value, unit, convention, sample size, reason of a null."""

import math
from collections.abc import Mapping, Sequence

import msgspec

Input = float | str | Sequence[float | str] | None


class Null(msgspec.Struct, frozen=True):
    """The number does not exist for these inputs; `reason` is a stable code such as `zero_dispersion`."""

    reason: str


Outcome = float | Null

NO_OBSERVATIONS = Null("no_observations")
FEWER_THAN_TWO = Null("fewer_than_two_observations")
ZERO_DISPERSION = Null("zero_dispersion")
TOTAL_LOSS = Null("total_loss")
NOT_FINITE = Null("not_finite")

NULL_REASONS: Mapping[str, str] = {
    "no_observations": "No period of the window has a return.",
    "fewer_than_two_observations": "A dispersion needs at least two returns.",
    "zero_dispersion": "All returns are equal, so a ratio to their dispersion does not exist.",
    "no_downside": "No return lies below the minimum acceptable return.",
    "no_drawdown": "The wealth never fell below an earlier peak.",
    "shorter_than_365_days": "Periods below one year are not annualised.",
    "total_loss": "The wealth reached zero or less: no geometric rate leads there.",
    "multiple_roots": "More than one rate makes the present value zero; `explain` lists them.",
    "none": "No rate makes the present value of these flows zero.",
    "single_date": "All flows fall on one date: there is no time for a rate to act.",
    "no_capital": "The average capital of the window is not positive.",
    "no_equity": "The portfolio's equity is not positive.",
    "no_positions": "The portfolio holds nothing but cash.",
    "no_price": "A held asset has no price yet.",
    "horizon_too_long": "The horizon is longer than the sample.",
    "not_finite": "The number is beyond what can be represented.",
}
"""Every code that `null_reason` can carry."""


class Explanation(msgspec.Struct, frozen=True):
    """How a value came about, enough to recompute it."""

    formula: str
    source: str
    inputs: Mapping[str, Input]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One number. `value` is never NaN or infinite; a null says why in `null_reason`."""

    value: float | None
    unit: str
    convention: str
    n: int
    """How many observations went into it."""
    null_reason: str | None = None
    explain: Explanation | msgspec.UnsetType = msgspec.UNSET


def screen(outcome: Outcome) -> Outcome:
    """Let only finite numbers pass."""
    if isinstance(outcome, Null) or math.isfinite(outcome):
        return outcome
    return NOT_FINITE


def value_of(outcome: Outcome) -> float | None:
    return None if isinstance(outcome, Null) else float(outcome)


def reason_of(outcome: Outcome) -> str | None:
    return outcome.reason if isinstance(outcome, Null) else None
