"""Statements from outside over HTTP: three-way comparison, breaks and what becomes of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from tests.nodes import Node, Owner, make_owner

from agio.custody.reconciliation.holdings import TransferHoldings
from agio.custody.reconciliation.routes import build_router as build_reconciliation_router
from agio.custody.reconciliation.service import ReconciliationService
from agio.custody.routes import build_router
from agio.custody.service import CustodyService
from agio.kernel.ids import AccountId, JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import Leg, PostJournal
from agio.ledger.reading import LedgerReading
from agio.ledger.service import LedgerService
from agio.platform.bus import Bus
from agio.platform.clock import VirtualClock
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotentReplies

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Executions:
    """Records of another room, as trading would have them."""

    def __init__(self) -> None:
        self.amounts: dict[str, dict[str, int]] = {}

    async def holdings(
        self, tx: Transaction, account_id: AccountId, without: Sequence[JournalId]
    ) -> Mapping[str, int]:
        held: dict[str, int] = {}
        for journal_id, amounts in self.amounts.items():
            for asset, amount in amounts.items() if journal_id not in without else ():
                held[asset] = held.get(asset, 0) + amount
        return held


class Desk(NamedTuple):
    node: Node
    owner: Owner
    stranger: Owner
    clock: VirtualClock
    ledger: LedgerService
    database: Database
    executions: Executions
    account_id: str

    async def get(self, path: str, who: Owner | None = None) -> httpx.Response:
        return await self.node.client.get(path, headers=(who or self.owner).headers)

    async def post(self, path: str, body: dict[str, Any], who: Owner | None = None) -> httpx.Response:
        return await self.node.client.post(path, json=body, headers=(who or self.owner).headers)

    async def deposit(self, amount: str) -> None:
        body = {"account_id": self.account_id, "direction": "deposit", "asset": "USD", "amount": amount}
        assert (await self.post("/api/transfers", body)).status_code == 201
        self.clock.advance(timedelta(minutes=1))

    async def book(self, journal_id: str, amount: int) -> None:
        """A journal of somebody else's making."""
        organisation_id = OrganisationId(self.owner.organisation_id)
        command = PostJournal(
            journal_id=JournalId(journal_id),
            organisation_id=organisation_id,
            environment="sandbox",
            legs=(
                Leg(LedgerAccountId(f"{self.account_id}:USD"), amount),
                Leg(LedgerAccountId(f"{organisation_id}:external:sandbox_bank:USD"), -amount),
            ),
            booking_date=START.date(),
            value_date=START.date(),
            source="elsewhere",
        )
        (await self.ledger.submit(command)).require()
        self.clock.advance(timedelta(minutes=1))

    async def import_file(self, content: str, who: Owner | None = None, **changes: Any) -> httpx.Response:
        body = {"source": "custodian", "as_of": self.now(), "content": content}
        path = f"/api/accounts/{self.account_id}/external-statements"
        return await self.post(path, body | changes, who)

    def now(self) -> str:
        return self.clock.now().isoformat().replace("+00:00", "Z")

    async def breaks(self, state: str = "open") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get(f"/api/breaks?state={state}")).json()["items"]
        return items


def usd(amount: str) -> str:
    return f"asset,quantity\nUSD,{amount}\n"


@pytest.fixture
async def desk(app_database: Database, nats_url: str) -> AsyncIterator[Desk]:
    bus = Bus(nats_url, name="test-reconciliation")
    await bus.open()
    clock = VirtualClock(START)
    ledger = LedgerService(app_database, clock)
    custody = CustodyService(app_database, ledger, clock)
    executions = Executions()
    service = ReconciliationService(custody, ledger, LedgerReading(), (TransferHoldings(), executions), clock)
    routers = [
        build_router(custody, app_database, IdempotentReplies(app_database)),
        build_reconciliation_router(service, app_database),
    ]
    async with Node(app_database, bus, routers) as node:
        owner, stranger = await make_owner(node, "Acme"), await make_owner(node, "Other")
        answer = await node.client.post("/api/accounts", json={"name": "Main"}, headers=owner.headers)
        account_id = answer.json()["account_id"]
        yield Desk(node, owner, stranger, clock, ledger, app_database, executions, account_id)
    await ledger.drain()
    await bus.close()


class TestThreeWays:
    async def test_three_views_that_agree_leave_no_break(self, desk: Desk) -> None:
        await desk.deposit("100.00")

        answer = await desk.import_file(usd("100"))

        assert answer.status_code == 201
        statement = answer.json()
        assert (statement["agreed_count"], statement["break_count"]) == (1, 0)
        assert await desk.breaks() == []

    async def test_the_outside_differs(self, desk: Desk) -> None:
        await desk.deposit("100.00")

        await desk.import_file("asset,quantity\nUSD,99.50\nGOLD,1.25\n")

        gold, cash = sorted(await desk.breaks(), key=lambda one: str(one["asset"]))
        assert (cash["kind"], cash["ledger"], cash["external"], cash["expected"], cash["difference"]) == (
            "external_differs",
            "100.00",
            "99.50",
            "100.00",
            "-0.50",
        )
        assert (gold["asset"], gold["kind"], gold["ledger"]) == (
            "GOLD",
            "external_differs",
            "0.000000000000000000",
        )

    async def test_a_booking_without_a_record_makes_the_ledger_differ(self, desk: Desk) -> None:
        await desk.deposit("100.00")
        await desk.book("mistake", 500)

        await desk.import_file(usd("100.00"))

        (one,) = await desk.breaks()
        assert (one["kind"], one["ledger"], one["expected"]) == ("ledger_differs", "105.00", "100.00")

    async def test_a_record_without_a_booking_makes_the_expectation_differ(self, desk: Desk) -> None:
        await desk.deposit("100.00")
        desk.executions.amounts["never-booked"] = {"USD": -700}

        await desk.import_file(usd("100.00"))

        (one,) = await desk.breaks()
        assert (one["kind"], one["expected"]) == ("expected_differs", "93.00")

    async def test_a_statement_of_yesterday_is_compared_with_yesterday(self, desk: Desk) -> None:
        await desk.deposit("100.00")
        await desk.book("fill-1", -1000)
        desk.executions.amounts["fill-1"] = {"USD": -1000}
        yesterday = desk.now()
        desk.clock.advance(DAY)
        await desk.deposit("55.00")
        await desk.book("fill-2", -2000)
        desk.executions.amounts["fill-2"] = {"USD": -2000}

        answer = await desk.import_file(usd("90.00"), as_of=yesterday)

        assert answer.json()["break_count"] == 0, await desk.breaks()


class TestImports:
    async def test_the_same_file_again_is_the_same_statement(self, desk: Desk) -> None:
        await desk.deposit("100.00")
        as_of = desk.now()
        first = await desk.import_file(usd("99"), as_of=as_of)
        desk.clock.advance(DAY)

        again = await desk.import_file(usd("99"), as_of=as_of)

        assert (again.status_code, again.headers["Idempotent-Replay"]) == (200, "true")
        assert again.json() == first.json()
        assert len(await desk.breaks()) == 1
        page = (await desk.get(f"/api/accounts/{desk.account_id}/external-statements")).json()
        assert [one["statement_id"] for one in page["items"]] == [first.json()["statement_id"]]

    async def test_the_file_is_kept_as_it_came(self, desk: Desk) -> None:
        content = '\ufeffquantity,"asset"\r\n5,USD\r\n'
        statement = (await desk.import_file(content)).json()

        kept = (await desk.get(f"/api/external-statements/{statement['statement_id']}")).json()

        assert kept == {"statement": statement, "content": content}

    async def test_an_older_statement_is_refused(self, desk: Desk) -> None:
        before = desk.now()
        desk.clock.advance(DAY)
        await desk.import_file(usd("0"))

        answer = await desk.import_file(usd("1"), as_of=before)
        other = await desk.import_file(usd("1"), as_of=before, source="bank")

        assert (answer.status_code, answer.json()["code"]) == (409, "statement_outdated")
        assert other.status_code == 201

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"content": "hello"}, "malformed_statement"),
            ({"content": usd("1e9")}, "malformed_statement"),
            ({"content": usd("1") * 2}, "malformed_statement"),
            ({"source": "No Spaces"}, "invalid_request"),
            ({"source": ""}, "invalid_request"),
            ({"as_of": "2126-01-01T00:00:00Z"}, "invalid_request"),
            ({"as_of": "0001-01-01T00:00:00+14:00"}, "invalid_request"),
            ({"as_of": "2026-01-01T00:00:00"}, "invalid_request"),
            ({"as_of": "2026-01-01"}, "invalid_request"),
            ({"content": 5}, "invalid_request"),
            ({"extra": 5}, "invalid_request"),
        ],
    )
    async def test_a_bad_file_changes_nothing(self, desk: Desk, changes: dict[str, Any], code: str) -> None:
        body = {"source": "custodian", "as_of": desk.now(), "content": usd("1")} | changes

        answer = await desk.post(f"/api/accounts/{desk.account_id}/external-statements", body)

        assert (answer.status_code, answer.json()["code"]) == (422, code)
        page = (await desk.get(f"/api/accounts/{desk.account_id}/external-statements")).json()
        assert (page["items"], await desk.breaks()) == ([], [])


class TestBreaks:
    async def test_a_break_ages_is_explained_and_is_resolved_by_a_statement_that_agrees(
        self, desk: Desk, engine_database: Database
    ) -> None:
        await desk.deposit("100.00")
        await desk.import_file(usd("99.00"))
        (one,) = await desk.breaks()
        path = f"/api/breaks/{one['break_id']}"
        desk.clock.advance(DAY)

        explained = await desk.post(f"{path}/explain", {"reason": "their fee of 1 USD is not booked yet"})
        await desk.import_file(usd("99.00"))
        (still,) = await desk.breaks("explained")
        await desk.book("their-fee", -100)
        desk.executions.amounts["their-fee"] = {"USD": -100}
        await desk.import_file(usd("99.00"))

        assert explained.json()["break"]["age_seconds"] == 86_400
        assert still["break_id"] == one["break_id"]
        shown = (await desk.get(path)).json()
        assert shown["break"]["state"] == "resolved"
        assert [(note["state"], note["decided_by"]) for note in shown["notes"]] == [
            ("explained", desk.owner.key_id),
            ("resolved", "reconciliation"),
        ]
        assert shown["notes"][0]["reason"] == "their fee of 1 USD is not booked yet"
        async with engine_database.transaction() as tx:
            kinds = await tx.fetch_tuples(
                "select kind from platform.outbox where channel like 'custody:%' order by event_no"
            )
        assert [kind for (kind,) in kinds if kind.startswith("break_")] == [
            "break_opened",
            "break_explained",
            "break_resolved",
        ]

    async def test_another_difference_opens_an_explained_break_again(self, desk: Desk) -> None:
        await desk.import_file(usd("1.00"))
        (one,) = await desk.breaks()
        await desk.post(f"/api/breaks/{one['break_id']}/explain", {"reason": "on its way"})
        desk.clock.advance(DAY)

        await desk.import_file(usd("2.00"))

        (again,) = await desk.breaks()
        assert (again["break_id"], again["external"]) == (one["break_id"], "2.00")
        assert again["opened_at"] == one["opened_at"]

    async def test_what_was_resolved_and_still_differs_opens_a_new_break(self, desk: Desk) -> None:
        await desk.import_file(usd("1.00"))
        (one,) = await desk.breaks()
        resolved = await desk.post(f"/api/breaks/{one['break_id']}/resolve", {"reason": "written off"})
        too_late = await desk.post(f"/api/breaks/{one['break_id']}/explain", {"reason": "or not"})
        desk.clock.advance(DAY)

        await desk.import_file(usd("1.00"))

        assert resolved.json()["break"]["state"] == "resolved"
        assert (too_late.status_code, too_late.json()["code"]) == (409, "break_resolved")
        (new,) = await desk.breaks()
        assert new["break_id"] != one["break_id"]

    async def test_pages_and_filters(self, desk: Desk) -> None:
        await desk.import_file("asset,quantity\n" + "".join(f"A{n},1\n" for n in range(5)))

        first = (await desk.get(f"/api/breaks?limit=3&account_id={desk.account_id}")).json()
        rest = (await desk.get(f"/api/breaks?limit=3&cursor={first['next_cursor']}")).json()

        assert [len(first["items"]), len(rest["items"])] == [3, 2]
        assert {one["asset"] for one in [*first["items"], *rest["items"]]} == {f"A{n}" for n in range(5)}
        assert rest["next_cursor"] is None
        assert (await desk.get("/api/breaks?state=lost")).status_code == 422

    async def test_nothing_of_it_exists_for_somebody_else(self, desk: Desk) -> None:
        statement = (await desk.import_file(usd("1.00"))).json()
        (one,) = await desk.breaks()

        answers = [
            await desk.import_file(usd("1.00"), desk.stranger),
            await desk.get(f"/api/accounts/{desk.account_id}/external-statements", desk.stranger),
            await desk.get(f"/api/external-statements/{statement['statement_id']}", desk.stranger),
            await desk.get(f"/api/breaks/{one['break_id']}", desk.stranger),
            await desk.get(f"/api/breaks?account_id={desk.account_id}", desk.stranger),
            await desk.post(f"/api/breaks/{one['break_id']}/resolve", {"reason": "x"}, desk.stranger),
        ]

        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 6
        assert (await desk.get("/api/breaks", desk.stranger)).json()["items"] == []
