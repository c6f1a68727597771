"""Wire types of the ledger: amounts are decimal text with all of the asset's decimals."""

from datetime import date, datetime

import msgspec

from agio.kernel.money import format_decimal
from agio.ledger.account_store import AccountRow, AsOfRow, HoldRow
from agio.ledger.api import ChainLink, Entry, Journal
from agio.ledger.checking import AccountCheck
from agio.ledger.proof.chain import Finding
from agio.ledger.requests import FLAGS, Outcome


class LegView(msgspec.Struct, frozen=True):
    """One leg of a journal, with the balance it left and the hold it consumed."""

    account: str
    asset: str
    amount: str
    balance: str
    version: int
    hold_id: str | None


class JournalView(msgspec.Struct, frozen=True):
    """A posted journal. Positive amounts credit, negative ones debit; each asset sums to zero."""

    journal_id: str
    journal_no: int
    kind: str
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    reverses: str | None
    reversed_by: str | None
    batch_no: int
    created_at: datetime
    legs: list[LegView]
    metadata: dict[str, str]
    releases: list[str]
    """Holds of which it freed the rest."""

    @classmethod
    def of(cls, journal: Journal) -> "JournalView":
        return cls(
            journal_id=journal.journal_id,
            journal_no=journal.journal_no,
            kind=journal.kind,
            booking_date=journal.booking_date,
            value_date=journal.value_date,
            source=journal.source,
            reference=journal.reference,
            reverses=journal.reverses,
            reversed_by=journal.reversed_by,
            batch_no=journal.batch_no,
            created_at=journal.created_at,
            legs=[
                LegView(
                    account=leg.account,
                    asset=leg.asset,
                    amount=format_decimal(leg.amount, leg.scale),
                    balance=format_decimal(leg.balance, leg.scale),
                    version=leg.version,
                    hold_id=leg.hold_id,
                )
                for leg in journal.legs
            ],
            metadata=dict(journal.metadata),
            releases=list(journal.releases),
        )


class BatchView(msgspec.Struct, frozen=True):
    """What became of each journal of a batch, in order."""

    applied: int
    results: list[Outcome]


class LedgerAccountView(msgspec.Struct, frozen=True):
    """A ledger account. `version` is the number of its entries."""

    address: str
    owner: str
    asset: str
    code: str
    flags: list[str]
    is_frozen: bool
    is_closed: bool
    minimum_balance: str
    total: str
    held: str
    available: str
    version: int
    opened_at: datetime

    @classmethod
    def of(cls, row: AccountRow) -> "LedgerAccountView":
        total, held, minimum = int(row.total), int(row.held), int(row.minimum_balance)
        return cls(
            address=row.address,
            owner=row.owner,
            asset=row.asset,
            code=row.code,
            flags=[name for name, flag in FLAGS.items() if row.flags & flag],
            is_frozen=row.is_frozen,
            is_closed=row.is_closed,
            minimum_balance=format_decimal(minimum, row.scale),
            total=format_decimal(total, row.scale),
            held=format_decimal(held, row.scale),
            available=format_decimal(total - held - minimum, row.scale),
            version=row.version,
            opened_at=row.opened_at,
        )


class LedgerAccountPage(msgspec.Struct, frozen=True):
    """Accounts by address."""

    items: list[LedgerAccountView]
    next_cursor: str | None


class BalanceAsOf(msgspec.Struct, frozen=True):
    """What was booked on an account up to an instant."""

    account: str
    asset: str
    at: datetime
    total: str
    version: int
    journal_id: str | None
    """The last journal that is in the balance."""
    booked_at: datetime | None

    @classmethod
    def of(cls, account: AccountRow, row: AsOfRow, at: datetime) -> "BalanceAsOf":
        return cls(
            account=account.address,
            asset=account.asset,
            at=at,
            total=format_decimal(int(row.balance or "0"), account.scale),
            version=row.version or 0,
            journal_id=row.journal_id,
            booked_at=row.booked_at,
        )


class LedgerEntryView(msgspec.Struct, frozen=True):
    """One leg in its account's history, with the balance it left."""

    account: str
    version: int
    journal_id: str
    leg_no: int
    asset: str
    amount: str
    balance: str
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    created_at: datetime

    @classmethod
    def of(cls, entry: Entry) -> "LedgerEntryView":
        return cls(
            account=entry.account,
            version=entry.version,
            journal_id=entry.journal_id,
            leg_no=entry.leg_no,
            asset=entry.asset,
            amount=format_decimal(entry.amount, entry.scale),
            balance=format_decimal(entry.balance, entry.scale),
            booking_date=entry.booking_date,
            value_date=entry.value_date,
            source=entry.source,
            reference=entry.reference,
            created_at=entry.created_at,
        )


class LedgerEntryPage(msgspec.Struct, frozen=True):
    """An account's history, newest first."""

    items: list[LedgerEntryView]
    next_cursor: str | None


class HoldView(msgspec.Struct, frozen=True):
    """An amount set aside: captured + released + left = amount. State open, captured, released or expired."""

    hold_id: str
    account: str
    asset: str
    amount: str
    captured: str
    released: str
    left: str
    state: str
    expires_at: datetime | None
    source: str
    reference: str | None
    created_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, row: HoldRow) -> "HoldView":
        amount, captured, released = int(row.amount), int(row.captured), int(row.released)
        return cls(
            hold_id=row.hold_id,
            account=row.account,
            asset=row.asset,
            amount=format_decimal(amount, row.scale),
            captured=format_decimal(captured, row.scale),
            released=format_decimal(released, row.scale),
            left=format_decimal(amount - captured - released, row.scale),
            state=row.state,
            expires_at=row.expires_at,
            source=row.source,
            reference=row.reference,
            created_at=row.created_at,
            closed_at=row.closed_at,
        )


class HoldPage(msgspec.Struct, frozen=True):
    """Holds, newest first."""

    items: list[HoldView]
    next_cursor: str | None


class JournalPage(msgspec.Struct, frozen=True):
    """Journals, newest first."""

    items: list[JournalView]
    next_cursor: str | None


class ChainHeadView(msgspec.Struct, frozen=True):
    """The last link of the hash chain: everything up to `last_journal_no` is in its hash."""

    batch_no: int
    hash: str
    last_journal_no: int
    created_at: datetime | None

    @classmethod
    def of(cls, link: ChainLink) -> "ChainHeadView":
        return cls(link.batch_no, link.hash, link.last_journal_no, link.created_at)


class AccountCheckView(msgspec.Struct, frozen=True):
    """How much of an account was checked just now and what is broken; sound when nothing is."""

    account: str
    is_sound: bool
    first_version: int
    last_version: int
    entries: int
    journals: int
    links: int
    findings: list[Finding]
    head: ChainHeadView
    checked_at: datetime

    @classmethod
    def of(
        cls, account: AccountRow, check: AccountCheck, head: ChainLink, at: datetime
    ) -> "AccountCheckView":
        return cls(
            account=account.address,
            is_sound=not check.findings,
            first_version=check.first_version,
            last_version=check.last_version,
            entries=check.entries,
            journals=check.journals,
            links=check.links,
            findings=check.findings,
            head=ChainHeadView.of(head),
            checked_at=at,
        )
