"""Money leaves a vault by the book: a policy, four people, and nobody who can do it alone.

Usage: python examples/custody_story.py (needs `cryptography`; reads AGIO_URL, AGIO_API_KEY, AGIO_CA_FILE)
For a sandbox without a policy: the one made here stays, though its approvers' signing keys are thrown away.
"""

import asyncio

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agio_sdk import Agio, To, Wanted
from agio_sdk.policy_models import ChangeControl, Conditions, Limit, PolicyDocument, Requirement, Rule

LIMITS = [Limit("per_transaction", "5000.00"), Limit("rolling", "8000.00", window_seconds=86_400)]
RULES = [Rule("payments", "allow", Conditions(assets=["USD"]), [Requirement("treasury", 2)], LIMITS)]


async def hire(ada: Agio, name: str, scope: str) -> Agio:
    key = await ada.post("/api/keys", dict[str, object], {"name": name, "scopes": ["custody:read", scope]})
    return Agio(ada.url, str(key["api_key"]))


async def story(ada: Agio, eve: Agio, ben: Agio, cleo: Agio) -> None:
    bens = await ben.custody.credentials.register_key(Ed25519PrivateKey.generate())
    cleos = await cleo.custody.credentials.register_key(Ed25519PrivateKey.generate())
    vault = (await ada.custody.vaults.open("Treasury")).vault_id
    cash = (await ada.custody.vaults.open_sub_account(vault, "USD", "bank_zurich")).sub_account_id
    await ada.custody.vaults.deposit(vault, cash, "10000.00")
    treasury = {"treasury": [(await each.me()).key_id for each in (ben, cleo)]}
    policy = PolicyDocument(treasury, RULES, ChangeControl("treasury", 2, 3600), 0)
    draft = await ada.custody.policy.draft(policy)
    await ben.custody.policy.approve(draft, bens)
    await cleo.custody.policy.approve(draft, cleos)
    print("policy  ", (await ada.custody.policy.activate(draft.policy_id)).status)
    bank = await ada.custody.destinations.add("iban", "Supplier Ltd", "CH93 0076 2011 6238 5295 7")
    wanted = Wanted(cash, To("destination", bank.destination_id), "4000.00", "invoice 17")
    print("dry run ", (await eve.custody.policy.dry_run(wanted)).decision.reason)
    first, second = [await eve.custody.requests.create(wanted) for _ in range(2)]
    await ben.custody.requests.approve(first, bens)
    first = await eve.custody.requests.change(first.request_id, amount="4500.00")  # Voids Ben's approval.
    for request in (first, second):
        await ben.custody.requests.approve(request, bens)
        print("approved", (await cleo.custody.requests.approve(request, cleos)).status)  # The second: failed.
    await eve.custody.requests.release(first.request_id)
    print("settled ", (await ada.custody.requests.settle(first.request_id, "E2E-2026-17")).journal_id)
    print("story   ", [step.what async for step in eve.custody.requests.history(first.request_id)])
    print("closing ", (await ada.custody.vaults.sub_accounts(vault).all())[0].total)


async def main() -> None:
    async with Agio() as ada:
        people = {"Eve": "custody:write", "Ben": "custody:approve", "Cleo": "custody:approve"}
        eve, ben, cleo = [await hire(ada, *who) for who in people.items()]
        async with eve, ben, cleo:
            await story(ada, eve, ben, cleo)


if __name__ == "__main__":
    asyncio.run(main())
