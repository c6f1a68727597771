"""A look into one account by its owner: do its newest entries follow, and are their journals what was hashed.

Bounded work in the tenant's own view. `verify.py` proves the whole ledger; this proves a part of it to
somebody who may see no more than that part.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from agio.kernel.page import InvalidCursor, Page, check_limit, decode_cursor, encode_cursor
from agio.ledger import check_store as store
from agio.ledger.account_store import AccountRow, HoldRow
from agio.ledger.check_store import CheckedEntry, CheckedLink
from agio.ledger.model import is_name
from agio.ledger.proof.chain import Finding, RecordedJournal
from agio.ledger.proof.snapshot import read_some
from agio.platform.db import Transaction

ENTRIES_CHECKED: Final = 100
JOURNALS_READ: Final = 50_000
"""Fingerprints that are hashed again for the links of those entries."""


class AccountCheck(msgspec.Struct, frozen=True):
    """How much of an account was checked, and what is broken."""

    first_version: int
    last_version: int
    entries: int
    journals: int
    links: int
    findings: list[Finding]


async def check_account(tx: Transaction, account: AccountRow) -> AccountCheck:
    """Check the newest entries of an account, their journals with all their legs, and the links of those."""
    entries = await store.select_entries_up_to(tx, account.address, account.version, ENTRIES_CHECKED)
    journals = await read_some(tx, sorted({entry.journal_no for entry in entries}))
    batches = sorted({journal.batch_no for journal in journals})
    links = await store.select_links(tx, batches, JOURNALS_READ)
    findings = [*check_entries(account, entries), *check_journals(journals), *check_links(links)]
    return AccountCheck(
        first_version=entries[0].version if entries else 0,
        last_version=entries[-1].version if entries else 0,
        entries=len(entries),
        journals=len(journals),
        links=len(links),
        findings=findings,
    )


def check_entries(account: AccountRow, entries: Sequence[CheckedEntry]) -> list[Finding]:
    """Each entry, oldest first, follows the one before, and the account stands where the last one left it."""
    findings = []
    for before, entry in pairwise(entries):
        follows = (before.version + 1, int(before.balance) + int(entry.amount))
        if (entry.version, int(entry.balance)) != follows:
            findings.append(Finding(2, f"entry {entry.version} does not follow entry {before.version}"))
    stands = (entries[-1].version, int(entries[-1].balance)) if entries else (0, 0)
    if stands != (account.version, int(account.total)):
        findings.append(Finding(2, "the account differs from what its last entry left"))
    return findings


def check_journals(journals: Sequence[RecordedJournal]) -> list[Finding]:
    """Each journal sums to zero per asset and has the content that was hashed."""
    findings = []
    for journal in journals:
        sums: dict[str, int] = {}
        for leg in journal.legs:
            sums[leg.asset] = sums.get(leg.asset, 0) + leg.amount
        unbalanced = sorted(asset for asset, total in sums.items() if total != 0)
        findings += [
            Finding(1, f"journal {journal.journal_id} does not balance in {one}") for one in unbalanced
        ]
        if journal.compute_fingerprint() != journal.fingerprint:
            findings.append(
                Finding(8, f"journal {journal.journal_id} does not have the content that was hashed")
            )
    return findings


def check_links(links: Sequence[CheckedLink]) -> list[Finding]:
    """Each link has the hash of its journals, and the next link names it."""
    findings = []
    for link in links:
        if not link.has_its_hash:
            findings.append(Finding(8, f"link {link.batch_no} does not have the hash of its journals"))
        if not link.is_followed:
            findings.append(Finding(8, f"link {link.batch_no} is not the one that the next link names"))
    return findings


async def open_holds(tx: Transaction, account: AccountRow, limit: int, cursor: str | None) -> Page[HoldRow]:
    """The open holds of an account, newest first."""
    check_limit(limit)
    before = _read_hold_id(cursor)
    rows = await store.select_open_holds(tx, account.address, before, limit + 1)
    following = encode_cursor({"hold_id": rows[limit - 1].hold_id}) if len(rows) > limit else None
    return Page(rows[:limit], following)


def _read_hold_id(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    hold_id = decode_cursor(cursor).get("hold_id")
    if not isinstance(hold_id, str) or not is_name(hold_id):
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return hold_id
