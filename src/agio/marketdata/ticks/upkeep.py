"""What keeps the tick store small and quick: retention, merged files, nothing left over."""

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from agio.kernel.time import to_micros
from agio.marketdata.ticks.duck import quoted
from agio.marketdata.ticks.settings import Retention
from agio.marketdata.ticks.writer import TABLES, Commit, TickWriter

if TYPE_CHECKING:
    import duckdb

log = structlog.get_logger(__name__)

SMALL_FILES: Final = 8
"""So many files of a table are worth merging."""
SMALL_BYTES: Final = 64_000_000
REWRITTEN_SHARE: Final = 0.3
"""Of a file's rows deleted: then it is written anew."""
MERGED_AT_ONCE: Final = 32
SNAPSHOT_HOURS: Final = 1
"""Readers of an older state than this have ended: its files may go."""
ORPHAN_HOURS: Final = 24
POSITIONS_KEPT: Final = 10_000


class Kept(msgspec.Struct, frozen=True):
    """What one upkeep did."""

    deleted_rows: int
    merged_files: int
    removed_files: int


class Upkeep:
    """Blocking; run by the writer's thread, between writes."""

    def __init__(self, writer: TickWriter, rules: tuple[Retention, ...]) -> None:
        self._writer = writer
        self._rules = rules

    def run(self, now: datetime) -> Kept:
        """Delete what is over, merge what is small, remove files that nobody can read any more."""
        deleted = sum(self._delete(rule, now) for rule in self._rules if rule.days > 0)
        merged = sum(self._merge(table) for table in TABLES.values())
        self._writer.commit(self._collapse_positions)
        return Kept(deleted, merged, self._remove_files(now))

    def _delete(self, rule: Retention, now: datetime) -> int:
        before_us = to_micros(now - timedelta(days=rule.days))
        among = ", ".join(f"'{quoted(symbol)}'" for symbol in rule.symbols)
        condition = f"received_us < {before_us}" + (f" and symbol in ({among})" if among else "")
        counted: list[int] = []

        def delete() -> Commit:
            counted[:] = [
                _number(self._connection, f"delete from lake.{TABLES[rule.kind]} where {condition}")
            ]
            return Commit({})

        if _number(self._connection, f"select count(*) from lake.{TABLES[rule.kind]} where {condition}"):
            self._writer.commit(delete)
        return sum(counted)

    def _merge(self, table: str) -> int:
        """Small files become larger ones, in order; files with deleted rows are written anew without them."""
        small = _number(
            self._connection,
            f"select count(*) from ducklake_list_files('lake', '{table}')"
            f" where data_file_size_bytes < {SMALL_BYTES}",
        )
        calls = [
            f"ducklake_rewrite_data_files('lake', '{table}', delete_threshold => {REWRITTEN_SHARE})",
            f"ducklake_flush_inlined_data('lake', table_name => '{table}')",
        ]
        if small >= SMALL_FILES:
            merge = (
                f"ducklake_merge_adjacent_files('lake', '{table}', max_compacted_files => {MERGED_AT_ONCE})"
            )
            calls.insert(0, merge)
        for call in calls:
            self._writer.commit(partial(self._call, call))
        return small if small >= SMALL_FILES else 0

    def _call(self, function: str) -> Commit:
        self._connection.execute(f"call {function}")
        return Commit({})

    def _collapse_positions(self) -> Commit:
        """One row for each symbol instead of one for each commit."""
        connection = self._connection
        if _number(connection, "select count(*) from lake.positions") > POSITIONS_KEPT:
            connection.execute(
                "create or replace temp table newest as select kind, symbol, epoch, max(last_seq),"
                " max(high_ns) from lake.positions group by all"
            )
            connection.execute("delete from lake.positions")
            connection.execute("insert into lake.positions from newest")
            connection.execute("drop table newest")
        return Commit({})

    def _remove_files(self, now: datetime) -> int:
        readable = f"'{(now - timedelta(hours=SNAPSHOT_HOURS)).isoformat()}'::timestamptz"
        orphaned = f"'{(now - timedelta(hours=ORPHAN_HOURS)).isoformat()}'::timestamptz"
        connection = self._connection
        return sum(
            _number(connection, f"select count(*) from {call}")
            for call in (
                f"ducklake_expire_snapshots('lake', older_than => {readable})",
                f"ducklake_cleanup_old_files('lake', older_than => {readable})",
                f"ducklake_delete_orphaned_files('lake', older_than => {orphaned})",
            )
        )

    @property
    def _connection(self) -> "duckdb.DuckDBPyConnection":
        return self._writer.connection


def _number(connection: "duckdb.DuckDBPyConnection", sql: str) -> int:
    found = connection.execute(sql).fetchone()
    return int(found[0]) if found is not None else 0
