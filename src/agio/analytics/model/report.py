"""The answer to an analytics request, composed from a valued series and the holdings at its end."""

from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from agio.analytics.model import drawdowns as falls
from agio.analytics.model import exposure, returns, risk, tail
from agio.analytics.model.blocks import (
    Blocks,
    CurrencyWeight,
    ExposureBlock,
    Holding,
    HoldingWeight,
    Maybe,
    ReturnsBlock,
    RiskBlock,
    TailBlock,
    TailMetric,
)
from agio.analytics.model.metric import (
    NO_OBSERVATIONS,
    Input,
    Null,
    Outcome,
    reason_of,
    value_of,
)
from agio.analytics.model.query import AnalyticsQuery
from agio.analytics.model.registry import METRICS, TABLES, Term, make_metric
from agio.analytics.model.valuation import PERIODS_PER_YEAR, Floats, Series
from agio.analytics.model.xirr import MoneyWeighted, xirr
from agio.kernel.time import from_micros


class Composer:
    """Computes the blocks that a query asks for from one series."""

    def __init__(self, series: Series, query: AnalyticsQuery, currency: str) -> None:
        self._series = series
        self._query = query
        self._currency = currency
        self.observed = returns.observed(series.returns)
        self.periods_per_year = query.periods_per_year or PERIODS_PER_YEAR[query.frequency]
        self._gross_fees = series.fees if query.fees == "gross" else None
        self._rf = risk.per_period(query.rf, self.periods_per_year)
        self._mar = risk.per_period(query.mar, self.periods_per_year)
        self._terms: dict[str, Term] = {
            "frequency": query.frequency,
            "timing": _TIMINGS[query.flow_timing],
            "fees": query.fees,
            "rf": query.rf,
            "mar": query.mar,
            "periods_per_year": f"{self.periods_per_year:g}",
            "annualisation": "365.25 / calendar days"
            if query.periods_per_year is None
            else f"{self.periods_per_year:g} / n periods",
        }

    def compose(self, holdings: Sequence[Holding], cash: float) -> Blocks:
        """All blocks; what `metrics` leaves out is absent."""
        annualised = self._annualised()
        wealth = falls.wealth_index(self.observed)
        return Blocks(
            returns=self._returns(annualised),
            risk=self._risk(annualised, falls.max_drawdown(wealth)),
            drawdowns=self._drawdowns(wealth),
            tail=self._tail(),
            exposure=self._exposure(holdings, cash),
        )

    def _wants(self, name: str) -> bool:
        wanted = self._query.metrics
        if wanted is None or name in wanted:
            return True
        return (METRICS[name].block if name in METRICS else TABLES.get(name, name)) in wanted

    def _metric(
        self, name: str, outcome: Outcome, inputs: dict[str, Input] | None = None, n: int | None = None
    ) -> Maybe:
        if not self._wants(name):
            return UNSET
        return make_metric(
            name,
            outcome,
            self.observed.size if n is None else n,
            self._terms,
            (inputs or {}) if self._query.explain else None,
        )

    def _annualised(self) -> Outcome:
        if self._query.periods_per_year is None or self._series.days < returns.MINIMUM_DAYS:
            return returns.annualised_return(self.observed, self._series.days)
        return returns.annualised_over(self.observed, self.periods_per_year / max(1, self.observed.size))

    def _returns(self, annualised: Outcome) -> ReturnsBlock:
        series = self._series
        money = self._money_weighted()
        period = money.outcome
        if not isinstance(period, Null):
            period = float(np.expm1(np.log1p(period) * series.days / 365.0))
        dietz = returns.modified_dietz(
            series.values, series.inflows, series.outflows, self._query.flow_timing, self._gross_fees
        )
        flows: dict[str, Input] = {"dates": self._flow_dates, "flows": self._flow_amounts}
        linked: dict[str, Input] = {"returns": SERIES, "days": series.days}
        return ReturnsBlock(
            twr=self._metric("twr", returns.total_return(self.observed), linked),
            twr_annualised=self._metric("twr_annualised", annualised, linked),
            xirr=self._metric(
                "xirr", money.outcome, {**flows, "roots": list(money.roots)}, len(self._flow_dates)
            ),
            xirr_period=self._metric(
                "xirr_period", period, {"xirr": value_of(money.outcome), "days": series.days}
            ),
            modified_dietz=self._metric("modified_dietz", dietz, self._dietz_inputs(), series.inflows.size),
            monthly=self._monthly() if self._wants("monthly") else UNSET,
        )

    def _money_weighted(self) -> MoneyWeighted:
        """Opening value and inflows are paid, outflows and closing value are received."""
        series = self._series
        self._flow_dates: list[str] = []
        self._flow_amounts: list[float] = []
        if series.boundaries.size < 2:
            return MoneyWeighted(NO_OBSERVATIONS)
        if not (np.isfinite(series.values[0]) and np.isfinite(series.values[-1])):
            return MoneyWeighted(Null("no_price"))
        paid = series.outflows - series.inflows
        if self._gross_fees is not None:
            paid = paid + self._gross_fees
        flowing = np.flatnonzero(paid)
        instants = series.boundaries[[0, *flowing, -1]].tolist()
        dates = [from_micros(instant).date() for instant in instants]
        amounts = [-series.values[0], *paid[flowing], series.values[-1]]
        self._flow_dates = [day.isoformat() for day in dates]
        self._flow_amounts = [float(amount) for amount in amounts]
        return xirr(dates, self._flow_amounts)

    def _dietz_inputs(self) -> dict[str, Input]:
        series = self._series
        if not series.inflows.size:
            return {}
        return {
            "opening_value": float(series.values[0]) if np.isfinite(series.values[0]) else None,
            "closing_value": float(series.values[-1]) if np.isfinite(series.values[-1]) else None,
            "inflows": "/basis/series/inflows",
            "outflows": "/basis/series/outflows",
            "fees": "/basis/series/fees" if self._gross_fees is not None else None,
            "flow_timing": self._query.flow_timing,
        }

    def _monthly(self) -> list[returns.MonthReturn]:
        return returns.monthly_table(self._series.boundaries[:-1], self._series.returns)

    def _risk(self, annualised: Outcome, max_drawdown: Outcome) -> RiskBlock:
        sample, factor = self.observed, self.periods_per_year
        if sample.size == 0:
            return RiskBlock(**{name: self._metric(name, NO_OBSERVATIONS) for name in RISK_METRICS})
        moments = risk.moments_of(sample)
        inputs: dict[str, Input] = {"returns": SERIES, "periods_per_year": factor}
        rf: dict[str, Input] = {**inputs, "rf": self._query.rf, "rf_per_period": self._rf}
        mar: dict[str, Input] = {**inputs, "mar": self._query.mar, "mar_per_period": self._mar}
        shape: dict[str, Input] = {"mean": moments.mean, "m2": moments.m2, "m3": moments.m3, "m4": moments.m4}
        return RiskBlock(
            mean_return=self._metric("mean_return", risk.mean_return(moments, factor), inputs),
            volatility=self._metric("volatility", risk.volatility(moments, factor), inputs),
            downside_deviation=self._metric(
                "downside_deviation", risk.downside_deviation(sample, self._mar, factor), mar
            ),
            sharpe=self._metric("sharpe", risk.sharpe(moments, self._rf, factor), rf),
            sortino=self._metric("sortino", risk.sortino(sample, self._mar, factor), mar),
            max_drawdown=self._metric("max_drawdown", max_drawdown, inputs),
            calmar=self._metric(
                "calmar",
                risk.calmar(annualised, max_drawdown),
                {"twr_annualised": value_of(annualised), "max_drawdown": value_of(max_drawdown)},
            ),
            skewness=self._metric("skewness", risk.skewness(moments), shape),
            excess_kurtosis=self._metric("excess_kurtosis", risk.excess_kurtosis(moments), shape),
            best_period=self._metric("best_period", float(np.max(sample)), inputs),
            worst_period=self._metric("worst_period", float(np.min(sample)), inputs),
            positive_share=self._metric("positive_share", float(np.mean(sample > 0)), inputs),
        )

    def _drawdowns(self, wealth: Floats) -> list[falls.DrawdownRow]:
        if not self._wants("drawdowns"):
            return []
        found = falls.find_drawdowns(wealth, self._query.drawdowns)
        ends = np.flatnonzero(np.isfinite(self._series.returns)) + 1
        positions = np.concatenate((ends[:1] - 1, ends))
        return falls.drawdown_rows(found, self._series.boundaries, positions)

    def _tail(self) -> list[TailBlock]:
        if not (self._wants("var") or self._wants("cvar")):
            return []
        return [self._tail_block(request) for request in self._query.tails]

    def _tail_block(self, request: tail.TailRequest) -> TailBlock:
        estimate = tail.estimate_tail(self.observed, request)
        terms: dict[str, Term] = {
            **self._terms,
            "method": request.method,
            "confidence": request.confidence,
            "horizon": request.horizon,
            "scaling": _SCALINGS[request.method],
        }
        inputs: dict[str, Input] | None = None
        if self._query.explain:
            inputs = {"returns": SERIES}

        def loss(name: str, outcome: Outcome) -> TailMetric | UnsetType:
            if not self._wants(name):
                return UNSET
            metric = make_metric(name, outcome, estimate.n, terms, inputs)
            value = None if metric.value is None else -metric.value
            return TailMetric(**{**msgspec.structs.asdict(metric), "value": value}, return_=value_of(outcome))

        return TailBlock(
            method=request.method,
            confidence=request.confidence,
            horizon=request.horizon,
            var=loss("var", estimate.quantile),
            cvar=loss("cvar", estimate.shortfall),
            warnings=estimate.warnings,
        )

    def _exposure(self, holdings: Sequence[Holding], cash: float) -> ExposureBlock:
        values = [holding.market_value for holding in holdings]
        known = [value for value in values if value is not None]
        is_priced = len(known) == len(values)
        equity = cash + sum(known)
        n = len(holdings)
        inputs: dict[str, Input] = {"market_values": known, "cash": cash, "equity": equity}

        def metric(name: str, outcome: Outcome) -> Maybe:
            return self._metric(name, outcome if is_priced else Null("no_price"), inputs, n)

        hhi = exposure.concentration(known)
        return ExposureBlock(
            cash_share=metric("cash_share", exposure.weight(cash, equity)),
            gross=metric("gross", exposure.gross(known, equity)),
            net=metric("net", exposure.net(known, equity)),
            hhi=metric("hhi", hhi),
            effective_positions=metric("effective_positions", hhi if isinstance(hhi, Null) else 1.0 / hhi),
            top_5=metric("top_5", exposure.top_share(known, exposure.TOP_N)),
            positions=self._weights(holdings, equity, is_priced) if self._wants("positions") else UNSET,
            currencies=self._currencies(equity, is_priced) if self._wants("exposure") else UNSET,
        )

    def _weights(self, holdings: Sequence[Holding], equity: float, is_priced: bool) -> list[HoldingWeight]:
        rows = []
        for holding in holdings:
            outcome: Outcome = Null("no_price")
            if is_priced and holding.market_value is not None:
                outcome = exposure.weight(holding.market_value, equity)
            inputs: dict[str, Input] = {"market_value": holding.market_value, "equity": equity}
            explained = inputs if self._query.explain else None
            weight = make_metric("weight", outcome, 1, self._terms, explained)
            rows.append(HoldingWeight(symbol=holding.symbol, asset=holding.asset, weight=weight))
        return rows

    def _currencies(self, equity: float, is_priced: bool) -> list[CurrencyWeight]:
        """Every instrument of a portfolio is quoted in its base currency, so that one carries everything."""
        share = exposure.weight(equity, equity) if is_priced else Null("no_price")
        return [CurrencyWeight(self._currency, value_of(share), reason_of(share))]


SERIES = "/basis/series/returns"
"""Where the returns stand in the answer itself (JSON pointer); nulls there are not observations."""

RISK_METRICS = tuple(RiskBlock.__struct_fields__)

_TIMINGS = {
    "split": "inflows at the start and outflows at the end of their period",
    "start": "flows at the start of their period",
    "end": "flows at the end of their period",
    "middle": "flows half-way through their period",
}
_SCALINGS = {
    "historical": "overlapping compounded windows",
    "parametric": "mean x horizon, deviation x sqrt(horizon), population moments",
    "cornish_fisher": "mean x horizon, deviation x sqrt(horizon), S / sqrt(horizon), K / horizon,"
    " population moments",
}
