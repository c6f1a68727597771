"""What the stream says of a portfolio, computed alike by the marker and by a snapshot."""

from agio.analytics.holdings import Holdings, view_totals
from agio.analytics.model.query import AnalyticsQuery
from agio.analytics.model.valuation import PERIOD_US
from agio.analytics.schemas import LiveAnalytics
from agio.analytics.valuer import Facts
from agio.kernel.time import format_micros


def today(newest_us: int) -> AnalyticsQuery:
    """The window from the midnight before the newest fact."""
    return AnalyticsQuery(from_us=newest_us // PERIOD_US["1d"] * PERIOD_US["1d"])


def view_live(facts: Facts, holdings: Holdings, day_return: float | None) -> LiveAnalytics:
    totals = view_totals(holdings, facts.book.base_scale)
    price_time = holdings.price_time_ns
    return LiveAnalytics(
        equity=totals.equity,
        cash=totals.cash,
        unrealized_pnl=totals.unrealized_pnl,
        realized_pnl=totals.realized_pnl,
        fees=totals.fees,
        day_return=day_return,
        ledger_seq=facts.book.entries,
        price_time=None if price_time is None else format_micros(price_time // 1000),
    )
