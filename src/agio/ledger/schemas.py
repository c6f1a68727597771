"""Wire types of the ledger: amounts are decimal text with all of the asset's decimals."""

from datetime import date, datetime

import msgspec

from agio.kernel.money import format_decimal
from agio.ledger.api import Journal


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
