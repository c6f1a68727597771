-- Reads of one account's history between two instants, and of the chain as it stood at one.
--
-- An account's entries are numbered without gaps and their instants never fall, so a period is a range of
-- versions that a binary search finds: no index on time has to be kept up by the writer. These functions run as
-- the owner, because row-level security would ask for every entry whose it is: here the account is asked once.

-- How many entries an account had before an instant.
create function ledger.entries_before(wanted_account bigint, entries bigint, instant timestamptz) returns bigint
    language plpgsql stable
    set search_path = ledger, pg_temp
as $$
declare
    low       bigint := 0;
    high      bigint := entries;
    middle    bigint;
    is_before boolean;
begin
    while low < high loop
        middle := (low + high + 1) / 2;
        select j.created_at < instant into strict is_before
        from entry e join journal j on j.journal_no = e.journal_no
        where e.account_no = wanted_account and e.version = middle;
        if is_before then low := middle; else high := middle - 1; end if;
    end loop;
    return low;
end
$$;

create function ledger.balance_at(wanted_account bigint, at_version bigint) returns numeric
    language sql stable
    set search_path = ledger, pg_temp
as $$
    select coalesce((select balance from entry where account_no = wanted_account and version = at_version), 0)
$$;

-- The accounts of an owner, each with the part of its history between two instants (the later one excluded).
create function ledger.read_periods(wanted_owner text, wanted_asset text, start_at timestamptz, end_at timestamptz)
    returns table (
        account_no bigint, address text, asset text, scale integer, first_version bigint, last_version bigint,
        opening text, closing text
    )
    language sql stable security definer
    set search_path = ledger, pg_temp
as $$
    select a.account_no, a.address, a.asset, s.scale::integer, r.first_version, r.last_version,
        balance_at(a.account_no, r.first_version - 1)::text, balance_at(a.account_no, r.last_version)::text
    from account a join asset s on s.asset = a.asset
    cross join lateral (
        select entries_before(a.account_no, a.version, start_at) + 1, entries_before(a.account_no, a.version, end_at)
    ) r (first_version, last_version)
    where a.owner = wanted_owner and (wanted_asset is null or a.asset = wanted_asset)
        and platform.is_tenant(a.organisation_id, a.environment)
    order by a.address
$$;

-- What was credited and debited in a range of an account's history.
create function ledger.sum_entries(wanted_account bigint, first_version bigint, last_version bigint)
    returns table (credits text, debits text)
    language sql stable security definer
    set search_path = ledger, pg_temp
as $$
    select coalesce(sum(e.amount) filter (where e.amount > 0), 0)::text,
        coalesce(-sum(e.amount) filter (where e.amount < 0), 0)::text
    from entry e
    where e.account_no = wanted_account and e.version between first_version and last_version
        and exists (
            select from account a
            where a.account_no = wanted_account and platform.is_tenant(a.organisation_id, a.environment)
        )
$$;

-- A text that a spreadsheet shows and never computes, quoted where RFC 4180 wants it.
create function ledger.csv_text(content text) returns text
    language sql immutable parallel safe
    return case
        when content is null then ''
        when content ~ '^[=+@\t\r-]' then '"''' || replace(content, '"', '""') || '"'
        when content ~ '[",\r\n]' then '"' || replace(content, '"', '""') || '"'
        else content
    end;

-- A range of an account's history as lines of CSV in one text: the prefix as it is given, version, instant, booking date, value date,
-- source, journal, reference, amount, balance. Formatting here is what makes a million entries quick to read;
-- instants are quoted RFC 3339 in UTC; to_json is the one way to write them that costs no more than a cast.
create function ledger.read_entry_lines(wanted_account bigint, first_version bigint, last_version bigint, prefix text)
    returns text
    language plpgsql security definer
    set search_path = ledger, pg_temp
    set timezone = 'UTC'
    set datestyle = 'ISO, YMD'
    set plan_cache_mode = force_custom_plan
    set enable_nestloop = on
    set enable_hashjoin = on
    set enable_mergejoin = on
    set jit = off
as $$
declare
    account_unit  numeric;
    first_journal bigint;
    last_journal  bigint;
    lines         text;
begin
    select a.unit into account_unit from account a
    where a.account_no = wanted_account and platform.is_tenant(a.organisation_id, a.environment);
    if not found then
        return null;
    end if;
    select journal_no into first_journal from entry
    where account_no = wanted_account and version = first_version;
    select journal_no into last_journal from entry
    where account_no = wanted_account and version = last_version;
    -- Few journals lie in between that are not this account's: read them in one go. Many: look each one up.
    if last_journal - first_journal < 4 * (last_version - first_version + 1) then
        set local enable_nestloop = off;
    else
        set local enable_hashjoin = off;
        set local enable_mergejoin = off;
    end if;
    select string_agg(line, '') into lines from (
        select concat_ws(',', prefix, e.version, to_json(j.created_at), j.booking_date, j.value_date,
            case when t.is_plain then j.source else csv_text(j.source) end, j.journal_id,
            case when t.is_plain then coalesce(j.reference, '') else csv_text(j.reference) end,
            e.amount * account_unit, e.balance * account_unit || E'\r\n') as line
        from entry e join journal j on j.journal_no = e.journal_no
        cross join lateral (select concat(j.source, j.reference) !~ '[^A-Za-z0-9_.: ]') t (is_plain)
        where e.account_no = wanted_account and e.version between first_version and last_version
            and j.journal_no between first_journal and last_journal
        order by e.version
    ) ordered;
    return lines;
end
$$;

-- The last link of the chain before an instant, and the ledger's own time.
create function ledger.read_chain(instant timestamptz)
    returns table (batch_no bigint, hash text, last_journal_no bigint, created_at timestamptz, head_at timestamptz)
    language plpgsql stable security definer
    set search_path = ledger, pg_temp
as $$
declare
    low       bigint := 0;
    high      bigint;
    middle    bigint;
    is_before boolean;
    now_at    timestamptz;
begin
    select h.batch_no, h.at into strict high, now_at from head h;
    while low < high loop
        middle := (low + high + 1) / 2;
        select c.created_at < instant into is_before from chain c
        where c.batch_no <= middle order by c.batch_no desc limit 1;
        if coalesce(is_before, true) then low := middle; else high := middle - 1; end if;
    end loop;
    return query
    select c.batch_no, encode(c.hash, 'hex'), c.first_journal_no + c.journal_count - 1, c.created_at, now_at
    from chain c where c.batch_no <= low order by c.batch_no desc limit 1;
    if not found then
        return query select 0::bigint, repeat('00', 32), 0::bigint, null::timestamptz, now_at;
    end if;
end
$$;

revoke execute on function ledger.entries_before, ledger.balance_at, ledger.read_periods, ledger.sum_entries,
    ledger.csv_text, ledger.read_entry_lines, ledger.read_chain from public;
grant execute on function ledger.read_periods, ledger.sum_entries, ledger.read_entry_lines, ledger.read_chain
    to agio_app, agio_engine;
