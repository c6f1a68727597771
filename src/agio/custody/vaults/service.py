"""Use cases of vaults: open, look at, put in."""

from typing import Final, NamedTuple, cast

from agio.custody import model as rules
from agio.custody.api import SOURCE, organisation_account, organisation_address
from agio.custody.errors import (
    AlreadyExists,
    RailNotConnected,
    TooMany,
    UnknownAsset,
    UnknownSubAccount,
    UnknownVault,
)
from agio.custody.freezes.service import Freezes
from agio.custody.house import lock_house, tell
from agio.custody.vaults import store
from agio.custody.vaults.model import (
    MAX_SUB_ACCOUNTS,
    MAX_VAULTS,
    SubAccount,
    Vault,
    check_location,
    vault_account,
    vault_address,
)
from agio.kernel.ids import JournalId, KeyId, OrganisationId, SubAccountId, VaultId, is_id, new_id
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.ledger.api import Asset, Balance, Environment, Ledger, Leg, PostJournal
from agio.platform.clock import Clock
from agio.platform.db import Transaction

_SHOWN: Final = 40


class Kept(NamedTuple):
    """A sub-account and what is in it."""

    sub: SubAccount
    balance: Balance


class Deposit(NamedTuple):
    """Money that came into a sub-account."""

    journal_id: JournalId
    kept: Kept


class Vaults:
    """Vaults of the transaction's tenant."""

    def __init__(self, ledger: Ledger, freezes: Freezes, clock: Clock) -> None:
        self._ledger = ledger
        self._freezes = freezes
        self._clock = clock

    async def open_vault(self, tx: Transaction, name: str, by: KeyId) -> Vault:
        """Open a vault; raises TooMany, Frozen."""
        rules.check_text("name", name, rules.MAX_NAME_LENGTH)
        await lock_house(tx)
        await self._freezes.require_none(tx, keys=[by])
        if await store.count_vaults(tx) >= MAX_VAULTS:
            raise TooMany(f"at most {MAX_VAULTS} vaults")
        vault = Vault(
            vault_id=VaultId(new_id("vlt")),
            organisation_id=OrganisationId(tx.scope.organisation_id),
            environment=cast("Environment", tx.scope.environment),
            name=name,
            created_by=by,
            created_at=self._clock.now(),
        )
        await store.insert_vault(tx, vault)
        await tell(tx, "vault_opened", vault.created_at, vault_id=vault.vault_id, by=by)
        return vault

    async def open_sub_account(
        self, tx: Transaction, vault_id: VaultId, asset: str, location: str, by: KeyId
    ) -> Kept:
        """Open a sub-account; raises UnknownVault, UnknownAsset, AlreadyExists, TooMany, Frozen."""
        vault = await self.vault(tx, vault_id)
        await self.asset(tx, asset)
        check_location(location)
        await lock_house(tx)
        await self._freezes.require_none(tx, keys=[by])
        present = await store.select_sub_accounts(tx, vault_id)
        if len(present) >= MAX_SUB_ACCOUNTS:
            raise TooMany(f"at most {MAX_SUB_ACCOUNTS} sub-accounts in a vault")
        for one in present:
            if (one.asset, one.location) == (asset, location):
                raise AlreadyExists(
                    f"{asset} in {location} is {one.sub_account_id}", extra={"existing": one.sub_account_id}
                )
        sub = SubAccount(
            sub_account_id=SubAccountId(new_id("sub")),
            vault_id=vault_id,
            asset=asset,
            location=location,
            address=vault_address(vault_id, location, asset),
            created_at=self._clock.now(),
        )
        await store.insert_sub_account(tx, sub)
        await tell(
            tx,
            "sub_account_opened",
            sub.created_at,
            vault_id=vault_id,
            sub_account_id=sub.sub_account_id,
            by=by,
        )
        await self._ledger.open_accounts(tx, [vault_account(vault, sub)])
        return await self.kept(tx, sub)

    async def deposit(
        self, tx: Transaction, vault_id: VaultId, sub_account_id: SubAccountId, amount: str, by: KeyId
    ) -> Deposit:
        """Money that arrived on the sandbox rail. A freeze does not stop it: what came in is there.

        Raises UnknownVault, UnknownSubAccount, InvalidAmount, RailNotConnected, Frozen (the caller's key).
        """
        vault = await self.vault(tx, vault_id)
        sub = await self.sub_account(tx, sub_account_id)
        if sub.vault_id != vault_id:
            raise UnknownSubAccount(f"no sub-account {sub_account_id} in {vault_id}")
        if vault.environment != "sandbox":
            raise RailNotConnected("the sandbox rail serves sandbox keys only")
        asset = await self.asset(tx, sub.asset)
        units = rules.parse_amount(amount, asset.scale)
        now = self._clock.now()
        journal_id = JournalId(new_id("jnl"))
        bank = organisation_account(vault.organisation_id, vault.environment, rules.SANDBOX_BANK, sub.asset)
        await lock_house(tx)
        await self._freezes.require_key(tx, by)
        await tell(
            tx, "vault_credited", now, vault_id=vault_id, sub_account_id=sub_account_id,
            journal_id=journal_id, asset=sub.asset, amount=amount, by=by,
        )  # fmt: skip
        await self._ledger.open_accounts(tx, [bank, vault_account(vault, sub)])
        journal = PostJournal(
            journal_id=journal_id,
            organisation_id=vault.organisation_id,
            environment=vault.environment,
            legs=(
                Leg(organisation_address(vault.organisation_id, rules.SANDBOX_BANK, sub.asset), -units),
                Leg(sub.address, units),
            ),
            booking_date=now.date(),
            value_date=now.date(),
            source=SOURCE,
            reference=sub_account_id,
        )
        (await self._ledger.apply(tx, [journal]))[0].require()
        return Deposit(journal_id, await self.kept(tx, sub))

    async def vault(self, tx: Transaction, vault_id: VaultId) -> Vault:
        """One vault; raises UnknownVault."""
        vault = await store.select_vault(tx, vault_id) if is_id(vault_id, "vlt") else None
        if vault is None:
            raise UnknownVault(f"no vault {vault_id[:_SHOWN]!r}")
        return vault

    async def vaults(self, tx: Transaction, limit: int, cursor: str | None) -> Page[Vault]:
        """Vaults, oldest first."""
        check_limit(limit)
        found = await store.select_vaults(tx, read_id_cursor(cursor, "after", "vlt") or "", limit + 1)
        items = found[:limit]
        more = encode_cursor({"after": items[-1].vault_id}) if len(found) > limit else None
        return Page(items, more)

    async def sub_account(self, tx: Transaction, sub_account_id: SubAccountId) -> SubAccount:
        """One sub-account; raises UnknownSubAccount."""
        sub = await store.select_sub_account(tx, sub_account_id) if is_id(sub_account_id, "sub") else None
        if sub is None:
            raise UnknownSubAccount(f"no sub-account {sub_account_id[:_SHOWN]!r}")
        return sub

    async def contents(self, tx: Transaction, vault_id: VaultId) -> list[Kept]:
        """A vault's sub-accounts with their balances; raises UnknownVault."""
        await self.vault(tx, vault_id)
        subs = await store.select_sub_accounts(tx, vault_id)
        balances = {one.account: one for one in await self._ledger.balances(tx, vault_id)}
        return [Kept(sub, balances[sub.address]) for sub in subs]

    async def kept(self, tx: Transaction, sub: SubAccount) -> Kept:
        """A sub-account with its balance."""
        return Kept(sub, (await self._ledger.balances_of(tx, [sub.address]))[0])

    async def asset(self, tx: Transaction, name: str) -> Asset:
        """An asset; raises UnknownAsset."""
        for asset in await self._ledger.assets(tx):
            if asset.asset == name:
                return asset
        raise UnknownAsset(f"no asset {name[:_SHOWN]!r}", extra={"field": "asset"})
