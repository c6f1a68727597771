"""Reads of accounts' histories between two instants, in the order in which they happened.

A period is a fixed range of an account's versions. Entries never change, so its parts can be read in as many
transactions as one likes, and together they are still one consistent statement.
"""

from datetime import datetime

import msgspec

from agio.kernel.ids import LedgerAccountId
from agio.ledger.api import AccountPeriod, ChainLink, Entry
from agio.ledger.store import EntryRow, to_entry
from agio.platform.db import Transaction


class _PeriodRow(msgspec.Struct):
    account_no: int
    address: LedgerAccountId
    asset: str
    scale: int
    first_version: int
    last_version: int
    opening: str
    closing: str


class LedgerReading:
    """Implements `api.LedgerHistory`; holds nothing."""

    async def periods(
        self, tx: Transaction, owner: str, asset: str | None, start: datetime, end: datetime
    ) -> list[AccountPeriod]:
        """The accounts of an owner of the transaction's tenant, each with its history in [start, end)."""
        rows = await tx.fetch(
            _PeriodRow, "select * from ledger.read_periods(%s, %s, %s, %s)", (owner, asset, start, end)
        )
        return [
            AccountPeriod(
                account_no=row.account_no,
                address=row.address,
                asset=row.asset,
                scale=row.scale,
                first_version=row.first_version,
                last_version=row.last_version,
                opening=int(row.opening),
                closing=int(row.closing),
            )
            for row in rows
        ]

    async def totals(self, tx: Transaction, period: AccountPeriod) -> tuple[int, int]:
        """What was credited and what was debited in a period, both positive."""
        rows = await tx.fetch_tuples(
            "select credits, debits from ledger.sum_entries(%s, %s, %s)",
            (period.account_no, period.first_version, period.last_version),
        )
        return int(rows[0][0]), int(rows[0][1])

    async def entry_range(
        self, tx: Transaction, period: AccountPeriod, first: int, limit: int
    ) -> list[Entry]:
        """Entries of a period from a version on, oldest first."""
        rows = await tx.fetch(
            EntryRow,
            "select e.journal_no, a.address as account, e.version, j.journal_id, e.leg_no, a.asset, s.scale,"
            " e.amount::text as amount, e.balance::text as balance, e.hold_id, j.booking_date, j.value_date,"
            " j.source, j.reference, j.created_at"
            " from ledger.entry e join ledger.account a on a.account_no = e.account_no"
            " join ledger.asset s on s.asset = a.asset join ledger.journal j on j.journal_no = e.journal_no"
            " where e.account_no = %s and e.version between %s and %s order by e.version",
            (
                period.account_no,
                max(first, period.first_version),
                min(first + limit - 1, period.last_version),
            ),
        )
        return [to_entry(row) for row in rows]

    async def entry_lines(
        self, tx: Transaction, period: AccountPeriod, first: int, limit: int, prefix: str
    ) -> str:
        """Entries of a period from a version on as CSV lines (RFC 4180): `prefix`, then LINE_COLUMNS."""
        last = min(first + limit - 1, period.last_version)
        lines = await tx.value(
            "select ledger.read_entry_lines(%s, %s, %s, %s)", (period.account_no, max(first, 1), last, prefix)
        )
        return lines or ""

    async def chain_before(self, tx: Transaction, instant: datetime) -> ChainLink:
        """The last link of the hash chain before an instant."""
        link = await tx.fetch_one(ChainLink, "select * from ledger.read_chain(%s)", (instant,))
        assert link is not None  # noqa: S101 - the function answers exactly one row
        return link
