-- What may be changed about an account: frozen, closed, the balance that must stay on it. Every change is kept.

create table ledger.account_change (
    change_no       bigint generated always as identity primary key,
    account_no      bigint not null references ledger.account,
    organisation_id text not null,
    environment     text not null,
    change          text not null check (change in ('freeze', 'unfreeze', 'close', 'minimum_balance')),
    -- The minimum balance before and after; null for other changes.
    old_minimum     numeric(38,0),
    new_minimum     numeric(38,0),
    changed_by      text not null,
    changed_at      timestamptz not null
);
create index account_change_by_account on ledger.account_change (account_no, change_no);
create trigger immutable before update or delete or truncate on ledger.account_change
    for each statement execute function ledger.refuse_change();
alter table ledger.account_change enable row level security;
create policy tenant on ledger.account_change for select to agio_app
    using (platform.is_tenant(organisation_id, environment));
create policy engine on ledger.account_change for select to agio_engine using (true);
grant select on ledger.account_change to agio_app, agio_engine;

-- Answers 'created', 'exists' when the account is so already, or why not. Closing is for ever and takes an account
-- with nothing on it; a minimum that the available balance does not cover is refused, as it would break the limit.
create function ledger.change_account(
    wanted_address text, organisation text, wanted_environment text, wanted_change text, minimum numeric,
    expected_version bigint, who text, now_at timestamptz
) returns text
    language plpgsql security definer
    set search_path = ledger, pg_temp
as $$
declare
    a       account;
    instant timestamptz;
begin
    perform assert_tenant(array[organisation], array[wanted_environment]);
    select greatest(now_at, h.at + interval '1 microsecond') into strict instant from head h for update;
    select x.* into a from account x where x.address = wanted_address and x.environment = wanted_environment
        and x.organisation_id = organisation;
    if not found then
        return 'unknown_account';
    elsif a.is_closed and wanted_change <> 'close' then
        return 'account_closed';
    elsif (
        case wanted_change when 'freeze' then a.is_frozen when 'unfreeze' then not a.is_frozen
            when 'close' then a.is_closed else a.minimum_balance = minimum end)
    then
        return 'exists';
    elsif expected_version <> a.version then
        return 'version_conflict';
    elsif wanted_change = 'close'
        and (a.credits_posted <> a.debits_posted or a.debits_pending > 0 or a.credits_pending > 0)
    then
        return 'account_not_empty';
    elsif wanted_change = 'minimum_balance' and a.flags & 1 = 1 and minimum > a.minimum_balance
        and a.debits_posted + a.debits_pending > 0
        and a.credits_posted - a.debits_posted - a.debits_pending < minimum
    then
        return 'insufficient_funds';
    end if;
    update account x set
        is_frozen = case wanted_change when 'freeze' then true when 'unfreeze' then false else x.is_frozen end,
        is_closed = x.is_closed or wanted_change = 'close',
        minimum_balance = case when wanted_change = 'minimum_balance' then minimum else x.minimum_balance end
    where x.account_no = a.account_no;
    insert into account_change
        (account_no, organisation_id, environment, change, old_minimum, new_minimum, changed_by, changed_at)
    values (a.account_no, organisation, wanted_environment, wanted_change,
        case when wanted_change = 'minimum_balance' then a.minimum_balance end,
        case when wanted_change = 'minimum_balance' then minimum end, who, instant);
    update head h set at = instant;
    return 'created';
end
$$;

-- The balance of an account at an instant: the last entry booked not later. Found by halving the account's own
-- history, as its versions have no gaps and its instants never fall.
create function ledger.balance_as_of(
    wanted_address text, instant timestamptz, out version bigint, out balance text, out journal_id text,
    out booked_at timestamptz
)
    language plpgsql stable security definer
    set search_path = ledger, pg_temp
as $$
#variable_conflict use_column
declare
    a account;
begin
    select x.* into a from account x where x.address = wanted_address
        and x.environment = current_setting('agio.environment', true)
        and x.organisation_id = current_setting('agio.organisation_id', true);
    if not found then
        return;
    end if;
    balance_as_of.version := entries_before(a.account_no, a.version, instant + interval '1 microsecond');
    balance_as_of.balance := '0';
    select e.balance::text, j.journal_id, j.created_at
    into balance_as_of.balance, balance_as_of.journal_id, balance_as_of.booked_at
    from entry e join journal j on j.journal_no = e.journal_no
    where e.account_no = a.account_no and e.version = balance_as_of.version;
    balance_as_of.balance := coalesce(balance_as_of.balance, '0');
end
$$;

-- One account's history, newest first: versions below `before`, booked within [start_at, end_at), of one journal or
-- one reference where these are given. Runs as the owner: the account is asked once whose it is, not every entry.
create index journal_by_reference on ledger.journal (reference, journal_no) where reference is not null;

create function ledger.read_entries(
    wanted_address text, before bigint, start_at timestamptz, end_at timestamptz, wanted_reference text,
    wanted_journal text, page_size integer
) returns table (
    journal_no bigint, account text, version bigint, journal_id text, leg_no integer, asset text, scale integer,
    amount text, balance text, hold_id text, booking_date date, value_date date, source text, reference text,
    created_at timestamptz
)
    language plpgsql stable security definer
    set search_path = ledger, pg_temp
as $$
#variable_conflict use_column
declare
    a       account;
    lowest  bigint := 1;
    highest bigint;
    places  integer;
begin
    select x.* into a from account x where x.address = wanted_address
        and x.environment = current_setting('agio.environment', true)
        and x.organisation_id = current_setting('agio.organisation_id', true);
    if not found then
        return;
    end if;
    select s.scale into strict places from asset s where s.asset = a.asset;
    highest := least(a.version, before - 1);
    if start_at is not null then
        lowest := entries_before(a.account_no, a.version, start_at) + 1;
    end if;
    if end_at is not null then
        highest := least(highest, entries_before(a.account_no, a.version, end_at));
    end if;
    if wanted_journal is null and wanted_reference is null then
        return query
        select e.journal_no, a.address, e.version, j.journal_id, e.leg_no, a.asset, places, e.amount::text,
            e.balance::text, e.hold_id, j.booking_date, j.value_date, j.source, j.reference, j.created_at
        from entry e join journal j on j.journal_no = e.journal_no
        where e.account_no = a.account_no and e.version between lowest and highest
        order by e.version desc limit page_size;
    else
        return query
        select e.journal_no, a.address, e.version, j.journal_id, e.leg_no, a.asset, places, e.amount::text,
            e.balance::text, e.hold_id, j.booking_date, j.value_date, j.source, j.reference, j.created_at
        from journal j join entry e on e.journal_no = j.journal_no and e.account_no = a.account_no
        where (wanted_journal is null or j.journal_id = wanted_journal)
            and (wanted_reference is null or j.reference = wanted_reference)
            and e.version between lowest and highest
        order by e.version desc limit page_size;
    end if;
end
$$;

revoke execute on function ledger.change_account, ledger.balance_as_of, ledger.read_entries from public;
grant execute on function ledger.change_account, ledger.balance_as_of, ledger.read_entries to agio_app, agio_engine;
