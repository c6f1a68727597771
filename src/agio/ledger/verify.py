"""Proof: the ledger's invariants as queries, and the hash chain recomputed from genesis.

Run as the engine, in one transaction; it changes nothing. Numbers are those of the design page.
"""

import hashlib
from datetime import datetime
from typing import Final, LiteralString

import msgspec

from agio.kernel.time import to_micros
from agio.platform.db import Transaction

FINDINGS_SHOWN: Final = 20
CHAIN_PAGE: Final = 1000
GENESIS: Final = bytes(32)


class Finding(msgspec.Struct, frozen=True):
    """One broken promise: the invariant's number and where it broke."""

    invariant: int
    what: str


_QUERIES: Final[tuple[tuple[int, LiteralString], ...]] = (
    (
        1,
        """
        select 'asset ' || a.asset || ' does not sum to zero' from ledger.account a group by a.asset
        having sum(a.debits_posted) <> sum(a.credits_posted)
        """,
    ),
    (
        1,
        """
        select 'journal ' || e.journal_no || ' does not balance in ' || a.asset from ledger.entry e
        join ledger.account a on a.account_no = e.account_no group by e.journal_no, a.asset
        having sum(e.amount) <> 0
        """,
    ),
    (
        2,
        """
        select 'entry ' || f.version || ' of account ' || f.account_no || ' does not follow the one before'
        from (select account_no, version, amount, balance,
        lag(version, 1, 0::bigint) over w as previous_version,
        lag(balance, 1, 0::numeric) over w as previous_balance
        from ledger.entry window w as (partition by account_no order by version)) f
        where f.version <> f.previous_version + 1 or f.balance <> f.previous_balance + f.amount
        """,
    ),
    (
        2,
        """
        select 'account ' || a.address || ' differs from the fold of its entries' from ledger.account a
        left join (select account_no, count(*) as entries,
        coalesce(-sum(amount) filter (where amount < 0), 0) as debits,
        coalesce(sum(amount) filter (where amount > 0), 0) as credits
        from ledger.entry group by account_no) e on e.account_no = a.account_no
        where (a.version, a.debits_posted, a.credits_posted)
        <> (coalesce(e.entries, 0), coalesce(e.debits, 0), coalesce(e.credits, 0))
        """,
    ),
    (
        3,
        """
        select 'account ' || address || ' is beyond its limit' from ledger.account where
        (flags & 1 = 1 and (debits_posted + debits_pending > 0)
        and credits_posted - debits_posted - debits_pending < minimum_balance)
        or (flags & 2 = 2 and credits_posted > debits_posted)
        """,
    ),
    (
        3,
        """
        select 'account ' || a.address || ' was overdrawn at entry ' || e.version from ledger.entry e
        join ledger.account a on a.account_no = e.account_no
        join ledger.journal j on j.journal_no = e.journal_no
        where a.flags & 1 = 1 and e.balance < 0 and not exists (
        select from ledger.entry n where n.account_no = e.account_no and n.journal_no = e.journal_no
        and n.version > e.version)
        """,
    ),
    (
        4,
        """
        select 'journal numbers have gaps: ' || count(*) || ' journals, head at ' || h.journal_no
        from ledger.head h left join ledger.journal j on true group by h.journal_no
        having count(j.journal_no) <> h.journal_no or coalesce(max(j.journal_no), 0) <> h.journal_no
        """,
    ),
    (
        7,
        """
        select 'hold ' || h.hold_id || ': captured ' || h.captured || ', entries say '
        || coalesce(e.captured, 0)
        from ledger.hold h left join (select hold_id, -sum(amount) as captured from ledger.entry
        where hold_id is not null group by hold_id) e on e.hold_id = h.hold_id
        where h.captured <> coalesce(e.captured, 0)
        """,
    ),
    (
        7,
        """
        select 'hold ' || h.hold_id || ' was captured after its expiry' from ledger.entry e
        join ledger.hold h on h.hold_id = e.hold_id join ledger.journal j on j.journal_no = e.journal_no
        where j.created_at >= h.expires_at
        """,
    ),
    (
        7,
        """
        select 'account ' || a.address || ': pending ' || a.debits_pending || ', open holds say '
        || coalesce(h.held, 0) from ledger.account a
        left join (select account_no, sum(amount - captured - released) as held from ledger.hold
        group by account_no) h on h.account_no = a.account_no
        where a.debits_pending <> coalesce(h.held, 0)
        """,
    ),
    (
        8,
        """
        select 'journal ' || j.journal_id || ' does not have the content that was hashed'
        from ledger.journal j left join (
        select e.journal_no, string_agg(concat_ws(E'\\x1f', a.address, e.amount, coalesce(e.hold_id, '')),
        E'\\x1f' order by e.leg_no) as legs
        from ledger.entry e join ledger.account a on a.account_no = e.account_no group by e.journal_no
        ) l on l.journal_no = j.journal_no
        where j.fingerprint is distinct from sha256(convert_to(concat_ws(E'\\x1f', j.journal_id,
        j.organisation_id, j.environment, to_char(j.booking_date, 'YYYY-MM-DD'),
        to_char(j.value_date, 'YYYY-MM-DD'), j.source, coalesce(j.reference, E'\\x1d'), l.legs,
        array_to_string(j.releases, E'\\x1f')), 'UTF8'))
        """,
    ),
)

_LINKS: Final = (
    "select c.batch_no, c.previous_hash, c.hash, c.first_journal_no, c.journal_count, c.created_at,"
    " (select string_agg(j.fingerprint, ''::bytea order by j.journal_no) from ledger.journal j"
    "  where j.journal_no >= c.first_journal_no and j.journal_no < c.first_journal_no + c.journal_count)"
    " as fingerprints"
    " from ledger.chain c where c.batch_no > %s order by c.batch_no limit %s"
)


class _Link(msgspec.Struct):
    batch_no: int
    previous_hash: bytes
    hash: bytes
    first_journal_no: int
    journal_count: int
    created_at: datetime
    fingerprints: bytes | None


class _Head(msgspec.Struct):
    batch_no: int
    journal_no: int
    hash: bytes


async def verify(tx: Transaction) -> list[Finding]:
    """Check invariants 1-4, 7 and 8; an empty list means that all hold."""
    findings: list[Finding] = []
    for invariant, query in _QUERIES:
        rows = await tx.fetch_tuples(query)
        findings.extend(Finding(invariant, str(row[0])) for row in rows[:FINDINGS_SHOWN])
    broken = await find_broken_link(tx)
    return findings if broken is None else [*findings, broken]


async def find_broken_link(tx: Transaction) -> Finding | None:
    """Recompute the chain from genesis; answers the first link that does not hold."""
    previous, batch_no, next_journal_no = GENESIS, 0, 1
    while links := await tx.fetch(_Link, _LINKS, (batch_no, CHAIN_PAGE)):
        for link in links:
            if (link.previous_hash, link.batch_no, link.first_journal_no) != (
                previous,
                batch_no + 1,
                next_journal_no,
            ):
                return Finding(8, f"link {link.batch_no} does not follow link {batch_no}")
            if chain_hash(link) != link.hash:
                return Finding(8, f"link {link.batch_no} does not have the hash of its journals")
            previous, batch_no = link.hash, link.batch_no
            next_journal_no += link.journal_count
    head = await tx.fetch_one(_Head, "select batch_no, journal_no, hash from ledger.head")
    if head is None or (head.hash, head.batch_no, head.journal_no + 1) != (
        previous,
        batch_no,
        next_journal_no,
    ):
        return Finding(8, f"the head is not link {batch_no}")
    return None


def chain_hash(link: _Link) -> bytes:
    """A link's hash as `ledger.chain_hash` computes it."""
    header = f"{link.batch_no}|{link.first_journal_no}|{link.journal_count}|{to_micros(link.created_at)}|"
    return hashlib.sha256(link.previous_hash + header.encode() + (link.fingerprints or b"")).digest()
