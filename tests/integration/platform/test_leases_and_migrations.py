import asyncio
import re

import psycopg
import pytest

from agio.platform import leases
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.migrations import find_migrations, migrate


class TestLeases:
    async def test_one_holder_at_a_time(self, engine_database: Database) -> None:
        clock = SystemClock()
        assert await leases.acquire(engine_database, clock, "dealing", "node-a") is not None
        assert await leases.acquire(engine_database, clock, "dealing", "node-b") is None

    async def test_the_same_node_comes_back_at_once_and_fences_its_former_life(
        self, engine_database: Database
    ) -> None:
        clock = SystemClock()
        first = await leases.acquire(engine_database, clock, "dealing", "node-a")
        second = await leases.acquire(engine_database, clock, "dealing", "node-a")
        assert first is not None
        assert second is not None
        assert second.token > first.token
        async with engine_database.transaction() as tx:
            await tx.execute("select platform.assert_lease(%s, %s)", ("dealing", second.token))
        with pytest.raises(psycopg.DatabaseError, match="no longer held"):
            async with engine_database.transaction() as tx:
                await tx.execute("select platform.assert_lease(%s, %s)", ("dealing", first.token))


class TestMigrations:
    async def test_running_again_and_from_two_nodes_changes_nothing(
        self, databases: tuple[str, str, str]
    ) -> None:
        owner_url = databases[2]
        assert await asyncio.gather(*(asyncio.to_thread(migrate, owner_url) for _ in range(2))) == [0, 0]

    async def test_every_tenant_table_has_row_level_security(self, databases: tuple[str, str, str]) -> None:
        with psycopg.connect(databases[2]) as connection:
            bare = connection.execute(
                "select n.nspname || '.' || c.relname from pg_class c"
                " join pg_namespace n on n.oid = c.relnamespace"
                " where c.relkind = 'r' and not c.relrowsecurity and exists (select from pg_attribute a"
                " where a.attrelid = c.oid and a.attname = 'organisation_id')"
                " and has_table_privilege('agio_app', c.oid, 'select, insert, update, delete')"
            ).fetchall()
        assert bare == []

    async def test_login_roles_cannot_bypass_it(self, databases: tuple[str, str, str]) -> None:
        with psycopg.connect(databases[2]) as connection:
            strong = connection.execute(
                "select rolname from pg_roles where rolname in ('agio_app', 'agio_engine')"
                " and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb)"
            ).fetchall()
        assert strong == []

    def test_names_are_numbered_verbs(self) -> None:
        names = [f"{migration.room}/{migration.name}" for migration in find_migrations()]
        assert [name for name in names if not re.fullmatch(r"[a-z]+/[0-9]{4}(_[a-z0-9]+)+", name)] == []
        numbers = [name[: name.index("_")] for name in names]
        assert len(numbers) == len(set(numbers))
