"""The whole ledger, read in order from one snapshot, a page at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Final, LiteralString, TypeVar

import msgspec
from psycopg.rows import class_row

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import Environment
from agio.ledger.proof.chain import Head, Link, RecordedJournal, RecordedLeg, SealedJournal
from agio.platform.db import SYSTEM, Database, Transaction

PAGE: Final = 2000
Row = TypeVar("Row")

_LINKS: Final = (
    "select batch_no, previous_hash, hash, first_journal_no, journal_count, created_at"
    " from ledger.chain order by batch_no"
)
_LEGS: Final[LiteralString] = (
    "select e.journal_no, array_agg(a.address order by e.leg_no) as accounts,"
    " array_agg(a.asset order by e.leg_no) as assets, array_agg(e.amount::text order by e.leg_no) as amounts,"
    " array_agg(e.balance::text order by e.leg_no) as balances,"
    " array_agg(e.version order by e.leg_no) as versions, array_agg(e.hold_id order by e.leg_no) as holds"
    " from ledger.entry e join ledger.account a on a.account_no = e.account_no"
)
_CONTENT: Final[LiteralString] = (
    "select j.journal_no, j.journal_id, j.organisation_id, j.environment, j.kind, j.booking_date,"
    " j.value_date, j.source, j.reference, j.releases, j.reverses, j.metadata::text as metadata,"
    " j.batch_no, j.created_at, j.fingerprint, l.accounts, l.assets, l.amounts, l.balances, l.versions,"
    " l.holds from ledger.journal j"
)
_JOURNALS: Final[LiteralString] = (
    f"{_CONTENT} left join ({_LEGS} group by e.journal_no) l on l.journal_no = j.journal_no"
    " order by j.journal_no"
)
_SOME_JOURNALS: Final[LiteralString] = (
    f"{_CONTENT} left join ({_LEGS} where e.journal_no = any(%(numbers)s) group by e.journal_no) l"
    " on l.journal_no = j.journal_no where j.journal_no = any(%(numbers)s) order by j.journal_no"
)
_ACCOUNTS: Final = (
    "select a.account_no, a.address, a.owner, a.organisation_id, a.environment, a.asset, s.scale, a.flags,"
    " a.code, a.opened_at, (a.credits_posted - a.debits_posted)::text as balance, a.version"
    " from ledger.account a join ledger.asset s on s.asset = a.asset order by a.account_no"
)


class RecordedAccount(msgspec.Struct, frozen=True):
    """An account and where it stands; `balance` is an integer in smallest units, as text."""

    account_no: int
    address: LedgerAccountId
    owner: str
    organisation_id: OrganisationId
    environment: Environment
    asset: str
    scale: int
    flags: int
    code: str
    opened_at: datetime
    balance: str
    version: int


class Totals(msgspec.Struct, frozen=True):
    """How much there is to read, and the first and last booking dates."""

    journals: int
    links: int
    accounts: int
    first_booking_date: date | None
    last_booking_date: date | None


class _JournalRow(msgspec.Struct):
    journal_no: int
    journal_id: JournalId
    organisation_id: OrganisationId
    environment: Environment
    kind: str
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    releases: list[HoldId] | None
    reverses: JournalId | None
    metadata: str | None
    batch_no: int
    created_at: datetime
    fingerprint: bytes
    accounts: list[LedgerAccountId] | None
    assets: list[str] | None
    amounts: list[str] | None
    balances: list[str] | None
    versions: list[int] | None
    holds: list[HoldId | None] | None


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Transaction]:
    """A read-only view of one instant, whatever is written meanwhile. Hold it no longer than needed."""
    async with database.transaction(SYSTEM) as tx:
        await tx.execute("set transaction isolation level repeatable read, read only")
        # The readers below read to the end; sorting all entries by journal deserves some memory.
        await tx.execute("set local cursor_tuple_fraction = 1")
        await tx.execute("set local work_mem = '32MB'")
        yield tx


async def read_head(tx: Transaction) -> Head:
    head = await tx.fetch_one(Head, "select batch_no, journal_no, hash, at from ledger.head")
    if head is None:
        raise LookupError("the ledger has no head row")
    return head


async def read_totals(tx: Transaction) -> Totals:
    totals = await tx.fetch_one(
        Totals,
        "select (select count(*) from ledger.chain) as links,"
        " (select count(*) from ledger.account) as accounts,"
        " count(*) as journals, min(booking_date) as first_booking_date,"
        " max(booking_date) as last_booking_date from ledger.journal",
    )
    if totals is None:
        raise LookupError("counting answered nothing")
    return totals


async def read_accounts(tx: Transaction, organisation: str | None = None) -> AsyncIterator[RecordedAccount]:
    """Accounts of one organisation, or all, in the order in which they were opened."""
    async for page in _read_pages(tx, RecordedAccount, "ledger_accounts", _ACCOUNTS):
        for account in page:
            if organisation is None or account.organisation_id == organisation:
                yield account


async def read_chain(
    tx: Transaction, organisation: str | None = None
) -> AsyncIterator[Link | RecordedJournal | SealedJournal]:
    """Every link, followed by its journals. Journals of others than `organisation` come sealed.

    Journals that no link covers come at the end.
    """
    journals = _read_journals(tx, organisation)
    waiting: RecordedJournal | SealedJournal | None = await anext(journals, None)
    async for page in _read_pages(tx, Link, "ledger_links", _LINKS):
        for link in page:
            yield link
            end = link.first_journal_no + link.journal_count
            while waiting is not None and waiting.journal_no < end:
                yield waiting
                waiting = await anext(journals, None)
    while waiting is not None:
        yield waiting
        waiting = await anext(journals, None)


async def _read_journals(
    tx: Transaction, organisation: str | None
) -> AsyncIterator[RecordedJournal | SealedJournal]:
    async for page in _read_pages(tx, _JournalRow, "ledger_journals", _JOURNALS):
        for row in page:
            if organisation is None or row.organisation_id == organisation:
                yield _to_record(row)
            else:
                yield SealedJournal(row.journal_no, row.fingerprint)


async def read_some(tx: Transaction, journal_nos: Sequence[int]) -> list[RecordedJournal]:
    """A few journals by their numbers, as far as the transaction may see them and their legs."""
    rows = await tx.fetch(_JournalRow, _SOME_JOURNALS, {"numbers": list(journal_nos)})
    return [_to_record(row) for row in rows]


async def _read_pages(
    tx: Transaction, kind: type[Row], name: str, sql: LiteralString
) -> AsyncIterator[Sequence[Row]]:
    """Rows through a cursor of the server: neither side holds more than a page."""
    async with tx.connection.cursor(name=name, row_factory=class_row(kind)) as cursor:
        await cursor.execute(sql)
        while page := await cursor.fetchmany(PAGE):
            yield page


def _to_record(row: _JournalRow) -> RecordedJournal:
    legs = zip(
        row.accounts or (),
        row.assets or (),
        map(int, row.amounts or ()),
        map(int, row.balances or ()),
        row.versions or (),
        row.holds or (),
        strict=True,
    )
    return RecordedJournal(
        row.journal_no,
        row.journal_id,
        row.organisation_id,
        row.environment,
        row.kind,
        row.booking_date,
        row.value_date,
        row.source,
        row.reference,
        tuple(row.releases or ()),
        row.reverses,
        msgspec.json.decode(row.metadata, type=dict[str, str]) if row.metadata is not None else {},
        row.batch_no,
        row.created_at,
        row.fingerprint,
        [RecordedLeg(*leg) for leg in legs],
    )
