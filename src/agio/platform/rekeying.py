"""Changes of keys on a living database: new wraps of data keys, and sealing of rows from before the vault.

Both run as the owner, in short transactions, and can be cut off and repeated at any moment.
"""

from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from agio.platform.db import Database
from agio.platform.master_keys import MasterKeys, Wrapped
from agio.platform.vault import PREFIX, Place, Vault, key_binding

BATCH: Final = 500


class SealedColumn(NamedTuple):
    """A column of text that holds sealed values only, and the constraint that says so."""

    room: str
    table: str
    column: str
    key: str
    constraint: str

    @property
    def place(self) -> str:
        return f"{self.room}.{self.table}.{self.column}"

    def __str__(self) -> str:
        return self.place


def rewrap(owner_url: str, masters: MasterKeys) -> int:
    """Wrap every data key by the current master key; returns how many were not yet.

    Readers open either wrap. Data keys that are being made are waited for: they may have an old wrap yet.
    Raises UnknownMasterKey, DamagedKey.
    """
    current, count = masters.current_id(), 0
    with psycopg.connect(owner_url, autocommit=True) as connection:
        while True:
            with connection.transaction():
                connection.execute("lock table platform.data_key in share row exclusive mode")
                rows = connection.execute(
                    "select organisation_id, version, master_id, wrapped from platform.data_key"
                    " where master_id <> %s order by organisation_id, version limit %s for update",
                    (current, BATCH),
                ).fetchall()
                for organisation_id, version, master_id, wrapped in rows:
                    binding = key_binding(organisation_id)
                    anew = masters.wrap(masters.unwrap(Wrapped(master_id, bytes(wrapped)), binding), binding)
                    connection.execute(
                        "update platform.data_key set master_id = %s, wrapped = %s"
                        " where organisation_id = %s and version = %s",
                        (anew.master_id, anew.content, organisation_id, version),
                    )
            if not rows:
                return count
            count += len(rows)


def needed_masters(owner_url: str) -> set[str]:
    """The master keys without which some data key would be lost."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        return {row[0] for row in connection.execute("select distinct master_id from platform.data_key")}


def unsealed_columns(owner_url: str, columns: tuple[SealedColumn, ...]) -> list[SealedColumn]:
    """Columns in which values from before the vault may be left."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        done = {
            (row[0], row[1])
            for row in connection.execute(
                "select conrelid::regclass::text, conname from pg_constraint where convalidated"
            )
        }
    return [one for one in columns if (f"{one.room}.{one.table}", one.constraint) not in done]


async def seal_column(database: Database, column: SealedColumn) -> int:
    """Seal what is plain in a column, then have the database vouch that nothing is; returns how many."""
    table = sql.Identifier(column.room, column.table)
    names = {"table": table, "column": sql.Identifier(column.column), "key": sql.Identifier(column.key)}
    select = sql.SQL(
        "select {key}, organisation_id, {column} from {table} where {column} not like %s"
        " order by {key} limit %s for update"
    ).format(**names)
    update = sql.SQL("update {table} set {column} = %s where {key} = %s").format(**names)
    count = 0
    while True:
        async with database.transaction() as tx:
            rows = await (await tx.connection.execute(select, (f"{PREFIX}%", BATCH))).fetchall()
            for key, organisation_id, text in rows:
                sealed = await tx.vault.seal(tx, Place(column.place, key), text, organisation_id)
                await tx.connection.execute(update, (sealed, key))
        if not rows:
            break
        count += len(rows)
    validate = sql.SQL("alter table {} validate constraint {}").format(
        table, sql.Identifier(column.constraint)
    )
    async with database.transaction() as tx:
        await tx.connection.execute(validate)
    return count


async def seal_columns(owner_url: str, masters: MasterKeys, columns: list[SealedColumn]) -> int:
    """The same for several columns."""
    database = Database(owner_url, max_size=2, name="agio sealing", vault=Vault(masters))
    await database.open()
    try:
        return sum([await seal_column(database, column) for column in columns])
    finally:
        await database.close()
