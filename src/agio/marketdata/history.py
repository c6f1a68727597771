"""Trades, quotes and bars of any age: the newest hours from PostgreSQL, what is older from the tick store."""

from collections.abc import Sequence
from functools import partial

from agio.marketdata import hot_store, store
from agio.marketdata.bars import Candle
from agio.marketdata.errors import TickStoreUnavailable
from agio.marketdata.events import TradeBatch
from agio.marketdata.store import QuoteQuery, StoredQuote, StoredTrade, TradeQuery
from agio.marketdata.ticks.batches import Kind
from agio.marketdata.ticks.pages import CandlePage, CandleQuery, StoredRows, read_candles, read_rows
from agio.marketdata.ticks.reader import TickReader
from agio.marketdata.ticks.sources import MAX_NS, TickSpan
from agio.platform.db import Database


class TradeTable:
    """Implements api.TradeHistory, and reads for REST. Without a reader only the newest hours are there."""

    def __init__(self, database: Database, reader: TickReader | None = None) -> None:
        self._database = database
        self._reader = reader

    @property
    def reader(self) -> TickReader:
        """What answers from the tick store; raises TickStoreUnavailable where there is none."""
        if self._reader is None:
            raise TickStoreUnavailable("this process does not read the tick store")
        return self._reader

    async def position(self, symbol: str) -> tuple[str, int]:
        async with self._database.transaction() as tx:
            return await store.position(tx, symbol)

    async def trades_after(self, symbol: str, seq: int, limit: int) -> list[TradeBatch]:
        epoch, rows = await self._trades(TradeQuery(symbol, seq, limit))
        return store.batch_trades(symbol, epoch, rows)

    async def new_trades_after(self, symbol: str, seq: int, limit: int) -> list[TradeBatch]:
        """The same without the tick store: begins later than `seq` + 1 where trades have been moved."""
        async with self._database.transaction() as tx:
            hot = await hot_store.read_trades(tx, TradeQuery(symbol, seq, limit))
        return store.batch_trades(symbol, hot.epoch, hot.rows)

    async def first_sequence(self, symbol: str, instant_ns: int, after_seq: int) -> int | None:
        """The first sequence behind `after_seq` whose venue time is not before an instant."""
        found = await self.trades(TradeQuery(symbol, after_seq, 1, instant_ns))
        return found[0].seq if found else None

    async def trades(self, query: TradeQuery) -> list[StoredTrade]:
        """Ascending by sequence, each once, whichever side of the seam it is on."""
        return (await self._trades(query))[1]

    async def quotes(self, query: QuoteQuery) -> list[StoredQuote]:
        """Ascending by sequence, each once."""
        async with self._database.transaction() as tx:
            hot = await hot_store.read_quotes(tx, query)
        if query.after_seq >= hot.moved_seq:
            return hot.rows
        wanted = _stored("quotes", query, "", hot.moved_seq)
        old = [StoredQuote(*row) for row in await self.reader.ask(partial(read_rows, wanted=wanted))]
        return (old + hot.rows)[: query.limit]

    async def _trades(self, query: TradeQuery) -> tuple[str, list[StoredTrade]]:
        """The epoch, and the trades."""
        async with self._database.transaction() as tx:
            hot = await hot_store.read_trades(tx, query)
        if query.after_seq >= hot.moved_seq:
            return hot.epoch, hot.rows
        wanted = _stored("trades", query, hot.epoch, hot.moved_seq)
        old = [_trade(row) for row in await self.reader.ask(partial(read_rows, wanted=wanted))]
        return hot.epoch, (old + hot.rows)[: query.limit]

    async def candles(self, query: CandleQuery) -> tuple[list[Candle], int | None]:
        """Bars folded from the trades, ascending, and where the next page begins."""
        page: CandlePage = await self.reader.ask(partial(read_candles, query=query))
        async with self._database.transaction() as tx:
            open_bars = await store.read_open_bars(tx, query.symbol)
        newest_ns = max((bar.last_ns for bar in open_bars), default=MAX_NS)
        return _candles(query, page, newest_ns), page.after_ns


def _stored(kind: Kind, query: TradeQuery | QuoteQuery, epoch: str, moved_seq: int) -> StoredRows:
    span = TickSpan(
        -MAX_NS if query.start_ns is None else query.start_ns,
        MAX_NS if query.end_ns is None else query.end_ns,
        query.after_seq,
    )
    return StoredRows(kind, query.symbol, epoch, moved_seq, span, query.limit)


def _trade(row: Sequence[object]) -> StoredTrade:
    seq, venue_ns, received_us, price, size, side, trade_id, correction, _ = row
    return StoredTrade(seq, venue_ns, price, size, side, trade_id, received_us, correction)  # type: ignore[arg-type]


def _candles(query: CandleQuery, page: CandlePage, newest_ns: int) -> list[Candle]:
    """A bar is final once a later one has begun."""
    interval = query.interval
    if not page.rows:
        return []
    ends = [row[0] for row in page.rows[1:]] + [interval.after(page.rows[-1][0], 1)]
    return [
        Candle(
            interval.name,
            start_ns,
            opened,
            high,
            low,
            close,
            volume,
            notional,
            trades,
            revision,
            newest_ns >= end_ns,
        )
        for (start_ns, opened, high, low, close, volume, notional, trades, revision, _, _), end_ns in zip(
            page.rows, ends, strict=True
        )
    ]
