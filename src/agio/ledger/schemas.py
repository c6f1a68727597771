"""Wire types of the ledger: amounts are decimal text with all of the asset's decimals."""

from datetime import date, datetime

import msgspec

from agio.kernel.money import format_decimal
from agio.ledger.api import Entry, Journal


class EntryView(msgspec.Struct, frozen=True):
    """One leg in an account's history; `held` is what it consumed of a hold (negative)."""

    account: str
    version: int
    journal_id: str
    leg_no: int
    asset: str
    amount: str
    balance: str
    held: str
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    created_at: datetime

    @classmethod
    def of(cls, entry: Entry) -> "EntryView":
        return cls(
            account=entry.account,
            version=entry.version,
            journal_id=entry.journal_id,
            leg_no=entry.leg_no,
            asset=entry.asset,
            amount=format_decimal(entry.amount, entry.scale),
            balance=format_decimal(entry.balance, entry.scale),
            held=format_decimal(entry.held, entry.scale),
            booking_date=entry.booking_date,
            value_date=entry.value_date,
            source=entry.source,
            reference=entry.reference,
            created_at=entry.created_at,
        )


class LegView(msgspec.Struct, frozen=True):
    """One leg of a journal, with the balance it left."""

    account: str
    asset: str
    amount: str
    balance: str
    version: int


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
                )
                for leg in journal.legs
            ],
        )
