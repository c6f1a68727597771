"""Journals, holds and ledger accounts over HTTP, on the real stack."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from tests.nodes import Node, Owner, make_owner

from agio.kernel.ids import HoldId, LedgerAccountId
from agio.ledger.api import PlaceHold
from agio.ledger.routes import build_router
from agio.ledger.service import LedgerService
from agio.ledger.verify import verify
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.db import Database

NOTHING = "jnl_00000000000000000000"


class Books(NamedTuple):
    """A node with the ledger's routes, two organisations, and the first one's two accounts."""

    node: Node
    owner: Owner
    stranger: Owner
    bank: str
    cash: str
    ledger: LedgerService
    database: Database

    async def get(self, path: str, who: Owner | None = None) -> httpx.Response:
        return await self.node.client.get(path, headers=(who or self.owner).headers)

    async def post(self, path: str, body: Any = None, who: Owner | None = None) -> httpx.Response:
        return await self.node.client.post(path, json=body, headers=(who or self.owner).headers)

    async def code(self, path: str, body: Any = None, who: Owner | None = None) -> tuple[int, str]:
        answer = await self.post(path, body, who)
        return answer.status_code, answer.json()["code"]

    def journal(self, amount: str, journal_id: str | None = None, **more: object) -> dict[str, object]:
        """From the bank to cash."""
        body: dict[str, object] = {
            "legs": [
                {"account": self.bank, "amount": f"-{amount}"},
                {"account": self.cash, "amount": amount},
            ],
            **more,
        }
        return body | ({"journal_id": journal_id} if journal_id else {})

    def account(self, address: str) -> str:
        return f"/api/ledger/accounts/{address}"

    async def total(self, address: str) -> str:
        return str((await self.get(self.account(address))).json()["total"])


@pytest.fixture
async def books(app_database: Database, engine_database: Database, nats_url: str) -> AsyncIterator[Books]:
    bus = Bus(nats_url, name="test-ledger")
    await bus.open()
    clock = SystemClock()
    ledger = LedgerService(app_database, clock)
    node = Node(app_database, bus, [build_router(ledger, app_database, clock)])
    async with node:
        owner, stranger = await make_owner(node), await make_owner(node)
        addresses = []
        for name, flags in (("bank", []), ("cash", ["debits_must_not_exceed_credits"])):
            answer = await node.client.post(
                "/api/ledger/accounts",
                json={"name": name, "asset": "USD", "flags": flags, "code": "1000"},
                headers=owner.headers,
            )
            assert answer.status_code == 201, answer.text
            addresses.append(answer.json()["address"])
        yield Books(node, owner, stranger, *addresses, ledger, app_database)
    await bus.close()
    async with engine_database.transaction() as tx:
        assert await verify(tx) == []


class TestPostJournal:
    async def test_a_journal_is_posted_once_and_read_back(self, books: Books) -> None:
        body = books.journal("12.50", "first", reference="inv-7", metadata={"z": "1", "a": "2"})

        created = await books.post("/api/journals", body)
        repeated = await books.post("/api/journals", body)

        assert (created.status_code, repeated.status_code) == (201, 200)
        assert repeated.headers["Idempotent-Replay"] == "true"
        assert repeated.json() == created.json() == (await books.get("/api/journals/first")).json()
        assert created.json()["metadata"] == {"a": "2", "z": "1"}
        assert [(leg["amount"], leg["balance"]) for leg in created.json()["legs"]] == [
            ("-12.50", "-12.50"),
            ("12.50", "12.50"),
        ]

    async def test_the_same_id_with_another_body_names_the_field(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("1.00", "j", metadata={"a": "1"}))

        for change, field in (
            ({"reference": "other"}, "reference"),
            ({"metadata": {"a": "2"}}, "metadata"),
            ({"value_date": "2020-01-01"}, "value_date"),
        ):
            answer = await books.post(
                "/api/journals", books.journal("1.00", "j", **{"metadata": {"a": "1"}} | change)
            )
            assert (answer.status_code, answer.json()["differs"]) == (422, field)
        answer = await books.post("/api/journals", books.journal("2.00", "j", metadata={"a": "1"}))
        assert answer.json()["differs"] == "legs"
        assert await books.total(books.cash) == "1.00"

    async def test_every_malformed_journal_has_its_own_code_and_writes_nothing(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("5.00"))
        legs: Any = books.journal("1.00")["legs"]
        bank, cash = legs
        foreign = f"{books.stranger.organisation_id}:book:bank:USD"
        cases: list[tuple[Any, tuple[int, str]]] = [
            ([bank], (422, "unbalanced")),
            ([bank, cash | {"amount": "1.01"}], (422, "unbalanced")),
            ([bank, cash | {"amount": "1.001"}], (422, "invalid_amount")),
            ([bank, cash | {"amount": "1e3"}], (422, "invalid_amount")),
            ([bank, cash | {"amount": "NaN"}], (422, "invalid_amount")),
            ([bank | {"amount": "0"}, cash | {"amount": "0"}], (422, "invalid_amount")),
            ([bank | {"amount": "-" + "9" * 34}, cash | {"amount": "9" * 34}], (422, "invalid_command")),
            ([bank | {"amount": "9" * 70}, cash], (422, "invalid_amount")),
            ([bank, cash | {"account": "nobody:USD"}], (404, "unknown_account")),
            ([bank, cash | {"account": foreign}], (404, "unknown_account")),
            ([bank | {"hold_id": "nothing"}, cash], (404, "unknown_hold")),
            ([bank | {"expected_version": 7}, cash], (409, "version_conflict")),
            ([bank | {"amount": "6.00"}, cash | {"amount": "-6.00"}], (422, "insufficient_funds")),
            ([], (422, "invalid_request")),
            ([bank | {"amount": 1}, cash], (422, "invalid_request")),
            ([bank | {"extra": 1}, cash], (422, "invalid_request")),
        ]
        for case, expected in cases:
            assert await books.code("/api/journals", {"legs": case}) == expected, case
        assert (await books.total(books.cash), await books.total(books.bank)) == ("5.00", "-5.00")
        assert (await books.get(books.account(books.cash))).json()["version"] == 1

    async def test_a_version_that_is_as_expected_lets_one_of_two_through(self, books: Books) -> None:
        body = books.journal("1.00")
        body["legs"][1]["expected_version"] = 0  # type: ignore[index]

        first, second = await books.post("/api/journals", body), await books.post("/api/journals", body)

        assert (first.status_code, second.status_code) == (201, 409)
        assert second.json()["code"] == "version_conflict"


class TestReverse:
    async def test_a_reversal_links_both_ways_and_happens_once(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("3.00", "j"))

        reversal = await books.post("/api/journals/j/reverse", {"journal_id": "r", "reference": "oops"})

        assert reversal.status_code == 201, reversal.text
        assert (reversal.json()["kind"], reversal.json()["reverses"]) == ("reversal", "j")
        assert (await books.get("/api/journals/j")).json()["reversed_by"] == "r"
        assert await books.total(books.cash) == "0.00"
        again = await books.post("/api/journals/j/reverse", {"journal_id": "r", "reference": "oops"})
        assert (again.status_code, again.headers["Idempotent-Replay"]) == (200, "true")
        assert await books.code("/api/journals/j/reverse", {"journal_id": "r2"}) == (409, "already_reversed")
        assert await books.code("/api/journals/r/reverse", {}) == (422, "not_reversible")
        assert await books.code(f"/api/journals/{NOTHING}/reverse", {}) == (404, "not_found")
        assert await books.total(books.cash) == "0.00"

    async def test_a_reversal_that_would_overdraw_is_refused(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("3.00", "j"))
        back = [{"account": books.cash, "amount": "-2.00"}, {"account": books.bank, "amount": "2.00"}]
        await books.post("/api/journals", {"legs": back})

        assert await books.code("/api/journals/j/reverse", {}) == (422, "insufficient_funds")


class TestBatch:
    async def test_each_for_itself(self, books: Books) -> None:
        journals = [
            books.journal("1.00", "a"),
            books.journal("1.00", "a"),
            books.journal("2.00", "a"),
            books.journal("1.005", "b"),
            {"legs": [{"account": books.cash, "amount": "-9.00"}, {"account": books.bank, "amount": "9.00"}]},
            books.journal("4.00", "c"),
        ]

        answer = await books.post("/api/journals/batch", {"mode": "each", "journals": journals})

        assert answer.status_code == 200, answer.text
        assert [item["code"] for item in answer.json()["results"]] == [
            "created",
            "exists",
            "conflict",
            "invalid_amount",
            "insufficient_funds",
            "created",
        ]
        assert (answer.json()["applied"], await books.total(books.cash)) == (3, "5.00")

    async def test_all_or_nothing(self, books: Books) -> None:
        journals = [
            books.journal("1.00", "a"),
            books.journal("1.00", "b"),
            {"legs": [{"account": books.cash, "amount": "1"}]},
        ]

        refused = await books.post("/api/journals/batch", {"mode": "all_or_nothing", "journals": journals})
        posted = await books.post("/api/journals/batch", {"mode": "all_or_nothing", "journals": journals[:2]})

        assert (refused.status_code, refused.json()["code"]) == (422, "batch_refused")
        assert [item["code"] for item in refused.json()["results"]] == ["unbalanced"]
        assert (posted.status_code, posted.json()["applied"]) == (200, 2)
        assert await books.total(books.cash) == "2.00"

    async def test_8189_at_once_and_not_one_more(self, books: Books) -> None:
        journals = [books.journal("0.01", f"j{number}", reference="x" * 60) for number in range(8190)]

        too_many = await books.code("/api/journals/batch", {"mode": "all_or_nothing", "journals": journals})
        answer = await books.post("/api/journals/batch", {"mode": "all_or_nothing", "journals": journals[1:]})

        assert too_many == (422, "invalid_request")
        assert (answer.status_code, answer.json()["applied"]) == (200, 8189)
        assert await books.total(books.cash) == "81.89"

    async def test_other_routes_keep_their_limit(self, books: Books) -> None:
        answer = await books.post("/api/journals", {"legs": [], "reference": "x" * 2_000_000})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


class TestHolds:
    async def test_placed_captured_in_parts_released(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("10.00"))
        body = {"account": books.cash, "amount": "8.00", "hold_id": "h", "reference": "r"}

        placed, again = await books.post("/api/holds", body), await books.post("/api/holds", body)
        captured = await books.post("/api/holds/h/capture", {"to": books.bank, "amount": "3.00"})
        too_much = await books.code("/api/holds/h/capture", {"to": books.bank, "amount": "6.00"})
        released = await books.post("/api/holds/h/release")

        assert (placed.status_code, again.status_code, captured.status_code) == (201, 200, 201)
        assert too_much == (422, "hold_exceeded")
        view = released.json()
        assert (view["captured"], view["released"], view["left"], view["state"]) == (
            "3.00",
            "5.00",
            "0.00",
            "released",
        )
        assert view == (await books.get("/api/holds/h")).json()
        assert (await books.post("/api/holds/h/release")).status_code == 200
        late = await books.code("/api/holds/h/capture", {"to": books.bank, "amount": "1.00"})
        assert late == (409, "hold_closed")
        account = (await books.get(books.account(books.cash))).json()
        assert (account["total"], account["held"], account["available"]) == ("7.00", "0.00", "7.00")

    async def test_a_final_capture_frees_the_rest(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("10.00"))
        await books.post("/api/holds", {"account": books.cash, "amount": "8.00", "hold_id": "h"})

        await books.post("/api/holds/h/capture", {"to": books.bank, "amount": "3.00", "is_final": True})

        assert (await books.get("/api/holds/h")).json()["state"] == "released"
        assert (await books.get(books.account(books.cash))).json()["available"] == "7.00"

    async def test_what_others_hold_is_not_touched(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("10.00"))
        order = PlaceHold(
            HoldId("order"),
            books.owner.principal.scope.organisation_id,
            "sandbox",  # type: ignore[arg-type]
            LedgerAccountId(books.cash),
            100,
            None,
            "trading",
        )
        async with books.database.transaction(books.owner.principal.scope) as tx:
            (result,) = await books.ledger.apply(tx, [order])
            result.require()

        assert await books.code("/api/holds/order/release") == (409, "made_elsewhere")
        body = {"to": books.bank, "amount": "1.00"}
        assert await books.code("/api/holds/order/capture", body) == (409, "made_elsewhere")
        journal = books.journal("1.00") | {"releases": ["order"]}
        assert await books.code("/api/journals", journal) == (409, "made_elsewhere")

    async def test_an_expired_hold_cannot_be_captured(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("10.00"))
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        body = {"account": books.cash, "amount": "8.00", "expires_at": past}
        assert await books.code("/api/holds", body) == (409, "hold_expired")


class TestAccounts:
    async def test_frozen_then_closed(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("1.00", "j"))
        path = books.account(books.cash)

        assert (await books.post(f"{path}/freeze")).json()["is_frozen"] is True
        assert await books.code("/api/journals", books.journal("1.00")) == (409, "account_frozen")
        assert await books.code(f"{path}/close") == (409, "account_not_empty")
        assert (await books.post(f"{path}/unfreeze")).json()["is_frozen"] is False
        await books.post("/api/journals/j/reverse", {})
        assert (await books.post(f"{path}/close", {"expected_version": 2})).json()["is_closed"] is True
        assert (await books.post(f"{path}/close")).json()["is_closed"] is True
        assert await books.code("/api/journals", books.journal("1.00")) == (409, "account_closed")
        assert await books.code(f"{path}/freeze") == (409, "account_closed")

    async def test_a_change_expects_a_version(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("1.00"))
        answer = await books.code(f"{books.account(books.cash)}/freeze", {"expected_version": 0})
        assert answer == (409, "version_conflict")

    async def test_a_minimum_counts_from_then_on(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("10.00"))
        path = f"{books.account(books.cash)}/minimum-balance"
        headers = books.owner.headers

        too_high = await books.node.client.put(path, json={"minimum_balance": "10.01"}, headers=headers)
        # Nothing was ever taken from it, so a minimum above the balance breaks no limit: it only binds.
        assert too_high.status_code == 200, too_high.text
        set_ = await books.node.client.put(path, json={"minimum_balance": "4.00"}, headers=headers)

        assert (set_.status_code, set_.json()["available"]) == (200, "6.00")
        back = [{"account": books.cash, "amount": "-6.01"}, {"account": books.bank, "amount": "6.01"}]
        assert await books.code("/api/journals", {"legs": back}) == (422, "insufficient_funds")
        await books.post("/api/holds", {"account": books.cash, "amount": "6.00"})
        refused = await books.node.client.put(path, json={"minimum_balance": "4.01"}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "insufficient_funds")

    async def test_the_balance_as_it_was(self, books: Books) -> None:
        path = f"{books.account(books.cash)}/balance"
        before = datetime.now(UTC)
        instants = []
        for amount in ("1.00", "2.00", "4.00"):
            answer = await books.post("/api/journals", books.journal(amount))
            instants.append(answer.json()["created_at"])

        async def total(at: str) -> tuple[str, int]:
            answer = await books.get(f"{path}?at={at.replace('+', '%2B')}")
            assert answer.status_code == 200, answer.text
            return answer.json()["total"], answer.json()["version"]

        assert await total(before.isoformat()) == ("0.00", 0)
        assert [await total(at) for at in instants] == [("1.00", 1), ("3.00", 2), ("7.00", 3)]
        assert (await books.get(f"{path}?at=2026-01-01T00:00:00")).status_code == 422

    async def test_entries_are_filtered_and_paged(self, books: Books) -> None:
        made = []
        for number in range(7):
            body = books.journal(f"{number + 1}.00", f"j{number}", reference=f"r{number % 2}")
            made.append((await books.post("/api/journals", body)).json())
        path = f"{books.account(books.cash)}/entries"

        async def ids(query: str) -> list[str]:
            answer = await books.get(f"{path}?{query}")
            assert answer.status_code == 200, answer.text
            return [item["journal_id"] for item in answer.json()["items"]]

        assert await ids("journal_id=j3") == ["j3"]
        assert await ids("reference=r1") == ["j5", "j3", "j1"]
        start, end = made[2]["created_at"], made[5]["created_at"]
        assert await ids(f"start={start}&end={end}") == ["j4", "j3", "j2"]
        assert await ids(f"start={start}&end={end}&reference=r0") == ["j4", "j2"]
        seen, cursor = [], ""
        while True:
            page = (await books.get(f"{path}?limit=3{cursor}")).json()
            seen += [item["journal_id"] for item in page["items"]]
            await books.post("/api/journals", books.journal("9.00"))
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [f"j{number}" for number in reversed(range(7))]

    async def test_accounts_are_listed_by_address(self, books: Books) -> None:
        answer = await books.get("/api/ledger/accounts?limit=1&code=1000")
        following = await books.get(f"/api/ledger/accounts?limit=1&cursor={answer.json()['next_cursor']}")
        items = [*answer.json()["items"], *following.json()["items"]]
        assert [item["address"] for item in items] == [books.bank, books.cash]
        assert items[1]["flags"] == ["debits_must_not_exceed_credits"]

    async def test_strangers_find_nothing(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("1.00", "j"))
        await books.post("/api/holds", {"account": books.cash, "amount": "1.00", "hold_id": "h"})
        path = books.account(books.cash)

        for target in (path, f"{path}/entries", f"{path}/balance?at=2030-01-01T00:00:00Z", "/api/holds/h"):
            assert (await books.get(target, books.stranger)).status_code == 404, target
        for target in (f"{path}/freeze", "/api/holds/h/release"):
            assert (await books.post(target, None, books.stranger)).status_code == 404, target
        capture = {"to": books.bank, "amount": "1.00"}
        assert (await books.post("/api/holds/h/capture", capture, books.stranger)).status_code == 404
        assert (await books.post("/api/journals/j/reverse", {}, books.stranger)).status_code == 404
        assert (await books.get("/api/ledger/accounts", books.stranger)).json()["items"] == []
