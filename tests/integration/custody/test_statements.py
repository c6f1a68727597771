"""Statements over HTTP: opening + entries = closing, in every format, with the chain head."""

import csv
import io
import itertools
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import httpx
import pytest
from tests.nodes import Node, Owner, make_owner

from agio.custody.routes import build_router
from agio.custody.service import CustodyService
from agio.custody.statements import service as statement_service
from agio.custody.statements.routes import build_router as build_statement_router
from agio.custody.statements.service import StatementService
from agio.kernel.ids import JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import Leg, PostJournal
from agio.ledger.reading import LedgerReading
from agio.ledger.service import LedgerService
from agio.platform.bus import Bus
from agio.platform.clock import VirtualClock
from agio.platform.db import Database
from agio.platform.http import IdempotentReplies

START = datetime(2026, 1, 1, tzinfo=UTC)
ALL = {"from": "2026-01-01", "to": "2026-12-31"}


class Desk(NamedTuple):
    """A node whose ledger lives on a clock of ours; one account."""

    node: Node
    owner: Owner
    stranger: Owner
    clock: VirtualClock
    account_id: str

    async def move(self, direction: str, amount: str, asset: str = "USD") -> None:
        body = {"account_id": self.account_id, "direction": direction, "asset": asset, "amount": amount}
        answer = await self.node.client.post("/api/transfers", json=body, headers=self.owner.headers)
        assert answer.status_code == 201, answer.text

    async def ask(self, who: Owner | None = None, **query: str) -> httpx.Response:
        path = f"/api/accounts/{self.account_id}/statements"
        return await self.node.client.get(path, params=query, headers=(who or self.owner).headers)


@pytest.fixture
async def desk(app_database: Database, nats_url: str) -> AsyncIterator[Desk]:
    bus = Bus(nats_url, name="test-statements")
    await bus.open()
    clock = VirtualClock(START)
    ledger = LedgerService(app_database, clock)
    custody = CustodyService(app_database, ledger, clock)
    routers = [
        build_router(custody, app_database, IdempotentReplies(app_database)),
        build_statement_router(StatementService(app_database, custody, LedgerReading(), clock)),
    ]
    async with Node(app_database, bus, routers) as node:
        owner, stranger = await make_owner(node, "Acme"), await make_owner(node, "Other")
        answer = await node.client.post("/api/accounts", json={"name": "Main"}, headers=owner.headers)
        yield Desk(node, owner, stranger, clock, answer.json()["account_id"])
    await bus.close()


async def trade_a_year(desk: Desk, seed: int = 5, count: int = 40) -> None:
    """Deposits and withdrawals, some days apart."""
    rng = random.Random(seed)
    await desk.move("deposit", "5000.00")
    for _ in range(count):
        desk.clock.advance(timedelta(days=rng.uniform(0.2, 8)))
        await desk.move(rng.choice(["deposit", "withdrawal"]), f"{rng.randrange(1, 9999) / 100:.2f}")


class TestSums:
    async def test_opening_plus_entries_is_closing_for_any_period(self, desk: Desk) -> None:
        await trade_a_year(desk)
        rng = random.Random(11)
        for _ in range(25):
            begin = START + timedelta(days=rng.uniform(-10, 200))
            end = begin + timedelta(days=rng.uniform(0.001, 120))
            query = {"from": _instant(begin), "to": _instant(end), "limit": "1000"}

            answer = (await desk.ask(**query)).json()

            (asset,) = answer["assets"]
            amounts = [Decimal(entry["amount"]) for entry in answer["items"]]
            assert Decimal(asset["opening"]) + sum(amounts) == Decimal(asset["closing"])
            assert Decimal(asset["credits"]) == sum(amount for amount in amounts if amount > 0)
            assert Decimal(asset["debits"]) == -sum(amount for amount in amounts if amount < 0)
            assert asset["entry_count"] == len(amounts)
            assert all(_instant(begin) <= entry["instant"] < _instant(end) for entry in answer["items"])

    async def test_periods_that_touch_leave_nothing_out(self, desk: Desk) -> None:
        await trade_a_year(desk)
        edges = [
            "2025-12-01T00:00:00Z",
            "2026-02-03T04:05:06Z",
            "2026-03-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        ]

        parts = [
            (await desk.ask(**{"from": begin, "to": end, "limit": "1000"})).json()
            for begin, end in itertools.pairwise(edges)
        ]

        assert sum(len(part["items"]) for part in parts) == 41
        for before, after in itertools.pairwise(parts):
            assert before["assets"][0]["closing"] == after["assets"][0]["opening"]
        assert parts[0]["assets"][0]["opening"] == "0.00"

    async def test_pages_give_every_entry_once_over_several_assets(self, desk: Desk) -> None:
        for number in range(7):
            await desk.move("deposit", f"{number + 1}.00", "USD" if number % 2 else "EUR")
        seen: list[tuple[str, int]] = []
        cursor: str | None = None
        while True:
            page = (await desk.ask(**ALL, limit="2", **({"cursor": cursor} if cursor else {}))).json()
            seen += [(entry["asset"], entry["version"]) for entry in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break

        assert seen == [("EUR", n) for n in (1, 2, 3, 4)] + [("USD", n) for n in (1, 2, 3)]
        only = (await desk.ask(**ALL, asset="EUR")).json()
        assert {entry["asset"] for entry in only["items"]} == {"EUR"}

    async def test_a_period_is_final_once_nothing_can_be_booked_into_it(self, desk: Desk) -> None:
        await desk.move("deposit", "1.00")

        today = (await desk.ask(**{"from": "2026-01-01", "to": "2026-01-01"})).json()
        desk.clock.advance(timedelta(days=1, minutes=10))
        tomorrow = (await desk.ask(**{"from": "2026-01-01", "to": "2026-01-01"})).json()

        assert (today["is_final"], tomorrow["is_final"]) == (False, True)


class TestChainHead:
    async def test_the_head_is_the_link_at_the_end_of_the_period(
        self, desk: Desk, engine_database: Database
    ) -> None:
        await trade_a_year(desk, count=12)
        async with engine_database.transaction() as tx:
            links = await tx.fetch_tuples(
                "select batch_no, encode(hash, 'hex'), created_at from ledger.chain order by batch_no"
            )
        for batch_no, digest, created_at in links:
            after = _instant(created_at + timedelta(microseconds=1))

            head = (await desk.ask(**{"from": "2025-01-01", "to": after})).json()["chain_head"]

            assert (head["batch_no"], head["hash"]) == (batch_no, digest)
        before = (await desk.ask(**{"from": "2025-01-01", "to": _instant(links[0][2])})).json()
        assert before["chain_head"]["batch_no"] == 0
        assert before["chain_head"]["hash"] == "00" * 32


class TestCsv:
    async def test_lines_carry_balances_entries_and_the_head(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(statement_service, "CHUNK_ENTRIES", 7)
        await trade_a_year(desk)
        await desk.move("deposit", "3.00", "EUR")

        answer = await desk.ask(**ALL, format="csv")

        assert answer.headers["content-type"].startswith("text/csv")
        assert f"statement-{desk.account_id}-20260101-20270101.csv" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        usd = [row for row in rows if row["asset"] == "USD"]
        assert [row["type"] for row in usd] == ["opening", *["entry"] * 41, "closing"]
        assert [int(row["version"]) for row in usd] == [0, *range(1, 42), 41]
        balance = Decimal(usd[0]["balance"])
        for row in usd[1:-1]:
            balance += Decimal(row["amount"])
            assert Decimal(row["balance"]) == balance
        assert Decimal(usd[-1]["balance"]) == balance
        head = (await desk.ask(**ALL)).json()["chain_head"]
        assert (rows[-1]["type"], rows[-1]["reference"]) == ("chain_head", head["hash"])

    async def test_text_from_callers_stays_text(self, desk: Desk, app_database: Database) -> None:
        ledger = LedgerService(app_database, desk.clock)
        await desk.move("deposit", "100.00")
        texts = ['=HYPERLINK("http://x")', "a,b", 'say "x"', "-2+3", "plain", "@SUM(A1)"]
        for number, text in enumerate(texts):
            await _post(ledger, app_database, desk, number, text)

        rows = list(csv.DictReader(io.StringIO((await desk.ask(**ALL, format="csv")).text, newline="")))

        references = [row["reference"] for row in rows if row["source"] == "test"]
        assert references == [("'" + text if text[0] in "=@-+" else text) for text in texts]


class TestPdf:
    async def test_a_document_is_made_and_is_the_same_every_time(self, desk: Desk) -> None:
        await trade_a_year(desk)

        first, second = await desk.ask(**ALL, format="pdf"), await desk.ask(**ALL, format="pdf")

        assert first.headers["content-type"] == "application/pdf"
        assert first.content.startswith(b"%PDF-")
        assert first.content == second.content

    async def test_too_many_entries_are_refused_with_a_way_out(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(statement_service, "MAX_PDF_ENTRIES", 3)
        await trade_a_year(desk, count=5)

        answer = await desk.ask(**ALL, format="pdf")

        assert (answer.status_code, answer.json()["code"]) == (422, "statement_too_long")


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"from": "2026-01-01"}, "invalid_request"),
            ({"from": "2026-01-02", "to": "2026-01-01"}, "invalid_period"),
            ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "invalid_period"),
            ({"from": "yesterday", "to": "2026-01-01"}, "invalid_period"),
            ({"from": "2026-02-30", "to": "2026-03-01"}, "invalid_period"),
            ({"from": "2026-01-01T00:00:00", "to": "2026-03-01"}, "invalid_period"),
            ({"from": "0001-01-01", "to": "2026-03-01"}, "invalid_period"),
            ({"from": "2026-01-01", "to": "9999-12-31"}, "invalid_period"),
            ({"from": "٢٠٢٦-01-01", "to": "2026-03-01"}, "invalid_period"),
            ({**ALL, "format": "xml"}, "invalid_request"),
            ({**ALL, "limit": "0"}, "invalid_request"),
            ({**ALL, "cursor": "nonsense"}, "invalid_cursor"),
            ({**ALL, "asset": "NOPE"}, "unknown_asset"),
        ],
    )
    async def test_a_bad_question_is_named(self, desk: Desk, query: dict[str, str], code: str) -> None:
        answer = await desk.ask(**query)

        assert answer.status_code in {400, 422}, answer.text
        assert answer.json()["code"] == code

    @pytest.mark.parametrize("form", ["json", "csv", "pdf"])
    async def test_somebody_elses_account_does_not_exist(self, desk: Desk, form: str) -> None:
        answer = await desk.ask(desk.stranger, **ALL, format=form)

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def _post(ledger: LedgerService, database: Database, desk: Desk, number: int, reference: str) -> None:
    organisation_id = OrganisationId(desk.owner.organisation_id)
    command = PostJournal(
        journal_id=JournalId(f"statement-{number}"),
        organisation_id=organisation_id,
        environment="sandbox",
        legs=(
            Leg(LedgerAccountId(f"{desk.account_id}:USD"), -1),
            Leg(LedgerAccountId(f"{organisation_id}:external:sandbox_bank:USD"), 1),
        ),
        booking_date=START.date(),
        value_date=START.date(),
        source="test",
        reference=reference,
    )
    async with database.transaction() as tx:
        (await ledger.apply(tx, [command]))[0].require()


def _instant(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")
