"""Bars out of trades, folded by DuckDB.

Trades that came in order are monotone in time, so the first and last sequence of a bar open and close it: one
pass over the columns. The few that came late are folded apart with the full rule (earliest and latest venue
time, ties by sequence), and both are merged. What a correction replaced or cancelled is left out.

A bar's revision counts the receipts that changed it after a later bar had begun: late trades and corrections.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from agio.marketdata.ticks.intervals import BarInterval
from agio.marketdata.ticks.sources import TickSpan, TradeSource

if TYPE_CHECKING:
    import duckdb

CandleRow = tuple[int, int, int, int, int, int, int, int, int, int | None, int | None]
"""start_ns, open, high, low, close, volume, notional, trades, revision; first_ns and last_ns if asked for"""

_IN_ORDER: Final = """
  select venue_ns // {width} as part, arg_min(price, seq) as o, max(price) as h, min(price) as l,
    arg_max(price, seq) as c, sum(size) as v, sum(price{wide} * size) as n, count(*) as k{ends}
  from {ticks} where late_ns = 0 and correction < 2 {counted} group by all
"""
_ENDS: Final = ", min(venue_ns) as f, min(seq) as fs, max(venue_ns) as t, max(seq) as ts"
_LATE: Final = """
  select venue_ns // {width} as part, arg_min(price, {{'at': venue_ns, 'seq': seq}}), max(price), min(price),
    arg_max(price, {{'at': venue_ns, 'seq': seq}}), sum(size), sum(price::hugeint * size), count(*),
    min(venue_ns), arg_min(seq, {{'at': venue_ns, 'seq': seq}}), max(venue_ns),
    arg_max(seq, {{'at': venue_ns, 'seq': seq}})
  from {ticks} where late_ns > 0 and correction < 2 {counted} group by all
"""
_TOUCHES: Final = """
  select {bucket} as start_ns, {bucket_high} as high_start_ns, received_us
  from {ticks} where late_ns > 0 {counted}
"""
_REPLACED: Final = """
  select {bucket} as start_ns, null::bigint as high_start_ns, c.received_us
  from {ticks} join corrections c on trade_id = c.id and seq < c.last_seq {rewound}
"""
_PLAIN_BARS: Final = """
with parts as ({in_order}), placed as (select {place_part} as start_ns, p.* from parts p {asof_part})
select start_ns, arg_min(o, part), max(h), min(l), arg_max(c, part), sum(v)::bigint, sum(n),
  sum(k)::bigint, 0, null, null
from placed group by start_ns order by start_ns
"""
_BARS: Final = """
with parts as materialized ({in_order} union all {late}), touches as materialized ({touches}),
  placed as (select {place_part} as start_ns, p.* exclude (part) from parts p {asof_part}),
  revised as (
    select start_ns, count(distinct received_us) as revision from (
      select {place_touch} as start_ns, {place_high} as high_ns, x.received_us
      from touches x {asof_touch} {asof_high}
    ) where high_ns is null or high_ns > start_ns group by all
  )
select start_ns, arg_min(o, {{'at': f, 'seq': fs}}), max(h), min(l), arg_max(c, {{'at': t, 'seq': ts}}),
  sum(v)::bigint, sum(n), sum(k)::bigint, coalesce(any_value(revision), 0),
  min(f), max(t)
from placed left join revised using (start_ns) group by start_ns order by start_ns
"""


def fold_candles(
    cursor: "duckdb.DuckDBPyConnection",
    source: TradeSource,
    interval: BarInterval,
    first_ns: int,
    end_ns: int,
    *,
    with_ends: bool = False,
) -> list[CandleRow]:
    """The bars of the trades with `first_ns <= venue time < end_ns`, both beginnings of bars; ascending."""
    span = TickSpan(first_ns, end_ns)
    ticks = f"({source.select(span)}) as ticks"
    corrections = source.corrections(cursor)
    is_fixed = interval.is_fixed
    edges = np.array(() if is_fixed else interval.edges(first_ns, end_ns), dtype=np.int64)
    # Folded first by the widest parts of which every bar is made.
    width_ns = interval.width_ns if is_fixed else int(np.gcd.reduce(edges))
    rewound = source.rewound()
    if corrections:
        _register_corrections(cursor, corrections)
    names = {
        "ticks": ticks,
        "width": str(width_ns),
        "bucket": f"venue_ns // {width_ns} * {width_ns}",
        "bucket_high": f"(venue_ns + late_ns) // {width_ns} * {width_ns}",
        "rewound": rewound,
        "counted": rewound
        + (
            " and not exists (from corrections c where c.id = ticks.trade_id and ticks.seq < c.last_seq)"
            if corrections
            else ""
        ),
    }
    late = cursor.execute(f"select 1 from {ticks} where late_ns > 0 limit 1").fetchone()
    touches = _TOUCHES + (f" union all {_REPLACED}" if corrections else "")
    # Almost always all came in order, and half of the columns are not needed.
    bars = _BARS if late is not None or corrections or with_ends else _PLAIN_BARS
    if not is_fixed:
        cursor.register("edges", {"edge_ns": edges})
    try:
        return _run(cursor, bars, names, touches, is_fixed=is_fixed)
    finally:
        if not is_fixed:
            cursor.unregister("edges")
        if corrections:
            cursor.unregister("corrections")


def _run(
    cursor: "duckdb.DuckDBPyConnection", bars: str, names: dict[str, str], touches: str, *, is_fixed: bool
) -> list[CandleRow]:
    import duckdb  # noqa: PLC0415 - loaded long since

    ends = _ENDS if bars is _BARS else ""
    places = _FIXED if is_fixed else _BY_EDGES

    def sql(wide: str) -> str:
        return bars.format(
            in_order=_IN_ORDER.format(wide=wide, ends=ends, **names),
            late=_LATE.format(**names),
            touches=touches.format(**names),
            **{name: text.format(**names) for name, text in places.items()},
        )

    try:
        return cursor.execute(sql("")).fetchall()
    except duckdb.OutOfRangeException:
        # Price x size beyond 64 bits: rare, so the wider and slower product is the second choice.
        return cursor.execute(sql("::hugeint")).fetchall()


_FIXED: Final = {
    "place_part": "p.part * {width}",
    "asof_part": "",
    "place_touch": "x.start_ns",
    "place_high": "x.high_start_ns",
    "asof_touch": "",
    "asof_high": "",
}
_BY_EDGES: Final = {
    "place_part": "e.edge_ns",
    "asof_part": "asof join edges e on p.part * {width} >= e.edge_ns",
    "place_touch": "e.edge_ns",
    "place_high": "g.edge_ns",
    "asof_touch": "asof join edges e on x.start_ns >= e.edge_ns",
    "asof_high": "asof left join edges g on x.high_start_ns >= g.edge_ns",
}


def _register_corrections(
    cursor: "duckdb.DuckDBPyConnection", corrections: Sequence[tuple[str, int, int]]
) -> None:
    ids, sequences, received = zip(*corrections, strict=True)
    cursor.register(
        "corrections",
        {
            "id": np.array(ids, dtype=object),
            "last_seq": np.array(sequences, dtype=np.int64),
            "received_us": np.array(received, dtype=np.int64),
        },
    )
