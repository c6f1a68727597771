"""Around the vault: moves inside of it, ways past its controls, what others see, what is told and kept."""

import json
from typing import NamedTuple

import psycopg
import pytest
from tests.conftest import Databases
from tests.integration.custody.vault_world import IBAN, House, Json, policy, refusal
from tests.nodes import make_owner

from agio.custody.stream import CustodyLog
from agio.platform.channels import UnknownChannel
from agio.platform.db import Database, Scope


class Tenant(NamedTuple):
    """Somebody who subscribes."""

    scope: Scope


class TestInside:
    async def test_money_moves_between_sub_accounts_and_to_an_account(self, house: House) -> None:
        ada, ben, cleo, eve = (house.people[name] for name in ("ada", "ben", "cleo", "eve"))
        await house.adopt(
            policy(house, rules=[{"name": "inside", "action": "allow", "when": {"kinds": ["internal"]}}]),
            ada, ben, cleo,
        )  # fmt: skip
        other = await ada.does(
            f"/api/vaults/{house.vault_id}/sub-accounts", {"asset": "USD", "location": "bank_basel"}
        )
        account = (await eve.does("/api/accounts", {"name": "Till"}))["account_id"]

        for kind, target in (("sub_account", other["sub_account_id"]), ("account", account)):
            held = await house.ask(eve, "100.00", target={"kind": kind, "id": target})
            assert (held["kind"], held["status"]) == ("internal", "held")
            path = f"/api/custody/requests/{held['request_id']}/release"
            assert (await eve.does(path))["status"] == "settled"

        assert await house.balance(eve) == ("9800.00", "0.00", "9800.00")
        outward = await house.ask(eve, "1.00", target={"kind": "sub_account", "id": other["sub_account_id"]})
        assert outward["status"] == "held"

    async def test_a_request_that_was_tampered_with_is_not_released(
        self, guarded: House, databases: Databases
    ) -> None:
        ben, cleo, eve = (guarded.people[name] for name in ("ben", "cleo", "eve"))
        request = await guarded.ask(eve, "10.00")
        await guarded.approve(ben, request)
        with psycopg.connect(databases.owner_url) as connection:
            connection.execute(
                "update custody.request set amount = 400000 where request_id = %s", (request["request_id"],)
            )

        assert refusal(await guarded.approve(cleo, request)) == (409, "request_damaged")

    async def test_there_is_no_way_around_through_the_ledger(self, guarded: House) -> None:
        ada, ben, cleo, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "eve"))
        request = await guarded.ask(eve, "10.00")
        for person in (ben, cleo):
            await guarded.approve(person, request)
        held = await eve.get(f"/api/custody/requests/{request['request_id']}")
        address = f"{guarded.vault_id}:bank_zurich:USD"
        bank = f"{guarded.organisation_id}:external:sandbox_bank:USD"
        legs = [{"account": address, "amount": "-5.00"}, {"account": bank, "amount": "5.00"}]

        for path, body, code in (
            ("/api/journals", {"legs": legs}, "managed_account"),
            ("/api/journals/batch", {"journals": [{"legs": legs}], "mode": "each"}, "managed_account"),
            ("/api/holds", {"account": address, "amount": "5.00"}, "managed_account"),
            (f"/api/holds/{held['hold_id']}/release", None, "made_elsewhere"),
            (f"/api/holds/{held['hold_id']}/capture", {"to": bank, "amount": "10.00"}, "made_elsewhere"),
        ):
            assert refusal(await ada.post(path, body)) == (409, code), path
        minimum = await guarded.node.client.put(
            f"/api/ledger/accounts/{address}/minimum-balance",
            json={"minimum_balance": "-100.00"},
            headers=ada.headers,
        )
        assert refusal(minimum) == (409, "managed_account")
        assert await guarded.balance(eve) == ("10000.00", "10.00", "9990.00")

    async def test_history_cannot_be_rewritten(self, guarded: House, databases: Databases) -> None:
        await guarded.ask(guarded.people["eve"], "10.00")
        with psycopg.connect(databases.owner_url) as connection, pytest.raises(psycopg.Error):
            connection.execute("update custody.step set by_key = 'key_x'")

    async def test_nobody_else_sees_any_of_it(self, guarded: House) -> None:
        eve = guarded.people["eve"]
        request = await guarded.ask(eve, "10.00")
        stranger = await make_owner(guarded.node, "Other")
        client = guarded.node.client
        for path in (
            f"/api/vaults/{guarded.vault_id}",
            f"/api/vaults/{guarded.vault_id}/sub-accounts",
            f"/api/custody/requests/{request['request_id']}",
            f"/api/custody/requests/{request['request_id']}/history",
            f"/api/custody/destinations/{guarded.bank}",
            f"/api/custody/requests?vault_id={guarded.vault_id}",
        ):
            answer = await client.get(path, headers=stranger.headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert (await client.get("/api/custody/policy", headers=stranger.headers)).json()["version"] == 0

    async def test_a_repeated_request_with_its_key_is_one_request(self, guarded: House) -> None:
        eve = guarded.people["eve"]
        headers = eve.headers | {"Idempotency-Key": "pay-1"}
        first, again = [
            await guarded.node.client.post(
                "/api/custody/requests", json=guarded.payment("10.00"), headers=headers
            )
            for _ in range(2)
        ]

        assert first.json() == again.json()
        assert len((await eve.get("/api/custody/requests"))["items"]) == 1
        other = await guarded.node.client.post(
            "/api/custody/requests", json=guarded.payment("11.00"), headers=headers
        )
        assert refusal(other) == (422, "idempotency_key_reused")

    async def test_without_a_key_a_repeat_is_another_request_with_approvals_of_its_own(
        self, guarded: House
    ) -> None:
        ben, cleo, eve = (guarded.people[name] for name in ("ben", "cleo", "eve"))
        first, again = [await guarded.ask(eve, "10.00") for _ in range(2)]
        for person in (ben, cleo):
            await guarded.approve(person, first)

        assert first["digest"] != again["digest"]
        assert (await eve.get(f"/api/custody/requests/{again['request_id']}"))["status"] == "approving"
        assert await guarded.balance(eve) == ("10000.00", "10.00", "9990.00")

    async def test_nothing_personal_is_in_plain_text(self, guarded: House, databases: Databases) -> None:
        eve = guarded.people["eve"]
        await guarded.ask(eve, "10.00", reference="salary of Mr Miller")
        totp = guarded.people["dana"].totp
        assert totp is not None
        with psycopg.connect(databases.owner_url) as connection:
            for needle in ("Mr Miller", "Supplier", IBAN.replace(" ", ""), "Treasury", totp.secret):
                for table in ("vault", "destination", "request", "step", "credential", "freeze"):
                    found = connection.execute(
                        f"select count(*) from custody.{table} t where t::text like %s",
                        (f"%{needle}%",),  # type: ignore[arg-type]
                    ).fetchone()
                    assert found == (0,), (needle, table)
                told = connection.execute(
                    "select count(*) from platform.outbox where body like %s", (f"%{needle}%",)
                ).fetchone()
                assert told == (0,), needle

    async def test_the_channel_tells_everything_in_order(
        self, guarded: House, app_database: Database, engine_database: Database
    ) -> None:
        eve = guarded.people["eve"]
        request = await guarded.ask(eve, "10.00")
        for person in ("ben", "cleo"):
            await guarded.approve(guarded.people[person], request)
        async with engine_database.transaction() as tx:
            while await tx.fetch_tuples("select * from platform.move_outbox(100)"):
                pass
        scope = Scope(guarded.organisation_id, "sandbox")
        kind = CustodyLog(app_database)

        handle = await kind.open(Tenant(scope), f"{guarded.organisation_id}:sandbox")
        pushes = await handle.replay(0, 1000)

        assert [push.q for push in pushes] == list(range(1, len(pushes) + 1))
        told = [json.loads(push.d)["event"] for push in pushes]
        assert told[0] == "credential_registered"
        assert told[-5:] == [
            "request_created",
            "request_allowed",
            "request_approved",
            "request_approved",
            "request_held",
        ]
        for key in (f"{guarded.organisation_id}:live", guarded.organisation_id, "org_x:sandbox"):
            with pytest.raises(UnknownChannel):
                await kind.open(Tenant(scope), key)

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/api/custody/requests", {"target": {"kind": "destination", "id": "dst_x"}}),
            ("/api/custody/requests", {"target": {"kind": "elsewhere", "id": "x"}}),
            ("/api/custody/requests", {"amount": "1e3"}),
            ("/api/custody/requests", {"amount": "0"}),
            ("/api/custody/requests", {"amount": "9" * 30}),
            ("/api/custody/requests", {"amount": "0.001"}),
            ("/api/custody/requests", {"reference": "a\nb"}),
            ("/api/custody/requests", {"reference": ""}),
            ("/api/custody/requests", {"sub_account_id": "sub_" + "0" * 20}),
            ("/api/custody/requests", {"sub_account_id": "\u0661" * 24}),
            ("/api/custody/requests", {"colour": "red"}),
            ("/api/custody/freezes", {"target_kind": "key", "target_id": "acc_" + "0" * 20, "reason": "x"}),
            ("/api/custody/freezes", {"target_kind": "house", "target_id": "house", "reason": "x"}),
            ("/api/custody/freezes", {"target_kind": "vault", "reason": "x"}),
            ("/api/custody/freezes", {"target_kind": "vault", "target_id": "vlt_" + "0" * 20, "reason": "x"}),
            ("/api/custody/destinations", {"kind": "bitcoin", "name": "x", "address": "bc1qqqq"}),
            ("/api/custody/destinations", {"kind": "ethereum", "name": "x", "address": "0x" + "a" * 40}),
            ("/api/custody/destinations", {"kind": "bitcoin", "name": "x", "address": "1", "bic": "X"}),
            ("/api/custody/credentials", {"method": "ed25519"}),
            ("/api/custody/credentials", {"method": "ed25519", "public_key": "00" * 32, "possession": "0"}),
        ],
    )
    async def test_bad_input_is_refused_and_changes_nothing(
        self, guarded: House, path: str, body: Json
    ) -> None:
        ada = guarded.people["ada"]
        sent = guarded.payment("1.00") | body if path.endswith("requests") else body

        answer = await ada.post(path, sent)

        assert answer.status_code in {404, 422}, answer.text
        assert (await ada.get("/api/custody/requests"))["items"] == []
        assert (await ada.get("/api/custody/freezes"))["items"] == []
        assert len((await ada.get("/api/custody/destinations"))["items"]) == 1
