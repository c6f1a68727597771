"""The whole answer, recomputed independently from the raw facts, and its edge cases."""

import datetime as dt
import math

import msgspec
import numpy as np
import pytest
import pyxirr
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.analytics.past import ACME, BTC, DAY_US, START_US, Past, answer, make_book, make_facts

from agio.analytics.errors import WindowTooLong
from agio.analytics.model.query import AnalyticsQuery, parse_query
from agio.analytics.model.registry import BLOCKS, METRICS
from agio.analytics.model.valuation import Mark
from agio.analytics.schemas import AnalyticsView
from agio.kernel.time import to_micros

HOUR_US = DAY_US // 24
TOLERANCE = 1e-12


def eventful_past(days: int, seed: int) -> tuple[Past, dict[str, list[tuple[int, int]]], list[dict]]:  # type: ignore[type-arg]
    """Deposits, withdrawals, trades and prices of many days, and the raw events for the oracle."""
    random = np.random.default_rng(seed)
    past, prices, events = Past(), {"BTC-USD": [], "ACME-USD": []}, []
    held = {"BTC": 0, "ACME": 0}
    level = {"BTC-USD": 4_000_000, "ACME-USD": 15_000}

    def note(at: int, kind: str, **values: object) -> None:
        events.append({"at": at, "kind": kind, **values})

    for day in range(days):
        start = START_US + day * DAY_US
        for symbol, before in level.items():
            level[symbol] = max(100, int(before * (1 + random.normal(0, 0.02))))
            if symbol == "BTC-USD":
                level[symbol] -= level[symbol] % 100  # its tick is 1.00
            prices[symbol].append((start + HOUR_US, level[symbol]))
        if day % 17 == 0:
            amount = int(random.integers(1_000_000, 5_000_000))
            past.transfer(start + 2 * HOUR_US, amount)
            note(start, "flow", amount=amount)
        if day % 5 == 0:
            quantity = int(random.integers(1, 40))
            fee = int(random.integers(0, 300))
            past.trade(start + 3 * HOUR_US, ACME, quantity, level["ACME-USD"], fee)
            held["ACME"] += quantity
            note(start, "trade", asset="ACME", quantity=quantity, price=level["ACME-USD"], fee=fee)
        if day % 7 == 3:
            quantity = int(random.integers(1, 50)) * 10**6
            past.trade(start + 4 * HOUR_US, BTC, quantity, level["BTC-USD"], 25)
            note(start, "trade", asset="BTC", quantity=quantity, price=level["BTC-USD"], fee=25)
        if day % 11 == 10:
            quantity = -(held["ACME"] // 2)
            held["ACME"] += quantity
            past.trade(start + 5 * HOUR_US, ACME, quantity, level["ACME-USD"], 11)
            note(start, "trade", asset="ACME", quantity=quantity, price=level["ACME-USD"], fee=11)
        if day % 29 == 28:
            past.transfer(start + 6 * HOUR_US, -150_000)
            note(start, "flow", amount=-150_000)
    return past, prices, events


def oracle_series(
    days: int, prices: dict[str, list[tuple[int, int]]], events: list[dict]
) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Values and flows by a plain loop over days, in dollars; the last day is a part."""
    cash, held = 0, {"BTC": 0, "ACME": 0}
    values, inflows, outflows, fees = [0.0], [], [], []
    for day in range(days):
        start = START_US + day * DAY_US
        inflow = outflow = fee = 0
        for event in events:
            if event["at"] != start:
                continue
            if event["kind"] == "flow":
                cash += event["amount"]
                inflow += max(event["amount"], 0)
                outflow += max(-event["amount"], 0)
            else:
                scale = 10**8 if event["asset"] == "BTC" else 1
                cash -= event["quantity"] * event["price"] // scale + event["fee"]
                held[event["asset"]] += event["quantity"]
                fee += event["fee"]
        btc, acme = prices["BTC-USD"][day][1], prices["ACME-USD"][day][1]
        values.append(cash / 100 + held["BTC"] * btc / 10**10 + held["ACME"] * acme / 100)
        inflows.append(inflow / 100)
        outflows.append(outflow / 100)
        fees.append(fee / 100)
    return {
        "values": np.array(values),
        "inflows": np.array(inflows),
        "outflows": np.array(outflows),
        "fees": np.array(fees),
    }


def value(view: AnalyticsView, block: str, name: str) -> float:
    metric = getattr(getattr(view, block), name)
    assert metric.value is not None, (name, metric.null_reason)
    return float(metric.value)


DAYS = 420


@pytest.fixture(scope="module", params=["net", "gross"])
def case(request: pytest.FixtureRequest) -> tuple[AnalyticsView, dict[str, np.ndarray], str]:
    fees = request.param
    past, prices, events = eventful_past(DAYS, seed=7)
    query = parse_query([("explain", "true"), ("rf", "0.02"), ("mar", "0.01"), ("fees", fees)])
    facts = make_facts(make_book(past), prices, query, newest_us=START_US + (DAYS - 1) * DAY_US + 8 * HOUR_US)
    return answer(facts, query), oracle_series(DAYS, prices, events), fees


class TestAgainstAnIndependentComputation:
    @pytest.fixture
    def returns(self, case: tuple[AnalyticsView, dict[str, np.ndarray], str]) -> np.ndarray:
        _, oracle, fees = case
        paid = oracle["fees"] if fees == "gross" else 0.0
        base = oracle["values"][:-1] + oracle["inflows"]
        return (oracle["values"][1:] + paid + oracle["outflows"]) / base - 1

    def test_values_and_flows(self, case: tuple[AnalyticsView, dict[str, np.ndarray], str]) -> None:
        view, oracle, _ = case
        assert isinstance(view.basis.series, msgspec.Struct)
        assert view.basis.series.values == pytest.approx(oracle["values"].tolist(), rel=1e-14)
        assert view.basis.series.inflows == oracle["inflows"].tolist()
        assert view.basis.series.outflows == oracle["outflows"].tolist()
        assert view.basis.observations == DAYS
        assert view.basis.missing == 0

    def test_returns(
        self, case: tuple[AnalyticsView, dict[str, np.ndarray], str], returns: np.ndarray
    ) -> None:
        view, _, _ = case
        twr = np.prod(1 + returns) - 1
        assert value(view, "returns", "twr") == pytest.approx(twr, rel=TOLERANCE, abs=TOLERANCE)
        days = DAYS - 1 + 8 / 24
        annual = (1 + twr) ** (365.25 / days) - 1
        assert value(view, "returns", "twr_annualised") == pytest.approx(annual, rel=TOLERANCE, abs=TOLERANCE)

    def test_risk(self, case: tuple[AnalyticsView, dict[str, np.ndarray], str], returns: np.ndarray) -> None:
        view, _, _ = case
        excess, over = returns - (1.02 ** (1 / 365) - 1), returns - (1.01 ** (1 / 365) - 1)
        wealth = np.concatenate(([1.0], np.cumprod(1 + returns)))
        deviations = returns - returns.mean()
        expected = {
            "mean_return": returns.mean() * 365,
            "volatility": returns.std(ddof=1) * 365**0.5,
            "sharpe": excess.mean() / excess.std(ddof=1) * 365**0.5,
            "downside_deviation": np.sqrt(np.mean(np.minimum(over, 0) ** 2)) * 365**0.5,
            "sortino": over.mean() / np.sqrt(np.mean(np.minimum(over, 0) ** 2)) * 365**0.5,
            "max_drawdown": np.min(wealth / np.maximum.accumulate(wealth) - 1),
            "skewness": np.mean(deviations**3) / np.mean(deviations**2) ** 1.5,
            "excess_kurtosis": np.mean(deviations**4) / np.mean(deviations**2) ** 2 - 3,
            "best_period": returns.max(),
            "worst_period": returns.min(),
            "positive_share": np.mean(returns > 0),
        }
        for name, number in expected.items():
            assert value(view, "risk", name) == pytest.approx(number, rel=TOLERANCE, abs=TOLERANCE), name

    def test_tail(self, case: tuple[AnalyticsView, dict[str, np.ndarray], str], returns: np.ndarray) -> None:
        view, _, _ = case
        historical = next(block for block in view.tail if block.method == "historical")
        quantile = np.quantile(returns, 0.05)
        assert isinstance(historical.var, msgspec.Struct)
        assert isinstance(historical.cvar, msgspec.Struct)
        assert historical.var.value == pytest.approx(-quantile, rel=TOLERANCE, abs=TOLERANCE)
        assert historical.var.return_ == -historical.var.value
        assert historical.cvar.value == pytest.approx(-returns[returns <= quantile].mean(), rel=TOLERANCE)

    def test_money_weighted(self, case: tuple[AnalyticsView, dict[str, np.ndarray], str]) -> None:
        view, oracle, fees = case
        paid = oracle["fees"] if fees == "gross" else 0.0
        flows = oracle["outflows"] - oracle["inflows"] + paid
        days = [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(DAYS)]
        dates, amounts = [*days, days[-1]], [*flows, oracle["values"][-1]]
        assert value(view, "returns", "xirr") == pytest.approx(pyxirr.xirr(dates, amounts), abs=1e-9)

    def test_explained_inputs_are_enough(
        self, case: tuple[AnalyticsView, dict[str, np.ndarray], str]
    ) -> None:
        view, _, _ = case
        metric = view.risk.sharpe
        assert isinstance(metric, msgspec.Struct)
        assert isinstance(metric.explain, msgspec.Struct)
        inputs = metric.explain.inputs
        assert inputs["returns"] == "/basis/series/returns"
        assert isinstance(view.basis.series, msgspec.Struct)
        sample = np.array(view.basis.series.returns) - inputs["rf_per_period"]
        expected = sample.mean() / sample.std(ddof=1) * math.sqrt(inputs["periods_per_year"])  # type: ignore[arg-type]
        assert metric.value == pytest.approx(expected, rel=TOLERANCE)
        assert metric.explain.source == "Sharpe 1994"

    def test_profit_and_flows_add_up_to_the_equity(
        self, case: tuple[AnalyticsView, dict[str, np.ndarray], str]
    ) -> None:
        view, oracle, _ = case
        totals = view.basis.totals
        assert totals.equity is not None
        assert totals.unrealized_pnl is not None
        gained = float(totals.realized_pnl) + float(totals.unrealized_pnl)
        net = oracle["inflows"].sum() - oracle["outflows"].sum()
        assert float(totals.equity) == pytest.approx(net + gained, abs=0.011)
        assert float(totals.equity) == pytest.approx(oracle["values"][-1], rel=1e-14)

    def test_weights_add_up_to_one(self, case: tuple[AnalyticsView, dict[str, np.ndarray], str]) -> None:
        view, _, _ = case
        assert isinstance(view.exposure.positions, list)
        weights = [row.weight.value for row in view.exposure.positions]
        assert sum(weights, value(view, "exposure", "cash_share")) == pytest.approx(1.0, rel=1e-12)  # type: ignore[arg-type]
        assert value(view, "exposure", "net") == pytest.approx(sum(weights), rel=1e-12)  # type: ignore[arg-type]


class TestFirstDay:
    NEWEST = START_US + 9 * HOUR_US

    def past(self) -> Past:
        past = Past()
        past.transfer(START_US + 6 * HOUR_US, 1_000_000)
        past.trade(START_US + 7 * HOUR_US, ACME, 50, 10_000, 5)
        return past

    def prices(self) -> dict[str, list[tuple[int, int]]]:
        minutes = range(6 * 60, 9 * 60 + 1)
        return {"ACME-USD": [(START_US + m * 60_000_000, 10_000 + m % 7 * 10) for m in minutes]}

    def test_daily_numbers_say_why_they_are_missing(self) -> None:
        query = AnalyticsQuery()
        view = answer(make_facts(make_book(self.past()), self.prices(), query, newest_us=self.NEWEST), query)
        assert view.basis.observations == 1
        assert view.risk.volatility.null_reason == "fewer_than_two_observations"  # type: ignore[union-attr]
        assert view.returns.twr_annualised.null_reason == "shorter_than_365_days"  # type: ignore[union-attr]
        assert view.returns.xirr.null_reason == "single_date"  # type: ignore[union-attr]

    def test_minutes_give_numbers(self) -> None:
        query = AnalyticsQuery(frequency="1m")
        view = answer(make_facts(make_book(self.past()), self.prices(), query, newest_us=self.NEWEST), query)
        assert view.basis.observations == 180
        assert view.basis.periods_per_year == 525600
        assert value(view, "risk", "volatility") > 0
        assert value(view, "returns", "twr") != 0

    def test_daily_and_minute_chains_agree_when_no_flow_comes_later(self) -> None:
        twr = []
        for frequency in ("1d", "1m"):
            query = parse_query([("frequency", frequency)])
            facts = make_facts(make_book(self.past()), self.prices(), query, newest_us=self.NEWEST)
            twr.append(value(answer(facts, query), "returns", "twr"))
        assert twr[0] == pytest.approx(twr[1], rel=1e-12)

    def test_too_many_periods_are_refused(self) -> None:
        query = AnalyticsQuery(frequency="1s", from_us=START_US)
        with pytest.raises(WindowTooLong):
            make_facts(make_book(self.past()), self.prices(), query, newest_us=self.NEWEST)


class TestNothingYet:
    def test_an_empty_portfolio_answers_with_reasons(self) -> None:
        query = AnalyticsQuery(explain=True)
        view = answer(make_facts(make_book(Past()), {}, query, newest_us=0), query)
        assert view.basis.observations == 0
        assert view.returns.twr.null_reason == "no_observations"  # type: ignore[union-attr]
        assert view.exposure.cash_share.null_reason == "no_equity"  # type: ignore[union-attr]
        assert view.drawdowns == []
        assert msgspec.json.encode(view)

    def test_an_asset_without_a_price_is_named(self) -> None:
        past = Past()
        past.transfer(START_US, 1_000_000)
        past.trade(START_US + HOUR_US, ACME, 10, 10_000)
        query = AnalyticsQuery()
        view = answer(make_facts(make_book(past), {}, query, newest_us=START_US + 2 * DAY_US), query)
        assert view.basis.unpriced == ["ACME"]
        assert view.basis.missing_reason == "no_price"
        assert view.basis.totals.equity is None
        assert view.returns.twr.value is None  # type: ignore[union-attr]
        assert view.exposure.gross.null_reason == "no_price"  # type: ignore[union-attr]


class TestFlows:
    def test_a_move_between_own_accounts_is_no_flow(self) -> None:
        one, other = Past(), Past()
        one.transfer(START_US, 1_000_000)
        one.post(START_US + HOUR_US, "custody", ("USD", -400_000), journal_id="jnl_move")
        other.post(START_US + HOUR_US, "custody", ("USD", 400_000), journal_id="jnl_move")
        query = AnalyticsQuery()
        view = answer(make_facts(make_book(one, other), {}, query, newest_us=START_US + DAY_US), query)
        assert (view.basis.inflows, view.basis.outflows) == (10_000.0, 0.0)
        assert view.basis.totals.cash == "10000.00"

    def test_securities_that_come_in_are_worth_their_price(self) -> None:
        past = Past()
        past.transfer(START_US + HOUR_US, 100, "ACME")
        query = AnalyticsQuery()
        prices = {"ACME-USD": [(START_US, 10_000), (START_US + 12 * HOUR_US, 11_000)]}
        view = answer(make_facts(make_book(past), prices, query, newest_us=START_US + DAY_US - 1), query)
        assert view.basis.inflows == 10_000.0
        assert value(view, "returns", "twr") == pytest.approx(0.1)
        assert view.basis.totals.unrealized_pnl == "1000.00"

    def test_as_of_forgets_what_came_later(self) -> None:
        past = Past()
        past.transfer(START_US, 1_000_000)
        past.transfer(START_US + 5 * DAY_US, 500_000)
        query = AnalyticsQuery(as_of_us=START_US + 2 * DAY_US)
        view = answer(make_facts(make_book(past), {}, query, newest_us=START_US + 9 * DAY_US), query)
        assert view.basis.totals.cash == "10000.00"
        assert view.basis.inflows == 10_000.0

    def test_a_window_starts_with_the_value_before_it(self) -> None:
        past = Past()
        past.transfer(START_US, 1_000_000)
        query = AnalyticsQuery(from_us=START_US + 3 * DAY_US)
        view = answer(make_facts(make_book(past), {}, query, newest_us=START_US + 9 * DAY_US), query)
        assert view.basis.opening_value == 10_000.0
        assert view.basis.inflows == 0.0
        assert value(view, "returns", "twr") == 0.0


class TestSelection:
    def view(self, *parameters: tuple[str, str]) -> dict[str, dict]:  # type: ignore[type-arg]
        past, prices, _ = eventful_past(40, seed=1)
        query = parse_query(parameters)
        facts = make_facts(make_book(past), prices, query, newest_us=START_US + 40 * DAY_US)
        return msgspec.json.decode(msgspec.json.encode(answer(facts, query)))  # type: ignore[no-any-return]

    def test_everything_in_the_catalogue_is_in_the_answer(self) -> None:
        view = self.view()
        assert set(view) == {"portfolio_id", "basis", *BLOCKS}
        for definition in METRICS.values():
            if definition.name in ("weight", "var", "cvar"):
                continue
            metric = view[definition.block][definition.name]
            assert set(metric) == {"value", "unit", "convention", "n", "null_reason"}
            assert (metric["value"] is None) == (metric["null_reason"] is not None)
        assert {"value", "return", "unit", "convention", "n", "null_reason"} == set(view["tail"][0]["var"])  # type: ignore[index]

    def test_metrics_leaves_the_rest_out(self) -> None:
        view = self.view(("metrics", "twr,risk"))
        assert list(view["returns"]) == ["twr"]
        assert len(view["risk"]) == 12
        assert view["exposure"] == {}
        assert view["tail"] == []

    def test_explain_adds_formula_source_and_inputs_everywhere(self) -> None:
        view = self.view(("explain", "true"))
        for name, metric in view["risk"].items():
            assert set(metric["explain"]) == {"formula", "source", "inputs"}, name
            assert metric["explain"]["inputs"], name

    def test_periods_per_year_is_named_in_the_convention(self) -> None:
        view = self.view(("periods_per_year", "252"))
        assert view["risk"]["volatility"]["convention"] == "sample standard deviation (n - 1) x sqrt(252)"


@settings(max_examples=40, deadline=None)
@given(
    days=st.integers(1, 40),
    seed=st.integers(0, 10_000),
    timing=st.sampled_from(["split", "start", "end", "middle"]),
)
def test_no_answer_ever_holds_nan_or_infinity(days: int, seed: int, timing: str) -> None:
    past, prices, _ = eventful_past(days, seed)
    query = parse_query([("flow_timing", timing), ("explain", "true")])
    facts = make_facts(make_book(past), prices, query, newest_us=START_US + days * DAY_US)
    text = msgspec.json.encode(answer(facts, query))

    def walk(node: object) -> None:
        if isinstance(node, float):
            assert math.isfinite(node)
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(child)

    walk(msgspec.json.decode(text))


def test_the_same_facts_give_the_same_bytes() -> None:
    past, prices, _ = eventful_past(60, seed=3)
    query = AnalyticsQuery(explain=True)
    facts = make_facts(make_book(past), prices, query, newest_us=START_US + 60 * DAY_US)
    assert msgspec.json.encode(answer(facts, query)) == msgspec.json.encode(answer(facts, query))


def test_a_mark_is_what_was_received_not_what_traded() -> None:
    """Venue time may be years ago (a replayed tape): valuation goes by the instant of receipt."""
    past = Past()
    past.transfer(START_US, 1_000_000)
    past.trade(START_US + HOUR_US, ACME, 10, 10_000)
    query = AnalyticsQuery()
    facts = make_facts(
        make_book(past), {"ACME-USD": [(START_US, 12_000)]}, query, newest_us=START_US + 2 * HOUR_US
    )
    old = to_micros(dt.datetime(2013, 9, 1, tzinfo=dt.UTC)) * 1000
    marks = {
        symbol: {at: Mark(m.symbol, m.received_us, m.price, old, m.seq) for at, m in found.items()}
        for symbol, found in facts.marks.items()
    }
    view = answer(msgspec.structs.replace(facts, marks=marks), query)
    assert view.basis.totals.equity == "10200.00"
    assert view.basis.price_time == "2013-09-01T00:00:00.000000Z"
