"""SQL about single ledger accounts and holds."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId
from agio.ledger.store import EntryRow
from agio.platform.db import Transaction

Change = Literal["freeze", "unfreeze", "close", "minimum_balance"]

_ACCOUNT: Final = (
    "select a.address, a.owner, a.asset, s.scale, a.code, a.flags, a.is_frozen, a.is_closed,"
    " a.minimum_balance::text as minimum_balance, (a.credits_posted - a.debits_posted)::text as total,"
    " a.debits_pending::text as held, a.version, a.opened_at"
    " from ledger.account a join ledger.asset s on s.asset = a.asset"
)
HOLD: Final = (
    "select h.hold_id, h.address as account, a.asset, s.scale, h.amount::text as amount,"
    " h.captured::text as captured, h.released::text as released, h.state, h.expires_at, h.source,"
    " h.reference, h.created_at, h.closed_at"
    " from ledger.hold h join ledger.account a on a.account_no = h.account_no"
    " join ledger.asset s on s.asset = a.asset"
)


class AccountRow(msgspec.Struct):
    """A ledger account as it stands; amounts in smallest units, as text."""

    address: LedgerAccountId
    owner: str
    asset: str
    scale: int
    code: str
    flags: int
    is_frozen: bool
    is_closed: bool
    minimum_balance: str
    total: str
    held: str
    version: int
    opened_at: datetime


class HoldRow(msgspec.Struct):
    """A hold as it stands; amounts in smallest units, as text."""

    hold_id: HoldId
    account: LedgerAccountId
    asset: str
    scale: int
    amount: str
    captured: str
    released: str
    state: str
    expires_at: datetime | None
    source: str
    reference: str | None
    created_at: datetime
    closed_at: datetime | None


class AsOfRow(msgspec.Struct):
    """An account's balance after a version; `version` is None when there is no such account."""

    version: int | None
    balance: str | None
    journal_id: JournalId | None
    booked_at: datetime | None


class EntryFilter(msgspec.Struct, frozen=True):
    """Which of an account's entries; [start, end) is about the instant of booking."""

    start: datetime | None = None
    end: datetime | None = None
    reference: str | None = None
    journal_id: str | None = None


async def select_account(tx: Transaction, address: str) -> AccountRow | None:
    return await tx.fetch_one(AccountRow, _ACCOUNT + " where a.address = %s", (address,))


async def select_accounts(
    tx: Transaction, owner: str | None, code: str | None, after: str, limit: int
) -> list[AccountRow]:
    return await tx.fetch(
        AccountRow,
        _ACCOUNT + " where a.address > %(after)s and (%(owner)s::text is null or a.owner = %(owner)s::text)"
        " and (%(code)s::text is null or a.code = %(code)s::text) order by a.address limit %(limit)s",
        {"owner": owner, "code": code, "after": after, "limit": limit},
    )


async def select_scales(tx: Transaction, addresses: list[str]) -> list[tuple[str, int]]:
    """Decimals of the assets of those accounts that this tenant has."""
    return [
        (str(address), int(scale))
        for address, scale in await tx.fetch_tuples(
            "select a.address, s.scale from ledger.account a join ledger.asset s on s.asset = a.asset"
            " where a.address = any(%s)",
            (addresses,),
        )
    ]


async def change_account(
    tx: Transaction,
    address: str,
    change: Change,
    *,
    minimum: int | None,
    expected_version: int | None,
    who: str,
    at: datetime,
) -> str:
    """Answers a result code; `account_not_empty` besides those of commands."""
    return str(
        await tx.value(
            "select ledger.change_account(%s, %s, %s, %s, %s::numeric, %s::bigint, %s, %s)",
            (
                address,
                tx.scope.organisation_id,
                tx.scope.environment,
                change,
                minimum,
                expected_version,
                who,
                at,
            ),
        )
    )


async def select_balance_as_of(tx: Transaction, address: str, at: datetime) -> AsOfRow | None:
    return await tx.fetch_one(AsOfRow, "select * from ledger.balance_as_of(%s, %s)", (address, at))


async def select_account_entries(
    tx: Transaction, address: str, wanted: EntryFilter, before: int, limit: int
) -> list[EntryRow]:
    return await tx.fetch(
        EntryRow,
        "select * from ledger.read_entries(%s, %s, %s::timestamptz, %s::timestamptz, %s::text, %s::text, %s)",
        (address, before, wanted.start, wanted.end, wanted.reference, wanted.journal_id, limit),
    )


async def select_hold_sources(tx: Transaction, hold_ids: list[str]) -> list[tuple[str, str]]:
    """Who placed each of those holds that this tenant has."""
    return [
        (str(hold_id), str(source))
        for hold_id, source in await tx.fetch_tuples(
            "select hold_id, source from ledger.hold where hold_id = any(%s)", (hold_ids,)
        )
    ]


async def select_hold(tx: Transaction, hold_id: str) -> HoldRow | None:
    return await tx.fetch_one(HoldRow, HOLD + " where h.hold_id = %s", (hold_id,))
