"""What other rooms may ask of analytics."""

from typing import Protocol

from agio.analytics.errors import (
    CurrencyNotAvailable,
    HistoryTooLong,
    InvalidPortfolio,
    InvalidQuery,
    WindowTooLong,
)
from agio.analytics.model.query import AnalyticsQuery, parse_query
from agio.analytics.schemas import AnalyticsView, CreatePortfolio, LiveAnalytics, Position, PositionPage
from agio.analytics.store import Portfolio
from agio.kernel.ids import PortfolioId
from agio.kernel.page import Page
from agio.platform.db import Scope, Transaction

__all__ = [
    "Analytics",
    "AnalyticsQuery",
    "AnalyticsView",
    "CreatePortfolio",
    "CurrencyNotAvailable",
    "HistoryTooLong",
    "InvalidPortfolio",
    "InvalidQuery",
    "LiveAnalytics",
    "Portfolio",
    "Position",
    "PositionPage",
    "WindowTooLong",
    "parse_query",
]


class Analytics(Protocol):
    """Portfolios and their numbers. Everything of another organisation or environment is NotFound."""

    async def create_portfolio(self, tx: Transaction, request: CreatePortfolio) -> Portfolio:
        """Create in the caller's transaction, for its tenant. Raises InvalidPortfolio, NotFound (account)."""
        ...

    async def portfolio(self, scope: Scope, portfolio_id: PortfolioId) -> Portfolio:
        """Raises NotFound."""
        ...

    async def portfolios(self, scope: Scope, limit: int, cursor: str | None) -> Page[Portfolio]:
        """Oldest first."""
        ...

    async def positions(self, scope: Scope, portfolio_id: PortfolioId) -> PositionPage:
        """Positions and totals at the newest fact. Raises NotFound, HistoryTooLong."""
        ...

    async def live(self, scope: Scope, portfolio_id: PortfolioId) -> LiveAnalytics:
        """What the analytics stream says now. Raises NotFound, HistoryTooLong."""
        ...
