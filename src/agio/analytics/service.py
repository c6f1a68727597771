"""The use cases of analytics."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from agio.analytics import store
from agio.analytics.book import Book, BookReader
from agio.analytics.errors import CurrencyNotAvailable, InvalidPortfolio
from agio.analytics.events import PORTFOLIO_CREATED_SUBJECT
from agio.analytics.holdings import Holdings, view_position, view_totals
from agio.analytics.live import today, view_live
from agio.analytics.model.query import AnalyticsQuery
from agio.analytics.model.registry import CONVENTION_SET
from agio.analytics.schemas import (
    AnalyticsView,
    CreatePortfolio,
    LiveAnalytics,
    PositionPage,
)
from agio.analytics.settings import MAX_ACCOUNTS, MAX_NAME_LENGTH, SETTLED_US
from agio.analytics.store import Portfolio
from agio.analytics.valuer import Facts, Latest, Valuer
from agio.custody.api import Custody
from agio.kernel.ids import AccountId, OrganisationId, PortfolioId, is_id, new_id
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.kernel.problem import NotFound
from agio.kernel.time import format_micros
from agio.ledger.api import Ledger
from agio.marketdata.api import Instruments, Market
from agio.platform.clock import Clock
from agio.platform.db import Database, Scope, Transaction
from agio.platform.http import entity_tag


class Prepared(msgspec.Struct, frozen=True):
    """A request whose facts are known but whose numbers are not computed yet."""

    tag: str
    """Entity tag: the facts and the query, nothing else."""
    compute: Callable[[], Awaitable[AnalyticsView]]


class AnalyticsService:
    """Implements api.Analytics; one for each API process."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        instruments: Instruments,
        market: Market,
        custody: Custody,
        clock: Clock,
        publish: Callable[[str, bytes], Awaitable[None]],
    ) -> None:
        """`publish(subject, payload)` tells the bus, best effort."""
        self._database = database
        self._market = market
        self._custody = custody
        self._clock = clock
        self._publish = publish
        self._reader = BookReader(ledger, instruments, clock)
        self._valuer = Valuer(self._reader)

    async def create_portfolio(self, tx: Transaction, request: CreatePortfolio) -> Portfolio:
        """Create in the caller's transaction, for its tenant. Raises InvalidPortfolio, NotFound (account)."""
        name = request.name.strip()
        if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
            raise InvalidPortfolio(
                f"name takes 1 to {MAX_NAME_LENGTH} printable characters", extra={"field": "name"}
            )
        wanted = request.account_ids
        if not 1 <= len(wanted) <= MAX_ACCOUNTS or len(set(wanted)) != len(wanted):
            raise InvalidPortfolio(
                f"account_ids takes 1 to {MAX_ACCOUNTS} different accounts", extra={"field": "account_ids"}
            )
        account_ids = [AccountId(account_id) for account_id in wanted]
        currencies = {
            account_id: await self._custody.base_currency(tx, account_id) for account_id in account_ids
        }
        base = request.base_currency or currencies[account_ids[0]]
        for account_id, currency in currencies.items():
            if currency != base:
                raise InvalidPortfolio(
                    f"{account_id} is kept in {currency}, the portfolio in {base}: all must be the same",
                    extra={"field": "base_currency"},
                )
        portfolio = Portfolio(
            portfolio_id=PortfolioId(new_id("pft")),
            organisation_id=OrganisationId(tx.scope.organisation_id),
            environment=tx.scope.environment,
            name=name,
            base_currency=base,
            account_ids=account_ids,
            created_at=self._clock.now(),
        )
        await store.insert_portfolio(tx, portfolio)
        return portfolio

    async def announce(self) -> None:
        """Tell the engine that portfolios were created; it also looks by itself now and then."""
        await self._publish(PORTFOLIO_CREATED_SUBJECT, b"")

    async def portfolio(self, scope: Scope, portfolio_id: PortfolioId) -> Portfolio:
        """Raises NotFound."""
        async with self._database.transaction(scope) as tx:
            return await self._find(tx, portfolio_id)

    async def portfolios(self, scope: Scope, limit: int, cursor: str | None) -> Page[Portfolio]:
        """Oldest first."""
        check_limit(limit)
        after = read_id_cursor(cursor, "after", "pft") or ""
        async with self._database.transaction(scope) as tx:
            found = await store.list_portfolios(tx, after, limit + 1)
        more = found[limit - 1].portfolio_id if len(found) > limit else None
        return Page(found[:limit], None if more is None else encode_cursor({"after": more}))

    async def positions(self, scope: Scope, portfolio_id: PortfolioId) -> PositionPage:
        """Positions and totals at the newest fact. Raises NotFound, HistoryTooLong."""
        facts, holdings = await self._present(scope, portfolio_id)
        book = facts.book
        price_time = holdings.price_time_ns
        return PositionPage(
            items=[view_position(line, book.base_scale) for line in holdings.lines],
            totals=view_totals(holdings, book.base_scale),
            base_currency=book.portfolio.base_currency,
            ledger_seq=book.entries,
            price_time=None if price_time is None else format_micros(price_time // 1000),
        )

    async def live(self, scope: Scope, portfolio_id: PortfolioId) -> LiveAnalytics:
        """What the analytics stream says now. Raises NotFound, HistoryTooLong."""
        facts, holdings = await self._present(scope, portfolio_id)
        return view_live(facts, holdings, self._valuer.day_return(facts))

    async def prepare(self, scope: Scope, portfolio_id: PortfolioId, query: AnalyticsQuery) -> Prepared:
        """Find out on which facts the answer rests; computing it may then turn out to be unnecessary.

        Raises NotFound, CurrencyNotAvailable, WindowTooLong, HistoryTooLong.
        """
        book, latest = await self._open(scope, portfolio_id)
        if query.currency not in (None, book.portfolio.base_currency):
            raise CurrencyNotAvailable(
                f"{portfolio_id} is valued in {book.portfolio.base_currency} only",
                extra={"field": "currency"},
            )
        newest = self._valuer.newest_fact(book, latest)
        boundaries, as_of = self._valuer.window(book, query, newest)
        prices = [(trade.symbol, trade.epoch, trade.seq) for trade in latest.values() if trade is not None]
        # The marks of the last seconds may still be on their way to the table.
        is_settled = self._clock.now_micros() - newest > SETTLED_US
        tag = entity_tag(CONVENTION_SET, portfolio_id, book.entries, newest, prices, is_settled, query)

        async def compute() -> AnalyticsView:
            async with self._database.transaction(scope) as tx:
                facts = await self._valuer.gather(tx, book, boundaries, as_of, latest)
            return self._valuer.answer(facts, query)

        return Prepared(tag, compute)

    async def _present(self, scope: Scope, portfolio_id: PortfolioId) -> tuple[Facts, Holdings]:
        book, latest = await self._open(scope, portfolio_id)
        newest = self._valuer.newest_fact(book, latest)
        boundaries, as_of = self._valuer.window(book, today(newest), newest)
        async with self._database.transaction(scope) as tx:
            facts = await self._valuer.gather(tx, book, boundaries, as_of, latest)
        return facts, self._valuer.holdings(facts, int(boundaries[-1]) if boundaries.size else as_of)

    async def _open(self, scope: Scope, portfolio_id: PortfolioId) -> tuple[Book, Latest]:
        async with self._database.transaction(scope) as tx:
            book = await self._reader.open(tx, await self._find(tx, portfolio_id))
        symbols = [source.symbol for source in book.held()]
        trades = await asyncio.gather(*(self._market.latest_trade(symbol) for symbol in symbols))
        return book, dict(zip(symbols, trades, strict=True))

    async def _find(self, tx: Transaction, portfolio_id: str) -> Portfolio:
        found = await store.find_portfolio(tx, portfolio_id) if is_id(portfolio_id, "pft") else None
        if found is None:
            raise NotFound("no such portfolio; GET /api/portfolios lists yours")
        return found
