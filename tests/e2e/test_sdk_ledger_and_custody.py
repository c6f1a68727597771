"""The groups of the SDK against a running platform: what they book, page through, tell and refuse."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from decimal import Decimal

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from tests.e2e.tenants import make_key, make_tenant

from agio_sdk import Agio, ApiError, DigestMismatch, NewJournal, NewLeg, SyncAgio, To, Wanted
from agio_sdk.custody_models import TransferRequest
from agio_sdk.policy_models import ChangeControl, Limit, PolicyDocument, Requirement, Rule
from benchmarks.harness import Platform

PATIENCE_SECONDS = 60
IBAN = "CH93 0076 2011 6238 5295 7"


def move(source: str, target: str, amount: str, **options: object) -> list[NewLeg]:
    return [NewLeg(source, f"-{amount}", **options), NewLeg(target, amount)]  # type: ignore[arg-type]


class TestLedger:
    async def test_journals_holds_and_what_the_account_was(self, agio: Agio) -> None:
        accounts, holds = agio.ledger.accounts, agio.ledger.holds
        equity = (await accounts.open("sdk:equity", "USD")).address
        cash = await accounts.open("sdk:cash", "USD", flags=["debits_must_not_exceed_credits"], code="1000")
        assert (
            await accounts.open("sdk:cash", "USD", flags=["debits_must_not_exceed_credits"], code="1000")
            == cash
        )

        opening = await agio.ledger.post(
            move(equity, cash.address, "100.00"),
            journal_id="sdk-opening",
            reference="sdk",
            metadata={"a": "b"},
        )
        again = await agio.ledger.post(
            move(equity, cash.address, "100.00"),
            journal_id="sdk-opening",
            reference="sdk",
            metadata={"a": "b"},
        )
        hold = await holds.place(cash.address, Decimal("30.00"), reference="sdk")
        assert [one.hold_id async for one in holds.list(cash.address)] == [hold.hold_id]
        part = await holds.capture(hold.hold_id, equity, "10.00")
        freed = await holds.release(hold.hold_id)
        undone = await agio.ledger.reverse(part.journal_id, reference="sdk")

        assert again == opening
        assert (freed.captured, freed.released, freed.left) == (Decimal(10), Decimal(20), Decimal(0))
        assert (await agio.ledger.journal(part.journal_id)).reversed_by == undone.journal_id
        now = await accounts.get(cash.address)
        assert (now.total, now.available, now.version) == (Decimal(100), Decimal(100), 3)
        then = await accounts.balance(cash.address, part.created_at)
        assert (then.total, then.journal_id) == (Decimal(90), part.journal_id)
        entries = [entry async for entry in accounts.entries(cash.address, page_size=1)]
        assert [entry.amount for entry in entries] == [Decimal(10), Decimal(-10), Decimal(100)]
        first = await accounts.entries(cash.address, page_size=2).page()
        rest = await accounts.entries(cash.address, page_size=2).page(first.next_cursor)
        assert (first.items, rest.items) == (entries[:2], entries[2:])
        assert await accounts.entries(cash.address, journal_id="sdk-opening").all() == entries[2:]
        named = [journal.journal_id async for journal in agio.ledger.journals("sdk", page_size=1)]
        assert set(named) >= {opening.journal_id, undone.journal_id}
        assert (await accounts.verify(cash.address)).is_sound
        assert len((await agio.ledger.head()).hash) == 64

    async def test_a_batch_in_both_ways(self, agio: Agio) -> None:
        accounts = agio.ledger.accounts
        equity = (await accounts.open("batch:equity", "USD")).address
        cash = (await accounts.open("batch:cash", "USD", flags=["debits_must_not_exceed_credits"])).address
        journals = [
            NewJournal(move(equity, cash, "5.00"), "batch-1"),
            NewJournal(move(cash, equity, "50.00"), "batch-2"),
        ]
        with pytest.raises(ApiError) as refused:
            await agio.ledger.post_batch(journals, "all_or_nothing")
        assert refused.value.code == "batch_refused"
        assert (await accounts.get(cash)).version == 0

        done = await agio.ledger.post_batch(journals, "each")
        assert [outcome.code for outcome in done.results] == ["created", "insufficient_funds"]
        assert (await agio.ledger.post_batch(journals, "each")).results[0].code == "exists"
        made = await agio.ledger.post_batch([NewJournal(move(equity, cash, "1.00"))] * 2, "all_or_nothing")
        assert made.applied == len({outcome.journal_id for outcome in made.results}) == 2

    async def test_an_account_under_conditions(self, agio: Agio) -> None:
        accounts = agio.ledger.accounts
        equity = (await accounts.open("kept:equity", "USD")).address
        cash = (await accounts.open("kept:cash", "USD", flags=["debits_must_not_exceed_credits"])).address
        await agio.ledger.post(move(equity, cash, "10.00"))

        async def refusal(legs: list[NewLeg]) -> str:
            with pytest.raises(ApiError) as refused:
                await agio.ledger.post(legs)
            return refused.value.code

        assert (await accounts.set_minimum_balance(cash, 4, expected_version=1)).available == Decimal(6)
        assert await refusal(move(cash, equity, "7.00")) == "insufficient_funds"
        assert await refusal(move(cash, equity, "1.00", expected_version=0)) == "version_conflict"
        assert (await accounts.freeze(cash)).is_frozen
        assert await refusal(move(cash, equity, "1.00")) == "account_frozen"
        assert not (await accounts.unfreeze(cash)).is_frozen
        await accounts.set_minimum_balance(cash, "0")
        await agio.ledger.post(move(cash, equity, "10.00"))
        assert (await accounts.close(cash)).is_closed
        found = [account.address async for account in accounts.list(page_size=2)]
        assert found == sorted(set(found))
        assert {equity, cash} <= set(found)

    async def test_changes_are_told_with_their_types(self, agio: Agio) -> None:
        account = (await agio.open_account("SDK followed")).account_id
        deposits = [await agio.deposit(account, "USD", amount) for amount in ("5.00", "7.00")]
        start = await beginning(agio, f"ledger:{account}")
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            aclosing(agio.ledger.changes(account, position=start)) as changes,
            aclosing(agio.balance_changes(account)) as balances,
        ):
            events = [await anext(changes) for _ in deposits]
            assert [event.journal_id for event in events] == [one.journal_id for one in deposits]
            assert [leg.balance for event in events for leg in event.legs] == [Decimal(5), Decimal(12)]
            assert (await anext(balances)).available == Decimal(12)


async def beginning(agio: Agio, channel: str) -> tuple[str, int]:
    """The position before the first message of a channel."""
    probe = await agio.subscribe(channel)
    await probe.aclose()
    return probe.epoch, 0


class TestSync:
    def test_groups_lists_and_streams_without_an_event_loop(self, sim_platform: Platform) -> None:
        with SyncAgio(sim_platform.url, sim_platform.api_key, ca_file=sim_platform.ca_file) as agio:
            equity = agio.ledger.accounts.open("sync:equity", "USD").address
            cash = agio.ledger.accounts.open("sync:cash", "USD").address
            for amount in ("1.00", "2.00", "3.00"):
                agio.ledger.post(move(equity, cash, amount))
            amounts = [entry.amount for entry in agio.ledger.accounts.entries(cash, page_size=2)]
            assert amounts == [Decimal(3), Decimal(2), Decimal(1)]
            assert len(agio.ledger.accounts.entries(cash).all()) == 3
            assert agio.custody.policy.drafts().page().next_cursor is None
            balances = agio.balance_changes(sim_platform.account_id)
            assert next(balances).total > 0
            balances.close()


class TestCustody:
    async def test_a_payment_by_three_people(self, sim_platform: Platform) -> None:
        tenant = await asyncio.to_thread(make_tenant, sim_platform, "SDK custody")
        async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE_SECONDS):

            async def enter(secret: str) -> Agio:
                client = Agio(sim_platform.url, secret, ca_file=sim_platform.ca_file)
                return await stack.enter_async_context(client)

            ben_id, ben_secret = await asyncio.to_thread(make_key, sim_platform, tenant)
            cleo_id, cleo_secret = await asyncio.to_thread(make_key, sim_platform, tenant)
            eve, ben, cleo = [await enter(secret) for secret in (tenant.secret, ben_secret, cleo_secret)]
            bens = await ben.custody.credentials.register_key(Ed25519PrivateKey.generate())
            cleos = await cleo.custody.credentials.register_codes()
            vault = await eve.custody.vaults.open("Treasury", key="the-vault")
            assert await eve.custody.vaults.open("Treasury", key="the-vault") == vault
            cash = await eve.custody.vaults.open_sub_account(vault.vault_id, "USD", "bank")
            await eve.custody.vaults.deposit(vault.vault_id, cash.sub_account_id, "100.00")

            two, limit = [Requirement("all", 2)], Limit("rolling", "80.00", window_seconds=86_400)
            rule = Rule("all_out", "allow", approvals=two, limits=[limit])
            rule = msgspec.structs.replace(rule, when=msgspec.structs.replace(rule.when, assets=["USD"]))
            document = PolicyDocument({"all": [ben_id, cleo_id]}, [rule], ChangeControl("all", 1, 0), 0)
            draft = await eve.custody.policy.draft(document)
            await ben.custody.policy.approve(draft, bens)
            assert (await eve.custody.policy.activate(draft.policy_id)).status == "active"
            bank = await eve.custody.destinations.add("iban", "Supplier", IBAN)

            wanted = Wanted(cash.sub_account_id, To("destination", bank.destination_id), "60.00", "rent")
            trial = await eve.custody.policy.dry_run(wanted)
            assert (trial.decision.rule, trial.limits[0].allowed) == ("all_out", Decimal(80))
            request = await eve.custody.requests.create(wanted)
            forged = msgspec.structs.replace(request, amount=Decimal("6.00"))
            with pytest.raises(DigestMismatch):
                await ben.custody.requests.approve(forged, bens)
            await ben.custody.requests.approve(request, bens)
            held = await cleo.custody.requests.approve(request, cleos)
            assert held.status == "held"
            assert len(await eve.custody.requests.approvals(request.request_id).all()) == 2
            released = await eve.custody.requests.release(request.request_id)
            await check_signature(eve, released)
            settled = await eve.custody.requests.settle(request.request_id, "E2E-1")
            assert (settled.status, settled.external_reference) == ("settled", "E2E-1")
            assert settled.journal_id is not None
            journal = await eve.ledger.journal(settled.journal_id)
            assert journal.reference == request.request_id

            frozen = await eve.custody.freezes.place("house", "drill")
            with pytest.raises(ApiError) as refused:
                await eve.custody.requests.create(wanted)
            assert refused.value.code == "frozen"
            assert (await ben.custody.freezes.lift(frozen.freeze_id)).lifted_by == ben_id
            await check_history(eve, request)


async def check_signature(agio: Agio, released: TransferRequest) -> None:
    assert released.signature is not None
    signer = Ed25519PublicKey.from_public_bytes(bytes.fromhex((await agio.custody.signer()).public_key))
    signer.verify(bytes.fromhex(released.signature.signature), bytes.fromhex(released.digest))


async def check_history(agio: Agio, request: TransferRequest) -> None:
    """The steps of a request are those that its channel tells."""
    steps = [step.what async for step in agio.custody.requests.history(request.request_id)]
    assert steps[-1] == "settled"
    me = await agio.me()
    start = await beginning(agio, f"custody:{me.organisation_id}:{me.environment}")
    told: list[str] = []
    async with aclosing(agio.custody.changes(position=start)) as events:
        async for event in events:
            if event.request is not None and event.request.request_id == request.request_id:
                told.append(event.event.removeprefix("request_"))
                if event.request.status == "settled":
                    break
    assert told == steps
