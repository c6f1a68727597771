"""Whole spans of ticks as a CSV or Parquet file, with the same columns and values as the JSON.

DuckDB writes the file within its memory limit before the first byte is sent: a fault is an answer, not half a
file, and a slow reader holds no transaction. The file is streamed and removed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple
from uuid import uuid4

from agio.marketdata.model import Instrument
from agio.marketdata.ticks.batches import Kind
from agio.marketdata.ticks.duck import quoted
from agio.marketdata.ticks.reader import StoreCursor
from agio.marketdata.ticks.sources import TickSource, TickSpan

ExportFormat = Literal["csv", "parquet"]

MAX_ROWS: Final = 5_000_000
"""Rows of one file; where there are more, the answer's header says how to go on."""
EXPORT_SECONDS: Final = 50.0
CHUNK_BYTES: Final = 256 * 1024
STALE_SECONDS: Final = 6 * 3600
"""A file this old was left by a process that died."""


class ExportQuery(NamedTuple):
    """Which ticks, at most how many, in which form; `folder` is for the file."""

    kind: Kind
    instrument: Instrument
    span: TickSpan
    limit: int
    format: ExportFormat
    folder: Path


class Export(NamedTuple):
    """A file that is ready; `after_seq` when rows were left for another one."""

    file: Path
    size: int
    after_seq: int | None


def write_export(cursor: StoreCursor, query: ExportQuery) -> Export:
    """Write the file; blocking."""
    query.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(query.folder)
    source = TickSource(cursor.sql, query.kind, query.instrument.symbol, query.span)
    if source.needs_store:
        cursor.use_store()
    file = query.folder / f"{uuid4().hex}.{query.format}"
    after_seq = _last_of_the_file(cursor, source, query.limit)
    within = f" where seq <= {after_seq}" if after_seq is not None else ""
    # Without a LIMIT: DuckDB sorts on disk, but keeps the first rows of a LIMIT in memory.
    rows = f"select {_columns(query)} from ({source.select()}){within} order by seq"
    try:
        cursor.sql.execute(f"copy ({rows}) to '{quoted(str(file))}' ({_OPTIONS[query.format]})")
        return Export(file, file.stat().st_size, after_seq)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


async def stream_file(file: Path) -> AsyncIterator[bytes]:
    """The bytes of a file, which is removed at the end, or when the reader goes away."""
    try:
        opened = await asyncio.to_thread(file.open, "rb")
        try:
            while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
                yield chunk
        finally:
            opened.close()
    finally:
        _remove(file)


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)


_OPTIONS: Final[dict[ExportFormat, str]] = {
    "csv": "format csv, header true",
    "parquet": "format parquet, compression zstd",
}


def _columns(query: ExportQuery) -> str:
    instrument = query.instrument
    venue_time = _VENUE_TIME[query.format]

    def price(name: str) -> str:
        return decimal_of(name, instrument.price_scale)

    def size(name: str) -> str:
        return decimal_of(name, instrument.quantity_scale)

    if query.kind == "trades":
        return (
            f"seq, {price('price')} as price, {size('size')} as size,"
            " case side when 1 then 'buy' when 2 then 'sell' end as side,"
            f" {venue_time} as venue_time, trade_id as id,"
            " case correction when 1 then 'replaces' when 2 then 'cancels' end as correction"
        )
    sides = ", ".join(
        f"case when {side}_size > 0 then {price(side)} end as {side},"
        f" case when {side}_size > 0 then {size(f'{side}_size')} end as {side}_size"
        for side in ("bid", "ask")
    )
    return f"seq, {sides}, {venue_time} as venue_time"


_VENUE_TIME: Final[dict[ExportFormat, str]] = {
    "csv": "strftime(make_timestamp(venue_ns // 1000), '%Y-%m-%dT%H:%M:%S.%fZ')",
    "parquet": "make_timestamp(venue_ns // 1000)::timestamptz",
}


def decimal_of(name: str, scale: int) -> str:
    """An integer at a scale as an exact decimal."""
    if scale == 0:
        return f"{name}::decimal(19, 0)"
    unit = f"0.{'0' * (scale - 1)}1"
    return f"{name}::decimal(19, 0) * {unit}::decimal({scale + 1}, {scale})"


def _last_of_the_file(cursor: StoreCursor, source: TickSource, limit: int) -> int | None:
    """The sequence with which the file ends and another one goes on; None when it holds everything."""
    counted = cursor.sql.execute(f"select count(*) from ({source.select()})").fetchone()
    if counted is None or counted[0] <= limit:
        return None
    last = cursor.sql.execute(
        f"select seq from ({source.select()}) order by seq limit 1 offset {limit - 1}"
    ).fetchone()
    return int(last[0]) if last is not None else None


def _remove_stale(folder: Path) -> None:
    for file in folder.iterdir():
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > STALE_SECONDS:
                file.unlink()
