"""The engine's live valuation: tells changed positions and totals of portfolios, at most twice a second.

Everything it knows is rebuilt from the database, so it may stop at any moment. Portfolios that neither
their ledger nor their prices move cost nothing.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec
import psycopg
import structlog

from agio.analytics import store
from agio.analytics.book import Book, BookReader
from agio.analytics.events import (
    PORTFOLIO_CREATED_SUBJECT,
    StateItem,
    StateMessage,
    analytics_subject,
    encode_state,
    positions_subject,
)
from agio.analytics.holdings import view_position
from agio.analytics.live import today, view_live
from agio.analytics.marks import MarkRecorder
from agio.analytics.settings import PORTFOLIOS_PER_ROUND, PUBLISH_SECONDS, WATCHED_PORTFOLIOS
from agio.analytics.store import Portfolio
from agio.analytics.valuer import Valuer
from agio.kernel.ids import IdFactory
from agio.ledger.api import Ledger
from agio.marketdata.api import Instruments, LastTrade, Market
from agio.marketdata.events import last_subject
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database, DatabaseUnavailable, Transaction

log = structlog.get_logger(__name__)

_LEDGER_EVENTS = "ev.ledger.*"
_LOOK_EVERY_SECONDS = 15.0
_PAGE = 500
_OVERLAP_MILLISECONDS = 60_000
_CACHED_BOOKS = 512

_decode_last = msgspec.msgpack.Decoder(LastTrade).decode
_encode = msgspec.json.Encoder().encode


class PortfolioMarker:
    """The engine duty `portfolio_marker`."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        ledger: Ledger,
        instruments: Instruments,
        market: Market,
        clock: Clock,
    ) -> None:
        self._database = database
        self._bus = bus
        self._market = market
        self._clock = clock
        self._reader = BookReader(ledger, instruments, clock)
        self._valuer = Valuer(self._reader)
        self._recorder = MarkRecorder(database, instruments, clock)
        self._portfolios: dict[str, Portfolio] = {}
        self._by_account: dict[str, list[str]] = {}
        self._holders: dict[str, set[str]] = {}
        self._latest: dict[str, LastTrade] = {}
        self._changed: OrderedDict[str, None] = OrderedDict()
        self._books: OrderedDict[str, Book] = OrderedDict()
        self._outdated: set[str] = set()
        """Portfolios whose ledger may have moved since the reading of their book began."""
        self._told: dict[str, dict[str, bytes]] = {}
        self._look = asyncio.Event()
        self._q = 0

    async def run(self) -> None:
        """Mark until cancelled."""
        subscriptions = [
            await self._bus.subscribe(last_subject("*"), self._take_price),
            await self._bus.subscribe(_LEDGER_EVENTS, self._take_ledger_event),
            await self._bus.subscribe(PORTFOLIO_CREATED_SUBJECT, self._take_creation),
        ]
        self._bus.on_reconnect(self._look_again)
        tasks = [
            asyncio.create_task(self._recorder.run()),
            asyncio.create_task(self._watch_portfolios()),
            asyncio.create_task(self._value_changed()),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            for subscription in subscriptions:
                await subscription.unsubscribe()

    async def _take_price(self, _: str, payload: bytes) -> None:
        trade = _decode_last(payload)
        self._recorder.take(trade)
        self._latest[trade.symbol] = trade
        for portfolio_id in self._holders.get(trade.symbol, ()):
            self._changed[portfolio_id] = None

    async def _take_ledger_event(self, subject: str, _: bytes) -> None:
        for portfolio_id in self._by_account.get(subject.rpartition(".")[2], ()):
            self._outdated.add(portfolio_id)
            self._changed[portfolio_id] = None

    async def _take_creation(self, _: str, __: bytes) -> None:
        self._look.set()

    async def _look_again(self) -> None:
        """The bus was away: anything may have changed meanwhile."""
        self._outdated.update(self._portfolios)
        self._latest.clear()
        self._changed.update(dict.fromkeys(self._portfolios))
        self._look.set()

    async def _watch_portfolios(self) -> None:
        """Find new portfolios when told, and every now and then."""
        while True:
            try:
                await self._read_portfolios()
            except Exception as error:
                log.warning("portfolios_not_read", error=repr(error))
            try:
                async with asyncio.timeout(_LOOK_EVERY_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                continue
            finally:
                self._look.clear()

    async def _read_portfolios(self) -> None:
        after = self._overlapping_start()
        while len(self._portfolios) < WATCHED_PORTFOLIOS:
            async with self._database.transaction() as tx:
                page = await store.list_portfolios(tx, after, _PAGE)
            for portfolio in page:
                self._add(portfolio)
            if len(page) < _PAGE:
                return
            after = page[-1].portfolio_id

    def _overlapping_start(self) -> str:
        """Ids are in order of creation, and creations a minute apart are committed in that order."""
        if not self._portfolios:
            return ""
        milliseconds = self._clock.now_micros() // 1000 - _OVERLAP_MILLISECONDS
        return IdFactory(lambda: milliseconds, lambda _: 0).new("pft")

    def _add(self, portfolio: Portfolio) -> None:
        if portfolio.portfolio_id in self._portfolios:
            return
        self._portfolios[portfolio.portfolio_id] = portfolio
        for account_id in portfolio.account_ids:
            self._by_account.setdefault(account_id, []).append(portfolio.portfolio_id)
        self._changed[portfolio.portfolio_id] = None

    async def _value_changed(self) -> None:
        """Twice a second, value what changed since; more than one round's worth waits its turn."""
        while True:
            await asyncio.sleep(PUBLISH_SECONDS)
            for _ in range(min(PORTFOLIOS_PER_ROUND, len(self._changed))):
                portfolio_id, _nothing = self._changed.popitem(last=False)
                try:
                    await self._value(self._portfolios[portfolio_id])
                except (DatabaseUnavailable, psycopg.OperationalError) as error:
                    log.warning("portfolios_wait_for_the_database", error=repr(error))
                    self._changed[portfolio_id] = None
                    break
                except Exception as error:
                    log.warning("portfolio_not_valued", portfolio_id=portfolio_id, error=repr(error))

    async def _value(self, portfolio: Portfolio) -> None:
        async with self._database.transaction() as tx:
            book = await self._book(tx, portfolio)
            latest = await self._latest_of(book)
            newest = self._valuer.newest_fact(book, latest)
            boundaries, as_of = self._valuer.window(book, today(newest), newest)
            facts = await self._valuer.gather(tx, book, boundaries, as_of, latest)
        holdings = self._valuer.holdings(facts, int(boundaries[-1]) if boundaries.size else as_of)
        positions = [view_position(line, book.base_scale) for line in holdings.lines]
        await self._tell(
            portfolio.portfolio_id,
            positions_subject(portfolio.portfolio_id),
            [(position.symbol, _encode(position)) for position in positions],
        )
        live = view_live(facts, holdings, self._valuer.day_return(facts))
        await self._tell(
            portfolio.portfolio_id, analytics_subject(portfolio.portfolio_id), [("", _encode(live))]
        )

    async def _book(self, tx: Transaction, portfolio: Portfolio) -> Book:
        """The portfolio's book; read again only after a ledger event of one of its accounts."""
        portfolio_id = portfolio.portfolio_id
        if portfolio_id in self._outdated:
            self._outdated.discard(portfolio_id)
            self._books.pop(portfolio_id, None)
        book = self._books.get(portfolio_id)
        if book is None:
            book = await self._reader.open(tx, portfolio)
            self._books[portfolio_id] = book
            if len(self._books) > _CACHED_BOOKS:
                self._books.popitem(last=False)
        return book

    async def _latest_of(self, book: Book) -> Mapping[str, LastTrade | None]:
        """Newest prices of what is held; also notes who holds what, so that a price finds its portfolios."""
        portfolio_id = book.portfolio.portfolio_id
        symbols = {source.symbol for source in book.held()}
        for symbol, holders in self._holders.items():
            if symbol not in symbols:
                holders.discard(portfolio_id)
        latest: dict[str, LastTrade | None] = {}
        for symbol in symbols:
            self._holders.setdefault(symbol, set()).add(portfolio_id)
            if symbol not in self._latest:
                trade = await self._market.latest_trade(symbol)
                if trade is not None:
                    self._latest.setdefault(symbol, trade)
            latest[symbol] = self._latest.get(symbol)
        return latest

    async def _tell(self, portfolio_id: str, subject: str, values: Sequence[tuple[str, bytes]]) -> None:
        """Publish the values that differ from what was told last."""
        told = self._told.setdefault(subject, {})
        items = [StateItem(key, body) for key, body in values if told.get(key) != body]
        if not items:
            return
        told.update((item.key, item.body) for item in items)
        now = self._clock.now_micros()
        self._q = max(self._q + 1, now)
        await self._bus.publish(subject, encode_state(StateMessage(portfolio_id, self._q, now, items)))
