"""Proof: the ledger's invariants as queries, and the hash chain recomputed from genesis.

Run as the engine, in one snapshot of a running ledger; it changes nothing and holds a page at a time.
Numbers are those of the design page.
"""

from collections.abc import Callable, Sequence
from typing import Final, LiteralString

from agio.ledger.proof.chain import FINDINGS_SHOWN, ChainChecker, Finding, Link
from agio.ledger.proof.snapshot import read_chain, read_head
from agio.platform.db import Transaction

PROGRESS_EVERY: Final = 1000
Progress = Callable[[str, int], None]
"""Told what is being checked, and how many journals have been."""

_EVENTS: Final[LiteralString] = """
    event as (
        select channel, false as is_waiting, seq as place, 0::bigint as part, kind, body::json as body
        from platform.event_log where channel like 'ledger:acc\\_%'
        union all
        select channel, true, event_no, 0, kind, body::json
        from platform.outbox where renderer is null and channel like 'ledger:acc\\_%'
        union all
        select r.channel, true, o.event_no, r.part, r.kind, r.body::json
        from platform.outbox o cross join lateral platform.render(o.renderer, o.body) with ordinality
            as r (event_id, organisation_id, environment, channel, kind, body, occurred_at, part)
        where o.renderer is not null and r.channel like 'ledger:acc\\_%'
    )
"""
"""What customers were told or are about to be told; a waiting row may stand for many events."""

_QUERIES: Final[tuple[tuple[int, LiteralString], ...]] = (
    (
        1,
        """
        select 'asset ' || a.asset || ' does not sum to zero' from ledger.account a group by a.asset
        having sum(a.debits_posted) <> sum(a.credits_posted)
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
        (flags & 1 = 1 and credits_posted - debits_posted - debits_pending < least(minimum_balance, 0))
        or (flags & 2 = 2 and credits_posted > debits_posted)
        """,
    ),
    (
        3,
        """
        with moves as (
            select e.account_no, j.created_at as at, e.amount as posted,
                case when e.hold_id is null then 0 else e.amount end as held
            from ledger.entry e join ledger.journal j on j.journal_no = e.journal_no
            join ledger.account a on a.account_no = e.account_no and a.flags & 1 = 1
            union all
            select h.account_no, h.created_at, 0, h.amount from ledger.hold h
            join ledger.account a on a.account_no = h.account_no and a.flags & 1 = 1
            union all
            select h.account_no, h.closed_at, 0, -h.released from ledger.hold h
            join ledger.account a on a.account_no = h.account_no and a.flags & 1 = 1 where h.released > 0
        ), steps as (
            select account_no, at, sum(posted - held) as change from moves group by account_no, at
        ), running as (
            select account_no, at, change,
                sum(change) over (partition by account_no order by at) as available
            from steps
        )
        select 'account ' || a.address || ' was overdrawn at ' || r.at || ', holds counted'
        from running r join ledger.account a on a.account_no = r.account_no
        where r.change < 0 and r.available < coalesce(
            (select c.new_minimum from ledger.account_change c where c.account_no = r.account_no
                and c.change = 'minimum_balance' and c.changed_at <= r.at order by c.change_no desc limit 1),
            (select c.old_minimum from ledger.account_change c where c.account_no = r.account_no
                and c.change = 'minimum_balance' order by c.change_no limit 1),
            a.minimum_balance)
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
        select 'entry ' || e.version || ' of account ' || e.account_no || ' belongs to no journal'
        from ledger.entry e left join ledger.journal j on j.journal_no = e.journal_no
        where j.journal_no is null
        """,
    ),
    (
        11,
        f"""
        with {_EVENTS}, told as (
            select channel, body ->> 'journal_id' as journal_id, count(*) as times from event
            where body ->> 'journal_id' is not null group by 1, 2
        ), posted as (
            select distinct 'ledger:' || a.owner as channel, j.journal_id
            from ledger.entry e join ledger.account a on a.account_no = e.account_no
            join ledger.journal j on j.journal_no = e.journal_no where a.owner like 'acc\\_%'
            union
            select 'ledger:' || a.owner, j.journal_id from ledger.journal j
            cross join lateral unnest(j.releases) as r (hold_id)
            join ledger.hold h on h.hold_id = r.hold_id
            join ledger.account a on a.account_no = h.account_no where a.owner like 'acc\\_%'
        )
        select 'journal ' || coalesce(p.journal_id, t.journal_id) || ' is told '
            || coalesce(t.times, 0) || ' times on ' || coalesce(p.channel, t.channel)
            || case when p.journal_id is null then ' and is not posted there' else '' end
        from posted p full join told t on t.channel = p.channel and t.journal_id = p.journal_id
        where p.journal_id is null or t.times is distinct from 1
        """,
    ),
    (
        11,
        f"""
        with {_EVENTS}
        select 'journal ' || journal_id || ' is told out of order on ' || channel
        from (select e.channel, j.journal_id, j.journal_no,
            lag(j.journal_no) over (partition by e.channel order by e.is_waiting, e.place, e.part)
                as previous_no
            from event e join ledger.journal j on j.journal_id = e.body ->> 'journal_id') f
        where journal_no <= previous_no
        """,
    ),
    (
        11,
        f"""
        with {_EVENTS}, counted as (
            select body ->> 'hold_id' as hold_id, count(*) filter (where kind = 'hold_placed') as placed,
                count(*) filter (where kind = 'hold_released') as released
            from event where kind in ('hold_placed', 'hold_released') group by 1
        ), held as (
            select h.hold_id, h.state from ledger.hold h join ledger.account a on a.account_no = h.account_no
            where a.owner like 'acc\\_%'
        )
        select 'hold ' || coalesce(h.hold_id, c.hold_id) || ' (' || coalesce(h.state, 'unknown')
            || ') is told as placed ' || coalesce(c.placed, 0) || ' and as released '
            || coalesce(c.released, 0) || ' times'
        from held h full join counted c on c.hold_id = h.hold_id
        where h.hold_id is null or coalesce(c.placed, 0) <> 1 or c.released > 1
            or (c.released = 1 and h.state not in ('released', 'expired'))
        """,
    ),
)


async def verify(
    tx: Transaction, *, known_heads: Sequence[bytes] = (), tell: Progress | None = None
) -> list[Finding]:
    """Check invariants 1-4, 7, 8 and 11; an empty list means that all hold.

    `known_heads` are hashes that were exported earlier: the chain must still contain them.
    """
    findings: list[Finding] = []
    for invariant, query in _QUERIES:
        if tell is not None:
            tell(f"invariant {invariant}", 0)
        rows = await tx.fetch_tuples(f"select * from ({query}) f limit {FINDINGS_SHOWN}")
        findings.extend(Finding(invariant, str(row[0])) for row in rows)
    return findings + await check_chain(tx, known_heads=known_heads, tell=tell)


async def check_chain(
    tx: Transaction, *, known_heads: Sequence[bytes] = (), tell: Progress | None = None
) -> list[Finding]:
    """Recompute every journal's fingerprint and every link from genesis; names the first broken link."""
    checker = ChainChecker(known_heads)
    head = await read_head(tx)
    async for record in read_chain(tx):
        if isinstance(record, Link):
            checker.begin_link(record)
            continue
        checker.add(record)
        if tell is not None and checker.journals % PROGRESS_EVERY == 0:
            tell("chain", checker.journals)
    return checker.finish(head)
