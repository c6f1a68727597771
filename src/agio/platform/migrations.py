"""Plain numbered SQL per room, applied once, in order, under a lock.

`<room>/sql/NNNN_verb_noun.sql` runs as the owner in one transaction of its own and is recorded with its
checksum. Running twice, or from two nodes at once, changes nothing.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

ROOMS = ("platform", "identity", "ledger", "custody", "marketdata", "trading", "analytics")
"""Every room that owns a schema, lowest first."""

CREATE_ROLE = "create role {} login nosuperuser nocreatedb nocreaterole noinherit "

LOGIN_ROLES = ("agio_app", "agio_engine", "agio_ticks", "agio_ticks_reader")

_LOCK = 0x6167696F  # "agio"


class MigrationChanged(Exception):
    """A migration that was applied earlier no longer has the text that was applied."""


class Migration(NamedTuple):
    room: str
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def role_password(owner_url: str, role: str) -> str:
    """The password of a login role, derived from the owner's: all nodes of one database agree on it."""
    secret = unquote(urlsplit(owner_url).password or "")
    return hmac.new(secret.encode(), f"agio login role {role}".encode(), hashlib.sha256).hexdigest()


def role_url(owner_url: str, role: str) -> str:
    """The owner's URL with user and password of a login role."""
    parts = urlsplit(owner_url)
    address = parts.netloc.rpartition("@")[2]
    netloc = f"{quote(role)}:{role_password(owner_url, role)}@{address}"
    return urlunsplit(parts._replace(netloc=netloc))


def find_migrations() -> Iterator[Migration]:
    """All migrations of the installed package, in the order in which they run."""
    for room in ROOMS:
        folder = resources.files("agio") / room / "sql"
        if not folder.is_dir():
            continue
        files: list[Traversable] = sorted(
            (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
        )
        for file in files:
            yield Migration(room, file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))


def migrate(owner_url: str, on_applied: Callable[[Migration], None] = lambda _: None) -> int:
    """Bring a database up to date; returns how many migrations were applied.

    Creates the login roles, one schema per room, and runs what is missing. Safe to repeat and to run
    concurrently. Raises MigrationChanged when an applied file was edited.
    """
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        _ensure_roles(connection, owner_url)
        _ensure_record(connection)
        applied = {
            (row[0], row[1]): row[2]
            for row in connection.execute("select room, name, checksum from platform.migration")
        }
        count = 0
        for migration in find_migrations():
            known = applied.get((migration.room, migration.name))
            if known is None:
                _apply(connection, migration)
                on_applied(migration)
                count += 1
            elif known != migration.checksum:
                raise MigrationChanged(
                    f"{migration.room}/{migration.name}.sql was edited after it was applied:"
                    " add a new file instead"
                )
        return count


def _ensure_roles(connection: psycopg.Connection, owner_url: str) -> None:
    for role in LOGIN_ROLES:
        exists = connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
        statement = "alter role {} " if exists else CREATE_ROLE
        # The server logs statements that fail: a SCRAM verifier there gives nothing away.
        verifier = connection.pgconn.encrypt_password(
            role_password(owner_url, role).encode(), role.encode(), b"scram-sha-256"
        ).decode()
        text = sql.SQL(statement + "password {}")
        connection.execute(text.format(sql.Identifier(role), sql.Literal(verifier)))


def _ensure_record(connection: psycopg.Connection) -> None:
    connection.execute("create schema if not exists platform")
    connection.execute(
        "create table if not exists platform.migration (room text, name text, checksum text not null,"
        " applied_at timestamptz not null default now(), primary key (room, name))"
    )


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    with connection.transaction():
        connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(migration.room)))
        connection.execute(migration.text.encode())
        connection.execute(
            "insert into platform.migration (room, name, checksum) values (%s, %s, %s)",
            (migration.room, migration.name, migration.checksum),
        )
