"""What REST reads of the market. Everything here is public to keys with `market:read`."""

from datetime import datetime
from typing import Final

from agio.kernel.page import InvalidCursor, Page, check_limit, decode_cursor, encode_cursor
from agio.kernel.problem import InvalidRequest
from agio.kernel.time import to_micros
from agio.marketdata import store
from agio.marketdata.errors import MarketDataUnavailable, NoMarketData
from agio.marketdata.events import INTERVALS, BookDelta, Interval, MarketSnapshot, Quote
from agio.marketdata.instruments import InstrumentDirectory
from agio.marketdata.market_view import MarketView
from agio.marketdata.model import Instrument
from agio.marketdata.rendering import BarView, TradeWriter, view_bar
from agio.marketdata.replays.requests import ReplayRequests
from agio.marketdata.schemas import (
    BookView,
    InstrumentView,
    MarketStatusView,
    ReplayView,
    SymbolQuote,
    TradeView,
    VenueView,
)
from agio.marketdata.settings import MarketDataSettings
from agio.marketdata.store import BarQuery, StoredTrade, TradeQuery
from agio.platform.db import Database

MAX_DEPTH: Final = 1000
_MAX_NS: Final = 2**63 - 1


class MarketDataService:
    """Reads of one API process."""

    def __init__(
        self,
        database: Database,
        instruments: InstrumentDirectory,
        view: MarketView,
        replays: ReplayRequests,
        settings: MarketDataSettings,
    ) -> None:
        self._database = database
        self._instruments = instruments
        self._view = view
        self._settings = settings
        self.replays = replays

    async def list_instruments(
        self, venue: str | None, limit: int, cursor: str | None
    ) -> Page[InstrumentView]:
        """In order of symbol."""
        check_limit(limit)
        after = _read_text_cursor(cursor, "instruments")
        found = [one for one in await self._instruments.instruments(venue) if one.symbol > after]
        page = [InstrumentView.of(one) for one in found[:limit]]
        more = encode_cursor({"of": "instruments", "after": page[-1].symbol}) if len(found) > limit else None
        return Page(page, more)

    async def instrument(self, symbol: str) -> InstrumentView:
        return InstrumentView.of(await self._instruments.instrument(symbol))

    async def list_trades(
        self,
        symbol: str,
        *,
        limit: int,
        cursor: str | None,
        start: str | None,
        end: str | None,
        after_seq: int,
    ) -> Page[TradeView]:
        """Ascending by sequence; `start` inclusive, `end` exclusive, both of venue time."""
        check_limit(limit)
        if not 0 <= after_seq <= _MAX_NS:
            raise InvalidRequest("after_seq is a sequence number", extra={"field": "after_seq"})
        instrument = await self._instruments.instrument(symbol)
        kind = f"trades:{symbol}"
        after = max(after_seq, _read_number_cursor(cursor, kind, 0))
        query = TradeQuery(symbol, after, limit + 1, _read_time(start, "start"), _read_time(end, "end"))
        async with self._database.transaction() as tx:
            found = await store.read_trades(tx, query)
        writer = TradeWriter(instrument)
        page = [TradeView.of(trade, writer) for trade in found[:limit]]
        more = encode_cursor({"of": kind, "after": page[-1].seq}) if len(found) > limit else None
        return Page(page, more)

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
        quote: Quote | None = self._view.quote_seen(symbol) or (await self._snapshot(symbol)).quote
        if quote is None:
            raise NoMarketData(f"no quote has been published for {symbol}")
        return SymbolQuote.of(quote, instrument)

    async def book(self, symbol: str, depth: int) -> BookView:
        """Raises NoMarketData where none was told, MarketDataUnavailable without an engine."""
        if not 1 <= depth <= MAX_DEPTH:
            raise InvalidRequest(f"depth must be between 1 and {MAX_DEPTH}", extra={"field": "depth"})
        instrument = await self._instruments.instrument(symbol)
        book: BookDelta | None = (await self._snapshot(symbol)).book
        if book is None:
            raise NoMarketData(f"no book has been published for {symbol}")
        return BookView.of(book, instrument, depth)

    async def list_bars(
        self,
        symbol: str,
        *,
        interval: str,
        limit: int,
        cursor: str | None,
        start: str | None,
        end: str | None,
    ) -> Page[BarView]:
        """Ascending by start. With neither `start` nor `cursor`: the newest `limit` bars."""
        check_limit(limit)
        instrument = await self._instruments.instrument(symbol)
        wanted = _read_interval(interval)
        kind = f"bars:{symbol}:{wanted}"
        start_ns, end_ns = _read_time(start, "start"), _read_time(end, "end")
        after_ns = _read_number_cursor(cursor, kind, -_MAX_NS) if cursor is not None else None
        query = BarQuery(
            symbol,
            wanted,
            limit + 1,
            -_MAX_NS if start_ns is None else start_ns,
            _MAX_NS if end_ns is None else end_ns,
            after_ns,
        )
        if start_ns is None and after_ns is None:
            return Page(await self._newest_bars(instrument, query))
        async with self._database.transaction() as tx:
            found = await store.read_bars(tx, query)
            if len(found) <= limit:
                found += [bar for bar in await store.read_open_bars(tx, symbol) if query.takes(bar)]
        page = [view_bar(bar, instrument) for bar in found[:limit]]
        more = encode_cursor({"of": kind, "after": found[limit - 1].start_ns}) if len(found) > limit else None
        return Page(page, more)

    async def status(self) -> MarketStatusView:
        replay = await self.replays.newest()
        return MarketStatusView(
            self._settings.market,
            [VenueView(one.venue, one.state) for one in self._view.venues()],
            ReplayView.of(replay) if replay is not None else None,
        )

    async def _newest_bars(self, instrument: Instrument, query: BarQuery) -> list[BarView]:
        async with self._database.transaction() as tx:
            bars = await store.read_newest_bars(tx, query)
            bars += [bar for bar in await store.read_open_bars(tx, query.symbol) if query.takes(bar)]
        return [view_bar(bar, instrument) for bar in bars[1 - query.limit :]]

    async def _snapshot(self, symbol: str) -> MarketSnapshot:
        snapshot = await self._view.snapshot(symbol)
        if snapshot is None:
            raise MarketDataUnavailable("the engine does not answer; try again in a few seconds")
        return snapshot


def _read_time(text: str | None, field: str) -> int | None:
    """RFC 3339 text as nanoseconds, kept within 64 bits; raises InvalidRequest."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise InvalidRequest(
            f"{field} must be a time with its zone, such as 2013-09-01T17:00:00Z", extra={"field": field}
        )
    return max(-_MAX_NS, min(_MAX_NS, to_micros(instant) * 1000))


def _read_interval(text: str) -> Interval:
    for interval in INTERVALS:
        if text == interval:
            return interval
    raise InvalidRequest(f"interval must be one of {', '.join(INTERVALS)}", extra={"field": "interval"})


def _read_cursor(cursor: str, kind: str) -> str | int | None:
    position = decode_cursor(cursor)
    if position.get("of") != kind:
        raise InvalidCursor("this cursor belongs to another list")
    return position.get("after")


def _read_text_cursor(cursor: str | None, kind: str) -> str:
    after = _read_cursor(cursor, kind) if cursor is not None else ""
    if not isinstance(after, str):
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return after


def _read_number_cursor(cursor: str | None, kind: str, first: int) -> int:
    after = _read_cursor(cursor, kind) if cursor is not None else first
    if not isinstance(after, int) or not -_MAX_NS <= after <= _MAX_NS:
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return after
