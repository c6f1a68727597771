"""The vault on a real database: what opens where, keys that are made and changed, rows from before."""

import asyncio
import secrets
import threading
import time
from pathlib import Path

import psycopg
import pytest
from tests.conftest import MASTER_KEYS, Databases, make_vault

from agio.app.sealing import SEALED, seal_plain_text
from agio.identity.service import IdentityService
from agio.platform.clock import SystemClock
from agio.platform.config import Settings
from agio.platform.db import Database, Scope, Transaction, VaultMissing
from agio.platform.master_keys import KeyFile, KeyRing, UnknownMasterKey, Wrapped, open_master_keys
from agio.platform.rekeying import needed_masters, rewrap, unsealed_columns
from agio.platform.vault import DamagedSeal, Place, Vault

A, B = Scope("org_a", "sandbox"), Scope("org_b", "sandbox")
NAME = Place("room.table.name", "row_1")


async def seal(database: Database, text: str, scope: Scope = A, place: Place = NAME) -> str:
    async with database.transaction(scope) as tx:
        return await tx.vault.seal(tx, place, text)


async def unseal(database: Database, sealed: str, scope: Scope = A, place: Place = NAME) -> str:
    async with database.transaction(scope) as tx:
        return await tx.vault.unseal(tx, place, sealed)


class ChangedMeanwhile:
    """Master keys that an operator changes, and the old one forgets, right after the first wrap."""

    def __init__(self, settings: Settings, owner_url: str) -> None:
        keys = open_master_keys(settings)
        assert isinstance(keys, KeyFile)
        self._keys, self._owner_url = keys, owner_url
        self.old = keys.current_id()
        self.forgotten: list[str] = []
        self.changing = threading.Thread(target=self._change)

    def current_id(self) -> str:
        return self._keys.current_id()

    def unwrap(self, wrapped: Wrapped, binding: bytes) -> bytes:
        return self._keys.unwrap(wrapped, binding)

    def wrap(self, key: bytes, binding: bytes) -> Wrapped:
        wrapped = self._keys.wrap(key, binding)
        self.changing.start()
        with psycopg.connect(self._owner_url, autocommit=True) as owner:
            waits = "select from pg_locks where not granted and relation = 'platform.data_key'::regclass"
            while self.changing.is_alive() and not owner.execute(waits).fetchall():
                time.sleep(0.01)
        return wrapped

    def _change(self) -> None:
        self._keys.add_key()
        rewrap(self._owner_url, self._keys)
        self.forgotten = self._keys.forget_all_but(needed_masters(self._owner_url))


class TestSealing:
    @pytest.mark.parametrize("text", ["", "Ada Lovelace", "Ωμέγα 🜚", "x" * 10_000, "sealed:looks-like-it"])
    async def test_what_was_sealed_opens_and_never_looks_the_same(
        self, app_database: Database, text: str
    ) -> None:
        first, second = await seal(app_database, text), await seal(app_database, text)

        assert first != second
        assert await unseal(app_database, first) == await unseal(app_database, second) == text
        assert text == "" or text not in first

    async def test_it_opens_in_its_own_place_only(self, app_database: Database) -> None:
        sealed = await seal(app_database, "secret")
        await seal(app_database, "theirs", B)

        for scope, place in (
            (B, NAME),
            (A, Place("room.table.other", "row_1")),
            (A, Place("room.table.name", "row_2")),
        ):
            with pytest.raises(DamagedSeal):
                await unseal(app_database, sealed, scope, place)

    async def test_changed_or_plain_values_are_refused(self, app_database: Database) -> None:
        sealed = await seal(app_database, "secret")

        for bad in ("secret", "sealed:", "sealed:!!", sealed[:-4], sealed[:-5] + "AAAA=", "sealed:AAAA"):
            with pytest.raises(DamagedSeal):
                await unseal(app_database, bad)

    async def test_a_transaction_of_one_organisation_touches_no_other(self, app_database: Database) -> None:
        async with app_database.transaction(A) as tx:
            with pytest.raises(DamagedSeal):
                await tx.vault.seal(tx, NAME, "x", "org_b")
        async with app_database.transaction() as tx:
            with pytest.raises(DamagedSeal):
                await tx.vault.seal(tx, NAME, "x")

    async def test_the_engine_acts_for_whom_it_names(
        self, app_database: Database, engine_database: Database
    ) -> None:
        sealed = await seal(app_database, "secret")

        async with engine_database.transaction() as tx:
            assert await tx.vault.unseal(tx, NAME, sealed, "org_a") == "secret"

    async def test_a_process_without_a_master_key_says_so(self, databases: Databases) -> None:
        database = Database(databases.app_url)
        await database.open()
        try:
            with pytest.raises(VaultMissing):
                await seal(database, "x")
        finally:
            await database.close()


class TestDataKeys:
    async def test_many_first_uses_at_once_make_one_key(self, databases: Databases) -> None:
        nodes = [Database(databases.app_url, vault=make_vault()) for _ in range(3)]
        for node in nodes:
            await node.open()
        try:
            sealed = await asyncio.gather(*[seal(nodes[n % 3], f"text {n}") for n in range(12)])

            opened = [await unseal(nodes[(n + 1) % 3], text) for n, text in enumerate(sealed)]
            assert opened == [f"text {n}" for n in range(12)]
            async with nodes[0].transaction(A) as tx:
                assert await tx.value("select count(*) from platform.data_key") == 1
        finally:
            for node in nodes:
                await node.close()

    async def test_a_key_that_was_rolled_back_is_never_used(self, app_database: Database) -> None:
        async def fail(tx: Transaction) -> None:
            await tx.vault.seal(tx, NAME, "lost")
            raise RuntimeError("after sealing")

        with pytest.raises(RuntimeError):
            async with app_database.transaction(A) as tx:
                await fail(tx)
        sealed = await seal(app_database, "kept")

        fresh = Database(app_database._pool.conninfo, vault=make_vault())  # type: ignore[arg-type]
        await fresh.open()
        try:
            assert await unseal(fresh, sealed) == "kept"
        finally:
            await fresh.close()

    async def test_a_new_version_seals_and_the_old_one_still_opens(self, app_database: Database) -> None:
        old = await seal(app_database, "old")
        async with app_database.transaction(A) as tx:
            assert await tx.vault.renew_data_key(tx) == 2
        app_database.vault = make_vault()

        new = await seal(app_database, "new")

        assert await unseal(app_database, old) == "old"
        assert await unseal(app_database, new) == "new"
        async with app_database.transaction(A) as tx:
            assert await tx.value("select count(*) from platform.data_key") == 2

    async def test_a_serving_process_cannot_change_a_key(self, app_database: Database) -> None:
        await seal(app_database, "x")
        for statement in (
            "update platform.data_key set wrapped = wrapped",
            "delete from platform.data_key",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with app_database.transaction(A) as tx:
                    await tx.connection.execute(statement)


class TestMasterKeyRotation:
    async def test_readers_and_writers_go_on_while_the_master_changes(
        self, databases: Databases, tmp_path: Path
    ) -> None:
        settings = Settings(data_dir=tmp_path)
        database = Database(databases.app_url, max_size=4, vault=Vault(open_master_keys(settings)))
        await database.open()
        scopes = [Scope(f"org_{n}", "sandbox") for n in range(30)]
        kept = [(scope, await seal(database, scope.organisation_id, scope)) for scope in scopes]
        stopping = asyncio.Event()
        opened = 0

        async def work() -> None:
            nonlocal opened
            while not stopping.is_set():
                scope, sealed = kept[secrets.randbelow(len(kept))]
                # A process that has just started knows no data key yet.
                database.vault = Vault(open_master_keys(settings))
                assert await unseal(database, sealed, scope) == scope.organisation_id
                newcomer = Scope(f"org_new_{opened}", "sandbox")
                kept.append((newcomer, await seal(database, newcomer.organisation_id, newcomer)))
                opened += 1

        working = asyncio.create_task(work())
        await asyncio.sleep(0.2)
        operator = open_master_keys(settings)
        assert isinstance(operator, KeyFile)
        old, new = operator.current_id(), operator.add_key()
        count = await asyncio.to_thread(rewrap, databases.owner_url, operator)
        assert operator.forget_all_but(needed_masters(databases.owner_url)) == [old]
        stopping.set()
        await working

        assert count >= 30
        assert opened > 0
        assert needed_masters(databases.owner_url) == {new}
        database.vault = Vault(open_master_keys(settings))
        for scope, sealed in kept:
            assert await unseal(database, sealed, scope) == scope.organisation_id
        await database.close()

    async def test_a_data_key_that_is_just_being_made_is_not_lost(
        self, databases: Databases, tmp_path: Path
    ) -> None:
        settings = Settings(data_dir=tmp_path)
        masters = ChangedMeanwhile(settings, databases.owner_url)
        database = Database(databases.app_url, vault=Vault(masters))
        await database.open()
        try:
            sealed = await seal(database, "kept")
            await asyncio.to_thread(masters.changing.join)

            assert masters.forgotten == [masters.old]
            database.vault = Vault(open_master_keys(settings))
            assert await unseal(database, sealed) == "kept"
        finally:
            await database.close()

    async def test_another_master_opens_nothing_and_is_told_what_is_missing(
        self, app_database: Database
    ) -> None:
        sealed = await seal(app_database, "secret")
        app_database.vault = Vault(KeyRing([secrets.token_bytes(32)]))

        with pytest.raises(UnknownMasterKey, match=MASTER_KEYS.current_id()):
            await unseal(app_database, sealed)


class TestRowsFromBefore:
    async def test_plain_names_are_sealed_once_and_then_refused(
        self, databases: Databases, tmp_path: Path
    ) -> None:
        settings = Settings(data_dir=tmp_path, owner_database_url=databases.owner_url)
        with psycopg.connect(databases.owner_url, autocommit=True) as owner:
            for table in ("identity.organisation", "identity.api_key"):
                owner.execute(f"alter table {table} drop constraint name_is_sealed")  # type: ignore[arg-type]
            for number in range(3):
                owner.execute(
                    "insert into identity.organisation (organisation_id, name) values (%s, %s)",
                    (f"org_{number}", f"Plain {number}"),
                )
            for table in ("identity.organisation", "identity.api_key"):
                owner.execute(
                    f"alter table {table} add constraint name_is_sealed"  # type: ignore[arg-type]
                    " check (name like 'sealed:%') not valid"
                )

        sealed = await asyncio.to_thread(seal_plain_text, settings)

        assert sealed == 3
        assert unsealed_columns(databases.owner_url, SEALED) == []
        assert await asyncio.to_thread(seal_plain_text, settings) == 0
        with psycopg.connect(databases.owner_url, autocommit=True) as owner:
            names = [row[0] for row in owner.execute("select name from identity.organisation")]
            assert all(name.startswith("sealed:") for name in names)
            with pytest.raises(psycopg.errors.CheckViolation):
                owner.execute("insert into identity.organisation (organisation_id, name) values ('o', 'n')")
        database = Database(databases.app_url, vault=Vault(open_master_keys(settings)))
        await database.open()
        try:
            async with database.transaction(Scope("org_2", "sandbox")) as tx:
                name = await tx.value("select name from identity.organisation")
                place = Place("identity.organisation.name", "org_2")
                assert await tx.vault.unseal(tx, place, name) == "Plain 2"
            await IdentityService(database, SystemClock()).create_organisation("Another")
        finally:
            await database.close()
