"""All SQL of custody."""

from datetime import datetime
from typing import Final

import msgspec

from agio.custody.api import Account, Direction, Transfer, TransferStatus
from agio.kernel.ids import AccountId, JournalId, TransferId
from agio.platform.db import Transaction

_ACCOUNT: Final = (
    "select account_id, organisation_id, environment, name, base_currency, status, created_at"
    " from custody.account"
)
_TRANSFER: Final = (
    "select transfer_id, account_id, direction, asset, amount::text as amount, scale, reference, status,"
    " journal_id, created_at from custody.transfer"
)


class _TransferRow(msgspec.Struct):
    transfer_id: TransferId
    account_id: AccountId
    direction: Direction
    asset: str
    amount: str
    scale: int
    reference: str | None
    status: TransferStatus
    journal_id: JournalId
    created_at: datetime

    def to_transfer(self) -> Transfer:
        return Transfer(
            transfer_id=self.transfer_id,
            account_id=self.account_id,
            direction=self.direction,
            asset=self.asset,
            amount=int(self.amount),
            scale=self.scale,
            reference=self.reference,
            status=self.status,
            journal_id=self.journal_id,
            created_at=self.created_at,
        )


async def insert_account(tx: Transaction, account: Account) -> None:
    await tx.execute(
        "insert into custody.account"
        " (account_id, organisation_id, environment, name, base_currency, status, created_at)"
        " values (%(account_id)s, %(organisation_id)s, %(environment)s, %(name)s, %(base_currency)s,"
        " %(status)s, %(created_at)s)",
        msgspec.structs.asdict(account),
    )


async def select_account(tx: Transaction, account_id: AccountId) -> Account | None:
    return await tx.fetch_one(Account, _ACCOUNT + " where account_id = %s", (account_id,))


async def select_accounts(tx: Transaction, after: str, limit: int) -> list[Account]:
    return await tx.fetch(
        Account, _ACCOUNT + " where account_id > %s order by account_id limit %s", (after, limit)
    )


async def insert_transfer(tx: Transaction, account: Account, transfer: Transfer) -> None:
    await tx.execute(
        "insert into custody.transfer (transfer_id, organisation_id, environment, account_id, direction,"
        " asset, amount, scale, reference, status, journal_id, created_at)"
        " values (%(transfer_id)s, %(organisation_id)s, %(environment)s, %(account_id)s, %(direction)s,"
        " %(asset)s, %(amount)s, %(scale)s, %(reference)s, %(status)s, %(journal_id)s, %(created_at)s)",
        {
            **msgspec.structs.asdict(transfer),
            "organisation_id": account.organisation_id,
            "environment": account.environment,
        },
    )


async def select_transfer(tx: Transaction, transfer_id: TransferId) -> Transfer | None:
    row = await tx.fetch_one(_TransferRow, _TRANSFER + " where transfer_id = %s", (transfer_id,))
    return None if row is None else row.to_transfer()


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
    return [row.to_transfer() for row in rows]
