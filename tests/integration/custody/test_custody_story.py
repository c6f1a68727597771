"""The custody story, from an empty policy to money that has left, over HTTP."""

import asyncio
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.integration.custody.vault_world import DAY, IBAN, START, House, policy

from agio.ledger.verify import verify
from agio.platform.db import Database


async def test_money_leaves_a_vault_by_the_book(house: House, engine_database: Database) -> None:
    ada, ben, cleo, dana, eve = (house.people[name] for name in ("ada", "ben", "cleo", "dana", "eve"))

    # There is money in the vault and no policy: whatever Eve asks for is denied.
    house.wait(86_400)
    denied = await house.ask(eve, "1.00")
    assert (denied["status"], denied["reason_code"]) == ("failed", "policy_denied")

    # Ada drafts a policy and tries it out before anybody has agreed to it.
    draft = await ada.does("/api/custody/policy/drafts", {"document": policy(house)})
    trial = await ada.does(
        "/api/custody/policy/dry-run",
        {"request": house.payment("4000.00"), "policy_id": draft["policy_id"], "initiator": eve.key_id},
    )
    assert (trial["decision"]["outcome"], trial["decision"]["rule"]) == ("allow", "payments")
    assert [(one["used"], one["wanted"], one["allowed"]) for one in trial["limits"]] == [
        ("0.00", "4000.00", "5000.00"),
        ("0.00", "4000.00", "8000.00"),
    ]

    # Ada cannot agree to her own draft; Ben and Cleo can, and with the second of them it is scheduled.
    path = f"/api/custody/policy/drafts/{draft['policy_id']}"
    own = await ada.post(f"{path}/approvals", ben.consent(draft["digest"], house.clock))
    assert (own.status_code, own.json()["code"]) == (403, "self_approval")
    once = await ben.does(f"{path}/approvals", ben.consent(draft["digest"], house.clock))
    assert once["status"] == "draft"
    twice = await cleo.does(f"{path}/approvals", cleo.consent(draft["digest"], house.clock))
    assert twice["status"] == "scheduled"
    active = await ada.does(f"{path}/activate")
    assert (active["status"], active["version"]) == ("active", 1)

    # Eve asks for a payment to the supplier. Ben approves it.
    asked = await house.ask(eve, "4000.00", reference="invoice 17")
    assert asked["status"] == "approving"
    assert asked["target"]["shown"][:2] == ["iban", IBAN.replace(" ", "")]
    assert (await house.approve(ben, asked)).json()["status"] == "approving"

    # Eve changes the amount: what Ben signed is void, and his old signature opens nothing any more.
    changed = (await eve.patch(f"/api/custody/requests/{asked['request_id']}", {"amount": "4500.00"})).json()
    assert (changed["version"], changed["amount"]) == (2, "4500.00")
    stale = await house.approve(ben, asked)
    assert (stale.status_code, stale.json()["code"]) == (409, "request_changed")

    # Eve never counts. Dana approves the new terms with a code, Ben with his key: the money is held.
    assert (await house.approve(eve, changed)).json()["code"] == "self_approval"
    assert (await house.approve(dana, changed)).json()["status"] == "approving"
    held = (await house.approve(ben, changed)).json()
    assert held["status"] == "held"
    assert await house.balance(eve) == ("10000.00", "4500.00", "5500.00")

    # A second payment would fit on its own, but not beside the first one in the same day.
    second = await house.ask(eve, "4000.00")
    answers = await asyncio.gather(house.approve(ben, second), house.approve(cleo, second))
    refused = next(answer.json() for answer in answers if answer.json()["status"] != "approving")
    assert (refused["status"], refused["reason_code"]) == ("failed", "limit_exceeded")
    assert "4500.00 used and 4000.00 wanted of 8000.00 USD" in refused["reason"]

    # The first is released under the house's signature over the very digest that was approved.
    path = f"/api/custody/requests/{changed['request_id']}"
    released = await eve.does(f"{path}/release")
    assert released["status"] == "released"
    signer = await eve.get("/api/custody/signer")
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer["public_key"])).verify(
        bytes.fromhex(released["signature"]["signature"]), bytes.fromhex(changed["digest"])
    )

    # The bank reports that it has paid: the hold is captured, booked, and in the chain.
    settled = await ada.does(f"{path}/settle", {"external_reference": "E2E-2026-17"})
    assert settled["status"] == "settled"
    assert await house.balance(eve) == ("5500.00", "0.00", "5500.00")
    journal = await ada.get(f"/api/journals/{settled['journal_id']}")
    assert [leg["amount"] for leg in journal["legs"]] == ["-4500.00", "4500.00"]
    assert journal["reference"] == settled["request_id"]

    # It is on the vault's statement of the day, which names the link of the chain that ends it.
    house.wait(DAY)
    day = f"{START + timedelta(days=1):%Y-%m-%d}"
    statements = f"/api/vaults/{house.vault_id}/sub-accounts/{house.cash}/statements"
    statement = await eve.get(f"{statements}?from={day}&to={day}")
    (usd,) = statement["assets"]
    assert (usd["opening"], usd["debits"], usd["closing"]) == ("10000.00", "4500.00", "5500.00")
    (line,) = statement["items"]
    assert (line["amount"], line["balance"]) == ("-4500.00", "5500.00")
    assert (line["reference"], line["journal_id"]) == (settled["request_id"], settled["journal_id"])
    assert statement["is_final"]

    # The chain holds from its beginning, and its link over our journal is the one on the statement.
    async with engine_database.transaction() as tx:
        assert await verify(tx) == []
        link = await tx.fetch_tuples(
            "select encode(c.hash, 'hex'), c.first_journal_no + c.journal_count - 1 from ledger.chain c"
            " join ledger.journal j on j.batch_no = c.batch_no where j.journal_id = %s",
            (settled["journal_id"],),
        )
    head = statement["chain_head"]
    assert (head["hash"], head["last_journal_no"]) == link[0]

    # All of it can be read back, in order, with who did it.
    history = (await eve.get(f"{path}/history"))["items"]
    assert [(step["what"], step["by_key"]) for step in history] == [
        ("created", eve.key_id),
        ("allowed", eve.key_id),
        ("approved", ben.key_id),
        ("changed", eve.key_id),
        ("allowed", eve.key_id),
        ("approved", dana.key_id),
        ("approved", ben.key_id),
        ("held", ben.key_id),
        ("released", eve.key_id),
        ("settled", ada.key_id),
    ]
