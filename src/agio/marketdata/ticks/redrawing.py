"""Bars of a second and a minute, drawn anew after a correction of one of their trades.

Other intervals are folded when they are asked for; these two are kept, so a correction leaves a note, and
this folds them again from all trades that count, as a new revision.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple

import structlog

from agio.marketdata import trade_store
from agio.marketdata.events import INTERVAL_NS, INTERVALS, Bar, Interval
from agio.marketdata.ticks.candles import CandleRow, fold_candles
from agio.marketdata.ticks.intervals import DAY_SECONDS, SECOND_NS, BarInterval
from agio.marketdata.ticks.reader import StoreCursor, TickReader
from agio.marketdata.ticks.sources import TickSpan, TradeSource
from agio.platform.db import Database, Transaction

log = structlog.get_logger(__name__)

AT_ONCE: Final = 200
"""Corrections of one symbol in one transaction."""
REACH_NS: Final = DAY_SECONDS * SECOND_NS
"""A correction's venue time is at most so far from that of the trade which it corrects."""


class Note(NamedTuple):
    """A symbol and the sequences of its corrections."""

    symbol: str
    sequences: list[int]


class Redrawing:
    """Run between moves, by the duty of the tick store."""

    def __init__(self, database: Database, reader: TickReader) -> None:
        self._database = database
        self._reader = reader

    async def run(self) -> int:
        """Draw what waits; returns how many corrections there were."""
        async with self._database.transaction() as tx:
            notes = await tx.fetch_tuples(
                "select symbol, (array_agg(seq order by seq))[1:%s] from marketdata.bar_redraw"
                " group by symbol",
                (AT_ONCE,),
            )
        for symbol, sequences in notes:
            await self._redraw(Note(symbol, sequences))
        return sum(len(sequences) for _, sequences in notes)

    async def _redraw(self, note: Note) -> None:
        """With the stream locked nothing is recorded meanwhile, so what is folded is all there is."""
        async with self._database.transaction() as tx:
            stream = await trade_store.lock_stream(tx, note.symbol)
            bars = await self._reader.ask(partial(_fold_again, note=note))
            open_bars = {bar.interval: bar for bar in stream.bars()}
            for interval, start_ns, row in bars:
                running = open_bars.get(interval)
                if running is not None and running.start_ns == start_ns:
                    open_bars[interval] = _bar(note.symbol, interval, row, running) if row else running
                else:
                    await _replace(tx, note.symbol, interval, start_ns, row)
            await trade_store.advance_stream(tx, note.symbol, stream.last_seq, tuple(open_bars.values()))
            await tx.execute(
                "delete from marketdata.bar_redraw where symbol = %s and seq = any(%s)",
                (note.symbol, note.sequences),
            )
        log.info("bars_redrawn", symbol=note.symbol, corrections=len(note.sequences), bars=len(bars))


def _fold_again(cursor: StoreCursor, note: Note) -> list[tuple[Interval, int, CandleRow | None]]:
    """Every bar that holds a correction or what it corrects; None for one without any trade left."""
    bars: list[tuple[Interval, int, CandleRow | None]] = []
    for interval in INTERVALS:
        width = BarInterval(interval, INTERVAL_NS[interval])
        for start_ns in sorted({width.floor(at_ns) for at_ns in _touched(cursor, note)}):
            span = TickSpan(start_ns, start_ns + width.width_ns)
            source = TradeSource(cursor.sql, note.symbol, span)
            if source.needs_store:
                cursor.use_store()
            rows = fold_candles(cursor.sql, source, width, span.start_ns, span.end_ns, with_ends=True)
            bars.append((interval, start_ns, rows[0] if rows else None))
    return bars


def _touched(cursor: StoreCursor, note: Note) -> list[int]:
    """The venue times of the corrections and of the trades with their ids."""
    corrections = _select(
        cursor,
        TradeSource(cursor.sql, note.symbol, TickSpan(after_seq=min(note.sequences) - 1)),
        "venue_ns, trade_id",
        "list_contains(?, seq)",
        note.sequences,
    )
    if not corrections:
        return []
    times = [at_ns for at_ns, _ in corrections]
    ids = [trade_id for _, trade_id in corrections if trade_id is not None]
    around = TradeSource(cursor.sql, note.symbol, TickSpan(min(times) - REACH_NS, max(times) + REACH_NS))
    originals = _select(cursor, around, "venue_ns", "list_contains(?, trade_id)", ids)
    return times + [at_ns for (at_ns,) in originals]


def _select(
    cursor: StoreCursor, source: TradeSource, columns: str, condition: str, listed: Sequence[int | str]
) -> list[tuple[Any, ...]]:
    if source.needs_store:
        cursor.use_store()
    return cursor.sql.execute(
        f"select {columns} from ({source.select()}) where {condition}", [list(listed)]
    ).fetchall()


async def _replace(
    tx: Transaction, symbol: str, interval: Interval, start_ns: int, row: CandleRow | None
) -> None:
    key = (symbol, interval, start_ns)
    if row is None:
        await tx.execute(
            "delete from marketdata.bar where symbol = %s and interval = %s and start_ns = %s", key
        )
        return
    _, opened, high, low, close, volume, notional, trades, _, first_ns, last_ns = row
    await tx.execute(
        "update marketdata.bar set open = %s, high = %s, low = %s, close = %s, volume = %s, notional = %s,"
        " trades = %s, first_ns = %s, last_ns = %s, revision = revision + 1"
        " where symbol = %s and interval = %s and start_ns = %s",
        (opened, high, low, close, volume, notional, trades, first_ns, last_ns, *key),
    )


def _bar(symbol: str, interval: Interval, row: CandleRow, running: Bar) -> Bar:
    """The bar in progress, folded again; its end stays, as the measure of what comes late."""
    start_ns, opened, high, low, close, volume, notional, trades, _, first_ns, _ = row
    return Bar(
        symbol,
        interval,
        start_ns,
        opened,
        high,
        low,
        close,
        volume,
        Decimal(notional),
        trades,
        running.first_ns if first_ns is None else first_ns,
        running.last_ns,
    )
