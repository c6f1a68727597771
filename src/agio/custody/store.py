"""All SQL of custody."""

from datetime import datetime
from typing import Final

import msgspec

from agio.custody.api import Account, Direction, Transfer, TransferStatus
from agio.kernel.ids import AccountId, JournalId, OrganisationId, TransferId
from agio.platform.db import Transaction
from agio.platform.vault import Place

ACCOUNT_NAME: Final = "custody.account.name"
TRANSFER_REFERENCE: Final = "custody.transfer.reference"
_ACCOUNT: Final = (
    "select account_id, organisation_id, environment, name, base_currency, status, created_at"
    " from custody.account"
)
_TRANSFER: Final = (
    "select transfer_id, organisation_id, account_id, direction, asset, amount::text as amount, scale,"
    " reference, status, journal_id, created_at from custody.transfer"
)


class _TransferRow(msgspec.Struct):
    transfer_id: TransferId
    organisation_id: OrganisationId
    account_id: AccountId
    direction: Direction
    asset: str
    amount: str
    scale: int
    reference: str | None
    status: TransferStatus
    journal_id: JournalId
    created_at: datetime

    async def to_transfer(self, tx: Transaction) -> Transfer:
        reference = self.reference
        if reference is not None:
            place = Place(TRANSFER_REFERENCE, self.transfer_id)
            reference = await tx.vault.unseal(tx, place, reference, self.organisation_id)
        return Transfer(
            transfer_id=self.transfer_id,
            account_id=self.account_id,
            direction=self.direction,
            asset=self.asset,
            amount=int(self.amount),
            scale=self.scale,
            reference=reference,
            status=self.status,
            journal_id=self.journal_id,
            created_at=self.created_at,
        )


async def insert_account(tx: Transaction, account: Account) -> None:
    name = await tx.vault.seal(tx, Place(ACCOUNT_NAME, account.account_id), account.name)
    await tx.execute(
        "insert into custody.account"
        " (account_id, organisation_id, environment, name, base_currency, status, created_at)"
        " values (%(account_id)s, %(organisation_id)s, %(environment)s, %(name)s, %(base_currency)s,"
        " %(status)s, %(created_at)s)",
        {**msgspec.structs.asdict(account), "name": name},
    )


async def select_account(tx: Transaction, account_id: AccountId) -> Account | None:
    row = await tx.fetch_one(Account, _ACCOUNT + " where account_id = %s", (account_id,))
    return None if row is None else await _open_account(tx, row)


async def select_accounts(tx: Transaction, after: str, limit: int) -> list[Account]:
    rows = await tx.fetch(
        Account, _ACCOUNT + " where account_id > %s order by account_id limit %s", (after, limit)
    )
    return [await _open_account(tx, row) for row in rows]


async def _open_account(tx: Transaction, row: Account) -> Account:
    place = Place(ACCOUNT_NAME, row.account_id)
    name = await tx.vault.unseal(tx, place, row.name, row.organisation_id)
    return msgspec.structs.replace(row, name=name)


async def insert_transfer(tx: Transaction, account: Account, transfer: Transfer) -> None:
    reference = transfer.reference
    if reference is not None:
        place = Place(TRANSFER_REFERENCE, transfer.transfer_id)
        reference = await tx.vault.seal(tx, place, reference, account.organisation_id)
    await tx.execute(
        "insert into custody.transfer (transfer_id, organisation_id, environment, account_id, direction,"
        " asset, amount, scale, reference, status, journal_id, created_at)"
        " values (%(transfer_id)s, %(organisation_id)s, %(environment)s, %(account_id)s, %(direction)s,"
        " %(asset)s, %(amount)s, %(scale)s, %(reference)s, %(status)s, %(journal_id)s, %(created_at)s)",
        {
            **msgspec.structs.asdict(transfer),
            "reference": reference,
            "organisation_id": account.organisation_id,
            "environment": account.environment,
        },
    )


async def select_transfer(tx: Transaction, transfer_id: TransferId) -> Transfer | None:
    row = await tx.fetch_one(_TransferRow, _TRANSFER + " where transfer_id = %s", (transfer_id,))
    return None if row is None else await row.to_transfer(tx)


async def select_transfers(
    tx: Transaction, account_id: AccountId | None, before: str | None, limit: int
) -> list[Transfer]:
    """Newest first."""
    rows = await tx.fetch(
        _TransferRow,
        _TRANSFER + " where (%(account_id)s::text is null or account_id = %(account_id)s::text)"
        " and (%(before)s::text is null or transfer_id < %(before)s::text)"
        " order by transfer_id desc limit %(limit)s",
        {"account_id": account_id, "before": before, "limit": limit},
    )
    return [await row.to_transfer(tx) for row in rows]
