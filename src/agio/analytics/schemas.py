"""What analytics looks like on the wire. Money is decimal text, ratios are numbers, instants RFC 3339."""

import msgspec

from agio.analytics.model.blocks import ExposureBlock, ReturnsBlock, RiskBlock, TailBlock
from agio.analytics.model.drawdowns import DrawdownRow
from agio.analytics.store import Portfolio
from agio.kernel.time import format_instant


class CreatePortfolio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name and the accounts it is made of; their common base currency becomes the portfolio's."""

    name: str
    account_ids: list[str]
    base_currency: str | None = None


class PortfolioView(msgspec.Struct, frozen=True):
    portfolio_id: str
    name: str
    account_ids: list[str]
    base_currency: str
    environment: str
    created_at: str

    @classmethod
    def of(cls, portfolio: Portfolio) -> "PortfolioView":
        return cls(
            portfolio_id=portfolio.portfolio_id,
            name=portfolio.name,
            account_ids=list(portfolio.account_ids),
            base_currency=portfolio.base_currency,
            environment=portfolio.environment,
            created_at=format_instant(portfolio.created_at),
        )


class PortfolioPage(msgspec.Struct, frozen=True):
    items: list[PortfolioView]
    next_cursor: str | None = None


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One asset that is or was held. `average_cost` leaves fees out; `realized_pnl` has them deducted."""

    symbol: str
    asset: str
    quantity: str
    average_cost: str | None
    price: str | None
    price_time: str | None
    market_value: str | None
    unrealized_pnl: str | None
    realized_pnl: str
    fees: str


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of a portfolio in its base currency; null when a part of the sum has no price or cost."""

    equity: str | None
    cash: str
    unrealized_pnl: str | None
    realized_pnl: str
    fees: str


class PositionPage(msgspec.Struct, frozen=True, kw_only=True):
    """All positions of a portfolio, by symbol, with the totals they add up to."""

    items: list[Position]
    totals: Totals
    base_currency: str
    ledger_seq: int
    price_time: str | None
    next_cursor: str | None = None


class LiveAnalytics(msgspec.Struct, frozen=True, kw_only=True):
    """What the stream `analytics:{portfolio}` carries."""

    equity: str | None
    cash: str
    unrealized_pnl: str | None
    realized_pnl: str
    fees: str
    day_return: float | None
    """Time-weighted since midnight UTC; null without capital or price at work."""
    ledger_seq: int
    price_time: str | None


class UsedPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price that values the end of the window."""

    symbol: str
    price: str
    price_time: str
    """Venue time of the trade."""
    received_at: str
    seq: int


class SeriesView(msgspec.Struct, frozen=True, kw_only=True):
    """The valued history behind the numbers (`explain=true`): n periods between n + 1 boundaries."""

    boundaries: list[str]
    values: list[float | None]
    inflows: list[float]
    outflows: list[float]
    fees: list[float]
    returns: list[float | None]
    quantities: dict[str, list[str]]
    prices: dict[str, list[str | None]]


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers rest on."""

    from_: str | None = msgspec.field(name="from")
    to: str | None
    as_of: str | None
    """Facts after this instant are left out; the newest fact when the query does not say."""
    days: float
    frequency: str
    observations: int
    missing: int
    missing_reason: str | None
    """Why periods have no return: `no_capital` (nothing was invested) or `no_price`."""
    unpriced: list[str]
    """Assets that were held or moved without any price."""
    currency: str
    flow_timing: str
    fees: str
    rf: float
    mar: float
    periods_per_year: float
    opening_value: float | None
    closing_value: float | None
    inflows: float
    outflows: float
    fees_paid: float
    totals: Totals
    price_source: str
    price_time: str | None
    prices: list[UsedPrice]
    ledger_seq: int
    """How many ledger entries the portfolio's accounts had."""
    convention_set: str
    series: SeriesView | msgspec.UnsetType = msgspec.UNSET


class AnalyticsView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /api/portfolios/{portfolio_id}/analytics`."""

    portfolio_id: str
    basis: Basis
    returns: ReturnsBlock
    risk: RiskBlock
    drawdowns: list[DrawdownRow]
    tail: list[TailBlock]
    exposure: ExposureBlock
