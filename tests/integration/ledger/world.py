"""Accounts and short ways to say commands."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import (
    CUSTOMER,
    AccountFlags,
    Balance,
    Command,
    Leg,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
    Result,
)
from agio.ledger.service import LedgerService
from agio.platform.clock import VirtualClock
from agio.platform.db import Database, Scope

A = OrganisationId("org_a")
B = OrganisationId("org_b")
SCOPE_A = Scope(A, "sandbox")
SCOPE_B = Scope(B, "sandbox")
TODAY = date(2026, 3, 2)
LIMITED_CREDIT = AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS


def account(
    address: str, organisation: OrganisationId = A, flags: AccountFlags = CUSTOMER, minimum: int = 0
) -> OpenAccount:
    owner, _, asset = address.partition(":")
    return OpenAccount(
        LedgerAccountId(address), owner, asset.split(":")[-1], organisation, "sandbox", flags, minimum
    )


ACCOUNTS = [
    account("org_a:bank:USD", flags=AccountFlags.NONE),
    account("org_a:bank:EUR", flags=AccountFlags.NONE),
    account("org_a:loan:USD", flags=LIMITED_CREDIT),
    account("acc_1:USD"),
    account("acc_2:USD"),
    account("acc_3:USD", minimum=50),
    account("acc_1:EUR"),
    account("org_b:bank:USD", B, AccountFlags.NONE),
    account("acc_9:USD", B),
]


def post(
    journal_id: str,
    *legs: tuple[str, int] | tuple[str, int, str],
    releases: Sequence[str] = (),
    organisation: OrganisationId = A,
    reference: str | None = None,
) -> PostJournal:
    return PostJournal(
        journal_id=JournalId(journal_id),
        organisation_id=organisation,
        environment="sandbox",
        legs=tuple(
            Leg(LedgerAccountId(leg[0]), leg[1], HoldId(leg[2]) if len(leg) == 3 else None) for leg in legs
        ),
        booking_date=TODAY,
        value_date=TODAY,
        source="test",
        reference=reference,
        releases=tuple(HoldId(hold) for hold in releases),
    )


def hold(
    hold_id: str,
    address: str,
    amount: int,
    expires_at: datetime | None = None,
    organisation: OrganisationId = A,
) -> PlaceHold:
    return PlaceHold(
        HoldId(hold_id), organisation, "sandbox", LedgerAccountId(address), amount, expires_at, "test"
    )


def release(hold_id: str, organisation: OrganisationId = A) -> ReleaseHold:
    return ReleaseHold(HoldId(hold_id), organisation, "sandbox", "test")


def fund(address: str, amount: int) -> PostJournal:
    return post(f"fund-{address}-{amount}", ("org_a:bank:USD", -amount), (address, amount))


class StoredEvent(msgspec.Struct):
    channel: str
    kind: str
    body: str


class LedgerWorld(NamedTuple):
    database: Database
    engine_database: Database
    ledger: LedgerService
    clock: VirtualClock

    async def apply(self, *commands: Command) -> list[Result]:
        async with self.database.transaction() as tx:
            return await self.ledger.apply(tx, commands)

    async def codes(self, *commands: Command) -> list[str]:
        return [str(result.code) for result in await self.apply(*commands)]

    async def balance(self, address: str, scope: Scope = SCOPE_A) -> Balance:
        async with self.database.transaction(scope) as tx:
            return (await self.ledger.balances_of(tx, [LedgerAccountId(address)]))[0]

    async def numbers(self, address: str) -> tuple[int, int, int]:
        """Total, held, available."""
        balance = await self.balance(address)
        return balance.total, balance.held, balance.available

    async def events(self) -> list[StoredEvent]:
        async with self.engine_database.transaction() as tx:
            return await tx.fetch(
                StoredEvent,
                "select coalesce(e.channel, o.channel) as channel, coalesce(e.kind, o.kind) as kind,"
                " coalesce(e.body, o.body) as body from platform.outbox o left join lateral"
                " platform.render(o.renderer, o.body) with ordinality as e (event_id, organisation_id,"
                " environment, channel, kind, body, occurred_at, part) on true order by o.event_no, e.part",
            )
