"""What other rooms may ask of custody: accounts, where their money is in the ledger, transfers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from agio.custody.errors import (
    AccountNotOpen,
    Frozen,
    RailNotConnected,
    UnknownAccount,
    UnknownAsset,
    UnknownTransfer,
)
from agio.kernel.ids import (
    AccountId,
    FreezeId,
    JournalId,
    KeyId,
    LedgerAccountId,
    OrganisationId,
    TransferId,
)
from agio.kernel.page import Page
from agio.ledger.api import CUSTOMER, Balance, Environment, OpenAccount
from agio.platform.db import Scope, Transaction

__all__ = [
    "SOURCE",
    "Account",
    "AccountNotOpen",
    "Custody",
    "Direction",
    "FreezeCheck",
    "Frozen",
    "Mover",
    "RailNotConnected",
    "Tenant",
    "Transfer",
    "UnknownAccount",
    "UnknownAsset",
    "UnknownTransfer",
    "customer_account",
    "is_guarded",
    "ledger_address",
    "organisation_account",
    "organisation_address",
]

SOURCE: Final = "custody"
"""The `source` of custody's journals: money from and to the outside world."""

Direction = Literal["deposit", "withdrawal"]
TransferStatus = Literal["settled"]
AccountStatus = Literal["open", "closed"]


class Account(msgspec.Struct, frozen=True):
    """A customer account: one name over one ledger account per asset."""

    account_id: AccountId
    organisation_id: OrganisationId
    environment: Environment
    name: str
    base_currency: str
    status: AccountStatus
    created_at: datetime

    @property
    def is_open(self) -> bool:
        return self.status == "open"


class Transfer(msgspec.Struct, frozen=True):
    """Money that came in or went out; `amount` in smallest units of `scale`."""

    transfer_id: TransferId
    account_id: AccountId
    direction: Direction
    asset: str
    amount: int
    scale: int
    reference: str | None
    status: TransferStatus
    journal_id: JournalId
    created_at: datetime


class Mover(msgspec.Struct, frozen=True):
    """Who wants to put an account's money at risk: what a freeze may stop."""

    organisation_id: OrganisationId
    environment: Environment
    account_id: AccountId
    key_id: KeyId | None = None


class Tenant(Protocol):
    """Who asks: a principal, a stream's subscriber."""

    @property
    def scope(self) -> Scope: ...


class FreezeCheck(Protocol):
    """The question that everybody asks who puts an account's money at risk."""

    async def freezes_of(self, tx: Transaction, movers: Sequence[Mover]) -> list[tuple[FreezeId, ...]]:
        """For each mover the freezes in force now of its house, account or key; none: it may go on.

        One read for a batch that mixes organisations: `tx` needs no tenant.
        """
        ...


class Custody(FreezeCheck, Protocol):
    """Custody's front."""

    async def account(self, tenant: Tenant, account_id: AccountId) -> Account:
        """One account; raises UnknownAccount (404) also for somebody else's."""
        ...

    async def base_currency(self, tx: Transaction, account_id: AccountId) -> str:
        """An account's base currency; raises UnknownAccount."""
        ...

    async def open_account(self, tx: Transaction, name: str, base_currency: str) -> Account:
        """Open an account for the transaction's tenant, with its ledger account in the base currency."""
        ...

    async def balances(self, tx: Transaction, account_id: AccountId) -> list[Balance]:
        """What an account holds, by asset; raises UnknownAccount."""
        ...

    async def ensure_ledger_accounts(self, tx: Transaction, account: Account, asset: str) -> None:
        """See to it that the account can hold an asset; idempotent."""
        ...

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
        """Move money in or out on the sandbox rail; `amount` is decimal text.

        Raises UnknownAccount, AccountNotOpen, UnknownAsset, InvalidAmount, RailNotConnected,
        InsufficientFunds, and Frozen: a freeze of the house or the account stops a withdrawal, one of `by`
        both directions.
        """
        ...

    async def transfers(
        self, tx: Transaction, account_id: AccountId | None, limit: int, cursor: str | None
    ) -> Page[Transfer]:
        """Transfers, newest first."""
        ...


def ledger_address(account_id: AccountId, asset: str) -> LedgerAccountId:
    """The ledger account in which a customer account holds an asset."""
    return LedgerAccountId(f"{account_id}:{asset}")


def is_guarded(address: str) -> bool:
    """Whether a ledger address moves by custody's rules only: a vault's, or the outside world's.

    Nobody posts to them directly, so that no money comes or goes without its transfer.
    """
    return address.startswith("vlt_") or ":external:" in address


def organisation_address(organisation_id: OrganisationId, purpose: str, asset: str) -> LedgerAccountId:
    """An organisation's own ledger account: purposes are such as `fees`, `external:sandbox_bank`."""
    return LedgerAccountId(f"{organisation_id}:{purpose}:{asset}")


def customer_account(account: Account, asset: str) -> OpenAccount:
    """How a customer account's ledger account is opened: it cannot be overdrawn."""
    return OpenAccount(
        address=ledger_address(account.account_id, asset),
        owner=account.account_id,
        asset=asset,
        organisation_id=account.organisation_id,
        environment=account.environment,
        flags=CUSTOMER,
    )


def organisation_account(
    organisation_id: OrganisationId, environment: Environment, purpose: str, asset: str
) -> OpenAccount:
    """How an organisation's own ledger account is opened: without limits."""
    return OpenAccount(
        address=organisation_address(organisation_id, purpose, asset),
        owner=organisation_id,
        asset=asset,
        organisation_id=organisation_id,
        environment=environment,
    )
