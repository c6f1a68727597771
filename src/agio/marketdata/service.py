"""What REST reads of the market. Everything here is public to keys with `market:read`."""

from typing import Final

from agio.kernel.page import Page, check_limit
from agio.kernel.problem import InvalidRequest
from agio.marketdata.errors import BookDoubtful, MarketDataUnavailable, NoMarketData
from agio.marketdata.events import BookDelta, MarketSnapshot, Quote
from agio.marketdata.history import TradeTable
from agio.marketdata.instruments import InstrumentDirectory
from agio.marketdata.market_view import MarketView
from agio.marketdata.past import PastService
from agio.marketdata.rendering import TradeWriter
from agio.marketdata.replays.requests import ReplayRequests
from agio.marketdata.schemas import (
    BookView,
    InstrumentView,
    MarketStatusView,
    ReplayView,
    SourceView,
    SymbolQuote,
    TradeView,
    VenueView,
)
from agio.marketdata.settings import MarketDataSettings
from agio.marketdata.spans import next_cursor, read_text_cursor
from agio.marketdata.store import StoredTrade
from agio.platform.db import Database

MAX_DEPTH: Final = 1000


class MarketDataService:
    """Reads of one API process."""

    def __init__(
        self,
        database: Database,
        instruments: InstrumentDirectory,
        view: MarketView,
        replays: ReplayRequests,
        settings: MarketDataSettings,
        history: TradeTable | None = None,
    ) -> None:
        self._database = database
        self._instruments = instruments
        self._view = view
        self._settings = settings
        self.replays = replays
        self.past = PastService(database, instruments, history or TradeTable(database))

    async def list_instruments(
        self, venue: str | None, limit: int, cursor: str | None
    ) -> Page[InstrumentView]:
        """In order of symbol."""
        check_limit(limit)
        after = read_text_cursor(cursor, "instruments")
        found = [one for one in await self._instruments.instruments(venue) if one.symbol > after]
        page = [InstrumentView.of(one) for one in found[:limit]]
        more = next_cursor("instruments", page[-1].symbol) if len(found) > limit else None
        return Page(page, more)

    async def instrument(self, symbol: str) -> InstrumentView:
        return InstrumentView.of(await self._instruments.instrument(symbol))

    async def latest_trade(self, symbol: str) -> TradeView:
        """Raises NoMarketData before the first trade."""
        instrument = await self._instruments.instrument(symbol)
        last = await self._view.latest_trade(symbol)
        if last is None:
            raise NoMarketData(f"{symbol} has not traded yet")
        stored = StoredTrade(
            last.seq, last.venue_time_ns, last.price, last.size, last.side, last.trade_id, last.received_us
        )
        return TradeView.of(stored, TradeWriter(instrument))

    async def quote(self, symbol: str) -> SymbolQuote:
        """Raises NoMarketData where none was told, MarketDataUnavailable without an engine."""
        instrument = await self._instruments.instrument(symbol)
        quote: Quote | None = None
        if not self._view.is_silent(instrument.venue):
            quote = self._view.quote_seen(symbol)
        if quote is None:
            quote = (await self._snapshot(symbol)).quote
        if quote is None:
            raise NoMarketData(f"no quote has been published for {symbol}")
        return SymbolQuote.of(quote, instrument)

    async def book(self, symbol: str, depth: int) -> BookView:
        """Raises NoMarketData where none was told, BookDoubtful, MarketDataUnavailable without an engine."""
        if not 1 <= depth <= MAX_DEPTH:
            raise InvalidRequest(f"depth must be between 1 and {MAX_DEPTH}", extra={"field": "depth"})
        instrument = await self._instruments.instrument(symbol)
        book: BookDelta | None = (await self._snapshot(symbol)).book
        if book is None:
            raise NoMarketData(f"no book has been published for {symbol}")
        if book.doubt is not None:
            raise BookDoubtful(f"the book of {symbol} is not proven right: {book.doubt}")
        return BookView.of(book, instrument, depth)

    async def status(self) -> MarketStatusView:
        replay = await self.replays.newest()
        return MarketStatusView(
            self._settings.market,
            [VenueView(one.venue, one.state) for one in self._view.venues()],
            [SourceView.of(one) for one in self._view.feeds()],
            ReplayView.of(replay) if replay is not None else None,
        )

    async def _snapshot(self, symbol: str) -> MarketSnapshot:
        snapshot = await self._view.snapshot(symbol)
        if snapshot is None:
            raise MarketDataUnavailable("the engine does not answer; try again in a few seconds")
        return snapshot
