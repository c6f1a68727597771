"""Custody's use cases: accounts and transfers."""

from collections.abc import Sequence
from typing import Final, cast

from agio.custody import store
from agio.custody.api import (
    Account,
    Direction,
    Mover,
    Tenant,
    Transfer,
    customer_account,
    organisation_account,
)
from agio.custody.errors import UnknownAccount, UnknownAsset, UnknownTransfer
from agio.custody.freezes.service import Freezes
from agio.custody.freezes.store import select_freezes_of
from agio.custody.house import share_house
from agio.custody.model import (
    MAX_NAME_LENGTH,
    MAX_REFERENCE_LENGTH,
    SANDBOX_BANK,
    book_transfer,
    check_text,
    check_transferable,
    parse_amount,
)
from agio.kernel.ids import (
    AccountId,
    FreezeId,
    JournalId,
    KeyId,
    OrganisationId,
    TransferId,
    is_id,
    new_id,
)
from agio.kernel.money import format_decimal
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.ledger.api import Asset, Balance, Entry, Environment, InsufficientFunds, Ledger, ResultCode
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction

_SHOWN: Final = 40


class CustodyService:
    """Accounts and transfers over the ledger; implements `api.Custody`."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._freezes = Freezes(clock)

    async def open_account(self, tx: Transaction, name: str, base_currency: str) -> Account:
        check_text("name", name, MAX_NAME_LENGTH)
        asset = await self._asset(tx, base_currency, "base_currency")
        if asset.asset_class != "currency":
            raise UnknownAsset(f"{base_currency} is not a currency", extra={"field": "base_currency"})
        account = Account(
            account_id=AccountId(new_id("acc")),
            organisation_id=OrganisationId(tx.scope.organisation_id),
            environment=cast("Environment", tx.scope.environment),
            name=name,
            base_currency=base_currency,
            status="open",
            created_at=self._clock.now(),
        )
        await store.insert_account(tx, account)
        await self.ensure_ledger_accounts(tx, account, base_currency)
        return account

    async def account(self, tenant: Tenant, account_id: AccountId) -> Account:
        async with self._database.transaction(tenant.scope) as tx:
            return await self._account(tx, account_id)

    async def base_currency(self, tx: Transaction, account_id: AccountId) -> str:
        return (await self._account(tx, account_id)).base_currency

    async def accounts(self, tx: Transaction, limit: int, cursor: str | None) -> Page[Account]:
        """Accounts, oldest first."""
        check_limit(limit)
        found = await store.select_accounts(tx, read_id_cursor(cursor, "after", "acc") or "", limit + 1)
        items = found[:limit]
        more = encode_cursor({"after": items[-1].account_id}) if len(found) > limit else None
        return Page(items, more)

    async def balances(self, tx: Transaction, account_id: AccountId) -> list[Balance]:
        await self._account(tx, account_id)
        return await self._ledger.balances(tx, account_id)

    async def entries(
        self, tx: Transaction, account_id: AccountId, asset: str | None, limit: int, cursor: str | None
    ) -> Page[Entry]:
        """History of an account, newest first; raises UnknownAccount."""
        await self._account(tx, account_id)
        if asset is not None:
            await self._asset(tx, asset, "asset")
        return await self._ledger.entries(tx, account_id, asset=asset, limit=limit, cursor=cursor)

    async def ensure_ledger_accounts(self, tx: Transaction, account: Account, asset: str) -> None:
        bank = organisation_account(account.organisation_id, account.environment, SANDBOX_BANK, asset)
        await self._ledger.open_accounts(tx, [customer_account(account, asset), bank])

    async def transfer(
        self,
        tx: Transaction,
        account_id: AccountId,
        direction: Direction,
        asset: str,
        amount: str,
        reference: str | None = None,
        by: KeyId | None = None,
    ) -> Transfer:
        account = await self._account(tx, account_id)
        check_transferable(account)
        await self._require_movable(tx, account_id, direction, by)
        known = await self._asset(tx, asset, "asset")
        if reference is not None:
            check_text("reference", reference, MAX_REFERENCE_LENGTH)
        now = self._clock.now()
        transfer = Transfer(
            transfer_id=TransferId(new_id("trf")),
            account_id=account_id,
            direction=direction,
            asset=asset,
            amount=parse_amount(amount, known.scale),
            scale=known.scale,
            reference=reference,
            status="settled",
            journal_id=JournalId(new_id("jnl")),
            created_at=now,
        )
        await self.ensure_ledger_accounts(tx, account, asset)
        result = (await self._ledger.apply(tx, [book_transfer(account, transfer, now.date())]))[0]
        if result.code is ResultCode.INSUFFICIENT_FUNDS:
            raise await self._not_enough(tx, transfer)
        result.require()
        await store.insert_transfer(tx, account, transfer)
        return transfer

    async def _require_movable(
        self, tx: Transaction, account_id: AccountId, direction: Direction, by: KeyId | None
    ) -> None:
        """Nothing leaves what is frozen; money may arrive, but not by the hand of a frozen key."""
        if direction == "withdrawal":
            await share_house(tx)
            await self._freezes.require_none(tx, targets=[account_id], keys=[] if by is None else [by])
        elif by is not None:
            await self._freezes.require_key(tx, by)

    async def freezes_of(self, tx: Transaction, movers: Sequence[Mover]) -> list[tuple[FreezeId, ...]]:
        return await select_freezes_of(tx, movers)

    async def _not_enough(self, tx: Transaction, transfer: Transfer) -> InsufficientFunds:
        held = {one.asset: one.available for one in await self._ledger.balances(tx, transfer.account_id)}
        available = format_decimal(held.get(transfer.asset, 0), transfer.scale)
        return InsufficientFunds(
            f"the withdrawal needs {format_decimal(transfer.amount, transfer.scale)} {transfer.asset}"
            f" and {available} are available",
            extra={"asset": transfer.asset, "available": available},
        )

    async def show_transfer(self, tx: Transaction, transfer_id: TransferId) -> Transfer:
        """One transfer; raises UnknownTransfer."""
        transfer = await store.select_transfer(tx, transfer_id) if is_id(transfer_id, "trf") else None
        if transfer is None:
            raise UnknownTransfer(f"no transfer {transfer_id[:_SHOWN]!r}")
        return transfer

    async def transfers(
        self, tx: Transaction, account_id: AccountId | None, limit: int, cursor: str | None
    ) -> Page[Transfer]:
        check_limit(limit)
        if account_id is not None:
            await self._account(tx, account_id)
        found = await store.select_transfers(
            tx, account_id, read_id_cursor(cursor, "before", "trf"), limit + 1
        )
        items = found[:limit]
        more = encode_cursor({"before": items[-1].transfer_id}) if len(found) > limit else None
        return Page(items, more)

    async def _account(self, tx: Transaction, account_id: AccountId) -> Account:
        account = await store.select_account(tx, account_id) if is_id(account_id, "acc") else None
        if account is None:
            raise UnknownAccount(f"no account {account_id[:_SHOWN]!r}")
        return account

    async def _asset(self, tx: Transaction, asset: str, field: str) -> Asset:
        known = {one.asset: one for one in await self._ledger.assets(tx)}
        if asset not in known:
            raise UnknownAsset(
                f"no asset {asset[:_SHOWN]!r}", extra={"field": field, "known": sorted(known)[:100]}
            )
        return known[asset]
