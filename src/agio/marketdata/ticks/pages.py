"""Questions to the tick store: rows by sequence, bars by time. Blocking; each runs on a cursor of its own."""

from typing import Any, Final, Literal, NamedTuple

import msgspec

from agio.marketdata.ticks.batches import Kind
from agio.marketdata.ticks.candles import CandleRow, fold_candles
from agio.marketdata.ticks.duck import quoted
from agio.marketdata.ticks.intervals import MINUTE_NS, BarInterval
from agio.marketdata.ticks.minutes import fold_minutes, is_in_order, nearest_minute
from agio.marketdata.ticks.reader import StoreCursor
from agio.marketdata.ticks.sources import ROWS, TickSpan, TradeSource
from agio.marketdata.ticks.writer import TABLES

FIRST_NS: Final = 0
LAST_NS: Final = 9_000_000_000_000_000_000
"""Bars are drawn from 1970 to 2255: what a signed number of nanoseconds can count, and seven years."""
MAX_WINDOWS: Final = 12
WIDEST: Final = 4
"""A window of time is at most so many times as long as the page."""


class StoredRows(NamedTuple):
    """Which rows of the store: those of one symbol and epoch up to the mark."""

    kind: Kind
    symbol: str
    epoch: str
    moved_seq: int
    span: TickSpan
    limit: int


def read_rows(cursor: StoreCursor, wanted: StoredRows) -> list[tuple[Any, ...]]:
    """Ascending by sequence, as `sources.ROWS` names the columns."""
    cursor.use_store()
    span = wanted.span
    return cursor.sql.execute(
        f"select {ROWS[wanted.kind]} from lake.{TABLES[wanted.kind]} where symbol = '{quoted(wanted.symbol)}'"
        f" and epoch = '{quoted(wanted.epoch)}' and seq > {span.after_seq} and seq <= {wanted.moved_seq}"
        f" and venue_ns >= {span.start_ns} and venue_ns < {span.end_ns} order by seq limit {wanted.limit}"
    ).fetchall()


class CandleQuery(msgspec.Struct, frozen=True):
    """Bars that begin at or after `start_ns` and before `end_ns`; the newest ones where there is no start."""

    symbol: str
    interval: BarInterval
    limit: int
    start_ns: int | None
    end_ns: int


class CandlePage(NamedTuple):
    """Bars, ascending; `after_ns` is where the next page begins when there may be more."""

    rows: list[CandleRow]
    after_ns: int | None


def read_candles(cursor: StoreCursor, query: CandleQuery) -> CandlePage:
    """Fold only as much time as the page needs: nights and weekends without trades are jumped over."""
    end_ns = query.interval.ceil(min(max(query.end_ns, FIRST_NS), LAST_NS))
    if query.start_ns is None:
        return CandlePage(_newest(cursor, query, end_ns), None)
    start_ns = query.interval.ceil(min(max(query.start_ns, FIRST_NS), LAST_NS))
    return _ascending(cursor, query, start_ns, end_ns)


def _ascending(cursor: StoreCursor, query: CandleQuery, at_ns: int, end_ns: int) -> CandlePage:
    interval, rows = query.interval, list[CandleRow]()
    width = query.limit + 1
    for _ in range(MAX_WINDOWS):
        first_ns = _nearest(cursor, query, "first", at_ns, end_ns)
        if first_ns is None:
            return CandlePage(rows, None)
        begin_ns = interval.floor(max(first_ns, at_ns))
        at_ns = min(interval.after(begin_ns, width), end_ns)
        rows += _fold(cursor, query, begin_ns, at_ns)
        if len(rows) > query.limit:
            return CandlePage(rows[: query.limit], rows[query.limit - 1][0])
        if at_ns >= end_ns:
            return CandlePage(rows, None)
        width = min(2 * width, WIDEST * (query.limit + 1))
    return CandlePage(rows, at_ns - 1)


def _newest(cursor: StoreCursor, query: CandleQuery, end_ns: int) -> list[CandleRow]:
    interval, rows = query.interval, list[CandleRow]()
    width = query.limit
    for _ in range(MAX_WINDOWS):
        last_ns = _nearest(cursor, query, "last", FIRST_NS, end_ns)
        if last_ns is None:
            break
        start_ns = interval.floor(last_ns)
        begin_ns = max(interval.after(start_ns, 1 - width), interval.floor(FIRST_NS))
        rows = _fold(cursor, query, begin_ns, interval.after(start_ns, 1)) + rows
        if len(rows) >= query.limit:
            break
        end_ns = begin_ns
        width = min(2 * width, WIDEST * query.limit)
    return rows[-query.limit :]


def _fold(cursor: StoreCursor, query: CandleQuery, begin_ns: int, end_ns: int) -> list[CandleRow]:
    """From the recorded minutes where they hold all that is asked for: it is a fraction of the work.

    They don't know which of their revisions change a bar of hours, so what came late is counted from the
    trades for these. A longer bar counts the revisions of its minutes.
    """
    interval = query.interval
    if _has_minutes(query) and (
        interval.is_beyond_a_day or is_in_order(cursor, query.symbol, begin_ns, end_ns)
    ):
        rows = fold_minutes(cursor, query.symbol, interval, begin_ns, end_ns)
        if rows is not None:
            return rows
    source = TradeSource(cursor.sql, query.symbol, TickSpan(begin_ns, end_ns))
    if source.needs_store:
        cursor.use_store()
    return fold_candles(cursor.sql, source, interval, begin_ns, end_ns)


def _has_minutes(query: CandleQuery) -> bool:
    """Can the bars be made of recorded minutes?"""
    width_ns = query.interval.width_ns
    return width_ns > MINUTE_NS and width_ns % MINUTE_NS == 0


def _nearest(
    cursor: StoreCursor, query: CandleQuery, which: Literal["first", "last"], start_ns: int, end_ns: int
) -> int | None:
    """An instant of the first or last minute, or trade, of a span."""
    nearest = nearest_minute if _has_minutes(query) else _nearest_trade
    return nearest(cursor, query.symbol, which, start_ns, end_ns)


def _nearest_trade(
    cursor: StoreCursor, symbol: str, which: Literal["first", "last"], start_ns: int, end_ns: int
) -> int | None:
    """The venue time of the first or last trade of a span."""
    order, choose, aggregate = ("asc", min, "min") if which == "first" else ("desc", max, "max")
    hot = (
        f"select coalesce(m.moved_seq, 0), t.at_ns from (select {aggregate}(venue_time_ns) as at_ns"
        f" from marketdata.trade where symbol = '{symbol}' and venue_time_ns >= {start_ns}"
        f" and venue_time_ns < {end_ns}) t"
        f" left join marketdata.tick_mark m on m.kind = 'trades' and m.symbol = '{symbol}'"
    )
    found = cursor.sql.execute(f"from postgres_query('pg', '{quoted(hot)}')").fetchone()
    moved_seq, hot_ns = found if found is not None else (0, None)
    near: list[int] = [hot_ns] if hot_ns is not None else []
    if moved_seq:
        cursor.use_store()
        near += [
            at_ns
            for (at_ns,) in cursor.sql.execute(
                f"select venue_ns from lake.trade_ticks where symbol = '{quoted(symbol)}'"
                f" and venue_ns >= {start_ns} and venue_ns < {end_ns} order by venue_ns {order} limit 1"
            ).fetchall()
        ]
    return choose(near, default=None)
