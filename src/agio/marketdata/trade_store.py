"""Writing trades and bars: the SQL of the recorder."""

from collections.abc import Iterable, Sequence

import msgspec

from agio.marketdata.bars import Folded
from agio.marketdata.copy_format import COLUMNS, copy_trades
from agio.marketdata.events import Bar, Trade
from agio.platform.db import Transaction


class TradeStream(msgspec.Struct, frozen=True):
    epoch: str
    last_seq: int
    open_bars: bytes

    def bars(self) -> tuple[Bar, ...]:
        return msgspec.msgpack.decode(self.open_bars, type=tuple[Bar, ...])


async def lock_stream(tx: Transaction, symbol: str) -> TradeStream:
    """The symbol's stream, locked until the transaction ends; made when it is new."""
    sql = "select epoch, last_seq, open_bars from marketdata.trade_stream where symbol = %s for update"
    stream = await tx.fetch_one(TradeStream, sql, (symbol,))
    if stream is None:
        await tx.execute(
            "insert into marketdata.trade_stream (symbol) values (%s) on conflict do nothing", (symbol,)
        )
        stream = await tx.fetch_one(TradeStream, sql, (symbol,))
    assert stream is not None, "a row that was just inserted can be read"  # noqa: S101
    return stream


async def advance_stream(tx: Transaction, symbol: str, last_seq: int, open_bars: tuple[Bar, ...]) -> None:
    await tx.execute(
        "update marketdata.trade_stream set last_seq = %s, open_bars = %s where symbol = %s",
        (last_seq, msgspec.msgpack.encode(open_bars), symbol),
    )


async def insert_trades(
    tx: Transaction,
    symbol: str,
    first_seq: int,
    trades: Sequence[Trade],
    received_us: int,
    high_ns: int | None = None,
) -> None:
    """Binary COPY; sequences are consecutive from `first_seq`, `high_ns` is the newest time before them."""
    statement = f"copy marketdata.trade ({COLUMNS}) from stdin (format binary)"
    async with tx.connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(copy_trades(symbol, first_seq, trades, received_us, high_ns))


async def save_bars(tx: Transaction, symbol: str, folded: Folded) -> tuple[Bar, ...]:
    """Store bars that ended and merge late parts into theirs; returns them as they now stand."""
    parts = (*folded.finished, *folded.late)
    if not parts:
        return ()
    rows = [msgspec.structs.astuple(bar)[1:12] for bar in parts]
    revised = await tx.fetch(
        Bar,
        "with saved as (insert into marketdata.bar as b (symbol, interval, start_ns, open, high, low, close,"
        " volume, notional, trades, first_ns, last_ns)"
        " select %s, * from unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
        " %s::bigint[], %s::bigint[], %s::numeric[], %s::bigint[], %s::bigint[], %s::bigint[])"
        " on conflict (symbol, interval, start_ns) do update set"
        " open = case when excluded.first_ns < b.first_ns then excluded.open else b.open end,"
        " high = greatest(b.high, excluded.high), low = least(b.low, excluded.low),"
        " close = case when excluded.last_ns >= b.last_ns then excluded.close else b.close end,"
        " volume = b.volume + excluded.volume, notional = b.notional + excluded.notional,"
        " trades = b.trades + excluded.trades, first_ns = least(b.first_ns, excluded.first_ns),"
        " last_ns = greatest(b.last_ns, excluded.last_ns), revision = b.revision + 1 returning *)"
        " select symbol, interval, start_ns, open, high, low, close, volume, notional,"
        " trades, first_ns, last_ns, revision, true as is_final from saved where revision > 0",
        [symbol, *(_array(column) for column in zip(*rows, strict=True))],
    )
    stored = {(bar.interval, bar.start_ns): msgspec.structs.replace(bar, is_final=True) for bar in parts}
    stored.update(((bar.interval, bar.start_ns), bar) for bar in revised)
    return tuple(stored.values())


def _array(column: Iterable[object]) -> str:
    """An array literal of integers or interval names: the driver's own way costs ten times as much."""
    return f"{{{','.join(map(str, column))}}}"


async def forget_bars_from(tx: Transaction, symbol: str, start_ns: int, before_seq: int) -> None:
    """Drop a symbol's bars from a time on: a tape that is played again draws them anew.

    The trades below `before_seq` stay, and count for no bar of that span any more.
    """
    await tx.execute("delete from marketdata.bar where symbol = %s and start_ns >= %s", (symbol, start_ns))
    await tx.execute(
        "delete from marketdata.bar_rewind where symbol = %s and from_ns >= %s", (symbol, start_ns)
    )
    await tx.execute(
        "insert into marketdata.bar_rewind (symbol, before_seq, from_ns) values (%s, %s, %s)"
        " on conflict (symbol, before_seq) do update set from_ns = excluded.from_ns",
        (symbol, before_seq, start_ns),
    )


async def ask_for_redraw(tx: Transaction, symbol: str, corrections: Sequence[int]) -> None:
    """Remember corrections, by sequence, whose bars the tick store's duty draws anew."""
    if corrections:
        await tx.execute(
            "insert into marketdata.bar_redraw (symbol, seq) select %s, unnest(%s::bigint[])",
            (symbol, list(corrections)),
        )


async def read_back(tx: Transaction, symbol: str, first_seq: int, count: int) -> list[Trade]:
    """What is stored under some sequences, to compare with what was meant to be."""
    rows = await tx.fetch_tuples(
        "select venue_time_ns, price, size, side, trade_id, correction from marketdata.trade"
        " where symbol = %s and seq >= %s and seq < %s order by seq",
        (symbol, first_seq, first_seq + count),
    )
    return [Trade(*row) for row in rows]
