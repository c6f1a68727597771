"""Moves what is no longer new from PostgreSQL to the tick store: one job, safe to repeat at any point.

1 rows above the store's positions are copied and committed there · 2 `tick_mark` says so · 3 the rows are
deleted. A reader takes rows above the mark from PostgreSQL and the others from the store, so that at every
moment each row is seen exactly once. A crash between the steps is finished by the next run.
"""

from typing import Final, LiteralString

from agio.marketdata.ticks.batches import KINDS, Kind
from agio.marketdata.ticks.duck import quoted
from agio.marketdata.ticks.settings import HotTail
from agio.marketdata.ticks.writer import (
    COLUMNS,
    TABLES,
    Acknowledged,
    Commit,
    Position,
    Positions,
    TickWriter,
)
from agio.platform.db import Database

CHUNK_ROWS: Final = 250_000
"""Rows of one commit; what is left over is the next one's."""
DELETED_ROWS: Final = 5_000
"""Rows of each symbol in one deleting transaction."""

_COMMON: Final = """t.symbol, t.seq, t.venue_time_ns as venue_ns,
  (extract(epoch from t.received_at) * 1000000)::bigint as received_us,
  i.price_scale::int2 as price_scale, i.quantity_scale::int2 as quantity_scale"""
# Everything below the first row that is too new: a prefix of the sequence, whatever the clock has done.
_DUE_ROWS: Final[dict[Kind, str]] = {
    "trades": f"""
select s.epoch, {_COMMON}, t.price, t.size, t.side::int2 as side, t.trade_id,
  t.correction::int2 as correction, t.late_ns
from marketdata.trade_stream s
join marketdata.instrument i using (symbol)
left join marketdata.tick_mark m on m.kind = 'trades' and m.symbol = s.symbol
left join lateral (
  select n.seq from marketdata.trade n
  where n.symbol = s.symbol and n.seq > coalesce(m.moved_seq, 0) and n.received_at >= '{{before}}'
  order by n.seq limit 1
) young on true
join lateral (
  select * from marketdata.trade d where d.symbol = s.symbol and d.seq > coalesce(m.moved_seq, 0)
    and d.seq <= greatest(coalesce(young.seq - 1, s.last_seq), s.last_seq - {{rows}})
  order by d.seq limit {{chunk}}
) t on true
limit {{chunk}}""",
    "quotes": f"""
select ''::text as epoch, {_COMMON}, t.bid, t.bid_size, t.ask, t.ask_size, 0::bigint as late_ns
from marketdata.instrument i
left join marketdata.tick_mark m on m.kind = 'quotes' and m.symbol = i.symbol
left join lateral (
  select n.seq from marketdata.quote n
  where n.symbol = i.symbol and n.seq > coalesce(m.moved_seq, 0) and n.received_at >= '{{before}}'
  order by n.seq limit 1
) young on true
join lateral (
  select * from marketdata.quote d where d.symbol = i.symbol and d.seq > coalesce(m.moved_seq, 0)
    and d.seq < coalesce(young.seq, 9223372036854775807)
  order by d.seq limit {{chunk}}
) t on true
limit {{chunk}}""",
}
_IS_DUE: Final[dict[Kind, LiteralString]] = {
    "trades": "select exists (select from marketdata.trade_stream s"
    " left join marketdata.tick_mark m on m.kind = 'trades' and m.symbol = s.symbol"
    " join lateral (select o.seq, o.received_at from marketdata.trade o where o.symbol = s.symbol"
    "  and o.seq > coalesce(m.moved_seq, 0) order by o.seq limit 1) oldest on true"
    " where oldest.received_at < %(before)s or oldest.seq <= s.last_seq - %(rows)s)",
    "quotes": "select exists (select from marketdata.instrument i"
    " left join marketdata.tick_mark m on m.kind = 'quotes' and m.symbol = i.symbol"
    " join lateral (select o.received_at from marketdata.quote o where o.symbol = i.symbol"
    "  and o.seq > coalesce(m.moved_seq, 0) order by o.seq limit 1) oldest on true"
    " where oldest.received_at < %(before)s)",
}
_DELETE: Final[dict[Kind, LiteralString]] = {
    "trades": "delete from marketdata.trade t using (select old.seq, s.symbol from marketdata.trade_stream s"
    "  join marketdata.tick_mark m on m.kind = 'trades' and m.symbol = s.symbol"
    "  cross join lateral (select o.seq from marketdata.trade o where o.symbol = s.symbol"
    "   and o.seq <= least(m.moved_seq, s.last_seq - 1) order by o.seq limit %s) old) gone"
    " where t.symbol = gone.symbol and t.seq = gone.seq",
    "quotes": "delete from marketdata.quote t using (select old.seq, m.symbol from marketdata.tick_mark m"
    "  cross join lateral (select o.seq from marketdata.quote o where o.symbol = m.symbol"
    "   and o.seq <= m.moved_seq order by o.seq limit %s) old where m.kind = 'quotes') gone"
    " where t.symbol = gone.symbol and t.seq = gone.seq",
}


class Mover:
    """The job. `copy` blocks and uses the writer; everything else is short SQL."""

    def __init__(self, database: Database, writer: TickWriter) -> None:
        self._database = database
        self._writer = writer

    async def is_due(self, kind: Kind, tail: HotTail) -> bool:
        """Is there anything to move? Asked of PostgreSQL, so that an idle engine never loads DuckDB."""
        async with self._database.transaction() as tx:
            return bool(await tx.value(_IS_DUE[kind], {"before": tail.before, "rows": tail.rows}))

    def copy(self, kind: Kind, tail: HotTail) -> int:
        """Step 1, blocking: commit the next rows to the store; returns how many, 0 when nothing is due."""
        return sum(one.written for one in self._writer.commit(lambda: self._copy(kind, tail)))

    async def mark(self) -> None:
        """Step 2: readers take what is in the store from the store from now on."""
        positions = self._writer.positions()
        if not positions:
            return
        kinds, symbols, epochs = zip(*positions, strict=True)
        async with self._database.transaction() as tx:
            await tx.execute(
                "insert into marketdata.tick_mark as m (kind, symbol, moved_seq)"
                " select v.kind, v.symbol, v.last_seq"
                " from unnest(%s::text[], %s::text[], %s::text[], %s::bigint[])"
                " v(kind, symbol, epoch, last_seq)"
                " left join marketdata.trade_stream s on s.symbol = v.symbol"
                " where v.kind = 'quotes' or s.epoch = v.epoch"
                " on conflict (kind, symbol) do update set moved_seq = excluded.moved_seq"
                " where m.moved_seq < excluded.moved_seq",
                (
                    list(kinds),
                    list(symbols),
                    list(epochs),
                    [position.last_seq for position in positions.values()],
                ),
            )

    async def delete(self) -> int:
        """Step 3: delete what is marked, in transactions of bounded size; returns how many rows.

        The newest trade of a symbol stays: it is what the market was last.
        """
        deleted = 0
        for kind in KINDS:
            while True:
                async with self._database.transaction() as tx:
                    count = await tx.execute(_DELETE[kind], (DELETED_ROWS,))
                deleted += count
                if count == 0:
                    break
        return deleted

    def _copy(self, kind: Kind, tail: HotTail) -> Commit:
        connection = self._writer.connection
        due = _DUE_ROWS[kind].format(before=tail.before.isoformat(), rows=int(tail.rows), chunk=CHUNK_ROWS)
        connection.execute(
            "create or replace temp table staged as"
            f" select due.* from postgres_query('pg', '{quoted(due)}') due"
            " left join (select symbol, epoch, max(last_seq) as last_seq from lake.positions"
            f" where kind = '{kind}' group by all) stored using (symbol, epoch)"
            " where due.seq > coalesce(stored.last_seq, 0)"
        )
        ends = connection.execute(
            "select symbol, epoch, max(seq), max(venue_ns), count(*) from staged group by all"
        ).fetchall()
        if ends:
            columns = ", ".join(COLUMNS[kind])
            connection.execute(
                f"insert into lake.{TABLES[kind]} ({columns}) select {columns} from staged"
                " order by symbol, seq"
            )
        connection.execute("drop table staged")
        return self._moved(kind, ends)

    def _moved(self, kind: Kind, ends: list[tuple[str, str, int, int, int]]) -> Commit:
        stored = self._writer.positions()
        positions: Positions = {}
        acknowledged = []
        for symbol, epoch, last_seq, newest_ns, count in ends:
            known = stored.get((kind, symbol, epoch), Position())
            positions[kind, symbol, epoch] = Position(last_seq, max(newest_ns, known.high_ns))
            acknowledged.append(Acknowledged(symbol, last_seq, count))
        return Commit(positions, acknowledged)
