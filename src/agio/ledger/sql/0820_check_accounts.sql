-- What a tenant needs to look into single accounts: their open holds, and the links that its journals are in.

create index hold_open on ledger.hold (account_no, hold_id) where state = 'open';

-- Recompute links of the chain from the fingerprints of their journals, the newest first, as far as `journals_read`
-- allows. Only links with a journal of the caller's tenant are told, and of those only whether they hold.
create function ledger.check_links(batches bigint[], journals_read bigint)
    returns table (batch_no bigint, has_its_hash boolean, is_followed boolean, journal_count bigint)
    language sql stable security definer
    set search_path = ledger, pg_temp
as $$
    select c.batch_no,
        c.hash = chain_hash(c.previous_hash, c.batch_no, c.first_journal_no, c.journal_count, c.created_at, j.contents),
        c.hash = coalesce(
            (select n.previous_hash from chain n where n.batch_no = c.batch_no + 1), (select h.hash from head h)
        ),
        c.journal_count
    from (
        select w.*, sum(w.journal_count) over (order by w.batch_no desc) as read
        from chain w where w.batch_no = any(batches)
    ) c
    cross join lateral (
        select string_agg(x.fingerprint, ''::bytea order by x.journal_no) as contents,
            bool_or(platform.is_tenant(x.organisation_id, x.environment)) as is_own
        from journal x
        where x.journal_no >= c.first_journal_no and x.journal_no < c.first_journal_no + c.journal_count
    ) j
    where c.read <= journals_read and j.is_own
    order by c.batch_no desc
$$;

revoke execute on function ledger.check_links from public;
grant execute on function ledger.check_links to agio_app, agio_engine;
