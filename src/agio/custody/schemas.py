"""Wire types of custody."""

from datetime import date, datetime

import msgspec

from agio.custody.api import Account, AccountStatus, Direction, Transfer, TransferStatus
from agio.kernel.money import format_decimal
from agio.ledger.api import Balance, Entry


class CreateAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an account is opened with."""

    name: str
    base_currency: str = "USD"


class AccountView(msgspec.Struct, frozen=True):
    """A customer account."""

    account_id: str
    name: str
    base_currency: str
    status: AccountStatus
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "AccountView":
        return cls(
            account.account_id, account.name, account.base_currency, account.status, account.created_at
        )


class AccountPage(msgspec.Struct, frozen=True):
    items: list[AccountView]
    next_cursor: str | None


class BalanceView(msgspec.Struct, frozen=True):
    """What an account has of an asset: `total`, of which `held` for open orders, `available` the rest."""

    asset: str
    total: str
    held: str
    available: str
    version: int

    @classmethod
    def of(cls, balance: Balance) -> "BalanceView":
        return cls(
            asset=balance.asset,
            total=format_decimal(balance.total, balance.scale),
            held=format_decimal(balance.held, balance.scale),
            available=format_decimal(balance.available, balance.scale),
            version=balance.version,
        )


class BalancePage(msgspec.Struct, frozen=True):
    items: list[BalanceView]
    next_cursor: str | None = None


class AccountEntryView(msgspec.Struct, frozen=True):
    """One booking on an account; `held` is how much of a hold it consumed (negative)."""

    journal_id: str
    asset: str
    amount: str
    balance: str
    held: str
    version: int
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    created_at: datetime

    @classmethod
    def of(cls, entry: Entry) -> "AccountEntryView":
        return cls(
            journal_id=entry.journal_id,
            asset=entry.asset,
            amount=format_decimal(entry.amount, entry.scale),
            balance=format_decimal(entry.balance, entry.scale),
            held=format_decimal(entry.held, entry.scale),
            version=entry.version,
            booking_date=entry.booking_date,
            value_date=entry.value_date,
            source=entry.source,
            reference=entry.reference,
            created_at=entry.created_at,
        )


class EntryPage(msgspec.Struct, frozen=True):
    items: list[AccountEntryView]
    next_cursor: str | None


class CreateTransfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money to move; `amount` is decimal text such as "250.00"."""

    account_id: str
    direction: Direction
    asset: str
    amount: str
    reference: str | None = None


class TransferView(msgspec.Struct, frozen=True):
    """A transfer and the journal that booked it."""

    transfer_id: str
    account_id: str
    direction: Direction
    asset: str
    amount: str
    reference: str | None
    status: TransferStatus
    journal_id: str
    created_at: datetime

    @classmethod
    def of(cls, transfer: Transfer) -> "TransferView":
        return cls(
            transfer_id=transfer.transfer_id,
            account_id=transfer.account_id,
            direction=transfer.direction,
            asset=transfer.asset,
            amount=format_decimal(transfer.amount, transfer.scale),
            reference=transfer.reference,
            status=transfer.status,
            journal_id=transfer.journal_id,
            created_at=transfer.created_at,
        )


class TransferPage(msgspec.Struct, frozen=True):
    items: list[TransferView]
    next_cursor: str | None
