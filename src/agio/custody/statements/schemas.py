"""Wire types of statements; amounts are decimal text with all of the asset's decimals."""

from datetime import date, datetime

import msgspec

from agio.custody.statements.model import Section, Statement
from agio.kernel.money import format_decimal
from agio.ledger.api import Entry


class ChainHeadView(msgspec.Struct, frozen=True):
    """The ledger's hash chain at the end of the period: `agio ledger verify` finds this very link."""

    batch_no: int
    hash: str
    last_journal_no: int
    created_at: datetime | None


class StatementAssetView(msgspec.Struct, frozen=True):
    """One asset: opening + credits - debits = closing."""

    asset: str
    account: str
    opening: str
    credits: str
    debits: str
    closing: str
    entry_count: int
    last_version: int

    @classmethod
    def of(cls, section: Section) -> "StatementAssetView":
        part = section.period
        return cls(
            asset=part.asset,
            account=part.address,
            opening=format_decimal(part.opening, part.scale),
            credits=format_decimal(section.credits, part.scale),
            debits=format_decimal(section.debits, part.scale),
            closing=format_decimal(part.closing, part.scale),
            entry_count=part.entry_count,
            last_version=part.last_version,
        )


class StatementEntryView(msgspec.Struct, frozen=True):
    """One booking and the balance it left."""

    asset: str
    version: int
    instant: datetime
    booking_date: date
    value_date: date
    source: str
    journal_id: str
    reference: str | None
    amount: str
    balance: str

    @classmethod
    def of(cls, entry: Entry) -> "StatementEntryView":
        return cls(
            asset=entry.asset,
            version=entry.version,
            instant=entry.created_at,
            booking_date=entry.booking_date,
            value_date=entry.value_date,
            source=entry.source,
            journal_id=entry.journal_id,
            reference=entry.reference,
            amount=format_decimal(entry.amount, entry.scale),
            balance=format_decimal(entry.balance, entry.scale),
        )


class StatementView(msgspec.Struct, frozen=True):
    """An account over a period: `from` is included, `to` is not. Entries oldest first, asset by asset.

    `is_final` says that nothing can be booked into the period any more.
    """

    account_id: str
    account_name: str
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    is_final: bool
    chain_head: ChainHeadView
    assets: list[StatementAssetView]
    items: list[StatementEntryView]
    next_cursor: str | None

    @classmethod
    def of(cls, statement: Statement) -> "StatementView":
        chain = statement.chain
        return cls(
            account_id=statement.account.account_id,
            account_name=statement.account.name,
            start=statement.period.start,
            end=statement.period.end,
            is_final=statement.is_final,
            chain_head=ChainHeadView(chain.batch_no, chain.hash, chain.last_journal_no, chain.created_at),
            assets=[StatementAssetView.of(section) for section in statement.sections],
            items=[StatementEntryView.of(entry) for entry in statement.entries],
            next_cursor=statement.next_cursor,
        )
