"""PostgreSQL through one pool: transactions that act for one tenant, and rows as structs.

A transaction commits when its block ends, before the caller goes on. Any exception from the block or the
commit itself means "outcome unknown" when the connection was lost: retry by id, never blindly.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

import msgspec
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row, scalar_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from agio.kernel.ids import EventId, new_id
from agio.kernel.problem import Unavailable
from agio.platform.cancellation import cancellations, end_if_cancelled

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from agio.platform.vault import Vault

Row = TypeVar("Row")
Parameters = Sequence[object] | Mapping[str, object] | None


class Scope(msgspec.Struct, frozen=True):
    """Whom a transaction acts for; row-level security shows it the rows of this tenant only."""

    organisation_id: str
    environment: str


SYSTEM = Scope("", "")
"""No tenant: `agio_app` sees no tenant rows at all, `agio_engine` what its own policies allow."""


class Event(msgspec.Struct, frozen=True):
    """A fact to be told on one log channel; `body` is its JSON text, as subscribers will read it."""

    channel: str
    kind: str
    body: str
    occurred_at: datetime
    scope: Scope
    event_id: EventId = msgspec.field(default_factory=lambda: EventId(new_id("evt")))


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer; nothing is known to have changed."""

    code = "database_unavailable"
    title = "The database does not answer"


class VaultMissing(Exception):
    """This process was given no master key, so it can neither seal nor open a value."""


class Transaction:
    """An open transaction. Not for concurrent use."""

    __slots__ = ("_vault", "connection", "data_keys", "has_events", "scope")

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], scope: Scope, vault: "Vault | None" = None
    ) -> None:
        self.connection = connection
        self.scope = scope
        self.has_events = False
        self.data_keys: dict[tuple[str, int], AESGCM] = {}
        """Data keys made in this transaction: the vault's, until they are committed."""
        self._vault = vault

    @property
    def vault(self) -> "Vault":
        """What seals personal and secret values before they are stored; raises VaultMissing."""
        if self._vault is None:
            raise VaultMissing("open the database with a vault")
        return self._vault

    async def execute(self, sql: LiteralString, parameters: Parameters = None) -> int:
        """Run a statement; returns how many rows it touched."""
        return (await self.connection.execute(sql, parameters)).rowcount

    async def execute_many(
        self, sql: LiteralString, rows: Iterable[Sequence[object] | Mapping[str, object]]
    ) -> None:
        """Run a statement for every row of parameters, pipelined."""
        async with self.connection.cursor() as cursor:
            await cursor.executemany(sql, rows)

    async def fetch(self, kind: type[Row], sql: LiteralString, parameters: Parameters = None) -> list[Row]:
        """Rows as `kind`, column names being its field names."""
        async with self.connection.cursor(row_factory=class_row(kind)) as cursor:
            await cursor.execute(sql, parameters)
            return await cursor.fetchall()

    async def fetch_one(
        self, kind: type[Row], sql: LiteralString, parameters: Parameters = None
    ) -> Row | None:
        """The first row as `kind`, or None."""
        async with self.connection.cursor(row_factory=class_row(kind)) as cursor:
            await cursor.execute(sql, parameters)
            return await cursor.fetchone()

    async def fetch_tuples(self, sql: LiteralString, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """Rows as plain tuples, for hot paths that unpack them at once."""
        return await (await self.connection.execute(sql, parameters)).fetchall()

    async def value(self, sql: LiteralString, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        async with self.connection.cursor(row_factory=scalar_row) as cursor:
            await cursor.execute(sql, parameters)
            return await cursor.fetchone()

    async def emit(self, *events: Event) -> None:
        """Put events into the outbox: they become visible exactly when this transaction commits."""
        if not events:
            return
        self.has_events = True
        await self.connection.execute(
            "insert into platform.outbox"
            " (event_id, organisation_id, environment, channel, kind, body, occurred_at)"
            " select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
            " %s::timestamptz[])",
            (
                [event.event_id for event in events],
                [event.scope.organisation_id for event in events],
                [event.scope.environment for event in events],
                [event.channel for event in events],
                [event.kind for event in events],
                [event.body for event in events],
                [event.occurred_at for event in events],
            ),
        )


async def _no_nudge() -> None:
    return None


class Database:
    """A pool of connections to one server as one role."""

    def __init__(
        self,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 8,
        name: str = "agio",
        vault: "Vault | None" = None,
    ) -> None:
        self.vault = vault
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
            url,
            min_size=min_size,
            max_size=max_size,
            open=False,
            timeout=5.0,
            max_idle=120.0,
            reconnect_timeout=5.0,
            kwargs={"application_name": name, "connect_timeout": 5},
            name=name,
        )
        self._checking: asyncio.Task[None] | None = None
        self.nudge_outbox: Callable[[], Awaitable[None]] = _no_nudge
        """Called after each commit that emitted events; best effort."""

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, scope: Scope = SYSTEM) -> AsyncIterator[Transaction]:
        """Open a transaction for a tenant; commits at the end of the block, rolls back on any exception.

        Raises DatabaseUnavailable when no connection can be had; psycopg errors pass through.
        """
        async with self._connection() as connection:
            if scope is not SYSTEM:
                await connection.execute(
                    "select set_config('agio.organisation_id', %s, true),"
                    " set_config('agio.environment', %s, true)",
                    (scope.organisation_id, scope.environment),
                )
            transaction = Transaction(connection, scope, self.vault)
            yield transaction
        if transaction.has_events:
            await self.nudge_outbox()

    async def run_alone(self, sql: LiteralString, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """Run one statement that emits events as a transaction of its own, for no tenant.

        The server commits it as soon as it is done, whatever else keeps this process busy: for hot paths
        that hold a lock which others wait for. Raises as `transaction` does.
        """
        async with self._connection() as connection:
            await connection.set_autocommit(True)
            try:
                rows = await (await connection.execute(sql, parameters)).fetchall()
            finally:
                if connection.info.transaction_status is TransactionStatus.IDLE:
                    await connection.set_autocommit(False)
        await self.nudge_outbox()
        return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection of the pool, in a transaction that ends with the block."""
        earlier = cancellations()
        try:
            async with self._pool.connection() as connection:
                end_if_cancelled(earlier)
                yield connection
        except PoolTimeout as error:
            end_if_cancelled(earlier, error)
            raise DatabaseUnavailable("try again in a few seconds", headers={"Retry-After": "2"}) from error
        except psycopg.OperationalError as error:
            self._purge_broken_connections()
            end_if_cancelled(earlier, error)
            raise

    def _purge_broken_connections(self) -> None:
        """After a server crash every pooled connection is dead: test them all now, off the caller's path."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._pool.check())
