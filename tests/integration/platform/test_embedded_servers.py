"""The embedded servers as children of ours."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from agio.platform.db import Database
from agio.platform.embedded.postgres import EmbeddedPostgres


class TestFixtures:
    async def test_each_role_reaches_the_fresh_database(
        self, app_database: Database, engine_database: Database
    ) -> None:
        for database, role in ((app_database, "agio_app"), (engine_database, "agio_engine")):
            async with database.transaction() as tx:
                assert await tx.value("select current_user::text") == role

    async def test_application_roles_cannot_bypass_row_level_security(self, app_database: Database) -> None:
        async with app_database.transaction() as tx:
            assert (
                await tx.value(
                    "select bool_or(rolsuper or rolbypassrls) from pg_roles where rolname like %s",
                    ("agio_%",),
                )
                is False
            )


class TestPostgres:
    @pytest.fixture
    def server(self, server_folder: Path) -> EmbeddedPostgres:
        return EmbeddedPostgres(server_folder / "crashing")

    def test_comes_back_on_its_port_with_its_data_after_kill_9(self, server: EmbeddedPostgres) -> None:
        server.start()
        try:
            port = server.port
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute("create table kept (id int)")
                connection.execute("insert into kept values (1)")
            assert server.identity is not None
            os.kill(server.identity.pid, signal.SIGKILL)
            while server.is_running():
                pass
            assert server.exit_reason() == "was killed by signal 9 (SIGKILL)"

            server.start()

            assert server.port == port
            with psycopg.connect(server.url()) as connection:
                assert connection.execute("select count(*) from kept").fetchone() == (1,)
                durability = connection.execute(
                    "select string_agg(current_setting(name), ',') from unnest(array['fsync',"
                    " 'synchronous_commit', 'data_checksums', 'listen_addresses']) name"
                ).fetchone()
            assert durability == ("on,on,on,127.0.0.1",)
        finally:
            server.stop()
        assert server.exit_reason() == "ended with exit code 0"

    def test_refuses_a_login_without_the_password(self, embedded_postgres: EmbeddedPostgres) -> None:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://agio_owner@127.0.0.1:{embedded_postgres.port}/agio")
