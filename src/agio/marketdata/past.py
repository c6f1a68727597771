"""What REST reads of the past: trades, quotes and bars, as pages or as files."""

from functools import partial
from typing import Final

import msgspec

from agio.kernel.page import DEFAULT_LIMIT, Page, check_limit
from agio.kernel.problem import InvalidRequest
from agio.marketdata import store
from agio.marketdata.bar_files import bars_as_csv, bars_as_parquet
from agio.marketdata.events import INTERVALS, Interval
from agio.marketdata.history import TradeTable
from agio.marketdata.instruments import InstrumentDirectory
from agio.marketdata.model import Instrument
from agio.marketdata.rendering import BarView, TradeWriter, view_bar
from agio.marketdata.schemas import PastQuote, TradeView
from agio.marketdata.spans import (
    MAX_NS,
    check_sequence,
    next_cursor,
    read_number_cursor,
    read_time,
)
from agio.marketdata.store import BarQuery, QuoteQuery, TradeQuery
from agio.marketdata.ticks.batches import Kind
from agio.marketdata.ticks.exports import (
    EXPORT_SECONDS,
    MAX_ROWS,
    Export,
    ExportFormat,
    ExportQuery,
    write_export,
)
from agio.marketdata.ticks.intervals import BarInterval, read_interval, read_time_zone
from agio.marketdata.ticks.pages import CandleQuery
from agio.marketdata.ticks.sources import TickSpan
from agio.platform.db import Database


class TickRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a list of ticks, as they came."""

    symbol: str
    limit: int | None = None
    cursor: str | None = None
    start: str | None = None
    end: str | None = None
    after_seq: int = 0

    def after(self, kind: Kind) -> int:
        """The sequence after which rows are wanted: the cursor's or the parameter's, whichever is higher."""
        check_sequence(self.after_seq, "after_seq")
        return max(self.after_seq, read_number_cursor(self.cursor, f"{kind}:{self.symbol}", 0))


class BarRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a list of bars, as they came."""

    symbol: str
    interval: str = "1m"
    time_zone: str | None = None
    limit: int | None = None
    cursor: str | None = None
    start: str | None = None
    end: str | None = None


MAX_FILE_BARS: Final = 10_000


class PastService:
    """Reads of one API process. `start` is inclusive, `end` exclusive, both of venue time."""

    def __init__(self, database: Database, instruments: InstrumentDirectory, history: TradeTable) -> None:
        self._database = database
        self._instruments = instruments
        self._history = history

    async def list_trades(self, request: TickRequest) -> Page[TradeView]:
        """Ascending by sequence."""
        limit = _page_limit(request.limit)
        instrument = await self._instruments.instrument(request.symbol)
        after_seq = request.after("trades")
        start_ns, end_ns = read_time(request.start, "start"), read_time(request.end, "end")
        found = await self._history.trades(TradeQuery(request.symbol, after_seq, limit + 1, start_ns, end_ns))
        writer = TradeWriter(instrument)
        page = [TradeView.of(trade, writer) for trade in found[:limit]]
        more = next_cursor(f"trades:{request.symbol}", page[-1].seq) if len(found) > limit else None
        return Page(page, more)

    async def list_quotes(self, request: TickRequest) -> Page[PastQuote]:
        """Ascending by sequence."""
        limit = _page_limit(request.limit)
        instrument = await self._instruments.instrument(request.symbol)
        after_seq = request.after("quotes")
        start_ns, end_ns = read_time(request.start, "start"), read_time(request.end, "end")
        found = await self._history.quotes(QuoteQuery(request.symbol, after_seq, limit + 1, start_ns, end_ns))
        writer = TradeWriter(instrument)
        page = [PastQuote.of(quote, writer) for quote in found[:limit]]
        more = next_cursor(f"quotes:{request.symbol}", page[-1].seq) if len(found) > limit else None
        return Page(page, more)

    async def export(self, kind: Kind, request: TickRequest, form: ExportFormat) -> tuple[Export, str | None]:
        """Everything that is asked for as a file, and the cursor of what did not fit into it."""
        limit = MAX_ROWS if request.limit is None else request.limit
        if not 1 <= limit <= MAX_ROWS:
            raise InvalidRequest(
                f"limit of a file must be between 1 and {MAX_ROWS}", extra={"field": "limit"}
            )
        instrument = await self._instruments.instrument(request.symbol)
        start_ns, end_ns = read_time(request.start, "start"), read_time(request.end, "end")
        span = TickSpan(
            -MAX_NS if start_ns is None else start_ns,
            MAX_NS if end_ns is None else end_ns,
            request.after(kind),
        )
        reader = self._history.reader
        query = ExportQuery(kind, instrument, span, limit, form, reader.export_folder)
        export = await reader.ask(partial(write_export, query=query), seconds=EXPORT_SECONDS)
        is_whole = export.after_seq is None
        return export, None if is_whole else next_cursor(f"{kind}:{request.symbol}", export.after_seq or 0)

    async def list_bars(self, request: BarRequest) -> Page[BarView]:
        """Ascending by start. With neither `start` nor `cursor`: the newest ones, that in progress last."""
        return await self._list_bars(request, _page_limit(request.limit))

    async def export_bars(self, request: BarRequest, form: ExportFormat) -> tuple[bytes, str | None]:
        """The same as the bytes of a file, and the cursor of what did not fit into it."""
        limit = MAX_FILE_BARS if request.limit is None else request.limit
        if not 1 <= limit <= MAX_FILE_BARS:
            raise InvalidRequest(
                f"limit of a file of bars must be between 1 and {MAX_FILE_BARS}", extra={"field": "limit"}
            )
        page = await self._list_bars(request, limit)
        if form == "csv":
            return bars_as_csv(page.items), page.next_cursor
        reader = self._history.reader
        instrument = await self._instruments.instrument(request.symbol)
        write = partial(bars_as_parquet, bars=page.items, instrument=instrument, folder=reader.export_folder)
        return await reader.ask(write), page.next_cursor

    async def _list_bars(self, request: BarRequest, limit: int) -> Page[BarView]:
        instrument = await self._instruments.instrument(request.symbol)
        interval = read_interval(request.interval, await self._time_zone(instrument, request.time_zone))
        of = _list_of(request.symbol, interval)
        start_ns, end_ns = read_time(request.start, "start"), read_time(request.end, "end")
        after_ns = read_number_cursor(request.cursor, of, -MAX_NS) if request.cursor is not None else None
        recorded = _recorded(interval)
        if recorded is not None:
            query = BarQuery(
                request.symbol,
                recorded,
                limit + 1,
                -MAX_NS if start_ns is None else start_ns,
                MAX_NS if end_ns is None else end_ns,
                after_ns,
            )
            return await self._recorded_bars(instrument, query, of, is_newest=start_ns is None)
        if after_ns is not None:
            start_ns = max(after_ns + 1, -MAX_NS if start_ns is None else start_ns)
        candles, more_ns = await self._history.candles(
            CandleQuery(request.symbol, interval, limit, start_ns, MAX_NS if end_ns is None else end_ns)
        )
        page = [view_bar(candle, instrument) for candle in candles]
        return Page(page, next_cursor(of, more_ns) if more_ns is not None else None)

    async def _recorded_bars(
        self, instrument: Instrument, query: BarQuery, of: str, *, is_newest: bool
    ) -> Page[BarView]:
        """Bars of a second or a minute are kept as they are drawn, with their revisions."""
        limit = query.limit - 1
        async with self._database.transaction() as tx:
            if is_newest and query.after_ns is None:
                bars = await store.read_newest_bars(tx, query)
                bars += [bar for bar in await store.read_open_bars(tx, query.symbol) if query.takes(bar)]
                return Page([view_bar(bar, instrument) for bar in bars[-limit:]])
            bars = await store.read_bars(tx, query)
            if len(bars) <= limit:
                bars += [bar for bar in await store.read_open_bars(tx, query.symbol) if query.takes(bar)]
        more = next_cursor(of, bars[limit - 1].start_ns) if len(bars) > limit else None
        return Page([view_bar(bar, instrument) for bar in bars[:limit]], more)

    async def _time_zone(self, instrument: Instrument, wanted: str | None) -> str:
        """The one that was asked for, else that of the instrument's calendar."""
        if wanted is not None:
            return read_time_zone(wanted)
        return (await self._instruments.calendar(instrument.calendar)).time_zone


def _page_limit(limit: int | None) -> int:
    return check_limit(DEFAULT_LIMIT if limit is None else limit)


def _recorded(interval: BarInterval) -> Interval | None:
    return next((name for name in INTERVALS if name == interval.name), None)


def _list_of(symbol: str, interval: BarInterval) -> str:
    """The name of a list of bars: its bars begin where they begin."""
    zone = "" if interval.is_fixed else f":{interval.time_zone}"
    return f"bars:{symbol}:{interval.name}{zone}"
