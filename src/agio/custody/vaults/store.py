"""SQL of vaults and sub-accounts."""

from typing import Final

import msgspec

from agio.custody.vaults.model import SubAccount, Vault
from agio.kernel.ids import SubAccountId, VaultId
from agio.platform.db import Transaction
from agio.platform.vault import Place

VAULT_NAME: Final = "custody.vault.name"
_VAULT: Final = (
    "select vault_id, organisation_id, environment, name, created_by, created_at from custody.vault"
)
_SUB_ACCOUNT: Final = (
    "select sub_account_id, vault_id, asset, location, address, created_at from custody.sub_account"
)


async def insert_vault(tx: Transaction, vault: Vault) -> None:
    name = await tx.vault.seal(tx, Place(VAULT_NAME, vault.vault_id), vault.name)
    await tx.execute(
        "insert into custody.vault (vault_id, organisation_id, environment, name, created_by, created_at)"
        " values (%(vault_id)s, %(organisation_id)s, %(environment)s, %(name)s, %(created_by)s,"
        " %(created_at)s)",
        {**msgspec.structs.asdict(vault), "name": name},
    )


async def select_vault(tx: Transaction, vault_id: VaultId) -> Vault | None:
    row = await tx.fetch_one(Vault, _VAULT + " where vault_id = %s", (vault_id,))
    return None if row is None else await _open(tx, row)


async def select_vaults(tx: Transaction, after: str, limit: int) -> list[Vault]:
    """Oldest first."""
    rows = await tx.fetch(Vault, _VAULT + " where vault_id > %s order by vault_id limit %s", (after, limit))
    return [await _open(tx, row) for row in rows]


async def _open(tx: Transaction, row: Vault) -> Vault:
    name = await tx.vault.unseal(tx, Place(VAULT_NAME, row.vault_id), row.name)
    return msgspec.structs.replace(row, name=name)


async def count_vaults(tx: Transaction) -> int:
    number: int = await tx.value("select count(*) from custody.vault")
    return number


async def insert_sub_account(tx: Transaction, sub: SubAccount) -> None:
    await tx.execute(
        "insert into custody.sub_account (sub_account_id, organisation_id, environment, vault_id, asset,"
        " location, address, created_at) values (%(sub_account_id)s, %(organisation_id)s, %(environment)s,"
        " %(vault_id)s, %(asset)s, %(location)s, %(address)s, %(created_at)s)",
        {
            **msgspec.structs.asdict(sub),
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
        },
    )


async def select_sub_account(tx: Transaction, sub_account_id: SubAccountId) -> SubAccount | None:
    return await tx.fetch_one(SubAccount, _SUB_ACCOUNT + " where sub_account_id = %s", (sub_account_id,))


async def select_sub_accounts(tx: Transaction, vault_id: VaultId) -> list[SubAccount]:
    """All of a vault, by asset and location."""
    return await tx.fetch(
        SubAccount, _SUB_ACCOUNT + " where vault_id = %s order by asset, location", (vault_id,)
    )
