"""The catalogue of metrics: what each number is, by which convention, after which source."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from agio.analytics.model.exposure import TOP_N
from agio.analytics.model.metric import (
    Explanation,
    Input,
    Metric,
    Outcome,
    reason_of,
    screen,
    value_of,
)

Block = Literal["returns", "risk", "tail", "exposure"]
CONVENTION_SET = "agio-1"
"""Changes whenever a convention below changes, so that stored numbers stay explainable."""

Term = str | float | int


class Definition(msgspec.Struct, frozen=True):
    """One metric. `convention` names its settings in braces; they are filled in each answer."""

    name: str
    block: Block
    unit: str
    formula: str
    convention: str
    source: str


_DEFINITIONS = (
    Definition(
        "twr",
        "returns",
        "ratio",
        "prod(1 + r_i) - 1",
        "time-weighted, {frequency} periods linked geometrically, {timing}, {fees} of fees",
        "GIPS 2020, time-weighted return; Bacon 2008 ch. 2",
    ),
    Definition(
        "twr_annualised",
        "returns",
        "ratio per year",
        "prod(1 + r_i)^(365.25 / days) - 1; with periods_per_year given: prod(1 + r_i)^(f / n) - 1",
        "geometric, {annualisation}; null below 365 days; {fees} of fees",
        "GIPS 2020: no annualising below one year",
    ),
    Definition(
        "xirr",
        "returns",
        "ratio per year",
        "rate with sum(cf_j / (1 + rate)^(days_j / 365)) = 0",
        "money-weighted, ACT/365F by UTC dates, opening and closing value are flows, {fees} of fees;"
        " multiple_roots and none are answers",
        "ISDA 2006 4.16(d); Excel XIRR",
    ),
    Definition(
        "xirr_period",
        "returns",
        "ratio",
        "(1 + xirr)^(days / 365) - 1",
        "the money-weighted rate over the window itself, not annualised, {fees} of fees",
        "GIPS 2020, money-weighted return",
    ),
    Definition(
        "modified_dietz",
        "returns",
        "ratio",
        "(V_n - V_0 - F) / (V_0 + sum(w_j F_j))",
        "one window, flows weighted by the share of the {frequency} periods they were invested, {timing},"
        " {fees} of fees",
        "Dietz 1966; Bacon 2008 ch. 2",
    ),
    Definition(
        "mean_return",
        "risk",
        "ratio per year",
        "mean(r) f",
        "arithmetic mean x {periods_per_year}",
        "Bacon 2008 ch. 4",
    ),
    Definition(
        "volatility",
        "risk",
        "ratio per year",
        "sqrt(sum((r_i - mean(r))^2) / (n - 1)) sqrt(f)",
        "sample standard deviation (n - 1) x sqrt({periods_per_year})",
        "Bacon 2008 ch. 4",
    ),
    Definition(
        "downside_deviation",
        "risk",
        "ratio per year",
        "sqrt(sum(min(r_i - MAR, 0)^2) / n) sqrt(f)",
        "over all n observations below MAR {mar} a year, x sqrt({periods_per_year})",
        "Sortino and van der Meer 1991; Bacon 2008 ch. 4",
    ),
    Definition(
        "sharpe",
        "risk",
        "ratio",
        "mean(r - rf) / sd(r - rf) sqrt(f)",
        "arithmetic mean excess over rf {rf} a year / sample deviation of excess (n - 1),"
        " x sqrt({periods_per_year}); rf per period = (1 + rf)^(1/f) - 1",
        "Sharpe 1994",
    ),
    Definition(
        "sortino",
        "risk",
        "ratio",
        "mean(r - MAR) f / (sqrt(sum(min(r_i - MAR, 0)^2) / n) sqrt(f))",
        "MAR {mar} a year, per period (1 + MAR)^(1/f) - 1, x sqrt({periods_per_year})",
        "Sortino and Price 1994",
    ),
    Definition(
        "max_drawdown",
        "risk",
        "ratio",
        "min over t of W_t / max(W_0 .. W_t) - 1, W_0 = 1",
        "compounded; the initial capital counts as a peak; negative",
        "Bacon 2008 ch. 4",
    ),
    Definition(
        "calmar",
        "risk",
        "ratio",
        "twr_annualised / -max_drawdown",
        "annualised geometric return over the whole window ({annualisation}); null below 365 days",
        "Young 1991",
    ),
    Definition(
        "skewness",
        "risk",
        "number",
        "m_3 / m_2^1.5, m_k = sum((r_i - mean(r))^k) / n",
        "population moments",
        "Bacon 2008 ch. 4",
    ),
    Definition(
        "excess_kurtosis",
        "risk",
        "number",
        "m_4 / m_2^2 - 3, m_k = sum((r_i - mean(r))^k) / n",
        "population moments, the normal distribution is 0",
        "Bacon 2008 ch. 4",
    ),
    Definition("best_period", "risk", "ratio", "max(r_i)", "one {frequency} period", "definition"),
    Definition("worst_period", "risk", "ratio", "min(r_i)", "one {frequency} period", "definition"),
    Definition(
        "positive_share", "risk", "ratio", "count(r_i > 0) / n", "zero returns are not positive", "definition"
    ),
    Definition(
        "var",
        "tail",
        "ratio",
        "-q; historical: q = type 7 quantile of compounded returns; parametric: q = m + z s;"
        " cornish_fisher: z replaced by z + (z^2 - 1)S/6 + (z^3 - 3z)K/24 - (2z^3 - 5z)S^2/36",
        "positive loss, {method}, confidence {confidence}, horizon {horizon} {frequency} periods; {scaling}",
        "Hyndman and Fan 1996; Cornish and Fisher 1937; Maillard 2012",
    ),
    Definition(
        "cvar",
        "tail",
        "ratio",
        "-mean of what lies at or below q; parametric: -(m - s phi(z)/(1 - c)); cornish_fisher:"
        " -(m - s phi(z)/(1 - c) (1 + zS/6 + (z^2 - 1)K/24 - (2z^2 - 1)S^2/36))",
        "positive loss, {method}, confidence {confidence}, horizon {horizon} {frequency} periods; {scaling}",
        "Rockafellar and Uryasev 2000; Maillard 2012",
    ),
    Definition("weight", "exposure", "ratio", "MV_i / equity", "share of equity", "Bacon 2008 ch. 2"),
    Definition("cash_share", "exposure", "ratio", "cash / equity", "base currency balance", "definition"),
    Definition("gross", "exposure", "ratio", "sum(|MV_i|) / equity", "cash left out", "definition"),
    Definition("net", "exposure", "ratio", "sum(MV_i) / equity", "cash left out", "definition"),
    Definition(
        "hhi",
        "exposure",
        "number",
        "sum((|MV_i| / sum(|MV|))^2)",
        "shares of gross exposure, cash left out: 1/n when equal, 1 for a single position",
        "Herfindahl 1950; Hirschman 1945",
    ),
    Definition(
        "effective_positions",
        "exposure",
        "number",
        "1 / hhi",
        "inverse concentration",
        "Laakso and Taagepera 1979",
    ),
    Definition(
        "top_5",
        "exposure",
        "ratio",
        "sum of the 5 largest |MV_i| / sum(|MV|)",
        f"the {TOP_N} largest positions' share of gross exposure",
        "definition",
    ),
)

METRICS: Mapping[str, Definition] = {definition.name: definition for definition in _DEFINITIONS}
BLOCKS = ("returns", "risk", "drawdowns", "tail", "exposure")
TABLES = {"monthly": "returns", "positions": "exposure"}
"""Parts of blocks that are lists, not metrics, and can be asked for by name all the same."""


def make_metric(
    name: str,
    outcome: Outcome,
    n: int,
    terms: Mapping[str, Term],
    inputs: Mapping[str, Input] | None = None,
) -> Metric:
    """Wrap an outcome as the metric of that name; with `inputs` it explains itself."""
    definition = METRICS[name]
    screened = screen(outcome)
    return Metric(
        value=value_of(screened),
        unit=definition.unit,
        convention=definition.convention.format(**terms),
        n=n,
        null_reason=reason_of(screened),
        explain=msgspec.UNSET
        if inputs is None
        else Explanation(formula=definition.formula, source=definition.source, inputs=dict(inputs)),
    )
