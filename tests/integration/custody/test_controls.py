"""What guards a vault: limits under concurrency, quorums, cooling, codes, policy changes; over HTTP."""

import asyncio

import pytest
from tests.integration.custody.vault_world import DAY, IBAN, House, Json, policy, refusal


class TestLimits:
    async def test_racing_approvals_never_pass_the_rolling_limit(self, guarded: House) -> None:
        """Ten payments of 1,500 race for a limit of 8,000: five are held, whatever the order."""
        eve, ben, cleo = (guarded.people[name] for name in ("eve", "ben", "cleo"))
        asked = [await guarded.ask(eve, "1500.00") for _ in range(10)]
        for request in asked:
            assert (await guarded.approve(ben, request)).json()["status"] == "approving"

        answers = await asyncio.gather(*(guarded.approve(cleo, request) for request in asked))

        ends = [(answer.json()["status"], answer.json()["reason_code"]) for answer in answers]
        assert sorted(ends, key=str) == [("failed", "limit_exceeded")] * 5 + [("held", None)] * 5
        assert await guarded.balance(eve) == ("10000.00", "7500.00", "2500.00")

    async def test_the_window_moves_on_and_what_was_given_back_does_not_count(self, guarded: House) -> None:
        eve, ben, cleo = (guarded.people[name] for name in ("eve", "ben", "cleo"))

        async def pay(amount: str) -> Json:
            request = await guarded.ask(eve, amount)
            await guarded.approve(ben, request)
            return dict((await guarded.approve(cleo, request)).json())

        first, second = await pay("4000.00"), await pay("4000.00")
        assert (await pay("0.01"))["reason_code"] == "limit_exceeded"
        await eve.does(f"/api/custody/requests/{second['request_id']}/cancel", {"reason": "not needed"})
        assert (await pay("1000.00"))["status"] == "held"
        guarded.wait(DAY)
        assert (await pay("5000.00"))["status"] == "held"
        assert first["status"] == "held"

    async def test_what_is_not_there_cannot_be_held(self, guarded: House) -> None:
        eve, ben, cleo = (guarded.people[name] for name in ("eve", "ben", "cleo"))
        for _ in range(2):
            request = await guarded.ask(eve, "4000.00")
            await guarded.approve(ben, request)
            assert (await guarded.approve(cleo, request)).json()["status"] == "held"
        guarded.wait(DAY)
        request = await guarded.ask(eve, "2000.01")
        await guarded.approve(ben, request)

        answer = (await guarded.approve(cleo, request)).json()

        assert (answer["status"], answer["reason_code"]) == ("failed", "insufficient_funds")

    async def test_shares_and_counts(self, house: House) -> None:
        ada, ben, cleo, eve = (house.people[name] for name in ("ada", "ben", "cleo", "eve"))
        rule = {
            "name": "free",
            "action": "allow",
            "when": {"assets": ["USD"]},
            "limits": [
                {"kind": "share_of_balance", "basis_points": 1000},
                {"kind": "count", "count": 2, "window_seconds": DAY, "per": "initiator"},
            ],
        }
        await house.adopt(policy(house, rules=[rule]), ada, ben, cleo)
        house.wait(DAY)

        answers = [await house.ask(eve, amount) for amount in ("1000.01", "1000.00", "10.00", "10.00")]

        assert [answer["status"] for answer in answers] == ["failed", "held", "held", "failed"]
        assert "count per initiator" in answers[3]["reason"]
        assert (await house.ask(ben, "10.00"))["status"] == "held"


class TestApprovals:
    async def test_only_members_approve_and_once_each(self, guarded: House) -> None:
        ada, ben, eve = (guarded.people[name] for name in ("ada", "ben", "eve"))
        request = await guarded.ask(eve, "10.00")

        assert refusal(await guarded.approve(ada, request)) == (403, "not_an_approver")
        for _ in range(2):
            assert (await guarded.approve(ben, request)).json()["status"] == "approving"
        listed = (await eve.get(f"/api/custody/requests/{request['request_id']}/approvals"))["items"]
        assert [one["key_id"] for one in listed] == [ben.key_id]

    async def test_a_signature_by_another_key_or_over_another_digest_is_refused(self, guarded: House) -> None:
        ben, cleo, eve = (guarded.people[name] for name in ("ben", "cleo", "eve"))
        request, other = await guarded.ask(eve, "10.00"), await guarded.ask(eve, "20.00")
        path = f"/api/custody/requests/{request['request_id']}/approvals"
        body = ben.consent(request["digest"], guarded.clock)

        forged = body | {"signature": cleo.consent(request["digest"], guarded.clock)["signature"]}
        moved = body | {"signature": ben.consent(other["digest"], guarded.clock)["signature"]}
        theirs = body | {"credential_id": cleo.credential_id}

        assert refusal(await ben.post(path, forged)) == (422, "invalid_approval")
        assert refusal(await ben.post(path, moved)) == (422, "invalid_approval")
        assert refusal(await ben.post(path, body | {"signature": None})) == (422, "invalid_approval")
        assert (await ben.post(path, theirs)).status_code == 404

    async def test_one_no_ends_a_request(self, guarded: House) -> None:
        ben, cleo, eve = (guarded.people[name] for name in ("ben", "cleo", "eve"))
        request = await guarded.ask(eve, "10.00")
        await guarded.approve(ben, request)

        path = f"/api/custody/requests/{request['request_id']}"
        assert refusal(await eve.post(f"{path}/reject", {"reason": "mine"})) == (403, "not_an_approver")
        rejected = await cleo.does(f"{path}/reject", {"reason": "who is that?"})

        assert (rejected["status"], rejected["reason_code"]) == ("failed", "rejected")
        assert rejected["reason"] == "who is that?"
        assert refusal(await guarded.approve(cleo, request)) == (409, "wrong_state")

    async def test_whoever_changes_a_request_cannot_approve_it(self, guarded: House) -> None:
        ben, eve = guarded.people["ben"], guarded.people["eve"]
        request = await guarded.ask(eve, "10.00")

        path = f"/api/custody/requests/{request['request_id']}"
        changed = (await ben.patch(path, {"reference": "invoice 18"})).json()

        assert changed["editors"] == [eve.key_id, ben.key_id]
        assert refusal(await guarded.approve(ben, changed)) == (403, "self_approval")

    async def test_approvals_have_their_time(self, guarded: House) -> None:
        ben, eve = guarded.people["ben"], guarded.people["eve"]
        request = await guarded.ask(eve, "10.00")
        guarded.wait(7 * DAY)

        assert refusal(await guarded.approve(ben, request)) == (409, "wrong_state")

    async def test_wrong_codes_are_counted_though_they_are_refused(self, guarded: House) -> None:
        dana, eve = guarded.people["dana"], guarded.people["eve"]
        request = await guarded.ask(eve, "10.00")
        path = f"/api/custody/requests/{request['request_id']}/approvals"
        right = dana.consent(request["digest"], guarded.clock)
        wrong = right | {"code": "000000" if right["code"] != "000000" else "000001"}

        answers = [await dana.post(path, wrong) for _ in range(5)]

        assert {refusal(answer) for answer in answers} == {(422, "invalid_approval")}
        assert refusal(await dana.post(path, right)) == (409, "credential_not_usable")
        guarded.wait(901)
        assert (await guarded.approve(dana, request)).json()["status"] == "approving"

    async def test_a_code_does_not_work_twice(self, guarded: House) -> None:
        dana, eve = guarded.people["dana"], guarded.people["eve"]
        first, second = await guarded.ask(eve, "10.00"), await guarded.ask(eve, "20.00")

        assert (await guarded.approve(dana, first)).status_code == 201
        assert refusal(await guarded.approve(dana, second)) == (422, "invalid_approval")

    async def test_a_signing_key_belongs_to_one_person(self, guarded: House) -> None:
        eve = guarded.people["eve"]
        eve.signing_key = guarded.people["ben"].signing_key
        with pytest.raises(AssertionError, match="already_exists"):
            await eve.register_signing_key()


class TestPolicyChanges:
    async def test_a_change_needs_the_quorum_in_force_and_its_delay(self, guarded: House) -> None:
        ada, ben, cleo = (guarded.people[name] for name in ("ada", "ben", "cleo"))
        loose = policy(guarded, changes={"group": "treasury", "required": 1, "delay_seconds": 0})
        draft = await ada.does("/api/custody/policy/drafts", {"document": loose})
        path = f"/api/custody/policy/drafts/{draft['policy_id']}"

        assert refusal(await ada.post(f"{path}/activate")) == (409, "wrong_state")
        await ben.does(f"{path}/approvals", ben.consent(draft["digest"], guarded.clock))
        assert refusal(await ada.post(f"{path}/activate")) == (409, "wrong_state")
        await cleo.does(f"{path}/approvals", cleo.consent(draft["digest"], guarded.clock))
        assert refusal(await ada.post(f"{path}/activate")) == (409, "too_early")
        guarded.wait(3600)
        active = await ada.does(f"{path}/activate")

        assert (active["version"], active["base_version"]) == (2, 1)
        assert (await ada.get("/api/custody/policy"))["version"] == 2

    async def test_a_draft_made_for_an_older_version_is_refused(self, guarded: House) -> None:
        ada, ben, cleo = (guarded.people[name] for name in ("ada", "ben", "cleo"))
        late = await ada.does("/api/custody/policy/drafts", {"document": policy(guarded)})
        draft = await ada.does("/api/custody/policy/drafts", {"document": policy(guarded)})
        path = f"/api/custody/policy/drafts/{draft['policy_id']}"
        for person in (ben, cleo):
            await person.does(f"{path}/approvals", person.consent(draft["digest"], guarded.clock))
        guarded.wait(3600)
        await ada.does(f"{path}/activate")

        consent = ben.consent(late["digest"], guarded.clock)
        answer = await ben.post(f"/api/custody/policy/drafts/{late['policy_id']}/approvals", consent)

        assert refusal(answer) == (409, "policy_moved")

    async def test_open_requests_are_decided_anew(self, guarded: House) -> None:
        ada, ben, cleo, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "eve"))
        small, large = await guarded.ask(eve, "100.00"), await guarded.ask(eve, "4000.00")
        for request in (small, large):
            await guarded.approve(ben, request)
        rules = policy(guarded)["rules"]
        rules[0]["when"]["max_amount"] = "1000.00"
        draft = await ada.does("/api/custody/policy/drafts", {"document": policy(guarded, rules=rules)})
        path = f"/api/custody/policy/drafts/{draft['policy_id']}"
        for person in (ben, cleo):
            await person.does(f"{path}/approvals", person.consent(draft["digest"], guarded.clock))
        guarded.wait(3600)
        await ada.does(f"{path}/activate")

        small = await eve.get(f"/api/custody/requests/{small['request_id']}")
        large = await eve.get(f"/api/custody/requests/{large['request_id']}")

        assert (large["status"], large["reason_code"]) == ("failed", "policy_denied")
        assert (small["status"], small["version"], small["policy_version"]) == ("approving", 2, 2)
        assert (await guarded.approve(cleo, small)).json()["status"] == "approving"
        assert (await guarded.approve(ben, small)).json()["status"] == "held"

    async def test_a_dry_run_says_why_each_rule_did_not_match(self, guarded: House) -> None:
        eve = guarded.people["eve"]
        body = {"request": guarded.payment("6000.00"), "initiator": eve.key_id}

        dry = await eve.does("/api/custody/policy/dry-run", body)

        assert dry["decision"]["rule"] == "payments"
        assert [one["holds"] for one in dry["limits"]] == [False, True]
        assert dry["obstacles"] == []
        assert (await eve.get("/api/custody/requests"))["items"] == []

    async def test_a_discarded_draft_is_gone(self, guarded: House) -> None:
        ada = guarded.people["ada"]
        draft = await ada.does("/api/custody/policy/drafts", {"document": policy(guarded)})
        path = f"/api/custody/policy/drafts/{draft['policy_id']}"

        assert (await ada.delete(path)).json()["status"] == "discarded"
        assert refusal(await ada.post(f"{path}/activate")) == (409, "wrong_state")
        assert (await ada.get("/api/custody/policy/drafts"))["items"][0]["status"] == "discarded"


class TestDestinations:
    async def test_a_new_destination_cools(self, guarded: House) -> None:
        ada, eve = guarded.people["ada"], guarded.people["eve"]
        added = await ada.does(
            "/api/custody/destinations",
            {"kind": "iban", "name": "New Ltd", "address": "DE89 3704 0044 0532 0130 00"},
        )
        body = guarded.payment("10.00", target={"kind": "destination", "id": added["destination_id"]})

        assert refusal(await eve.post("/api/custody/requests", body)) == (409, "destination_not_usable")
        guarded.wait(3600)
        assert (await eve.does("/api/custody/requests", body))["status"] == "approving"

    async def test_what_was_held_for_a_revoked_destination_is_not_released(self, guarded: House) -> None:
        ada, ben, cleo, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "eve"))
        request = await guarded.ask(eve, "10.00")
        for person in (ben, cleo):
            await guarded.approve(person, request)
        assert (await ada.delete(f"/api/custody/destinations/{guarded.bank}")).status_code == 200

        path = f"/api/custody/requests/{request['request_id']}"
        assert refusal(await eve.post(f"{path}/release")) == (409, "destination_not_usable")
        failed = await ada.does(f"{path}/fail", {"reason": "destination revoked"})

        assert failed["status"] == "failed"
        assert await guarded.balance(eve) == ("10000.00", "0.00", "10000.00")

    async def test_one_address_is_listed_once_and_checked(self, guarded: House) -> None:
        ada = guarded.people["ada"]
        body = {"kind": "iban", "name": "Again", "address": IBAN}

        again = await ada.post("/api/custody/destinations", body)
        wrong = await ada.post("/api/custody/destinations", body | {"address": IBAN[:-1] + "8"})

        assert refusal(again) == (409, "already_exists")
        assert refusal(wrong) == (422, "invalid_address")
