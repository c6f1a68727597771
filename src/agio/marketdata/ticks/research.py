"""The whole history for people: views `trades` and `quotes` in a DuckDB, from which pandas and Polars read.

Rows come from the tick store up to the mark and from PostgreSQL above it. Prices and sizes are DOUBLE here;
the exact integers are in `lake.trade_ticks` and `lake.quote_ticks`.
"""

from typing import TYPE_CHECKING, Final

from agio.marketdata.ticks.duck import DuckLimits, quoted
from agio.marketdata.ticks.lake import attach_store, has_store, open_for_reading
from agio.marketdata.ticks.settings import TickStoreAddress

if TYPE_CHECKING:
    import duckdb

_MARK: Final = "left join pg.marketdata.tick_mark m on m.kind = '{kind}' and m.symbol = t.symbol"
_TRADES: Final = """
select t.symbol, t.seq, make_timestamp_ns(t.venue_time_ns) as venue_time,
  t.price / power(10, i.price_scale) as price, t.size / power(10, i.quantity_scale) as size,
  case t.side when 1 then 'buy' when 2 then 'sell' end as side, t.trade_id,
  t.correction::utinyint as correction, s.epoch, t.received_at::timestamp as received_at
from pg.marketdata.trade t join pg.marketdata.instrument i on i.symbol = t.symbol
join pg.marketdata.trade_stream s on s.symbol = t.symbol {mark} where t.seq > coalesce(m.moved_seq, 0)
"""
_QUOTES: Final = """
select t.symbol, t.seq, make_timestamp_ns(t.venue_time_ns) as venue_time,
  case when t.bid_size > 0 then t.bid / power(10, i.price_scale) end as bid,
  t.bid_size / power(10, i.quantity_scale) as bid_size,
  case when t.ask_size > 0 then t.ask / power(10, i.price_scale) end as ask,
  t.ask_size / power(10, i.quantity_scale) as ask_size, t.received_at::timestamp as received_at
from pg.marketdata.quote t join pg.marketdata.instrument i on i.symbol = t.symbol
{mark} where t.seq > coalesce(m.moved_seq, 0)
"""
_STORED: Final = """
union all select t.* from lake.{kind} t
join pg.marketdata.tick_mark m on m.kind = '{kind}' and m.symbol = t.symbol where t.seq <= m.moved_seq
"""


def open_research(address: TickStoreAddress, limits: DuckLimits) -> "duckdb.DuckDBPyConnection":
    """A connection with the views `trades` and `quotes`; read only, as the role `agio_ticks_reader`."""
    connection = open_for_reading(address, limits)
    is_stored = has_store(connection)
    if is_stored:
        attach_store(connection, address)
    for kind, rows in (("trades", _TRADES), ("quotes", _QUOTES)):
        stored = _STORED.format(kind=kind) if is_stored else ""
        mark = _MARK.format(kind=kind)
        connection.execute(f"create temp view {kind} as {rows.format(mark=mark)}{stored}")
    return connection


def attach_statement(address: TickStoreAddress, host: str, port: int, database: str) -> str:
    """SQL by which any DuckDB with the extensions opens the store; PGPASSWORD holds the role's password."""
    target = f"host={host} port={port} dbname={database} user=agio_ticks_reader"
    return (
        f"attach 'ducklake:postgres:{quoted(target)}' as ticks"
        f" (metadata_schema 'ticks', data_path '{quoted(str(address.data_folder))}/',"
        " override_data_path true, read_only);"
    )
