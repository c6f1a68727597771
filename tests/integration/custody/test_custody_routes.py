"""Accounts and transfers over HTTP, on the real stack of identity, custody and ledger."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
from tests.nodes import Node, Owner, bearer, make_owner

from agio.custody.routes import build_router
from agio.custody.service import CustodyService
from agio.kernel.page import encode_cursor
from agio.ledger.routes import build_router as build_ledger_router
from agio.ledger.service import LedgerService
from agio.ledger.verify import verify
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.http import IdempotentReplies

UNKNOWN_ACCOUNT = "acc_00000000000000000000"


class Bank(NamedTuple):
    """A node with custody's and the ledger's routes, two organisations, and the first one's account."""

    node: Node
    owner: Owner
    stranger: Owner
    account_id: str

    async def get(self, path: str, who: Owner | None = None) -> httpx.Response:
        return await self.node.client.get(path, headers=(who or self.owner).headers)

    async def post(
        self, path: str, body: dict[str, Any], key: str | None = None, who: Owner | None = None
    ) -> httpx.Response:
        headers = (who or self.owner).headers | ({"Idempotency-Key": key} if key else {})
        return await self.node.client.post(path, json=body, headers=headers)

    async def transfer(
        self, direction: str, amount: str, key: str | None = None, who: Owner | None = None, **changes: object
    ) -> httpx.Response:
        body = {"account_id": self.account_id, "direction": direction, "asset": "USD", "amount": amount}
        return await self.post("/api/transfers", body | changes, key, who)

    async def total(self) -> str:
        answer = await self.get(f"/api/accounts/{self.account_id}/balances")
        return str(answer.json()["items"][0]["total"])


@pytest.fixture
async def bank(app_database: Database, engine_database: Database, nats_url: str) -> AsyncIterator[Bank]:
    bus = Bus(nats_url, name="test-custody")
    await bus.open()
    clock = SystemClock()
    ledger = LedgerService(app_database, clock)
    custody = CustodyService(app_database, ledger, clock)
    routers = [
        build_router(custody, app_database, IdempotentReplies(app_database)),
        build_ledger_router(ledger, app_database),
    ]
    async with Node(app_database, bus, routers) as node:
        owner, stranger = await make_owner(node, "Acme"), await make_owner(node, "Other")
        answer = await node.client.post("/api/accounts", json={"name": "Main"}, headers=owner.headers)
        yield Bank(node, owner, stranger, answer.json()["account_id"])
    await bus.close()
    async with engine_database.transaction() as tx:
        assert await verify(tx) == []


class TestAccounts:
    async def test_a_new_account_is_open_and_empty(self, bank: Bank) -> None:
        answer = await bank.get(f"/api/accounts/{bank.account_id}")
        balances = await bank.get(f"/api/accounts/{bank.account_id}/balances")

        account = answer.json()
        assert (account["name"], account["base_currency"], account["status"]) == ("Main", "USD", "open")
        assert balances.json()["items"] == [
            {"asset": "USD", "total": "0.00", "held": "0.00", "available": "0.00", "version": 0}
        ]

    async def test_lists_page_in_order_of_opening(self, bank: Bank) -> None:
        for number in range(4):
            await bank.post("/api/accounts", {"name": f"Account {number}", "base_currency": "EUR"})

        first = (await bank.get("/api/accounts?limit=3")).json()
        second = (await bank.get(f"/api/accounts?limit=3&cursor={first['next_cursor']}")).json()

        names = [account["name"] for account in first["items"] + second["items"]]
        assert names == ["Main", "Account 0", "Account 1", "Account 2", "Account 3"]
        assert second["next_cursor"] is None
        assert (await bank.get("/api/accounts", bank.stranger)).json()["items"] == []

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"name": ""}, "invalid_request"),
            ({"name": "a\nb"}, "invalid_request"),
            ({"name": "x" * 101}, "invalid_request"),
            ({"name": "Main", "base_currency": "XXX"}, "unknown_asset"),
            ({"name": "Main", "colour": "red"}, "invalid_request"),
        ],
    )
    async def test_a_bad_account_is_refused(self, bank: Bank, body: dict[str, Any], code: str) -> None:
        answer = await bank.post("/api/accounts", body)

        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert len((await bank.get("/api/accounts")).json()["items"]) == 1

    async def test_a_repeated_request_opens_one_account(self, bank: Bank) -> None:
        first = await bank.post("/api/accounts", {"name": "Second"}, "open-1")
        second = await bank.post("/api/accounts", {"name": "Second"}, "open-1")

        assert first.json() == second.json()
        assert second.headers["Idempotent-Replay"] == "true"


class TestTransfers:
    async def test_a_deposit_is_booked_and_leads_to_its_journal(self, bank: Bank) -> None:
        answer = await bank.transfer("deposit", "250.5", reference="first money")

        assert answer.status_code == 201
        transfer = answer.json()
        assert (transfer["amount"], transfer["status"]) == ("250.50", "settled")
        assert (await bank.get(f"/api/transfers/{transfer['transfer_id']}")).json() == transfer
        journal = (await bank.get(f"/api/journals/{transfer['journal_id']}")).json()
        assert journal["reference"] == transfer["transfer_id"]
        assert [(leg["account"], leg["amount"]) for leg in journal["legs"]] == [
            (f"{bank.owner.organisation_id}:external:sandbox_bank:USD", "-250.50"),
            (f"{bank.account_id}:USD", "250.50"),
        ]
        entries = (await bank.get(f"/api/accounts/{bank.account_id}/entries")).json()["items"]
        assert [(entry["amount"], entry["balance"]) for entry in entries] == [("250.50", "250.50")]

    async def test_a_withdrawal_takes_no_more_than_there_is(self, bank: Bank) -> None:
        await bank.transfer("deposit", "100.00")

        too_much = await bank.transfer("withdrawal", "100.01")
        all_of_it = await bank.transfer("withdrawal", "100.00")

        assert (too_much.status_code, too_much.json()["code"]) == (422, "insufficient_funds")
        assert all_of_it.status_code == 201
        assert await bank.total() == "0.00"

    async def test_concurrent_withdrawals_cannot_overdraw(self, bank: Bank) -> None:
        await bank.transfer("deposit", "100.00")

        answers = await asyncio.gather(*[bank.transfer("withdrawal", "30.00") for _ in range(6)])

        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [422] * 3
        assert await bank.total() == "10.00"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"amount": "0"}, "invalid_amount"),
            ({"amount": "-5"}, "invalid_amount"),
            ({"amount": "1.001"}, "invalid_amount"),
            ({"amount": "NaN"}, "invalid_amount"),
            ({"amount": "1e3"}, "invalid_amount"),
            ({"amount": "9" * 30}, "invalid_amount"),
            ({"amount": 5}, "invalid_request"),
            ({"direction": "sideways"}, "invalid_request"),
            ({"asset": "NOPE"}, "unknown_asset"),
            ({"asset": "USD\x00"}, "invalid_request"),
            ({"reference": "a\x00b"}, "invalid_request"),
        ],
    )
    async def test_bad_input_moves_nothing(self, bank: Bank, changes: dict[str, Any], code: str) -> None:
        body = {"account_id": bank.account_id, "direction": "deposit", "asset": "USD", "amount": "5"}

        answer = await bank.post("/api/transfers", body | changes)

        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert await bank.total() == "0.00"
        assert (await bank.get("/api/transfers")).json()["items"] == []

    async def test_same_key_replays_and_another_body_is_refused(self, bank: Bank) -> None:
        first = await bank.transfer("deposit", "10.00", "key-1")
        again = await bank.transfer("deposit", "10.00", "key-1")
        other = await bank.transfer("deposit", "11.00", "key-1")

        assert "Idempotent-Replay" not in first.headers
        assert (again.json(), again.headers["Idempotent-Replay"]) == (first.json(), "true")
        assert other.status_code == 422
        assert await bank.total() == "10.00"

    async def test_a_refused_transfer_may_be_repeated_with_its_key(self, bank: Bank) -> None:
        assert (await bank.transfer("withdrawal", "10.00", "key-1")).status_code == 422
        await bank.transfer("deposit", "10.00")

        assert (await bank.transfer("withdrawal", "10.00", "key-1")).status_code == 201

    async def test_lists_page_newest_first(self, bank: Bank) -> None:
        for amount in range(1, 6):
            await bank.transfer("deposit", str(amount))
            await asyncio.sleep(0.002)  # Ids of one millisecond have no order.

        first = (await bank.get(f"/api/transfers?account_id={bank.account_id}&limit=3")).json()
        second = (await bank.get(f"/api/transfers?limit=3&cursor={first['next_cursor']}")).json()

        amounts = [transfer["amount"] for transfer in first["items"] + second["items"]]
        assert amounts == ["5.00", "4.00", "3.00", "2.00", "1.00"]

    @pytest.mark.parametrize(
        "cursor", ["zzz", encode_cursor({"before": "x\x00"}), encode_cursor({"before": 1})]
    )
    async def test_a_foreign_cursor_is_refused(self, bank: Bank, cursor: str) -> None:
        for path in ("transfers", "accounts"):
            answer = await bank.get(f"/api/{path}?cursor={cursor}")
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


class TestIsolation:
    async def test_anothers_ids_are_not_found(self, bank: Bank) -> None:
        transfer = (await bank.transfer("deposit", "10.00")).json()
        paths = [
            f"/api/accounts/{bank.account_id}",
            f"/api/accounts/{bank.account_id}/balances",
            f"/api/accounts/{bank.account_id}/entries",
            f"/api/transfers/{transfer['transfer_id']}",
            f"/api/transfers?account_id={bank.account_id}",
            f"/api/journals/{transfer['journal_id']}",
            f"/api/accounts/{UNKNOWN_ACCOUNT}",
            "/api/accounts/nonsense",
            "/api/accounts/acc_%00",
            "/api/journals/jnl_%00",
            "/api/transfers/%F0%9F%98%80",
        ]

        answers = [await bank.get(path, bank.stranger) for path in paths]
        write = await bank.transfer("withdrawal", "1.00", who=bank.stranger)

        assert {(answer.status_code, answer.json()["code"]) for answer in [*answers, write]} == {
            (404, "not_found")
        }
        assert await bank.total() == "10.00"

    async def test_money_does_not_move_in_the_live_environment(self, bank: Bank) -> None:
        issued = await bank.node.service.issue_key(
            bank.owner.organisation_id, "live", ("accounts:write", "transfers:write"), name="live"
        )
        headers = bearer(issued.secret)
        account = await bank.node.client.post("/api/accounts", json={"name": "Live"}, headers=headers)

        answer = await bank.node.client.post(
            "/api/transfers",
            json={
                "account_id": account.json()["account_id"],
                "direction": "deposit",
                "asset": "USD",
                "amount": "1",
            },
            headers=headers,
        )

        assert (answer.status_code, answer.json()["code"]) == (403, "rail_not_connected")
