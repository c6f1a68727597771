"""Turns a book and a query into an answer: chooses the window, fetches its prices, computes, explains."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from agio.analytics.book import Book, BookReader
from agio.analytics.errors import WindowTooLong
from agio.analytics.holdings import Holdings, divisors_of, take_holdings, to_exposure, view_totals
from agio.analytics.model.history import Worth, fold_costs
from agio.analytics.model.positions import CostBasis
from agio.analytics.model.query import AnalyticsQuery
from agio.analytics.model.registry import CONVENTION_SET
from agio.analytics.model.report import Composer
from agio.analytics.model.returns import period_returns
from agio.analytics.model.valuation import (
    MAX_PERIODS,
    PERIOD_US,
    Floats,
    Instants,
    Mark,
    Series,
    balances_at,
    count_periods,
    external_flows,
    in_base_currency,
    make_boundaries,
    make_series,
    value_at_boundaries,
)
from agio.analytics.schemas import AnalyticsView, Basis, SeriesView, UsedPrice
from agio.analytics.settings import CACHED_ACCOUNTS
from agio.kernel.money import format_decimal
from agio.kernel.time import format_micros
from agio.marketdata.api import LastTrade
from agio.platform.db import Transaction

PRICE_SOURCE = "last trade received at or before each valuation instant"
_INTRADAY_DEFAULT_PERIODS = 1440
"""Finer than a day and without `from`, the window is the last 1,440 periods (a day of minutes)."""

Latest = Mapping[str, LastTrade | None]
"""The newest trade of each held symbol."""


class Facts(msgspec.Struct, frozen=True):
    """Everything that an answer is computed from, so that computing needs no more waiting."""

    book: Book
    boundaries: Instants
    as_of_us: int
    marks: Mapping[str, Mapping[int, Mark]]
    """By symbol and instant."""
    worth: Worth


class Valuer:
    """Values books; one for each process."""

    def __init__(self, reader: BookReader) -> None:
        self._reader = reader
        self._costs: OrderedDict[str, tuple[tuple[int, int], Mapping[str, CostBasis]]] = OrderedDict()

    def newest_fact(self, book: Book, latest: Latest) -> int:
        """The instant of the newest ledger entry or price: answers depend on facts, never on the clock."""
        received = [trade.received_us for trade in latest.values() if trade is not None]
        return max([book.last_us, *received])

    def window(self, book: Book, query: AnalyticsQuery, newest_us: int) -> tuple[Instants, int]:
        """The boundaries of the query's periods and the instant beyond which facts are ignored."""
        as_of = newest_us if query.as_of_us is None else min(newest_us, query.as_of_us)
        end = as_of if query.to_us is None else min(as_of, query.to_us)
        if not book.first_us or end < book.first_us:
            return np.empty(0, dtype=np.int64), as_of
        start = max(book.first_us, query.from_us or 0)
        if query.from_us is None and query.frequency != "1d":
            start = max(start, end - _INTRADAY_DEFAULT_PERIODS * PERIOD_US[query.frequency])
        periods = count_periods(query.frequency, start, end)
        if periods > MAX_PERIODS:
            raise WindowTooLong(
                f"{periods} periods of {query.frequency} are more than {MAX_PERIODS}:"
                " set from and to, or choose a coarser frequency",
                extra={"field": "from", "periods": periods},
            )
        return make_boundaries(query.frequency, start, end), as_of

    async def gather(
        self, tx: Transaction, book: Book, boundaries: Instants, as_of_us: int, latest: Latest
    ) -> Facts:
        """Fetch the prices at the boundaries and at the flows in kind."""
        flows = [flow for flow in external_flows(book.histories) if flow.at_us <= as_of_us]
        moved: dict[str, set[int]] = {}
        for flow in flows:
            if flow.asset != book.portfolio.base_currency:
                moved.setdefault(flow.asset, set()).add(flow.at_us)
        end = int(boundaries[-1]) if boundaries.size else as_of_us
        marks: dict[str, Mapping[int, Mark]] = {}
        prices: dict[tuple[str, int], int] = {}
        balances = balances_at(book.histories, boundaries)
        for asset, source in book.sources.items():
            held = boundaries[balances[asset] != 0].tolist() if boundaries.size else []
            at_flows = moved.get(asset, set())
            wanted = [*held, *at_flows, end]
            found = await self._reader.marks(tx, source.symbol, wanted, latest.get(source.symbol))
            marks[source.symbol] = found
            prices.update(((asset, at), found[at].price) for at in at_flows if at in found)
        return Facts(book, boundaries, as_of_us, marks, Worth(prices, divisors_of(book)))

    def holdings(self, facts: Facts, at_us: int) -> Holdings:
        """Positions at an instant whose prices were gathered."""
        marks = {symbol: found[at_us] for symbol, found in facts.marks.items() if at_us in found}
        return take_holdings(facts.book, self._costs_at(facts, at_us), facts.worth, marks, at_us)

    def _costs_at(self, facts: Facts, at_us: int) -> Mapping[str, CostBasis]:
        """Cost bases at an instant; those of the present are kept until the ledger moves."""
        book = facts.book
        base, portfolio_id = book.portfolio.base_currency, book.portfolio.portfolio_id
        if at_us < book.last_us:
            return fold_costs(book.histories, base, facts.worth, at_us)
        version = (book.entries, len(facts.worth.prices))
        known = self._costs.get(portfolio_id)
        if known is None or known[0] != version:
            known = (version, fold_costs(book.histories, base, facts.worth, at_us))
            self._costs[portfolio_id] = known
            if len(self._costs) > CACHED_ACCOUNTS:
                self._costs.popitem(last=False)
        return known[1]

    def answer(self, facts: Facts, query: AnalyticsQuery) -> AnalyticsView:
        """Compute everything that the query asks for."""
        series, unpriced = make_valued_series(facts, query)
        end = int(series.boundaries[-1]) if series.boundaries.size else facts.as_of_us
        holdings = self.holdings(facts, end)
        book = facts.book
        composer = Composer(series, query, book.portfolio.base_currency)
        blocks = composer.compose(*to_exposure(holdings, book.base_scale))
        return AnalyticsView(
            portfolio_id=book.portfolio.portfolio_id,
            basis=_basis(facts, query, series, holdings, unpriced, composer.periods_per_year),
            returns=blocks.returns,
            risk=blocks.risk,
            drawdowns=blocks.drawdowns,
            tail=blocks.tail,
            exposure=blocks.exposure,
        )

    def day_return(self, facts: Facts) -> float | None:
        """Time-weighted return of the facts' window (from midnight to the newest fact) as one period."""
        if facts.boundaries.size < 2:
            return None
        series, unpriced = make_valued_series(facts, AnalyticsQuery())
        if unpriced:
            return None
        ends = series.values[[0, -1]]
        inflow, outflow = series.inflows.sum(keepdims=True), series.outflows.sum(keepdims=True)
        value = float(period_returns(ends, inflow, outflow)[0])
        return value if np.isfinite(value) else None


def make_valued_series(facts: Facts, query: AnalyticsQuery) -> tuple[Series, list[str]]:
    """The series of a window, and the assets that lacked a price in it."""
    book, boundaries = facts.book, facts.boundaries
    base, scale = book.portfolio.base_currency, book.base_scale
    quantities = balances_at(book.histories, boundaries)
    instants = boundaries.tolist()
    prices: dict[str, list[int | None]] = {}
    for asset, source in book.sources.items():
        found = facts.marks.get(source.symbol, {})
        prices[asset] = [found[at].price if at in found else None for at in instants]
    values, unpriced = value_at_boundaries(quantities, prices, book.sources, base, scale, len(instants))
    flows = [flow for flow in external_flows(book.histories) if flow.at_us <= facts.as_of_us]
    in_window = [flow for flow in flows if instants and instants[0] <= flow.at_us <= instants[-1]]
    valued, unvalued = in_base_currency(in_window, facts.worth, base, scale)
    fees = [
        (fill.at_us, fill.fee / 10**scale)
        for history in book.histories
        for fill in history.fills
        if fill.fee and fill.at_us <= facts.as_of_us
    ]
    series = make_series(
        boundaries,
        values,
        valued,
        fees,
        timing=query.flow_timing,
        is_gross=query.fees == "gross",
        quantities=quantities,
        prices=prices,
    )
    return series, sorted({*unpriced, *unvalued})


def _basis(
    facts: Facts,
    query: AnalyticsQuery,
    series: Series,
    holdings: Holdings,
    unpriced: Sequence[str],
    periods_per_year: float,
) -> Basis:
    book = facts.book
    missing = int(np.count_nonzero(~np.isfinite(series.returns)))
    price_time = holdings.price_time_ns
    edges = [format_micros(int(series.boundaries[i])) for i in (0, -1)] if series.boundaries.size else None
    return Basis(
        from_=edges[0] if edges else None,
        to=edges[1] if edges else None,
        as_of=format_micros(facts.as_of_us) if facts.as_of_us else None,
        days=series.days,
        frequency=query.frequency,
        observations=series.returns.size - missing,
        missing=missing,
        missing_reason=None if not missing else "no_price" if unpriced else "no_capital",
        unpriced=list(unpriced),
        currency=book.portfolio.base_currency,
        flow_timing=query.flow_timing,
        fees=query.fees,
        rf=query.rf,
        mar=query.mar,
        periods_per_year=periods_per_year,
        opening_value=_finite(series.values, 0),
        closing_value=_finite(series.values, -1),
        inflows=float(np.sum(series.inflows)),
        outflows=float(np.sum(series.outflows)),
        fees_paid=float(np.sum(series.fees)),
        totals=view_totals(holdings, book.base_scale),
        price_source=PRICE_SOURCE,
        price_time=None if price_time is None else format_micros(price_time // 1000),
        prices=_used_prices(holdings),
        ledger_seq=book.entries,
        convention_set=CONVENTION_SET,
        series=_view_series(series, facts) if query.explain else msgspec.UNSET,
    )


def _used_prices(holdings: Holdings) -> list[UsedPrice]:
    return [
        UsedPrice(
            symbol=line.source.symbol,
            price=format_decimal(line.mark.price, line.source.price_scale),
            price_time=format_micros(line.mark.venue_time_ns // 1000),
            received_at=format_micros(line.mark.received_us),
            seq=line.mark.seq,
        )
        for line in holdings.lines
        if line.quantity and line.source and line.mark
    ]


def _view_series(series: Series, facts: Facts) -> SeriesView:
    sources, base, scale = facts.book.sources, facts.book.portfolio.base_currency, facts.book.base_scale
    scales = {asset: source.quantity_scale for asset, source in sources.items()} | {base: scale}
    return SeriesView(
        boundaries=[format_micros(at) for at in series.boundaries.tolist()],
        values=_nullable(series.values),
        inflows=series.inflows.tolist(),
        outflows=series.outflows.tolist(),
        fees=series.fees.tolist(),
        returns=_nullable(series.returns),
        quantities={
            asset: [format_decimal(balance, scales.get(asset, 0)) for balance in balances.tolist()]
            for asset, balances in series.quantities.items()
        },
        prices={
            sources[asset].symbol: [
                None if price is None else format_decimal(price, sources[asset].price_scale)
                for price in prices
            ]
            for asset, prices in series.prices.items()
        },
    )


def _nullable(numbers: Floats) -> list[float | None]:
    return [number if np.isfinite(number) else None for number in numbers.tolist()]


def _finite(numbers: Floats, index: int) -> float | None:
    return float(numbers[index]) if numbers.size and np.isfinite(numbers[index]) else None
