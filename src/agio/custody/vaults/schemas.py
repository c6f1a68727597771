"""Wire types of vaults."""

from datetime import datetime

import msgspec

from agio.custody.vaults.model import Vault
from agio.custody.vaults.service import Deposit, Kept
from agio.kernel.money import format_decimal


class CreateVault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a vault is opened with."""

    name: str


class VaultView(msgspec.Struct, frozen=True):
    """A vault."""

    vault_id: str
    name: str
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, vault: Vault) -> "VaultView":
        return cls(vault.vault_id, vault.name, vault.created_by, vault.created_at)


class VaultPage(msgspec.Struct, frozen=True):
    items: list[VaultView]
    next_cursor: str | None


class CreateSubAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One asset in one location, such as `cold` or `bank_zurich`."""

    asset: str
    location: str


class SubAccountView(msgspec.Struct, frozen=True):
    """A sub-account and what is in it; `held` waits for its release or settlement."""

    sub_account_id: str
    vault_id: str
    asset: str
    location: str
    ledger_account: str
    total: str
    held: str
    available: str
    created_at: datetime

    @classmethod
    def of(cls, kept: Kept) -> "SubAccountView":
        sub, balance = kept
        return cls(
            sub_account_id=sub.sub_account_id,
            vault_id=sub.vault_id,
            asset=sub.asset,
            location=sub.location,
            ledger_account=sub.address,
            total=format_decimal(balance.total, balance.scale),
            held=format_decimal(balance.held, balance.scale),
            available=format_decimal(balance.available, balance.scale),
            created_at=sub.created_at,
        )


class SubAccountPage(msgspec.Struct, frozen=True):
    items: list[SubAccountView]
    next_cursor: str | None = None


class CreateVaultDeposit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money that arrived on the sandbox rail; `amount` is decimal text."""

    sub_account_id: str
    amount: str


class VaultDepositView(msgspec.Struct, frozen=True):
    """A deposit's journal, and the sub-account after it."""

    journal_id: str
    sub_account: SubAccountView

    @classmethod
    def of(cls, deposit: Deposit) -> "VaultDepositView":
        return cls(deposit.journal_id, SubAccountView.of(deposit.kept))
