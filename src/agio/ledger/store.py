"""All SQL of the ledger."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import (
    Asset,
    Balance,
    Entry,
    Environment,
    JournalLeg,
    OpenAccount,
)
from agio.ledger.batch import EncodedCommand, ExpireHold, batch_parameters
from agio.platform.db import Database, Transaction

_APPLY: Final = (
    "select cmd, code, detail from ledger.apply(%s::integer[], %s::text[], %s::text[], %s::text[],"
    " %s::text[], %s::bytea[], %s::date[], %s::date[], %s::text[], %s::text[], %s::text[], %s::json[],"
    ' %s::integer[], %s::"char"[],'
    " %s::integer[], %s::text[], %s::numeric[], %s::text[], %s::timestamptz[], %s::bigint[], %s)"
)
_BALANCES: Final = (
    "select a.address as account, a.owner, a.asset, s.scale,"
    " (a.credits_posted - a.debits_posted)::text as total, a.debits_pending::text as held,"
    " (a.credits_posted - a.debits_posted - a.debits_pending - a.minimum_balance)::text as available,"
    " a.version"
    " from ledger.account a join ledger.asset s on s.asset = a.asset"
)


class JournalRow(msgspec.Struct):
    journal_no: int
    journal_id: JournalId
    organisation_id: OrganisationId
    environment: Environment
    kind: str
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    reverses: JournalId | None
    reversed_by: JournalId | None
    batch_no: int
    created_at: datetime
    metadata: str | None
    releases: list[HoldId] | None


class EntryRow(msgspec.Struct):
    """An entry with its place in the journals' order, which its page needs."""

    journal_no: int
    account: LedgerAccountId
    version: int
    journal_id: JournalId
    leg_no: int
    asset: str
    scale: int
    amount: str
    balance: str
    hold_id: HoldId | None
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    created_at: datetime


class _BalanceRow(msgspec.Struct):
    account: LedgerAccountId
    owner: str
    asset: str
    scale: int
    total: str
    held: str
    available: str
    version: int


class _LegRow(msgspec.Struct):
    account: LedgerAccountId
    asset: str
    scale: int
    amount: str
    balance: str
    version: int
    hold_id: HoldId | None


async def apply_batch(
    tx: Transaction, commands: Sequence[EncodedCommand], at: datetime
) -> list[tuple[int, str, str]]:
    """Apply a batch; answers (number from 1, code, detail) of the commands that were not newly applied."""
    tx.has_events = True
    cursor = await tx.connection.execute(_APPLY, batch_parameters(commands, at))
    rows: list[tuple[int, str, str]] = await cursor.fetchall()
    return rows


async def apply_batch_alone(
    database: Database, commands: Sequence[EncodedCommand], at: datetime
) -> list[tuple[int, str, str]]:
    """`apply_batch` as a transaction of its own: the writer lock is held no longer than the server needs."""
    rows: list[tuple[int, str, str]] = await database.run_alone(_APPLY, batch_parameters(commands, at))
    return rows


async def lock_head(tx: Transaction) -> None:
    await tx.execute("select ledger.lock_head()")


async def insert_assets(tx: Transaction, assets: Sequence[Asset]) -> None:
    await tx.execute(
        "insert into ledger.asset (asset, scale, name, asset_class)"
        " select * from unnest(%s::text[], %s::smallint[], %s::text[], %s::text[]) on conflict do nothing",
        (
            [asset.asset for asset in assets],
            [asset.scale for asset in assets],
            [asset.name for asset in assets],
            [asset.asset_class for asset in assets],
        ),
    )


async def select_assets(tx: Transaction) -> list[Asset]:
    return await tx.fetch(Asset, "select asset, scale, name, asset_class from ledger.asset order by asset")


async def open_accounts(tx: Transaction, accounts: Sequence[OpenAccount]) -> list[str]:
    """Open what is missing; answers the addresses that exist with other content."""
    rows = await tx.fetch_tuples(
        "select * from ledger.open_accounts(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
        " %s::smallint[], %s::numeric[], %s::text[])",
        (
            [account.address for account in accounts],
            [account.owner for account in accounts],
            [account.asset for account in accounts],
            [account.organisation_id for account in accounts],
            [account.environment for account in accounts],
            [int(account.flags) for account in accounts],
            [account.minimum_balance for account in accounts],
            [account.code for account in accounts],
        ),
    )
    return [str(row[0]) for row in rows]


async def select_balances(tx: Transaction, owner: str) -> list[Balance]:
    rows = await tx.fetch(
        _BalanceRow, _BALANCES + " where a.owner = %s order by a.asset, a.address", (owner,)
    )
    return [_to_balance(row) for row in rows]


async def select_balances_of(tx: Transaction, addresses: Sequence[str]) -> list[Balance]:
    rows = await tx.fetch(
        _BalanceRow, _BALANCES + " where a.address = any(%s) order by a.address", (list(addresses),)
    )
    return [_to_balance(row) for row in rows]


def _to_balance(row: _BalanceRow) -> Balance:
    # NUMERIC arrives as text: a Decimal would round nothing here, but nobody has to wonder.
    return Balance(
        account=row.account,
        owner=row.owner,
        asset=row.asset,
        scale=row.scale,
        total=int(row.total),
        held=int(row.held),
        available=int(row.available),
        version=row.version,
    )


async def select_entries(
    tx: Transaction,
    owner: str,
    asset: str | None,
    limit: int,
    before_journal_no: int | None,
    reached: dict[str, int],
) -> list[EntryRow]:
    """Entries of an owner's accounts, newest first.

    `reached` holds the lowest version already shown per address; accounts that are not in it start below
    `before_journal_no`, so that entries posted between two pages do not appear in the middle.
    """
    return await tx.fetch(
        EntryRow,
        "select e.journal_no, a.address as account, e.version, j.journal_id, e.leg_no, a.asset, s.scale,"
        " e.amount::text as amount, e.balance::text as balance, e.hold_id, j.booking_date, j.value_date,"
        " j.source, j.reference, j.created_at"
        " from ledger.account a join ledger.asset s on s.asset = a.asset"
        " left join unnest(%(addresses)s::text[], %(versions)s::bigint[]) as r (address, version)"
        "   on r.address = a.address"
        " cross join lateral (select * from ledger.entry e where e.account_no = a.account_no"
        "   and e.version < coalesce(r.version, 9223372036854775807)"
        "   and (r.version is not null or %(before)s::bigint is null or e.journal_no <= %(before)s::bigint)"
        "   order by e.version desc limit %(limit)s) e"
        " join ledger.journal j on j.journal_no = e.journal_no"
        " where a.owner = %(owner)s and (%(asset)s::text is null or a.asset = %(asset)s::text)"
        " order by e.journal_no desc, e.leg_no desc limit %(limit)s",
        {
            "addresses": list(reached),
            "versions": list(reached.values()),
            "before": before_journal_no,
            "limit": limit,
            "owner": owner,
            "asset": asset,
        },
    )


def to_entry(row: EntryRow) -> Entry:
    return Entry(
        account=row.account,
        version=row.version,
        journal_id=row.journal_id,
        leg_no=row.leg_no,
        asset=row.asset,
        scale=row.scale,
        amount=int(row.amount),
        balance=int(row.balance),
        held=int(row.amount) if row.hold_id is not None else 0,
        booking_date=row.booking_date,
        value_date=row.value_date,
        source=row.source,
        reference=row.reference,
        created_at=row.created_at,
    )


async def select_journal(tx: Transaction, journal_id: JournalId) -> JournalRow | None:
    return await tx.fetch_one(
        JournalRow,
        "select j.journal_no, j.journal_id, j.organisation_id, j.environment, j.kind, j.booking_date,"
        " j.value_date, j.source, j.reference, j.reverses,"
        " (select r.journal_id from ledger.journal r where r.reverses = j.journal_id) as reversed_by,"
        " j.batch_no, j.created_at, j.metadata::text as metadata, j.releases"
        " from ledger.journal j where j.journal_id = %s",
        (journal_id,),
    )


async def select_legs(tx: Transaction, journal_no: int) -> tuple[JournalLeg, ...]:
    rows = await tx.fetch(
        _LegRow,
        "select a.address as account, a.asset, s.scale, e.amount::text as amount, e.balance::text as balance,"
        " e.version, e.hold_id from ledger.entry e join ledger.account a on a.account_no = e.account_no"
        " join ledger.asset s on s.asset = a.asset where e.journal_no = %s order by e.leg_no",
        (journal_no,),
    )
    return tuple(
        JournalLeg(
            row.account, row.asset, row.scale, int(row.amount), int(row.balance), row.version, row.hold_id
        )
        for row in rows
    )


async def select_expired_holds(tx: Transaction, at: datetime, limit: int) -> list[ExpireHold]:
    """Open holds whose time is over; visible to the engine across organisations."""
    return await tx.fetch(
        ExpireHold,
        "select hold_id, organisation_id, environment from ledger.hold"
        " where state = 'open' and expires_at <= %s order by expires_at limit %s",
        (at, limit),
    )
