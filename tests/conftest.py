"""What every test can ask for: PostgreSQL and NATS (started once), a fresh migrated database, real data."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from tests.machine import folder_in_memory

from agio.platform.db import Database
from agio.platform.embedded.nats import EmbeddedNats
from agio.platform.embedded.postgres import EmbeddedPostgres
from agio.platform.master_keys import KeyRing
from agio.platform.migrations import migrate
from agio.platform.vault import Vault

CHECKOUT = Path(__file__).resolve().parents[1]
TEMPLATE = "agio_template"

# Tests lose their database with the session: durability would only cost time.
FAST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "120",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
# A busy machine is no finding: examples may take as long as they like.
settings.register_profile(
    "agio", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("agio")
MASTER_KEYS = KeyRing([b"a test's master key of 32 bytes.."[:32]])
_numbers = count(1)


def make_vault() -> Vault:
    """A process' own vault: what two of them seal, the other one opens."""
    return Vault(MASTER_KEYS)


class Databases(NamedTuple):
    """URLs of one database as each of its roles."""

    app_url: str
    engine_url: str
    owner_url: str
    name: str


FOLDER_ORDER = ("architecture", "unit", "integration", "security", "conformance", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: what is broken says so early. An SDK's own tests are as fast as units."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        is_ours = item.path.is_relative_to(tests)
        return FOLDER_ORDER.index(item.path.relative_to(tests).parts[0] if is_ours else "unit")

    items.sort(key=place)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that the unprivileged account of an embedded server can enter."""
    folder = Path(tempfile.mkdtemp(prefix="agio-test-", dir=folder_in_memory()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def embedded_postgres(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL server for the whole session."""
    server = EmbeddedPostgres(server_folder / "postgres-home", settings=FAST_SETTINGS)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def embedded_nats(server_folder: Path) -> Iterator[EmbeddedNats]:
    """One NATS server for the whole session."""
    server = EmbeddedNats(server_folder / "nats-home")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats_url(embedded_nats: EmbeddedNats) -> str:
    """The session's NATS server; subjects and streams are shared, so name them after your test."""
    return embedded_nats.url()


@pytest.fixture(scope="session")
def owner_url(embedded_postgres: EmbeddedPostgres) -> str:
    """The session's PostgreSQL server as `agio_owner`, in a database without any migrations."""
    return embedded_postgres.url()


@pytest.fixture(scope="session")
def template_database(embedded_postgres: EmbeddedPostgres, owner_url: str) -> str:
    """The name of a database with all migrations, made once and copied for each test."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
    migrate(embedded_postgres.url(database=TEMPLATE))
    return TEMPLATE


@pytest.fixture
def databases(
    embedded_postgres: EmbeddedPostgres, owner_url: str, template_database: str
) -> Iterator[Databases]:
    """A fresh migrated database of this test's own, dropped afterwards."""
    name = f"agio_test_{next(_numbers)}"
    copy = sql.SQL("create database {} template {} strategy file_copy").format(
        sql.Identifier(name), sql.Identifier(template_database)
    )
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(copy)
    yield Databases(
        app_url=embedded_postgres.url("agio_app", name),
        engine_url=embedded_postgres.url("agio_engine", name),
        owner_url=embedded_postgres.url(database=name),
        name=name,
    )
    # As the superuser: the owner cannot end an autovacuum worker or a backend on its way out.
    with psycopg.connect(embedded_postgres.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def app_database(databases: Databases) -> AsyncIterator[Database]:
    """The fresh database as the API sees it: `agio_app`, under row-level security."""
    database = Database(databases.app_url, name="test-app", vault=make_vault())
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def engine_database(databases: Databases) -> AsyncIterator[Database]:
    """The fresh database as the engine sees it: `agio_engine`."""
    database = Database(databases.engine_url, name="test-engine", vault=make_vault())
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded markets and prices; skips the test when this machine has none."""
    folder = Path(os.environ.get("AGIO_TEST_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recorded data: set AGIO_TEST_DATA to its folder (looked at {folder})")
    return folder
