"""Freezes: what is frozen does not move on, and what a frozen key says does not count."""

import asyncio

import pytest
from tests.integration.custody.vault_world import House, Person, policy, refusal


async def freeze_key(by: Person, whose: Person) -> None:
    await by.does(
        "/api/custody/freezes", {"target_kind": "key", "target_id": whose.key_id, "reason": "stolen"}
    )


class TestFreezes:
    @pytest.mark.parametrize("kind", ["house", "vault", "account", "key"])
    async def test_a_freeze_stops_every_step_until_somebody_else_lifts_it(
        self, guarded: House, kind: str
    ) -> None:
        ada, ben, cleo, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "eve"))
        zoe = await guarded.hire("zoe", "custody:read", "custody:admin")
        waiting, held = await guarded.ask(eve, "10.00"), await guarded.ask(eve, "20.00")
        for person in (ben, cleo):
            await guarded.approve(person, held)
        target = {"vault": guarded.vault_id, "account": guarded.cash, "key": eve.key_id}.get(kind)
        body = {"target_kind": kind, "reason": "odd logins"} | ({"target_id": target} if target else {})

        freeze = await ada.does("/api/custody/freezes", body)

        path = f"/api/custody/requests/{held['request_id']}"
        for answer in (
            await eve.post("/api/custody/requests", guarded.payment("1.00")),
            await guarded.approve(ben, waiting),
            await ben.post(f"{path}/release"),
        ):
            assert refusal(answer) == (409, "frozen")
            assert answer.json()["freezes"] == [freeze["freeze_id"]]
        lift = f"/api/custody/freezes/{freeze['freeze_id']}"
        assert refusal(await ada.delete(lift)) == (403, "second_person_needed")
        assert (await zoe.delete(lift)).json()["lifted_by"] == zoe.key_id
        assert (await ben.does(f"{path}/release"))["status"] == "released"

    async def test_the_approval_of_a_frozen_key_does_not_count(self, guarded: House) -> None:
        ada, ben, cleo, dana, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "dana", "eve"))
        request = await guarded.ask(eve, "10.00")
        await guarded.approve(ben, request)
        await ada.does(
            "/api/custody/freezes", {"target_kind": "key", "target_id": ben.key_id, "reason": "lost laptop"}
        )

        assert (await guarded.approve(cleo, request)).json()["status"] == "approving"
        assert (await guarded.approve(dana, request)).json()["status"] == "held"

    async def test_nothing_is_released_on_the_word_of_a_key_that_was_frozen_since(
        self, guarded: House
    ) -> None:
        ada, ben, cleo, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "eve"))
        request = await guarded.ask(eve, "10.00")
        for person in (ben, cleo):
            await guarded.approve(person, request)
        await freeze_key(ada, ben)

        path = f"/api/custody/requests/{request['request_id']}"
        assert refusal(await eve.post(f"{path}/release")) == (409, "frozen")
        assert (await ada.does(f"{path}/fail", {"reason": "ben's key was stolen"}))["status"] == "failed"

    async def test_a_policy_does_not_come_into_force_by_a_key_that_was_frozen_since(
        self, guarded: House
    ) -> None:
        ada, ben, cleo = (guarded.people[name] for name in ("ada", "ben", "cleo"))
        draft = await ada.does("/api/custody/policy/drafts", {"document": policy(guarded)})
        path = f"/api/custody/policy/drafts/{draft['policy_id']}"
        for person in (ben, cleo):
            await person.does(f"{path}/approvals", person.consent(draft["digest"], guarded.clock))
        await freeze_key(ada, ben)
        guarded.wait(3600)

        assert refusal(await ada.post(f"{path}/activate")) == (409, "wrong_state")
        assert (await ada.get("/api/custody/policy"))["version"] == 1

    async def test_a_frozen_key_can_do_nothing_any_more(self, guarded: House) -> None:
        ada, ben, cleo, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "eve"))
        zoe = await guarded.hire("zoe", "custody:read", "custody:admin")
        account = (await eve.does("/api/accounts", {"name": "Till"}))["account_id"]
        deposit = {"account_id": account, "direction": "deposit", "asset": "USD", "amount": "50.00"}
        await eve.does("/api/transfers", deposit)
        waiting, released = await guarded.ask(eve, "10.00"), await guarded.ask(eve, "20.00")
        for person in (ben, cleo):
            await guarded.approve(person, released)
        paid = f"/api/custody/requests/{released['request_id']}"
        await eve.does(f"{paid}/release")
        draft = await zoe.does("/api/custody/policy/drafts", {"document": policy(guarded)})
        other = await ada.does("/api/custody/freezes", {"target_kind": "key", "target_id": "key_" + "0" * 20,
                                                        "reason": "left"})  # fmt: skip
        await freeze_key(zoe, ada)
        before = await guarded.balance(eve)

        path = f"/api/custody/requests/{waiting['request_id']}"
        answers = [
            await ada.post("/api/vaults", {"name": "Mine"}),
            await ada.post(f"/api/vaults/{guarded.vault_id}/sub-accounts", {"asset": "USD", "location": "b"}),
            await ada.post(
                f"/api/vaults/{guarded.vault_id}/deposits", {"sub_account_id": guarded.cash, "amount": "1.00"}
            ),
            await ada.post("/api/transfers", deposit),
            await ada.post("/api/transfers", deposit | {"direction": "withdrawal"}),
            await ada.post("/api/custody/requests", guarded.payment("1.00")),
            await ada.patch(path, {"amount": "2.00"}),
            await ada.post(f"{path}/cancel", {"reason": "no"}),
            await ada.post(f"{path}/reject", {"reason": "no"}),
            await ada.post(f"{paid}/settle", {"external_reference": "E2E"}),
            await ada.post(f"{paid}/fail", {"reason": "pay it again"}),
            await ada.post("/api/custody/credentials", {"method": "totp"}),
            await ada.post("/api/custody/policy/drafts", {"document": policy(guarded)}),
            await ada.delete(f"/api/custody/policy/drafts/{draft['policy_id']}"),
            await ada.delete(f"/api/custody/destinations/{guarded.bank}"),
            await ada.post("/api/custody/freezes", {"target_kind": "house", "reason": "revenge"}),
            await zoe.delete(f"/api/custody/freezes/{other['freeze_id']}"),
        ]

        assert [refusal(answer) for answer in answers[:-1]] == [(409, "frozen")] * (len(answers) - 1)
        assert answers[-1].status_code == 200
        assert await guarded.balance(eve) == before
        assert (await zoe.post(f"{paid}/settle", {"external_reference": "E2E-1"})).status_code == 200

    @pytest.mark.parametrize("kind", ["house", "vault", "account"])
    async def test_what_the_rail_reports_is_booked_and_what_arrives_is_taken(
        self, guarded: House, kind: str
    ) -> None:
        ada, ben, cleo, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "eve"))
        requests = [await guarded.ask(eve, amount) for amount in ("10.00", "20.00")]
        for request in requests:
            for person in (ben, cleo):
                await guarded.approve(person, request)
            await eve.does(f"/api/custody/requests/{request['request_id']}/release")
        target = {"vault": guarded.vault_id, "account": guarded.cash}.get(kind)
        await ada.does(
            "/api/custody/freezes",
            {"target_kind": kind, "reason": "a look"} | ({"target_id": target} if target else {}),
        )

        paid, unpaid = (f"/api/custody/requests/{request['request_id']}" for request in requests)
        assert (await ada.does(f"{paid}/settle", {"external_reference": "E2E"}))["status"] == "settled"
        assert (await ada.does(f"{unpaid}/fail", {"reason": "sent back"}))["status"] == "failed"
        money = {"sub_account_id": guarded.cash, "amount": "5.00"}
        await ada.does(f"/api/vaults/{guarded.vault_id}/deposits", money)

        assert await guarded.balance(eve) == ("9995.00", "0.00", "9995.00")

    @pytest.mark.parametrize("kind", ["house", "account", "key"])
    async def test_withdrawals_race_with_a_freeze_and_none_comes_after_it(
        self, guarded: House, kind: str
    ) -> None:
        ada, eve = guarded.people["ada"], guarded.people["eve"]
        account = (await eve.does("/api/accounts", {"name": "Till"}))["account_id"]
        move = {"account_id": account, "direction": "deposit", "asset": "USD", "amount": "50.00"}
        await eve.does("/api/transfers", move)
        out = move | {"direction": "withdrawal", "amount": "1.00"}
        target = {"account": account, "key": eve.key_id}.get(kind)
        body = {"target_kind": kind, "reason": "a look"} | ({"target_id": target} if target else {})

        answers = await asyncio.gather(
            *(eve.post("/api/transfers", out) for _ in range(8)), ada.post("/api/custody/freezes", body)
        )
        later = await eve.post("/api/transfers", out)

        assert {answer.status_code for answer in answers} <= {201, 409}
        assert refusal(later) == (409, "frozen")

    async def test_an_account_outside_of_vaults_can_be_frozen_too(self, guarded: House) -> None:
        ada, eve = guarded.people["ada"], guarded.people["eve"]
        account = (await eve.does("/api/accounts", {"name": "Till"}))["account_id"]
        move = {"account_id": account, "direction": "deposit", "asset": "USD", "amount": "50"}
        await eve.does("/api/transfers", move)
        await ada.does(
            "/api/custody/freezes", {"target_kind": "account", "target_id": account, "reason": "dispute"}
        )

        out = await eve.post("/api/transfers", move | {"direction": "withdrawal"})

        assert refusal(out) == (409, "frozen")
        await eve.does("/api/transfers", move)
