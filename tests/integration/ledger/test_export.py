"""The ledger exported and read again by its own verifier, by Beancount and as a table; tampering shows."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest
from beancount import loader
from beancount.core import data as directives
from beancount.core import realization
from tests.conftest import Databases
from tests.integration.ledger.world import B, LedgerWorld, fund, hold, post

from agio.ledger.proof.chain import Finding
from agio.ledger.proof.export import Export, ExportFormat
from agio.ledger.proof.offline import verify_lines
from agio.ledger.proof.snapshot import read_head, snapshot
from agio.ledger.verify import verify
from agio.platform.db import SYSTEM, Transaction
from agio.platform.embedded.postgres import EmbeddedPostgres


@pytest.fixture
async def busy(world: LedgerWorld) -> LedgerWorld:
    """A few links, two organisations, holds, an awkward reference."""
    await world.codes(fund("acc_1:USD", 10_050), fund("acc_2:USD", 7))
    await world.codes(hold("h1", "acc_1:USD", 30), hold("h2", "acc_1:USD", 40))
    await world.codes(
        post("j1", ("acc_1:USD", -20, "h1"), ("acc_2:USD", 20), releases=["h1"], reference='a "b" \\ , é')
    )
    await world.codes(post("eur", ("org_a:bank:EUR", -9), ("acc_1:EUR", 9)))
    await world.codes(post("b1", ("org_b:bank:USD", -55), ("acc_9:USD", 55), organisation=B))
    return world


async def export(world: LedgerWorld, kind: ExportFormat, organisation: str | None = None) -> bytes:
    exporting = Export(kind, world.clock, organisation)
    async with snapshot(world.engine_database) as tx:
        return b"".join([chunk async for chunk in exporting.chunks(tx)])


class TestFile:
    async def test_what_was_exported_verifies_and_ends_with_the_head(self, busy: LedgerWorld) -> None:
        content = await export(busy, ExportFormat.JSONL)

        report = verify_lines(content.splitlines(keepends=True))

        async with snapshot(busy.engine_database) as tx:
            head = await read_head(tx)
        assert report.findings == []
        assert (report.links, report.journals, report.head) == (head.batch_no, 5, head.hash.hex())

    async def test_one_organisations_file_hides_the_others_and_still_verifies(
        self, busy: LedgerWorld
    ) -> None:
        content = await export(busy, ExportFormat.JSONL, "org_b")

        report = verify_lines(content.splitlines(keepends=True))

        assert report.findings == []
        assert report.journals == 5
        assert b"acc_9" in content
        assert b"acc_1" not in content
        assert b"org_a" not in content

    async def test_an_earlier_head_is_still_in_the_chain(self, busy: LedgerWorld) -> None:
        async with snapshot(busy.engine_database) as tx:
            noted = (await read_head(tx)).hash
        await busy.codes(fund("acc_2:USD", 1))
        lines = (await export(busy, ExportFormat.JSONL)).splitlines()

        assert verify_lines(lines, [noted]).findings == []
        foreign = verify_lines(lines, [b"x" * 32]).findings
        assert [finding.invariant for finding in foreign] == [8]

    @pytest.mark.parametrize(
        ("kind", "change", "invariant", "what"),
        [
            ("journal", lambda line: line | {"source": "other"}, 8, "does not have the content"),
            ("journal", lambda line: line | {"value_date": "2020-01-01"}, 8, "does not have the content"),
            ("journal", lambda line: line | {"fingerprint": "00" * 32}, 8, "does not have the content"),
            ("journal", lambda line: line | {"created_at": "2020-01-01T00:00:00Z"}, 8, "batch and time"),
            ("journal", lambda _: None, 8, "journal 1 is missing from link 1"),
            ("link", lambda _: None, 8, "a journal comes before its link"),
            ("link", lambda line: line | {"created_at": "2020-01-01T00:00:00Z"}, 8, "does not have the hash"),
            ("account", lambda line: line | {"balance": "1.00"}, 2, "differs from the fold"),
            ("head", lambda _: None, 8, "ends before its head"),
            ("head", lambda line: line | {"hash": "00" * 32}, 8, "the head is not link"),
            ("header", lambda line: line | {"format": "agio-ledger/9"}, 8, "cannot be read"),
            ("journal", lambda line: line | {"legs": "?"}, 8, "cannot be read"),
            ("journal", lambda line: line | {"fingerprint": "zz"}, 8, "cannot be read"),
        ],
    )
    async def test_a_changed_file_is_found_out(
        self,
        busy: LedgerWorld,
        kind: str,
        change: Callable[[dict[str, object]], dict[str, object] | None],
        invariant: int,
        what: str,
    ) -> None:
        lines = [json.loads(line) for line in (await export(busy, ExportFormat.JSONL)).splitlines()]
        place = next(number for number, line in enumerate(lines) if line["type"] == kind)
        changed = change(lines[place])
        lines[place : place + 1] = [changed] if changed is not None else []

        findings = verify_lines(json.dumps(line).encode() for line in lines).findings

        assert invariant in {finding.invariant for finding in findings}
        assert any(what in finding.what for finding in findings), findings

    async def test_an_amount_is_named_by_its_journal(self, busy: LedgerWorld) -> None:
        content = (await export(busy, ExportFormat.JSONL)).replace(b'"amount":"0.20"', b'"amount":"0.21"')

        findings = verify_lines(content.splitlines()).findings

        assert Finding(1, "journal 3 does not balance in USD") in findings
        assert any("journal j1 of link 2" in finding.what for finding in findings)


class TestOtherPrograms:
    async def test_beancount_loads_it_and_agrees_on_every_balance(self, busy: LedgerWorld) -> None:
        text = (await export(busy, ExportFormat.BEANCOUNT)).decode()

        entries, errors, _ = loader.load_string(text)

        assert errors == []
        transactions = [entry for entry in entries if isinstance(entry, directives.Transaction)]
        assert [entry.meta["journal-id"] for entry in transactions][2] == "j1"
        assertions = [entry for entry in entries if isinstance(entry, directives.Balance)]
        assert len(assertions) == 9
        assert {entry.tolerance for entry in assertions} == {Decimal(0)}
        (head,) = [entry for entry in entries if isinstance(entry, directives.Custom)]
        async with snapshot(busy.engine_database) as tx:
            assert head.values[0].value == (await read_head(tx)).hash.hex()
        root = realization.realize(entries)
        customer = realization.get(root, "Liabilities:Sandbox:Acc-1:USD")
        # Beancount's sign is the debtor's: what we owe is negative.
        assert str(customer.balance) == "(-100.30 USD)"

    async def test_a_balance_that_is_one_cent_off_does_not_load(self, busy: LedgerWorld) -> None:
        """Beancount 411: an assertion must not pass 0.01 off."""
        text = (await export(busy, ExportFormat.BEANCOUNT)).decode()

        _, errors, _ = loader.load_string(text.replace("-100.30 ~ 0", "-100.31 ~ 0"))

        assert [type(error).__name__ for error in errors] == ["BalanceError"]

    async def test_the_table_has_every_leg_and_ends_with_the_head(self, busy: LedgerWorld) -> None:
        rows = list(csv.DictReader(io.StringIO((await export(busy, ExportFormat.CSV)).decode())))

        async with snapshot(busy.engine_database) as tx:
            head = await read_head(tx)
        assert len(rows) == 10
        assert rows[-1]["chain_hash"] == head.hash.hex()
        assert sum(Decimal(row["amount"]) for row in rows if row["asset"] == "USD") == 0
        (captured,) = [row for row in rows if row["hold_id"] == "h1"]
        assert (captured["account"], captured["amount"], captured["balance"]) == (
            "acc_1:USD",
            "-0.20",
            "100.30",
        )

    async def test_an_empty_ledger_exports_too(self, world: LedgerWorld) -> None:
        lines = (await export(world, ExportFormat.JSONL)).splitlines()
        assert verify_lines(lines).findings == []
        _, errors, _ = loader.load_string((await export(world, ExportFormat.BEANCOUNT)).decode())
        assert errors == []


class TestTampering:
    """What a superuser can do behind our back: each is found, and the first broken link is named."""

    @pytest.mark.parametrize(
        ("damage", "invariant", "what"),
        [
            (
                "update ledger.entry set amount = amount * 2 where journal_no = 3",
                8,
                "journal j1 of link 2 does not",
            ),
            ("update ledger.entry set amount = amount * 2 where journal_no = 3", 2, "differs from the fold"),
            ("update ledger.entry set journal_no = 99 where journal_no = 4", 8, "belongs to no journal"),
            ("delete from ledger.entry where journal_no = 4", 8, "journal eur of link 3 does not"),
            (
                "update ledger.journal set reference = 'x' where journal_no = 1",
                8,
                "of link 1 does not have the content",
            ),
            (
                "update ledger.journal set booking_date = booking_date - 1 where journal_no = 1",
                8,
                "of link 1 does",
            ),
            (
                "update ledger.journal set created_at = created_at - interval '1 day' where journal_no = 4",
                8,
                "journal 4 does not say the batch and time of its link 3",
            ),
            ("delete from ledger.journal where journal_no = 3", 8, "link 2 has lost its journals from 3 on"),
            ("delete from ledger.chain where batch_no = 1", 8, "link 2 does not follow link 0"),
            ("delete from ledger.chain where batch_no = 2", 8, "link 3 does not follow link 1"),
            ("delete from ledger.chain where batch_no = 4", 8, "journal 5 belongs to no link"),
            ("update ledger.head set hash = sha256('x')", 8, "the head is not link 4"),
            ("update ledger.hold set amount = 20000 where hold_id = 'h2'", 3, "acc_1:USD was overdrawn at"),
            (
                "update ledger.hold set amount = 50 where hold_id = 'h2'",
                7,
                "acc_1:USD: pending 40, open holds say 50",
            ),
        ],
    )
    async def test_is_named(
        self,
        busy: LedgerWorld,
        embedded_postgres: EmbeddedPostgres,
        databases: Databases,
        damage: str,
        invariant: int,
        what: str,
    ) -> None:
        url = embedded_postgres.url("postgres", databases.name)
        async with await psycopg.AsyncConnection.connect(url) as superuser:
            await superuser.execute("set session_replication_role = replica")
            await superuser.execute(damage)  # type: ignore[arg-type]
            findings = await verify(Transaction(superuser, SYSTEM))
            await superuser.rollback()

        assert any(each.invariant == invariant and what in each.what for each in findings), findings


class TestEvents:
    """Invariant 11: an event exists exactly when its journal is committed, in order."""

    @pytest.mark.parametrize(
        ("damage", "what"),
        [
            (
                "delete from platform.event_log where body like '%\"j1\"%' and channel like '%acc_2'",
                "0 times",
            ),
            ("insert into platform.event_log select * from again", "2 times"),
            (
                "update platform.event_log set body = replace(body, '\"eur\"', '\"ghost\"')",
                "is not posted there",
            ),
            ("update platform.event_log set seq = -seq where channel = 'ledger:acc_1'", "out of order"),
            ("delete from platform.event_log where kind = 'hold_placed'", "as placed 0"),
        ],
    )
    async def test_a_wrong_event_is_found(self, busy: LedgerWorld, damage: str, what: str) -> None:
        async with busy.engine_database.transaction() as tx:
            await tx.execute("select count(*) from platform.move_outbox(1000)")
        async with snapshot(busy.engine_database) as tx:
            assert await verify(tx) == []

        async with busy.engine_database.transaction() as tx:
            await tx.execute(
                "create temporary table again on commit drop as select * from platform.event_log"
                " where body like '%\"j1\"%'"
            )
            await tx.execute("update again set seq = 999")
            await tx.execute(damage)  # type: ignore[arg-type]
            findings = await verify(tx)
            await tx.connection.rollback()

        assert any(each.invariant == 11 and what in each.what for each in findings), findings
