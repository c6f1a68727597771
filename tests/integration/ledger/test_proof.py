"""Immutability, the hash chain, and who may see what."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from tests.conftest import Databases
from tests.integration.ledger.world import ACCOUNTS, SCOPE_A, SCOPE_B, LedgerWorld, fund, hold, post

from agio.kernel.ids import JournalId
from agio.kernel.page import InvalidCursor, encode_cursor
from agio.kernel.problem import NotFound
from agio.ledger.service import LedgerService
from agio.ledger.verify import verify
from agio.platform.clock import SystemClock
from agio.platform.db import SYSTEM, Database


class TestImmutability:
    @pytest.mark.parametrize("table", ["journal", "entry", "chain"])
    @pytest.mark.parametrize("verb", ["update ledger.{} set batch_no = 9", "delete from ledger.{}"])
    async def test_even_the_owner_is_refused(
        self, world: LedgerWorld, databases: Databases, table: str, verb: str
    ) -> None:
        await world.codes(fund("acc_1:USD", 5))
        column = "leg_no" if table == "entry" else "batch_no"

        with (
            psycopg.connect(databases.owner_url) as connection,
            pytest.raises(psycopg.Error, match="immutable"),
        ):
            connection.execute(verb.format(table).replace("batch_no", column))

    @pytest.mark.parametrize("table", ["account", "journal", "entry", "hold", "chain", "head"])
    async def test_the_application_cannot_write_past_the_door(self, world: LedgerWorld, table: str) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with world.database.transaction(SCOPE_A) as tx:
                await tx.execute(f"delete from ledger.{table}")  # type: ignore[arg-type]


class TestVerify:
    @pytest.fixture
    async def tampered(
        self, databases: Databases, engine_database: Database
    ) -> AsyncIterator[psycopg.Connection]:
        """A ledger with five links, and an owner who has switched the triggers off."""
        database = Database(databases.app_url, name="tampered")
        await database.open()
        ledger = LedgerService(database, SystemClock())
        async with database.transaction() as tx:
            await ledger.open_accounts(tx, ACCOUNTS)
        for amount in range(1, 6):
            async with database.transaction() as tx:
                await ledger.apply(tx, [fund("acc_1:USD", amount), fund("acc_2:USD", amount)])
        async with database.transaction() as tx:
            await ledger.apply(tx, [hold("h1", "acc_1:USD", 3)])
        with psycopg.connect(databases.owner_url, autocommit=True) as connection:
            for table in ("journal", "entry", "chain"):
                connection.execute(f"alter table ledger.{table} disable trigger immutable")
            yield connection
        await database.close()

    @pytest.mark.parametrize(
        ("damage", "invariant"),
        [
            ("update ledger.entry set amount = amount + 1 where journal_no = 3 and leg_no = 2", 1),
            ("update ledger.entry set balance = balance + 1 where journal_no = 3 and leg_no = 2", 2),
            ("update ledger.account set debits_posted = 99, version = 77 where address = 'acc_1:USD'", 2),
            ("update ledger.account set debits_pending = 99 where address = 'acc_1:USD'", 3),
            ("delete from ledger.journal where journal_no = 10", 4),
            ("update ledger.hold set captured = 1 where hold_id = 'h1'", 7),
            ("update ledger.journal set source = 'other' where journal_no = 4", 8),
            ("update ledger.journal set fingerprint = sha256('x') where journal_no = 4", 8),
            ("update ledger.chain set hash = sha256('x') where batch_no = 2", 8),
            ("delete from ledger.chain where batch_no = 5", 8),
        ],
    )
    async def test_damage_is_found(
        self, tampered: psycopg.Connection, engine_database: Database, damage: str, invariant: int
    ) -> None:
        async with engine_database.transaction() as tx:
            assert await verify(tx) == []
        tampered.execute(damage)

        async with engine_database.transaction() as tx:
            findings = await verify(tx)

        assert invariant in {finding.invariant for finding in findings}

    async def test_the_first_broken_link_is_named(
        self, tampered: psycopg.Connection, engine_database: Database
    ) -> None:
        tampered.execute("update ledger.chain set created_at = created_at + interval '1s' where batch_no = 3")

        async with engine_database.transaction() as tx:
            findings = await verify(tx)

        assert [finding.what for finding in findings] == ["link 3 does not have the hash of its journals"]


class TestRead:
    async def test_a_journal_with_its_legs(self, world: LedgerWorld) -> None:
        await world.codes(fund("acc_1:USD", 5), post("j", ("acc_1:USD", -2), ("acc_2:USD", 2), reference="r"))

        async with world.database.transaction(SCOPE_A) as tx:
            journal = await world.ledger.journal(tx, JournalId("j"))

        assert (journal.journal_no, journal.batch_no, journal.reference) == (2, 1, "r")
        assert [(leg.account, leg.amount, leg.balance, leg.version) for leg in journal.legs] == [
            ("acc_1:USD", -2, 3, 2),
            ("acc_2:USD", 2, 2, 1),
        ]

    @pytest.mark.parametrize("scope", [SCOPE_B, SYSTEM])
    async def test_others_see_nothing(self, world: LedgerWorld, scope: object) -> None:
        await world.codes(fund("acc_1:USD", 5), hold("h1", "acc_1:USD", 3))

        async with world.database.transaction(scope) as tx:  # type: ignore[arg-type]
            with pytest.raises(NotFound):
                await world.ledger.journal(tx, JournalId("fund-acc_1:USD-5"))
            assert await world.ledger.balances(tx, "acc_1") == []
            assert (await world.ledger.entries(tx, "acc_1")).items == []
            for table in ("entry", "hold"):
                assert await tx.value(f"select count(*) from ledger.{table}") == 0  # type: ignore[arg-type]

    async def test_entries_page_newest_first_without_gaps_or_repeats(self, world: LedgerWorld) -> None:
        await world.codes(*[fund("acc_1:USD", amount) for amount in range(1, 8)])
        await world.codes(post("eur", ("org_a:bank:EUR", -9), ("acc_1:EUR", 9)))
        await world.codes(*[fund("acc_1:USD", amount) for amount in range(8, 11)])
        seen: list[int] = []
        cursor = None

        async with world.database.transaction(SCOPE_A) as tx:
            while True:
                page = await world.ledger.entries(tx, "acc_1", limit=3, cursor=cursor)
                seen += [entry.amount for entry in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
                await world.codes(fund("acc_1:USD", 100 + len(seen)))
            only_euro = await world.ledger.entries(tx, "acc_1", asset="EUR")

        assert seen == [10, 9, 8, 9, 7, 6, 5, 4, 3, 2, 1]
        assert [entry.amount for entry in only_euro.items] == [9]

    @pytest.mark.parametrize(
        "cursor",
        [
            "x",
            encode_cursor({"a": 1}),
            encode_cursor({"journal_no": -1}),
            encode_cursor({"journal_no": 2**70}),
        ],
    )
    async def test_a_foreign_cursor_is_refused(self, world: LedgerWorld, cursor: str) -> None:
        async with world.database.transaction(SCOPE_A) as tx:
            with pytest.raises(InvalidCursor):
                await world.ledger.entries(tx, "acc_1", cursor=cursor)
