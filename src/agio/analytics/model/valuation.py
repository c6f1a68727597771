"""From ledger entries and prices to a series: values at boundaries, flows and returns between them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from agio.analytics.model.history import AccountHistory, Flow, Numbers, Worth
from agio.analytics.model.returns import FlowTiming, period_returns

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]
"""Microseconds since 1970, ascending."""

Frequency = Literal["1d", "1h", "1m", "1s"]
FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
PERIOD_US: Mapping[Frequency, int] = {
    "1d": 86_400_000_000,
    "1h": 3_600_000_000,
    "1m": 60_000_000,
    "1s": 1_000_000,
}
PERIODS_PER_YEAR: Mapping[Frequency, float] = {
    "1d": 365.0,
    "1h": 365.0 * 24,
    "1m": 365.0 * 1440,
    "1s": 365.0 * 86_400,
}
"""Every calendar period is valued, nights and weekends included, so these are the factors of the series."""

MAX_PERIODS = 10_000


class PriceSource(msgspec.Struct, frozen=True):
    """Which instrument values an asset, and how its integers read."""

    symbol: str
    asset: str
    price_scale: int
    quantity_scale: int


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A traded price in force from `received_us` on."""

    symbol: str
    received_us: int
    price: int
    venue_time_ns: int
    seq: int


class Series(msgspec.Struct, frozen=True):
    """A valued history; n periods between n + 1 boundaries."""

    boundaries: Instants
    values: Floats
    inflows: Floats
    outflows: Floats
    fees: Floats
    returns: Floats
    quantities: Mapping[str, Numbers]
    """Balance of each asset at the boundaries, smallest units."""
    prices: Mapping[str, list[int | None]]
    """Price of each priced asset at the boundaries, by asset."""

    @property
    def days(self) -> float:
        return (
            float(self.boundaries[-1] - self.boundaries[0]) / PERIOD_US["1d"] if self.boundaries.size else 0.0
        )


def make_boundaries(frequency: Frequency, first_us: int, last_us: int) -> Instants:
    """Whole periods from the one that holds `first_us`; the last may be a part, ending at `last_us`.

    Empty when `last_us` does not lie after the first boundary.
    """
    period = PERIOD_US[frequency]
    start = first_us // period * period
    if last_us <= start:
        return np.empty(0, dtype=np.int64)
    boundaries = np.arange(start, last_us, period, dtype=np.int64)
    return np.append(boundaries, np.int64(last_us))


def count_periods(frequency: Frequency, first_us: int, last_us: int) -> int:
    period = PERIOD_US[frequency]
    return max(0, -(-(last_us - first_us // period * period) // period))


def balances_at(histories: Sequence[AccountHistory], boundaries: Instants) -> dict[str, Numbers]:
    """Each asset's balance at each boundary: entries strictly before it, at the last one up to it."""
    result: dict[str, Numbers] = {}
    for history in histories:
        for asset, curve in history.curves.items():
            balances = curve.at(boundaries)
            result[asset] = result[asset] + balances if asset in result else balances
    return result


def value_at_boundaries(
    quantities: Mapping[str, Numbers],
    prices: Mapping[str, list[int | None]],
    sources: Mapping[str, PriceSource],
    base: str,
    base_scale: int,
    count: int,
) -> tuple[Floats, list[str]]:
    """Equity in units of the base currency, and the assets that were held without a price (NaN there)."""
    total = np.zeros(count)
    unpriced: list[str] = []
    for asset, balances in sorted(quantities.items()):
        amounts = balances.astype(np.float64)
        if asset == base:
            total += amounts / 10**base_scale
            continue
        source = sources.get(asset)
        scale = 10 ** (source.price_scale + source.quantity_scale) if source else 1
        quoted = np.array(prices.get(asset) or [None] * count, dtype=np.float64)
        worth = np.where(amounts == 0, 0.0, amounts * quoted / scale)
        if np.isnan(worth).any():
            unpriced.append(asset)
        total += worth
    return total, unpriced


def flows_by_period(flows: Sequence[tuple[int, float]], boundaries: Instants) -> tuple[Floats, Floats]:
    """Sums of positive and of negative flows (both as non-negative numbers) for each period.

    A flow belongs to the period from its first boundary on; the last period includes its end. Flows
    outside of the boundaries are left out.
    """
    periods = max(0, boundaries.size - 1)
    inflows, outflows = np.zeros(periods), np.zeros(periods)
    if periods == 0 or not flows:
        return inflows, outflows
    instants = np.array([at for at, _ in flows], dtype=np.int64)
    amounts = np.array([amount for _, amount in flows])
    places = np.minimum(np.searchsorted(boundaries, instants, side="right") - 1, periods - 1)
    is_inside = (instants >= boundaries[0]) & (instants <= boundaries[-1])
    for sums, part in ((inflows, np.maximum(amounts, 0.0)), (outflows, np.maximum(-amounts, 0.0))):
        np.add.at(sums, places[is_inside], part[is_inside])
    return inflows, outflows


def external_flows(histories: Iterable[AccountHistory]) -> list[Flow]:
    """Flows in order of time, those of one journal and asset netted: a move between own accounts is none."""
    netted: dict[tuple[str, str], Flow] = {}
    for history in histories:
        for flow in history.flows:
            key = (flow.journal_id, flow.asset)
            known = netted.get(key)
            netted[key] = flow if known is None else _plus(known, flow.amount)
    return sorted((flow for flow in netted.values() if flow.amount), key=lambda flow: flow.at_us)


def _plus(flow: Flow, amount: int) -> Flow:
    return Flow(flow.at_us, flow.asset, flow.amount + amount, flow.journal_id)


def in_base_currency(
    flows: Iterable[Flow], worth: Worth, base: str, base_scale: int
) -> tuple[list[tuple[int, float]], list[str]]:
    """Flows as (instant, amount in the base currency), and the assets of those that nobody could value."""
    valued: list[tuple[int, float]] = []
    unvalued: list[str] = []
    for flow in flows:
        amount = flow.amount if flow.asset == base else worth.of(flow.asset, flow.amount, flow.at_us)
        if amount is None:
            unvalued.append(flow.asset)
        else:
            valued.append((flow.at_us, amount / 10**base_scale))
    return valued, unvalued


def make_series(
    boundaries: Instants,
    values: Floats,
    flows: Sequence[tuple[int, float]],
    fees: Sequence[tuple[int, float]],
    *,
    timing: FlowTiming,
    is_gross: bool,
    quantities: Mapping[str, Numbers],
    prices: Mapping[str, list[int | None]],
) -> Series:
    """Put the parts together; gross returns add the fees of a period back to its closing value."""
    inflows, outflows = flows_by_period(flows, boundaries)
    paid, _ = flows_by_period(fees, boundaries)
    returns = np.empty(0)
    if boundaries.size > 1:
        returns = period_returns(values, inflows, outflows, timing, paid if is_gross else None)
    return Series(boundaries, values, inflows, outflows, paid, returns, quantities, prices)
