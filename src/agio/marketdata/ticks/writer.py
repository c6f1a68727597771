"""The one writer of the tick store: what it has acknowledged is on disk, once, whatever happens.

A batch is named by its position: symbol, epoch and sequences. `positions` moves in the same commit as the
ticks, so that what is offered again, after any failure and by any process, is recognised and left out.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import structlog

from agio.marketdata.errors import StaleWriter
from agio.marketdata.ticks.batches import KINDS, Column, Integers, Kind, Ticks, kind_of, lateness

if TYPE_CHECKING:
    import duckdb

log = structlog.get_logger(__name__)

MAX_BATCH_ROWS: Final = 1_000_000
FIRST_BACKOFF_SECONDS: Final = 0.05
LAST_BACKOFF_SECONDS: Final = 2.0
MAX_ATTEMPTS: Final = 8
_BEGINNING_NS: Final = -(2**62)
_LEASE_LOST: Final = "is no longer held"

TABLES: Final[dict[Kind, str]] = {"trades": "trade_ticks", "quotes": "quote_ticks"}
_FIRST: Final = ("symbol", "epoch", "seq", "venue_ns", "received_us")
_LAST: Final = ("late_ns", "price_scale", "quantity_scale")
COLUMNS: Final[dict[Kind, tuple[str, ...]]] = {
    "trades": (*_FIRST, "price", "size", "side", "trade_id", "correction", *_LAST),
    "quotes": (*_FIRST, "bid", "bid_size", "ask", "ask_size", *_LAST),
}
_PER_PART: Final = ("symbol", "epoch", "price_scale", "quantity_scale")
_ABSENT: Final = {"trade_id": "null", "correction": "0"}


class TickGap(ValueError):
    """The batch does not follow what the store has: trades before it are missing."""


class Position(msgspec.Struct, frozen=True):
    """How far a symbol has come in the store: its last sequence and its newest venue time."""

    last_seq: int = 0
    high_ns: int = _BEGINNING_NS


Positions = dict[tuple[Kind, str, str], Position]
"""By kind, symbol and epoch."""


class Acknowledged(msgspec.Struct, frozen=True):
    """A batch is durable up to `last_seq`; `written` of its rows were new."""

    symbol: str
    last_seq: int
    written: int


class TickWriter:
    """Appends batches; blocking, for one thread at a time. `open_store` opens the lake for writing.

    After any failure the outcome is unknown: the store is opened anew, its positions are read, and what is
    there is not written again.
    """

    def __init__(self, open_store: "Callable[[], duckdb.DuckDBPyConnection]", data_folder: Path) -> None:
        self._open_store = open_store
        self._data_folder = data_folder
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._positions: Positions = {}
        self._synced: dict[Path, set[str]] = {}

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """The open store, with positions as they are in it."""
        if self._connection is None:
            self._connection = self._open_store()
            self._positions = read_positions(self._connection)
        return self._connection

    def positions(self) -> Positions:
        _ = self.connection
        return dict(self._positions)

    def append(self, batches: Sequence[Ticks], *, after_gap: bool = False) -> list[Acknowledged]:
        """Write in one commit; returns once it is durable. What the store has already is left out.

        Raises TickGap for trades that leave sequences out (unless `after_gap`: older ones were swept away),
        StaleWriter when the lease was lost, and what DuckDB raised when nothing helps.
        """
        if sum(ticks.count for ticks in batches) > MAX_BATCH_ROWS:
            raise ValueError(f"at most {MAX_BATCH_ROWS} rows in one commit")
        return self.commit(lambda: self._write(batches, after_gap=after_gap))

    def commit(self, write: Callable[[], "Commit"]) -> list[Acknowledged]:
        """Run a write as one durable transaction, again after failures, each time on what is then there."""
        failures = 0
        while True:
            try:
                return self._commit_once(write)
            except TickGap:
                raise
            except Exception as error:
                self.close()
                if _LEASE_LOST in str(error):
                    raise StaleWriter("the tick store has another writer now") from error
                failures += 1
                if failures >= MAX_ATTEMPTS:
                    raise
                log.warning("ticks_not_written", attempt=failures, error=repr(error)[:500])
                time.sleep(min(LAST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**failures))

    def sync(self) -> None:
        """Make every file durable that was written since the last time."""
        for table in (*TABLES.values(), "positions"):
            folder = self._data_folder / "main" / table
            self._synced[folder] = sync_files(folder, self._synced.get(folder, set()))

    def close(self) -> None:
        """Drop the connection; the next write opens the store anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _commit_once(self, write: Callable[[], "Commit"]) -> list[Acknowledged]:
        connection = self.connection
        connection.execute("begin")
        try:
            commit = write()
            if commit.positions:
                _save_positions(connection, commit.positions)
        except BaseException:
            connection.execute("rollback")
            raise
        # DuckDB leaves files to the operating system: they are made durable before the catalogue names them.
        self.sync()
        connection.execute("commit")
        self._positions.update(commit.positions)
        return commit.acknowledged

    def _write(self, batches: Sequence[Ticks], *, after_gap: bool) -> "Commit":
        _ = self.connection
        positions: Positions = {}
        acknowledged: list[Acknowledged] = []
        parts: dict[Kind, list[_Part]] = {kind: [] for kind in KINDS}
        for ticks in batches:
            key = (kind_of(ticks), ticks.symbol, ticks.epoch)
            known = positions.get(key) or self._positions.get(key, Position())
            part = _cut(ticks, known, after_gap=after_gap)
            if part is None:
                acknowledged.append(Acknowledged(ticks.symbol, known.last_seq, 0))
                continue
            parts[key[0]].append(part)
            positions[key] = part.position
            acknowledged.append(Acknowledged(ticks.symbol, part.position.last_seq, part.count))
        for kind in KINDS:
            if parts[kind]:
                _insert(self.connection, kind, parts[kind])
        return Commit(positions, acknowledged)


class Commit(msgspec.Struct, frozen=True):
    """What a write has done within its transaction."""

    positions: Positions
    acknowledged: list[Acknowledged] = []


class _Part(msgspec.Struct, frozen=True):
    """The rows of a batch that are new, with their sequences and lateness."""

    ticks: Ticks
    first: int
    count: int
    position: Position
    late_ns: Integers


def _cut(ticks: Ticks, known: Position, *, after_gap: bool) -> _Part | None:
    """Leave out what is stored; None when nothing is left."""
    if ticks.count == 0:
        return None
    sequences = ticks.sequences
    if ticks.count > 1 and int(np.diff(sequences).min()) < 1:
        raise ValueError(f"{ticks.symbol}: sequences must rise")
    first = int(np.searchsorted(sequences, known.last_seq, side="right"))
    if first == ticks.count:
        return None
    follows = int(sequences[first]) == known.last_seq + 1
    if kind_of(ticks) == "trades" and not follows and not after_gap:
        raise TickGap(f"{ticks.symbol}: {known.last_seq} is stored, so {int(sequences[first])} is too far")
    venue_ns = ticks.venue_ns[first:]
    position = Position(int(sequences[-1]), max(known.high_ns, int(venue_ns.max())))
    return _Part(ticks, first, ticks.count - first, position, lateness(venue_ns, known.high_ns))


def _insert(connection: "duckdb.DuckDBPyConnection", kind: Kind, parts: Sequence[_Part]) -> None:
    """One statement, so one file, for all parts; in order of symbol and sequence."""
    ordered = sorted(parts, key=lambda part: (part.ticks.symbol, part.position.last_seq))
    incoming = _gather(kind, ordered)
    is_one = len(ordered) == 1
    shared: dict[str, object] = {}
    chosen = []
    for name in COLUMNS[kind]:
        if name in _PER_PART:
            values = [getattr(part.ticks, name) for part in ordered]
            # A constant is cheaper than a look-up for each row.
            shared[name] = values[0] if is_one else values
            chosen.append(f"${name}" if is_one else f"list_extract(${name}, part)")
        else:
            chosen.append(name if name in incoming else _ABSENT[name])
    connection.register("incoming", incoming)
    try:
        connection.execute(
            f"insert into lake.{TABLES[kind]} ({', '.join(COLUMNS[kind])})"
            f" select {', '.join(chosen)} from incoming",
            shared,
        )
    finally:
        connection.unregister("incoming")


def _gather(kind: Kind, parts: Sequence[_Part]) -> dict[str, Column]:
    """The columns of all parts, one behind the other; those that no part gives are left out."""
    tables = [part.ticks.columns() for part in parts]
    gathered = {
        "seq": np.concatenate([part.ticks.sequences[part.first :] for part in parts]),
        "late_ns": np.concatenate([part.late_ns for part in parts]),
        "part": np.repeat(np.arange(1, len(parts) + 1), [part.count for part in parts]),
    }
    for name in COLUMNS[kind]:
        if any(name in table for table in tables):
            gathered[name] = np.concatenate(
                [
                    table[name][part.first :] if name in table else _absent(name, part.count)
                    for part, table in zip(parts, tables, strict=True)
                ]
            )
    return gathered


def _absent(name: str, count: int) -> Column:
    return np.full(count, None, object) if name == "trade_id" else np.zeros(count, np.uint8)


def _save_positions(connection: "duckdb.DuckDBPyConnection", positions: Positions) -> None:
    rows = ", ".join(["(?, ?, ?, ?, ?)"] * len(positions))
    values = [
        value
        for (kind, symbol, epoch), position in positions.items()
        for value in (kind, symbol, epoch, position.last_seq, position.high_ns)
    ]
    connection.execute(f"insert into lake.positions values {rows}", values)


def read_positions(connection: "duckdb.DuckDBPyConnection") -> "Positions":
    """How far each symbol has come."""
    rows = connection.execute(
        "select kind, symbol, epoch, max(last_seq), max(high_ns) from lake.positions group by all"
    ).fetchall()
    return {(kind, symbol, epoch): Position(last, high) for kind, symbol, epoch, last, high in rows}


def sync_files(folder: Path, known: set[str]) -> set[str]:
    """Make the files durable that are not known yet; returns the names that are there."""
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        return known
    for name in names - known:
        _sync(folder / name)
    if names - known:
        _sync(folder)
    return names


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
