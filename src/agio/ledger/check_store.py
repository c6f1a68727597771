"""SQL of the look into one account; row-level security decides what is there."""

from collections.abc import Sequence

import msgspec

from agio.kernel.ids import JournalId
from agio.ledger.account_store import HOLD, HoldRow
from agio.platform.db import Transaction


class CheckedEntry(msgspec.Struct):
    """An entry, amounts in smallest units as text."""

    journal_no: int
    version: int
    amount: str
    balance: str


class CheckedLink(msgspec.Struct):
    """Whether a link has the hash of its journals, and whether the next link (or the head) names it."""

    batch_no: int
    has_its_hash: bool
    is_followed: bool
    journal_count: int


async def select_entries_up_to(tx: Transaction, address: str, version: int, limit: int) -> list[CheckedEntry]:
    """The last entries up to a version, oldest of them first."""
    return await tx.fetch(
        CheckedEntry,
        "select e.journal_no, e.version, e.amount::text as amount, e.balance::text as balance"
        " from ledger.account a join ledger.entry e on e.account_no = a.account_no"
        " where a.address = %s and e.version between %s and %s order by e.version",
        (address, version - limit + 1, version),
    )


async def select_links(tx: Transaction, batches: Sequence[int], journals_read: int) -> list[CheckedLink]:
    return await tx.fetch(
        CheckedLink, "select * from ledger.check_links(%s::bigint[], %s)", (list(batches), journals_read)
    )


async def select_open_holds(tx: Transaction, address: str, before: str | None, limit: int) -> list[HoldRow]:
    return await tx.fetch(
        HoldRow,
        HOLD + " where a.address = %(address)s and h.state = 'open'"
        " and (%(before)s::text is null or h.hold_id < %(before)s::text)"
        " order by h.hold_id desc limit %(limit)s",
        {"address": address, "before": before, "limit": limit},
    )


async def select_journals_of(
    tx: Transaction, reference: str, before: int | None, limit: int
) -> list[tuple[int, JournalId]]:
    """Numbers and ids of the journals of a reference, newest first."""
    return [
        (int(number), JournalId(journal_id))
        for number, journal_id in await tx.fetch_tuples(
            "select journal_no, journal_id from ledger.journal where reference = %(reference)s"
            " and (%(before)s::bigint is null or journal_no < %(before)s::bigint)"
            " order by journal_no desc limit %(limit)s",
            {"reference": reference, "before": before, "limit": limit},
        )
    ]
