"""`/api/portfolios`."""

from typing import Annotated, Any

from litestar import Request, Response, Router, get, post
from litestar.params import Parameter

from agio.analytics.model.query import parse_query
from agio.analytics.schemas import (
    AnalyticsView,
    CreatePortfolio,
    PortfolioPage,
    PortfolioView,
    PositionPage,
)
from agio.analytics.service import AnalyticsService
from agio.identity.api import Principal
from agio.kernel.ids import PortfolioId
from agio.kernel.page import DEFAULT_LIMIT
from agio.platform.db import Database
from agio.platform.http import conditional_responses, not_modified, tagged


def _parameter(description: str, name: str | None = None) -> Any:
    return Parameter(description=description, query=name)


_INSTANT = "date (YYYY-MM-DD) or RFC 3339 instant"
From = Annotated[str | None, _parameter(f"Start of the window: {_INSTANT}. Default: the first entry", "from")]
To = Annotated[str | None, _parameter(f"End of the window: {_INSTANT}; a date counts to its end")]
AsOf = Annotated[str | None, _parameter(f"Leave out facts after it: {_INSTANT}. Default: the newest fact")]
Currency = Annotated[str | None, _parameter("The portfolio's base currency")]
Rate = Annotated[str | None, _parameter("Risk-free rate a year, decimal: 0.02 is 2 %. Default 0")]
Mar = Annotated[str | None, _parameter("Minimum acceptable return a year, decimal. Default 0")]
FrequencyText = Annotated[str | None, _parameter("Valuation period: 1d (default), 1h, 1m or 1s")]
Factor = Annotated[str | None, _parameter("Periods per year, such as 252. Default: of the calendar")]
Timing = Annotated[
    str | None,
    _parameter("split (default: inflows at the start, outflows at the end of a period), start, end, middle"),
]
FeesText = Annotated[str | None, _parameter("net (default) or gross of fees")]
MetricsText = Annotated[str | None, _parameter("Names of metrics or blocks, separated by commas")]
DrawdownsText = Annotated[str | None, _parameter("How many drawdowns to list, 0 to 100. Default 5")]
VarText = Annotated[
    str | None,
    _parameter("method:confidence:horizon, several separated by commas, such as historical:0.99:1,all:0.95"),
]
ExplainText = Annotated[str | None, _parameter("true adds formula, source, inputs and the valued series")]


def build_router(analytics: AnalyticsService, database: Database) -> Router:
    """The room's routes."""

    @post("/portfolios", opt={"scope": "portfolios:write"})
    async def create_portfolio(principal: Principal, data: CreatePortfolio) -> PortfolioView:
        """Create a portfolio over accounts of yours."""
        async with database.transaction(principal.scope) as tx:
            portfolio = await analytics.create_portfolio(tx, data)
        await analytics.announce()
        return PortfolioView.of(portfolio)

    @get("/portfolios", opt={"scope": "portfolios:read"})
    async def list_portfolios(
        principal: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> PortfolioPage:
        """Portfolios, oldest first."""
        page = await analytics.portfolios(principal.scope, limit, cursor)
        return PortfolioPage([PortfolioView.of(portfolio) for portfolio in page.items], page.next_cursor)

    @get("/portfolios/{portfolio_id:str}", opt={"scope": "portfolios:read"})
    async def show_portfolio(principal: Principal, portfolio_id: str) -> PortfolioView:
        """One portfolio."""
        return PortfolioView.of(await analytics.portfolio(principal.scope, PortfolioId(portfolio_id)))

    @get("/portfolios/{portfolio_id:str}/positions", opt={"scope": "portfolios:read"})
    async def list_positions(principal: Principal, portfolio_id: str) -> PositionPage:
        """Positions with cost and profit, and the totals they add up to."""
        return await analytics.positions(principal.scope, PortfolioId(portfolio_id))

    @get(
        "/portfolios/{portfolio_id:str}/analytics",
        opt={"scope": "portfolios:read"},
        responses=conditional_responses(AnalyticsView),
    )
    async def show_analytics(
        request: Request[Any, Any, Any],
        principal: Principal,
        portfolio_id: str,
        from_: From = None,
        to: To = None,
        as_of: AsOf = None,
        currency: Currency = None,
        rf: Rate = None,
        mar: Mar = None,
        frequency: FrequencyText = None,
        periods_per_year: Factor = None,
        flow_timing: Timing = None,
        fees: FeesText = None,
        metrics: MetricsText = None,
        drawdowns: DrawdownsText = None,
        var: VarText = None,
        explain: ExplainText = None,
    ) -> Response[AnalyticsView] | Response[None]:
        """Returns, risk, drawdowns, tail and exposure, each number with its convention.

        `If-None-Match` with the previous `ETag` answers 304 while ledger and prices stand still.
        """
        given = {
            "from": from_,
            "to": to,
            "as_of": as_of,
            "currency": currency,
            "rf": rf,
            "mar": mar,
            "frequency": frequency,
            "periods_per_year": periods_per_year,
            "flow_timing": flow_timing,
            "fees": fees,
            "metrics": metrics,
            "drawdowns": drawdowns,
            "var": var,
            "explain": explain,
        }
        query = parse_query([(name, text) for name, text in given.items() if text is not None])
        prepared = await analytics.prepare(principal.scope, PortfolioId(portfolio_id), query)
        unchanged = not_modified(request, prepared.tag)
        return unchanged if unchanged is not None else tagged(await prepared.compute(), prepared.tag)

    return Router(
        "/api",
        route_handlers=[
            create_portfolio,
            list_portfolios,
            show_portfolio,
            list_positions,
            show_analytics,
        ],
        tags=["Portfolios"],
    )
