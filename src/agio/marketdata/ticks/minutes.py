"""Bars of hours, days, weeks and months out of the recorded bars of a minute, folded by PostgreSQL.

A year of minutes is half a million rows, whatever was traded: no trade is read. A minute opens with its
earliest trade and closes with its latest, so a bar that is made of whole minutes opens with the first and
closes with the last of them.
"""

from typing import Any, Final, Literal

import msgspec

from agio.marketdata.events import Bar
from agio.marketdata.ticks.candles import CandleRow
from agio.marketdata.ticks.duck import quoted
from agio.marketdata.ticks.intervals import DAY_NS, MINUTE_NS, BarInterval
from agio.marketdata.ticks.reader import StoreCursor

_MINUTES: Final = "marketdata.bar m where m.symbol = '{symbol}' and m.interval = '1m'"
_WITHIN: Final = "m.start_ns >= {first} and m.start_ns < {end}"
# One statement, so one snapshot: the minute in progress is either in the table or beside it. A sum can be
# more than 64 bits, so it comes as text.
_BARS: Final = f"""
select s.open_bars, b.place, (select open from {_MINUTES} and m.start_ns = b.first_ns) as open, b.high, b.low,
  (select close from {_MINUTES} and m.start_ns = b.last_ns) as close,
  b.volume, b.notional, b.trades, b.revision
from marketdata.trade_stream s left join (
  select {{place}} as place, min(start_ns) as first_ns, max(start_ns) as last_ns, max(high) as high,
    min(low) as low, sum(volume)::text as volume, sum(notional)::text as notional,
    sum(trades)::bigint as trades, sum(revision)::bigint as revision
  from {_MINUTES} and {_WITHIN} group by 1
) b on true where s.symbol = '{{symbol}}' order by b.place
"""
_NEAREST: Final = f"""
select s.open_bars, (select {{aggregate}}(start_ns) from {_MINUTES} and {_WITHIN}) as start_ns
from marketdata.trade_stream s where s.symbol = '{{symbol}}'
"""
_HOT_DISORDER: Final = """
select coalesce(
    (select moved_seq from marketdata.tick_mark where kind = 'trades' and symbol = '{symbol}'), 0),
  exists (select from marketdata.trade where symbol = '{symbol}' and late_ns > 0
    and venue_time_ns >= {first} and venue_time_ns < {end})
  or exists (select from marketdata.trade where symbol = '{symbol}' and correction > 0
    and venue_time_ns >= {first_reach} and venue_time_ns < {end_reach})
"""
_STORED_DISORDER: Final = """
select 1 from lake.trade_ticks where symbol = '{symbol}' and venue_ns >= {first} and venue_ns < {end}
  and late_ns > 0
union all
select 1 from lake.trade_ticks where symbol = '{symbol}' and venue_ns >= {first_reach}
  and venue_ns < {end_reach} and correction > 0 limit 1
"""
REACH_NS: Final = DAY_NS
"""A correction's venue time is at most so far from that of the trade which it corrects."""


def fold_minutes(
    cursor: StoreCursor, symbol: str, interval: BarInterval, first_ns: int, end_ns: int
) -> list[CandleRow] | None:
    """The bars of `first_ns <= start < end_ns`, ascending; None where one does not begin with a minute.

    A bar's revision is the sum of its minutes'.
    """
    edges = [] if interval.is_fixed else interval.edges(first_ns, end_ns)
    if any(edge_ns % MINUTE_NS for edge_ns in edges):
        return None
    place = (
        f"start_ns / {interval.width_ns} * {interval.width_ns}"
        if interval.is_fixed
        else f"width_bucket(start_ns, '{{{','.join(map(str, edges))}}}'::bigint[]) - 1"
    )
    names = {"symbol": symbol, "first": first_ns, "end": end_ns}
    found = _ask(cursor, _BARS.format(place=place, **names))
    rows = [_row(bar, edges) for _, *bar in found if bar[0] is not None]
    running = _minute_in_progress(found)
    if running is None or not first_ns <= running.start_ns < end_ns:
        return rows
    start_ns = interval.floor(running.start_ns)
    before = rows.pop() if rows and rows[-1][0] == start_ns else None
    return [*rows, _joined(start_ns, before, running)]


def nearest_minute(
    cursor: StoreCursor, symbol: str, which: Literal["first", "last"], start_ns: int, end_ns: int
) -> int | None:
    """The beginning of the first or last minute that holds something of a span."""
    choose, aggregate = (min, "min") if which == "first" else (max, "max")
    first_ns = start_ns // MINUTE_NS * MINUTE_NS
    found = _ask(cursor, _NEAREST.format(symbol=symbol, aggregate=aggregate, first=first_ns, end=end_ns))
    near: list[int] = [at_ns for _, at_ns in found if at_ns is not None]
    running = _minute_in_progress(found)
    if running is not None and first_ns <= running.start_ns < end_ns:
        near.append(running.start_ns)
    return choose(near, default=None)


def is_in_order(cursor: StoreCursor, symbol: str, first_ns: int, end_ns: int) -> bool:
    """Did no trade of a span come late, and was none corrected? Then no bar of it has a revision."""
    names = {
        "symbol": symbol,
        "first": first_ns,
        "end": end_ns,
        "first_reach": first_ns - REACH_NS,
        "end_reach": end_ns + REACH_NS,
    }
    ((moved_seq, is_disordered),) = _ask(cursor, _HOT_DISORDER.format(**names))
    if is_disordered or not moved_seq:
        return not is_disordered
    cursor.use_store()
    return cursor.sql.execute(_STORED_DISORDER.format(**names)).fetchone() is None


def _ask(cursor: StoreCursor, sql: str) -> list[tuple[Any, ...]]:
    return cursor.sql.execute(f"from postgres_query('pg', '{quoted(sql)}')").fetchall()


def _minute_in_progress(found: list[tuple[Any, ...]]) -> Bar | None:
    if not found or not found[0][0]:
        return None
    bars = msgspec.msgpack.decode(found[0][0], type=tuple[Bar, ...])
    return next((bar for bar in bars if bar.interval == "1m"), None)


def _row(bar: list[Any], edges: list[int]) -> CandleRow:
    place, opened, high, low, close, volume, notional, trades, revision = bar
    start_ns = edges[place] if edges else place
    return start_ns, opened, high, low, close, int(volume), int(notional), trades, revision, None, None


def _joined(start_ns: int, before: CandleRow | None, running: Bar) -> CandleRow:
    """The finished minutes of a bar, and after them the one in progress."""
    if before is None:
        before = (start_ns, running.open, running.high, running.low, running.close, 0, 0, 0, 0, None, None)
    _, opened, high, low, _, volume, notional, trades, revision, _, _ = before
    return (
        start_ns,
        opened,
        max(high, running.high),
        min(low, running.low),
        running.close,
        volume + running.volume,
        notional + int(running.notional),
        trades + running.trades,
        revision + running.revision,
        None,
        None,
    )
