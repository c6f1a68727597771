"""Instruments, calendars, and reads of trades and bars: SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from agio.marketdata.events import (
    CANCELS,
    MAX_BATCH,
    NO_CORRECTION,
    Bar,
    Interval,
    LastTrade,
    Trade,
    TradeBatch,
)
from agio.marketdata.model import CALENDARS, Calendar, Instrument
from agio.platform.db import Transaction

_INSTRUMENT: LiteralString = (
    "symbol, name, venue, base_asset, quote_asset, tick_size, lot_size, price_scale, quantity_scale,"
    " quote_scale, calendar, status, asset_class"
)


class StoredTrade(msgspec.Struct, frozen=True, gc=False):
    seq: int
    venue_time_ns: int
    price: int
    size: int
    side: int
    trade_id: str | None
    received_us: int
    correction: int = NO_CORRECTION

    def trade(self) -> Trade:
        return Trade(self.venue_time_ns, self.price, self.size, self.side, self.trade_id, self.correction)


class StoredQuote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and offer; a missing side has price and size 0."""

    seq: int
    venue_time_ns: int
    received_us: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int


class TradeQuery(msgspec.Struct, frozen=True):
    """Trades after a sequence, within a span of venue time (start inclusive, end exclusive)."""

    symbol: str
    after_seq: int
    limit: int
    start_ns: int | None = None
    end_ns: int | None = None


class QuoteQuery(TradeQuery, frozen=True):
    """The same of quotes."""


class BarQuery(msgspec.Struct, frozen=True):
    symbol: str
    interval: Interval
    limit: int
    start_ns: int
    end_ns: int
    after_ns: int | None = None

    def takes(self, bar: Bar) -> bool:
        """Is this one asked for?"""
        return (
            bar.interval == self.interval
            and self.start_ns <= bar.start_ns < self.end_ns
            and (self.after_ns is None or bar.start_ns > self.after_ns)
        )


async def save_calendars(tx: Transaction) -> None:
    await tx.execute_many(
        "insert into marketdata.calendar (name, definition) values (%s, %s::text::jsonb)"
        " on conflict (name) do update set definition = excluded.definition"
        " where calendar.definition <> excluded.definition",
        [(calendar.name, msgspec.json.encode(calendar).decode()) for calendar in CALENDARS],
    )


async def save_instruments(tx: Transaction, instruments: Sequence[Instrument]) -> None:
    """Add what is missing, with an empty trade stream; an instrument that exists is left as it is."""
    await tx.execute_many(
        f"insert into marketdata.instrument ({_INSTRUMENT})"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (symbol) do nothing",
        [msgspec.structs.astuple(instrument) for instrument in instruments],
    )
    await tx.execute(
        "insert into marketdata.trade_stream (symbol) select unnest(%s::text[]) on conflict do nothing",
        ([instrument.symbol for instrument in instruments],),
    )


async def save_live_instruments(tx: Transaction, instruments: Sequence[Instrument]) -> None:
    """The same for those of live venues: their steps may change, their scales never do."""
    await save_instruments(tx, instruments)
    await tx.execute_many(
        "update marketdata.instrument set tick_size = %s, lot_size = %s"
        " where symbol = %s and status = 'data_only' and price_scale = %s and quantity_scale = %s"
        " and (tick_size, lot_size) <> (%s, %s)",
        [
            (
                one.tick_size,
                one.lot_size,
                one.symbol,
                one.price_scale,
                one.quantity_scale,
                one.tick_size,
                one.lot_size,
            )
            for one in instruments
        ],
    )


async def read_instruments(tx: Transaction) -> list[Instrument]:
    return await tx.fetch(Instrument, f"select {_INSTRUMENT} from marketdata.instrument order by symbol")


async def read_calendar(tx: Transaction, name: str) -> Calendar | None:
    text = await tx.value("select definition::text from marketdata.calendar where name = %s", (name,))
    return msgspec.json.decode(text, type=Calendar) if text is not None else None


async def position(tx: Transaction, symbol: str) -> tuple[str, int]:
    """Epoch and last sequence; ("", 0) for a symbol that never traded."""
    rows = await tx.fetch_tuples(
        "select epoch, last_seq from marketdata.trade_stream where symbol = %s", (symbol,)
    )
    return (rows[0][0], rows[0][1]) if rows else ("", 0)


_TRADE: LiteralString = (
    "seq, venue_time_ns, price, size, side, trade_id,"
    " (extract(epoch from received_at) * 1000000)::bigint as received_us, correction"
)


def batch_trades(symbol: str, epoch: str, rows: Sequence[StoredTrade]) -> list[TradeBatch]:
    """Trades in order, cut where they were received at another moment or 1,000 are together."""
    batches: list[TradeBatch] = []
    for row in rows:
        last = batches[-1] if batches else None
        is_next = last is not None and last.received_us == row.received_us and row.seq == last.last_seq + 1
        if last is not None and is_next and len(last.trades) < MAX_BATCH:
            last.trades.append(row.trade())
        else:
            batches.append(TradeBatch(symbol, epoch, row.seq, [row.trade()], row.received_us))
    return batches


async def latest_trade(tx: Transaction, symbol: str) -> LastTrade | None:
    rows = await tx.fetch(
        StoredTrade,
        f"select {_TRADE} from marketdata.trade where symbol = %s and correction < %s"
        " order by seq desc limit 1",
        (symbol, CANCELS),
    )
    if not rows:
        return None
    epoch, _ = await position(tx, symbol)
    row = rows[0]
    return LastTrade(
        symbol,
        epoch,
        row.seq,
        row.venue_time_ns,
        row.price,
        row.size,
        row.side,
        row.trade_id,
        row.received_us,
    )


_BAR: LiteralString = (
    "symbol, interval, start_ns, open, high, low, close, volume, notional, trades,"
    " first_ns, last_ns, revision, true as is_final"
)


async def read_bars(tx: Transaction, query: BarQuery) -> list[Bar]:
    """Final bars, ascending, of `start_ns <= start < end_ns` after the cursor."""
    return await tx.fetch(
        Bar,
        f"select {_BAR} from marketdata.bar"
        " where symbol = %(symbol)s and interval = %(interval)s and start_ns >= %(start_ns)s"
        " and start_ns < %(end_ns)s and (%(after_ns)s::bigint is null or start_ns > %(after_ns)s)"
        " order by start_ns limit %(limit)s",
        msgspec.structs.asdict(query),
    )


async def read_newest_bars(tx: Transaction, query: BarQuery) -> list[Bar]:
    """The last final bars before `end_ns`, ascending."""
    bars = await tx.fetch(
        Bar,
        f"select {_BAR} from marketdata.bar"
        " where symbol = %(symbol)s and interval = %(interval)s and start_ns < %(end_ns)s"
        " order by start_ns desc limit %(limit)s",
        msgspec.structs.asdict(query),
    )
    return bars[::-1]


async def read_open_bars(tx: Transaction, symbol: str) -> tuple[Bar, ...]:
    packed = await tx.value("select open_bars from marketdata.trade_stream where symbol = %s", (symbol,))
    return msgspec.msgpack.decode(packed, type=tuple[Bar, ...]) if packed is not None else ()


async def sweep_trades(tx: Transaction, venue: str, before: datetime, limit: int) -> int:
    """Delete up to `limit` of each symbol's oldest trades received before an instant, never its newest.

    Returns how many.
    """
    return await tx.execute(
        "delete from marketdata.trade t using ("
        "  select old.symbol, old.seq from marketdata.instrument i"
        "  join marketdata.trade_stream s on s.symbol = i.symbol cross join lateral ("
        "    select symbol, seq, received_at from marketdata.trade"
        "    where symbol = i.symbol and seq < s.last_seq order by seq limit %s) old"
        "  where i.venue = %s and old.received_at < %s) gone"
        " where t.symbol = gone.symbol and t.seq = gone.seq",
        (limit, venue, before),
    )


async def sweep_bars(tx: Transaction, venue: str, interval: Interval, before_ns: int) -> int:
    """Delete a venue's bars of one interval that start before a time; returns how many."""
    return await tx.execute(
        "delete from marketdata.bar b using marketdata.instrument i"
        " where i.venue = %s and b.symbol = i.symbol and b.interval = %s and b.start_ns < %s",
        (venue, interval, before_ns),
    )
