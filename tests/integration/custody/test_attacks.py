"""Attacks on the controls: replays, other digests, two nodes at once, guesses, clocks, and hostile input."""

import asyncio
import json
import re
from datetime import timedelta

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.custody.vault_world import DAY, House, Json, LateNode, Person, policy, refusal
from tests.nodes import make_owner


class TestReplays:
    async def test_an_approval_opens_nothing_but_its_own_version(self, guarded: House) -> None:
        """What Ben signed for one request, version, environment or draft is no consent to another."""
        ada, ben, eve = (guarded.people[name] for name in ("ada", "ben", "eve"))
        first, twin = await guarded.ask(eve, "10.00"), await guarded.ask(eve, "10.00")
        consent = ben.consent(first["digest"], guarded.clock)
        draft = await ada.does("/api/custody/policy/drafts", {"document": policy(guarded)})
        path = f"/api/custody/requests/{first['request_id']}"
        await ben.does(f"{path}/approvals", consent)
        await eve.patch(path, {"amount": "11.00"})
        back = (await eve.patch(path, {"amount": "10.00"})).json()

        assert (back["version"], back["amount"]) == (3, first["amount"])
        assert back["digest"] not in {first["digest"], twin["digest"]}
        for target in (path, f"/api/custody/requests/{twin['request_id']}"):
            assert refusal(await ben.post(f"{target}/approvals", consent)) == (409, "request_changed")
        drafts = f"/api/custody/policy/drafts/{draft['policy_id']}/approvals"
        assert refusal(await ben.post(drafts, consent)) == (409, "request_changed")
        right_digest = consent | {"digest": back["digest"]}
        assert refusal(await ben.post(f"{path}/approvals", right_digest)) == (422, "invalid_approval")

    async def test_live_knows_nothing_of_the_sandbox(self, guarded: House) -> None:
        ben, eve = guarded.people["ben"], guarded.people["eve"]
        request = await guarded.ask(eve, "10.00")
        issued = await guarded.node.service.issue_key(
            guarded.organisation_id, "live", ("custody:read", "custody:write", "custody:approve"), name="live"
        )
        live = Person("live", issued, guarded.node.client)

        path = f"/api/custody/requests/{request['request_id']}"
        consent = ben.consent(request["digest"], guarded.clock)
        for answer in (
            await live.post(f"{path}/approvals", consent),
            await live.post("/api/custody/requests", guarded.payment("1.00")),
            await live.post(f"{path}/release"),
        ):
            assert refusal(answer) == (404, "not_found")

    async def test_one_press_too_many(self, guarded: House) -> None:
        """Everything twice: the second answer changes nothing."""
        ada, ben, cleo, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "eve"))
        request = await guarded.ask(eve, "10.00")
        path = f"/api/custody/requests/{request['request_id']}"
        await guarded.approve(ben, request)
        held = [(await guarded.approve(cleo, request)).json() for _ in range(2)]
        assert held[0] == held[1]

        for verb, who, body in (
            ("release", eve, None),
            ("settle", ada, {"external_reference": "E2E"}),
        ):
            answers = await asyncio.gather(*(who.post(f"{path}/{verb}", body) for _ in range(3)))
            assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
        assert refusal(await ada.post(f"{path}/fail", {"reason": "again"})) == (409, "wrong_state")
        assert refusal(await eve.post(f"{path}/cancel", {"reason": "again"})) == (409, "wrong_state")
        assert await guarded.balance(eve) == ("9990.00", "0.00", "9990.00")


class TestTwoNodes:
    async def test_the_last_of_a_limit_goes_to_one(self, guarded: House, late_node: LateNode) -> None:
        """Approvals and changes race on two nodes, one with a clock that is behind, for what is left."""
        late_node.clock.advance(timedelta(days=2, seconds=-1))
        ben, cleo, eve = (guarded.people[name] for name in ("ben", "cleo", "eve"))
        asked = [await guarded.ask(eve, "3000.00") for _ in range(6)]
        for request in asked:
            await guarded.approve(ben, request)
        far_cleo, far_eve = cleo.at(late_node.client), eve.at(late_node.client)

        answers = await asyncio.gather(
            *(guarded.approve(person, request) for request in asked for person in (cleo, far_cleo)),
            *(
                far_eve.patch(f"/api/custody/requests/{request['request_id']}", {"amount": "2999.00"})
                for request in asked[:2]
            ),
        )

        assert {answer.status_code for answer in answers} <= {200, 201, 409}
        ends = (await eve.get("/api/custody/requests"))["items"]
        held = [end for end in ends if end["status"] == "held"]
        assert len(held) == 2
        assert {end["amount"] for end in held} == {"3000.00"}
        assert all(end["version"] == 1 for end in held)
        for end in ends:
            if end["status"] == "approving":
                assert end["version"] == 2
        assert await guarded.balance(eve) == ("10000.00", "6000.00", "4000.00")

    async def test_a_clock_that_goes_back_opens_nothing(self, guarded: House, late_node: LateNode) -> None:
        """The other node's clock is an hour, or days, behind: windows, cooling, delays, used codes hold."""
        ada, ben, cleo, dana, eve = (guarded.people[name] for name in ("ada", "ben", "cleo", "dana", "eve"))
        guarded.wait(DAY)
        draft = await ada.does("/api/custody/policy/drafts", {"document": policy(guarded)})
        drafted = f"/api/custody/policy/drafts/{draft['policy_id']}"
        for person in (ben, cleo):
            await person.does(f"{drafted}/approvals", person.consent(draft["digest"], guarded.clock))
        far_ada, far_cleo, far_dana, far_eve = (one.at(late_node.client) for one in (ada, cleo, dana, eve))

        fresh = await far_eve.post("/api/custody/requests", guarded.payment("1.00"))
        assert refusal(fresh) == (409, "destination_not_usable")

        late_node.clock.advance(timedelta(days=3, hours=-1))
        for amount in ("4000.00", "4000.00"):
            request = await guarded.ask(eve, amount)
            for person in (ben, dana):
                assert (await guarded.approve(person, request)).status_code == 201
            guarded.wait(30)
        more = [await guarded.ask(eve, "0.01") for _ in range(2)]
        for one in more:
            await guarded.approve(ben, one)
        ended = (await guarded.approve(far_cleo, more[0])).json()
        assert (ended["status"], ended["reason_code"]) == ("failed", "limit_exceeded")
        old_code = dana.consent(more[1]["digest"], late_node.clock)
        answer = await far_dana.post(f"/api/custody/requests/{more[1]['request_id']}/approvals", old_code)
        assert refusal(answer) == (422, "invalid_approval")
        assert refusal(await far_ada.post(f"{drafted}/activate")) == (409, "too_early")


class TestStolenKeys:
    async def test_a_later_credential_waits_a_day_though_the_first_is_gone(self, guarded: House) -> None:
        """Whoever has Ben's API key, and not his signing key, cannot approve in his name at once."""
        ben, eve = guarded.people["ben"], guarded.people["eve"]
        await ben.delete(f"/api/custody/credentials/{ben.credential_id}")
        ben.signing_key = Ed25519PrivateKey.generate()
        await ben.register_signing_key()
        request = await guarded.ask(eve, "10.00")

        assert refusal(await guarded.approve(ben, request)) == (409, "credential_not_usable")
        guarded.wait(DAY)
        assert (await guarded.approve(ben, request)).json()["status"] == "approving"

    async def test_guessing_codes_gets_slower(self, guarded: House) -> None:
        dana, eve = guarded.people["dana"], guarded.people["eve"]
        request = await guarded.ask(eve, "10.00")
        path = f"/api/custody/requests/{request['request_id']}/approvals"
        wrong = {"credential_id": dana.credential_id, "digest": request["digest"], "code": "not it"}

        tries, clock = 0, guarded.clock.now()
        while guarded.clock.now() < clock + timedelta(days=1):
            answer = await dana.post(path, wrong)
            if answer.status_code == 422:
                tries += 1
            else:
                assert refusal(answer) == (409, "credential_not_usable")
                guarded.wait(900)

        assert tries <= 35
        guarded.wait(DAY)
        assert (await guarded.approve(dana, request)).json()["status"] == "approving"

    async def test_codes_that_race_count_once(self, guarded: House) -> None:
        dana, eve = guarded.people["dana"], guarded.people["eve"]
        asked = [await guarded.ask(eve, "10.00") for _ in range(4)]

        answers = await asyncio.gather(*(guarded.approve(dana, request) for request in asked))

        assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]

    async def test_a_revoked_api_key_approves_nothing(self, guarded: House) -> None:
        ben, eve = guarded.people["ben"], guarded.people["eve"]
        request = await guarded.ask(eve, "10.00")
        owner = await make_owner(guarded.node, "Operator")
        principal = msgspec.structs.replace(owner.principal, organisation_id=guarded.organisation_id)
        await guarded.node.service.revoke_key(principal, ben.key_id)
        async with asyncio.timeout(30):
            while (answer := await guarded.approve(ben, request)).status_code != 401:
                await asyncio.sleep(0.05)

        assert answer.json()["code"] == "key_revoked"


HOSTILE: list[object] = [
    *("", "\u0000", "\ud800", "\u202e1", "x" * 100_000, "\u0661\u0662", "1e3", "-1.00", "0.001", "9" * 40),
    *(None, True, -1, 10**30, [], {}),
]


class TestHostileInput:
    """No text or number that anybody sends breaks anything, and none of it moves money."""

    @pytest.fixture
    async def routes(self, guarded: House) -> list[tuple[str, str, Json]]:
        """Every writing route of custody with a body that is well-formed."""
        ada, eve = guarded.people["ada"], guarded.people["eve"]
        request = f"/api/custody/requests/{(await guarded.ask(eve, '10.00'))['request_id']}"
        draft = await ada.does("/api/custody/policy/drafts", {"document": policy(guarded)})
        approval = {"credential_id": guarded.people["ben"].credential_id, "digest": "00" * 32, "code": "1"}
        credential = (await ada.does("/api/custody/credentials", {"method": "totp"}))["credential"]
        return [
            ("POST", "/api/vaults", {"name": "x"}),
            ("POST", f"/api/vaults/{guarded.vault_id}/sub-accounts", {"asset": "USD", "location": "x"}),
            (
                "POST",
                f"/api/vaults/{guarded.vault_id}/deposits",
                {"sub_account_id": guarded.cash, "amount": "1.00"},
            ),
            (
                "POST",
                "/api/custody/requests",
                {**guarded.payment("1.00"), "reference": "x", "target": {"kind": "account", "id": "x"}},
            ),
            ("PATCH", request, {"amount": "1.00", "reference": "x"}),
            ("POST", f"{request}/cancel", {"reason": "x"}),
            ("POST", f"{request}/reject", {"reason": "x"}),
            ("POST", f"{request}/fail", {"reason": "x"}),
            ("POST", f"{request}/settle", {"external_reference": "x"}),
            ("POST", f"{request}/approvals", {**approval, "signature": "00" * 64}),
            ("POST", f"/api/custody/policy/drafts/{draft['policy_id']}/approvals", approval),
            ("POST", f"/api/custody/credentials/{credential['credential_id']}/confirm", {"code": "1"}),
            (
                "POST",
                "/api/custody/credentials",
                {"method": "ed25519", "public_key": "00" * 32, "possession": "00" * 64},
            ),
            (
                "POST",
                "/api/custody/destinations",
                {"kind": "iban", "name": "x", "address": "x", "bic": "x"},
            ),
            (
                "POST",
                "/api/custody/freezes",
                {"target_kind": "key", "target_id": "x", "reason": "x"},
            ),
            (
                "POST",
                "/api/custody/policy/dry-run",
                {
                    "request": guarded.payment("1.00"),
                    "policy_id": draft["policy_id"],
                    "initiator": eve.key_id,
                },
            ),
        ]

    async def test_no_member_of_any_body_breaks_anything(
        self, guarded: House, routes: list[tuple[str, str, Json]]
    ) -> None:
        headers = guarded.people["ada"].headers
        for method, path, body in routes:
            tried = [body | {name: value} for name in body for value in HOSTILE] + [body | {"more": 1}]
            answers = await asyncio.gather(*(_send(guarded, headers, method, path, sent) for sent in tried))
            for sent, answer in zip(tried, answers, strict=True):
                assert answer.status_code < 500, (path, str(sent)[:300], answer.text)
            assert answers[-1].status_code == 422
        total, held, _ = await guarded.balance(guarded.people["ada"])
        assert held == "0.00"
        assert float(total) >= 10_000

    async def test_no_policy_breaks_anything(self, house: House) -> None:
        ada = house.people["ada"]
        for value in HOSTILE:
            for document in _spoilt(policy(house), value):
                answer = await _send(
                    house, ada.headers, "POST", "/api/custody/policy/drafts", {"document": document}
                )
                assert answer.status_code < 500, (document, answer.text)
        assert (await ada.get("/api/custody/policy"))["version"] == 0

    async def test_a_foreign_id_is_nobodys(self, guarded: House, routes: list[tuple[str, str, Json]]) -> None:
        """Every route with an id of ours, called by somebody else with every right: not found."""
        stranger = await make_owner(guarded.node, "Other")
        tried = 0
        for method, path, body in routes:
            if re.search(r"_[0-9a-z]{20}", path + str(body.get("sub_account_id")) + str(body.get("request"))):
                tried += 1
                answer = await _send(guarded, stranger.headers, method, path, body)
                assert refusal(answer) == (404, "not_found"), (path, answer.text)
        assert tried > 10


def _spoilt(document: Json, value: object) -> list[Json]:
    """The document with this value in each of its places, one at a time."""
    rule, changes = document["rules"][0], document["changes"]
    limit = rule["limits"][1]

    def with_rule(**members: object) -> Json:
        return document | {"rules": [rule | members]}

    return [
        *(document | {name: value} for name in document),
        *(with_rule(**{name: value}) for name in rule),
        *(with_rule(limits=[limit | {name: value}]) for name in limit),
        *(
            with_rule(when=rule["when"] | {name: [value]})
            for name in ("assets", "vaults", "locations", "targets", "initiator_groups")
        ),
        *(with_rule(when=rule["when"] | {name: value}) for name in ("min_amount", "max_amount")),
        *(document | {"changes": changes | {name: value}} for name in changes),
        document | {"groups": {"treasury": [value]}},
    ]


async def _send(house: House, headers: dict[str, str], method: str, path: str, body: Json) -> httpx.Response:
    content = json.dumps(body).encode()
    return await house.node.client.request(
        method, path, content=content, headers=headers | {"Content-Type": "application/json"}
    )
