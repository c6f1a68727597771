"""The catalogue: a DuckLake in the PostgreSQL schema `ticks`, its files below the data folder.

Tables `trade_ticks` and `quote_ticks` hold integers at the instrument's scales; the views `trades` and
`quotes` show them as people read them. `positions` says how far each symbol has come, written in the same
transaction as the ticks.
"""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from agio.marketdata.errors import TickStoreUnavailable
from agio.marketdata.ticks.duck import DuckLimits, open_duck, quoted
from agio.marketdata.ticks.settings import TickStoreAddress

if TYPE_CHECKING:
    import duckdb

SCHEMA: Final = "ticks"
"""PostgreSQL schema of the catalogue."""
INLINED_ROWS: Final = 100
"""Inserts smaller than this stay in the catalogue until they are flushed to a file."""
FILE_MB: Final = 128
"""Size to which compaction merges files."""

ID_FILE: Final = "store.id"
_ELSEWHERE: Final = (
    "the files of the tick store are in another folder: set AGIO_TICK_DIR to it, on storage that all nodes"
    " share"
)
_CATALOGUE_TABLES: Final = (
    f"from postgres_query('pg', 'select count(*) from pg_tables where schemaname = ''{SCHEMA}'' ')"
)

_TABLES: Final = """
create table if not exists lake.trade_ticks (
  symbol varchar, epoch varchar, seq bigint, venue_ns bigint, received_us bigint, price bigint, size bigint,
  side utinyint, trade_id varchar, correction utinyint, late_ns bigint, price_scale utinyint,
  quantity_scale utinyint);
create table if not exists lake.quote_ticks (
  symbol varchar, epoch varchar, seq bigint, venue_ns bigint, received_us bigint, bid bigint, bid_size bigint,
  ask bigint, ask_size bigint, late_ns bigint, price_scale utinyint, quantity_scale utinyint);
create table if not exists lake.positions (
  kind varchar, symbol varchar, epoch varchar, last_seq bigint, high_ns bigint);
create view if not exists lake.trades as
  select symbol, seq, make_timestamp_ns(venue_ns) as venue_time, price / power(10, price_scale) as price,
    size / power(10, quantity_scale) as size, case side when 1 then 'buy' when 2 then 'sell' end as side,
    trade_id, correction, epoch, make_timestamp(received_us) as received_at
  from lake.trade_ticks;
create view if not exists lake.quotes as
  select symbol, seq, make_timestamp_ns(venue_ns) as venue_time,
    case when bid_size > 0 then bid / power(10, price_scale) end as bid,
    bid_size / power(10, quantity_scale) as bid_size,
    case when ask_size > 0 then ask / power(10, price_scale) end as ask,
    ask_size / power(10, quantity_scale) as ask_size, make_timestamp(received_us) as received_at
  from lake.quote_ticks;
"""


def open_for_writing(
    address: TickStoreAddress, limits: DuckLimits, lease_token: int
) -> "duckdb.DuckDBPyConnection":
    """The store as `lake` and PostgreSQL as `pg`, as the role `agio_ticks`.

    Every commit carries the lease's token: the database refuses it once the lease is another's.
    """
    for folder in (address.folder, address.data_folder, address.spill_folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"-c agio.tick_lease={lease_token:d}"
    connection = _connect(address, limits, options, is_writer=True)
    try:
        _claim_folder(connection, address)
        _attach(connection, address, options, "")
        connection.execute(_TABLES)
        connection.execute(f"call lake.set_option('target_file_size', '{FILE_MB}MB')")
        connection.execute("call lake.set_option('parquet_compression', 'zstd')")
        # Differences instead of values: sequences and times take half a byte, and read faster.
        connection.execute("call lake.set_option('parquet_version', '2')")
        connection.execute("call postgres_execute('pg', 'select marketdata.guard_tick_catalogue()')")
    except Exception as error:
        connection.close()
        raise TickStoreUnavailable(f"the tick store cannot be opened: {error}") from error
    return connection


def open_for_reading(address: TickStoreAddress, limits: DuckLimits) -> "duckdb.DuckDBPyConnection":
    """PostgreSQL as `pg`, read only, as the role `agio_ticks_reader`; `attach_store` adds the store."""
    address.spill_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _connect(address, limits, "", is_writer=False)


def attach_store(connection: "duckdb.DuckDBPyConnection", address: TickStoreAddress) -> None:
    """Add the store as `lake`, read only; it exists once a writer has made it."""
    if _store_id(connection) != _read_id(address):
        raise TickStoreUnavailable(_ELSEWHERE)
    _attach(connection, address, "", ", read_only")


def has_store(connection: "duckdb.DuckDBPyConnection") -> bool:
    """Has anything been stored yet?"""
    return _store_id(connection) is not None and connection.execute(_CATALOGUE_TABLES).fetchone() != (0,)


def _connect(
    address: TickStoreAddress, limits: DuckLimits, options: str, *, is_writer: bool
) -> "duckdb.DuckDBPyConnection":
    connection = open_duck(limits, address.spill_folder)
    mode = "" if is_writer else ", read_only"
    try:
        # A secret, because the text of an ATTACH is shown in messages and tables of DuckDB.
        connection.execute(_secret(address.url))
        connection.execute(f"attach '{_target(options)}' as pg (type postgres, secret ticks{mode})")
    except Exception as error:
        connection.close()
        raise TickStoreUnavailable(f"the tick store cannot be opened: {error}") from error
    return connection


def _attach(
    connection: "duckdb.DuckDBPyConnection", address: TickStoreAddress, options: str, mode: str
) -> None:
    connection.execute(
        f"attach 'ducklake:postgres:{_target(options)}' as lake (meta_secret 'ticks',"
        f" metadata_schema '{SCHEMA}', data_path '{quoted(str(address.data_folder))}/',"
        f" override_data_path true, data_inlining_row_limit {INLINED_ROWS}{mode})"
    )


def _claim_folder(connection: "duckdb.DuckDBPyConnection", address: TickStoreAddress) -> None:
    """The catalogue and the folder know each other: a node with another folder must not write beside it."""
    known = _store_id(connection)
    if known is None:
        known = secrets.token_hex(8)
        insert = f"insert into marketdata.tick_store (store_id) values ('{known}')"
        connection.execute(f"call postgres_execute('pg', '{quoted(insert)}')")
    if _read_id(address) is None and connection.execute(_CATALOGUE_TABLES).fetchone() == (0,):
        write_durably(address.folder / ID_FILE, known)
    if _read_id(address) != known:
        raise TickStoreUnavailable(_ELSEWHERE)


def _store_id(connection: "duckdb.DuckDBPyConnection") -> str | None:
    found = connection.execute(
        "from postgres_query('pg', 'select store_id from marketdata.tick_store')"
    ).fetchone()
    return str(found[0]) if found is not None else None


def _read_id(address: TickStoreAddress) -> str | None:
    file = address.folder / ID_FILE
    return file.read_text(encoding="ascii") if file.is_file() else None


def write_durably(file: Path, text: str) -> None:
    with file.open("w", encoding="ascii") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())


def _target(options: str) -> str:
    return quoted(f"options='{options} -c application_name=agio_ticks'")


def _secret(url: str) -> str:
    parts = urlsplit(url)
    values = {
        "host": parts.hostname or "127.0.0.1",
        "port": str(parts.port or 5432),
        "database": unquote(parts.path.lstrip("/")),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    fields = ", ".join(f"{name} '{quoted(value)}'" for name, value in values.items())
    return f"create temporary secret ticks (type postgres, {fields})"
