-- The ledger's batch as one statement: resolve, see that nothing can go wrong in whatever order, and write.
-- When something could, it writes nothing and says so; the checks of the files before then say which commands
-- are refused, and the same statement writes the others.
--
-- Commands come as parallel arrays and the flat list of their effects as others; `effect_commands` says whose
-- each effect is. Which tenant a command is of is a number into `organisations` and `environments`.

-- Held after the entry, so that an event and an as-of balance are reads. Null: written before this column.
alter table ledger.entry add column held numeric(38,0);

-- A journal's legs are found by its number. (Block ranges read too much while they await their summary.)
create index entry_by_journal_no on ledger.entry (journal_no);
drop index ledger.entry_by_journal;

alter table ledger.journal add column metadata json;
drop function ledger.write_batch;
drop function ledger.apply;

-- Checks on a row run with every change of its sums, so what never changes is checked when it is written.
alter table ledger.account
    drop constraint account_address_check, drop constraint account_owner_check,
    drop constraint account_environment_check, drop constraint account_asset_fkey,
    drop constraint account_flags_check, drop constraint account_debits_posted_check,
    drop constraint account_credits_posted_check, drop constraint account_debits_pending_check,
    drop constraint account_credits_pending_check,
    add constraint account_sums_check
        check (least(debits_posted, credits_posted, debits_pending, credits_pending) >= 0);
create function ledger.check_account() returns trigger
    language plpgsql
    set search_path = ledger, pg_temp
as $$
begin
    if new.address !~ '^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)+$' or length(new.address) > 200
        or new.owner !~ '^[A-Za-z0-9_.-]+$' or new.environment not in ('sandbox', 'live')
        or new.flags not between 0 and 3
    then
        raise exception 'not a ledger account: % of % in %', new.address, new.owner, new.environment
            using errcode = 'check_violation';
    end if;
    if not exists (select from asset where asset = new.asset) then
        raise exception 'asset % is not defined', new.asset using errcode = 'foreign_key_violation';
    end if;
    return new;
end
$$;
create trigger well_formed before insert on ledger.account
    for each row execute function ledger.check_account();
-- For each statement, as a trigger for each row would lock every row once more.
create trigger immutable before update of address, owner, organisation_id, environment, asset, unit, flags
    on ledger.account for each statement execute function ledger.refuse_change();

-- One leg of an event's body.
create function ledger.leg_json(
    address text, asset text, unit numeric, amount numeric, balance numeric, held numeric, version bigint
) returns text
    language sql immutable parallel safe
    return '{"account":"' || address || '","asset":"' || asset || '","amount":"' || amount * unit
        || '","balance":"' || balance * unit || '","held":"' || held * unit || '","version":' || version || '}';

-- What a customer is told of a journal: the legs on its own accounts; the whole of it can be read by its id.
create function ledger.journal_json(journal_id text, source text, reference text, legs text) returns text
    language sql immutable parallel safe
    return '{"kind":"journal_posted","journal_id":"' || journal_id || '","source":' || to_json(source)
        || ',"reference":' || coalesce(to_json(reference)::text, 'null') || ',"legs":[' || legs || ']}';

-- The same for every path that tells of a journal, so that no event has two ids.
create function ledger.journal_event_id(journal_no bigint, place bigint) returns text
    language sql immutable parallel safe
    return 'evt_j' || lpad(to_hex(journal_no), 14, '0') || lpad(to_hex(place), 5, '0');

-- The events of journals `first-last`: the relay's side of the one row that a batch of journals leaves in the outbox.
create function ledger.render_journals(span text) returns setof platform.rendered_event
    language sql stable
    set search_path = ledger, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set work_mem = '32MB'
as $$
    select journal_event_id(t.journal_no, row_number() over (partition by t.journal_no order by t.owner)),
        t.organisation_id, t.environment, 'ledger:' || t.owner, 'journal_posted',
        journal_json(t.journal_id, t.source, t.reference, t.legs), t.created_at
    from (
        select j.journal_no, a.owner, j.organisation_id, j.environment, j.journal_id, j.source, j.reference,
            j.created_at,
            string_agg(leg_json(a.address, a.asset, a.unit, e.amount, e.balance, e.held, e.version), ','
                order by e.leg_no) as legs
        from journal j
        join entry e on e.journal_no = j.journal_no
        join account a on a.account_no = e.account_no
        where j.journal_no between split_part(span, '-', 1)::bigint and split_part(span, '-', 2)::bigint
            and a.owner like 'acc\_%'
        -- What else is shown depends on the journal.
        group by j.journal_no, a.owner
    ) t
    order by t.journal_no, t.owner
$$;
grant execute on function ledger.render_journals, ledger.leg_json, ledger.journal_json, ledger.journal_event_id
    to agio_engine;
insert into platform.renderer values ('ledger_journals', 'ledger.render_journals');

-- (These two run within ledger.apply, which makes the settings for all that it calls.)
--
-- A batch of journals that name no holds, which is most of them: answers false, having written nothing, when
-- anything in it could be refused. Limits are checked as if none of the batch's credits came in time. That an id is
-- taken shows when it is inserted; looking for it before would look twice.
create function ledger.write_journals(
    tenants integer[], organisations text[], environments text[],
    ids text[], fingerprints bytea[], booking_dates date[], value_dates date[], sources text[], refs text[],
    metadata json[], effect_commands integer[], effect_legs integer[], effect_accounts text[],
    effect_amounts numeric[], current ledger.head, at timestamptz
) returns boolean
    language plpgsql
as $$
declare
    is_written boolean;
begin
    with running as materialized (
        select n, cmd, amount, account_no, asset, held, is_sound,
            balance + posted as balance_after, debits_posted - debited as debits_after, version_after,
            flags & 1 = 1 and greatest(balance - held - minimum_balance, 0) + debited < 0
                or flags & 2 = 2 and posted - debited > greatest(-balance, 0) as is_beyond,
            last_ctid
        from (
            select u.n, u.cmd, u.amount, a.account_no, a.asset, a.flags, a.minimum_balance, a.debits_posted,
                a.debits_pending as held, a.credits_posted - a.debits_posted as balance,
                a.organisation_id = organisations[tenants[u.cmd]] and not (a.is_frozen or a.is_closed)
                    and a.debits_posted < 1e37 and a.credits_posted < 1e37 as is_sound,
                sum(u.amount) over legs as posted, sum(least(u.amount, 0)) over legs as debited,
                a.version + row_number() over legs as version_after,
                case when lead(u.n) over legs is null then a.ctid end as last_ctid
            from unnest(effect_commands, effect_accounts, effect_amounts) with ordinality
                as u (cmd, address, amount, n)
            left join account a on a.address = u.address and a.environment = environments[tenants[u.cmd]]
            window legs as (partition by a.account_no order by u.n rows unbounded preceding)
        ) leg
    ), verdict as materialized (
        select not exists (
            select from running group by cmd, asset
            having sum(amount) <> 0 or not bool_and(coalesce(is_sound and not is_beyond, false))
        ) as is_legal
    ), journals as (
        insert into journal (journal_no, journal_id, organisation_id, environment, fingerprint, booking_date,
                             value_date, source, reference, metadata, batch_no, created_at)
        select current.journal_no + c.cmd, c.id, organisations[c.tenant], environments[c.tenant], c.fingerprint,
            c.booking_date, c.value_date, c.source, c.reference, metadata[c.cmd], current.batch_no + 1, at
        from unnest(ids, tenants, fingerprints, booking_dates, value_dates, sources, refs) with ordinality
            as c (id, tenant, fingerprint, booking_date, value_date, source, reference, cmd)
        where (select is_legal from verdict)
    ), entries as (
        insert into entry (account_no, version, journal_no, leg_no, amount, balance, held)
        select account_no, version_after, current.journal_no + cmd, effect_legs[n], amount, balance_after, held
        from running where (select is_legal from verdict)
    ), accounts as (
        -- The writer lock keeps each account where it was found.
        update account a set debits_posted = r.debits_after, credits_posted = r.balance_after + r.debits_after,
            version = r.version_after
        from (select * from running where last_ctid is not null) r
        where a.ctid = r.last_ctid and (select is_legal from verdict)
    )
    select is_legal into is_written from verdict;
    return is_written;
exception
    when unique_violation then
        return false;
end
$$;

create function ledger.write_batch(
    tenants integer[], organisations text[], environments text[],
    kinds text[], ids text[], fingerprints bytea[], booking_dates date[], value_dates date[],
    sources text[], refs text[], reversed text[], metadata json[],
    effect_commands integer[], effect_kinds "char"[], effect_legs integer[], effect_accounts text[],
    effect_amounts numeric[], effect_holds text[], effect_expiries timestamptz[],
    places bigint[], is_refused boolean[], is_decided boolean, is_told boolean, current ledger.head, at timestamptz
) returns boolean
    language plpgsql
as $$
declare
    is_written boolean;
begin
    with effect as materialized (
        select u.n, u.cmd, u.kind, u.hold_id, u.amount, case when u.kind = 'L' then u.amount else 0 end as posted,
            a.account_no, a.ctid as account_ctid, a.asset, a.flags, a.debits_posted,
            a.credits_posted - a.debits_posted as balance, a.debits_pending as held, a.minimum_balance, a.version,
            h.amount - h.captured - h.released as hold_left,
            case
                when a.organisation_id is distinct from organisations[tenants[u.cmd]] then false
                when (a.is_frozen or a.is_closed) and u.kind in ('L', 'H') then false
                when greatest(a.debits_posted, a.credits_posted, a.debits_pending) > 1e37 then false
                when u.kind = 'H' then effect_expiries[u.n] is null or effect_expiries[u.n] > at
                when u.hold_id is null then true
                when h.state is distinct from 'open' or h.organisation_id <> a.organisation_id
                    or h.environment <> a.environment or h.account_no <> a.account_no then false
                when u.kind = 'L' then u.amount < 0 and (h.expires_at is null or h.expires_at > at)
                when u.kind = 'X' then h.expires_at <= at
                else true
            end as is_sound
        from unnest(effect_commands, effect_kinds, effect_accounts, effect_amounts, effect_holds) with ordinality
            as u (cmd, kind, address, amount, hold_id, n)
        left join hold h on h.hold_id = u.hold_id and u.kind <> 'H'
        left join account a on a.address = coalesce(u.address, h.address)
            and a.environment = environments[tenants[u.cmd]]
        where not is_refused[u.cmd]
    ), hold_use as materialized (
        select hold_id, min(hold_left) as hold_left, coalesce(-sum(amount) filter (where kind = 'L'), 0) as captured,
            min(n) filter (where kind <> 'L') as release_n, bool_or(kind = 'X') as is_expired,
            coalesce(-sum(amount) filter (where kind = 'L'), 0) > min(hold_left)
                or count(*) filter (where kind <> 'L') > 1
                or max(cmd) filter (where kind = 'L') > min(cmd) filter (where kind <> 'L')
                or count(*) > 1 and bool_or(kind in ('V', 'X')) as is_contested
        from effect where hold_id is not null and kind <> 'H' group by hold_id
    ), change as (
        select e.*, case
            when e.kind = 'H' then e.amount
            when e.hold_id is null then 0
            when e.kind = 'L' then e.amount
            when e.n = u.release_n then u.captured - u.hold_left
            else 0
        end as held_change
        from effect e left join hold_use u on u.hold_id = e.hold_id and e.kind <> 'H'
    ), running as materialized (
        select n, cmd, kind, account_no, posted, held_change,
            balance + sum(posted) over legs as balance_after,
            held + sum(held_change) over legs as held_after,
            version + count(*) filter (where kind = 'L') over legs as version_after,
            debits_posted + sum(case when posted < 0 then -posted else 0 end) over legs as debits_after,
            -- What the account would need if none of the batch's credits and releases came in time.
            case when flags & 1 = 0 then 0 else sum(case
                when held_change > 0 then held_change
                when posted < 0 and held_change = 0 then -posted
                else 0 end) over legs - greatest(balance - held - minimum_balance, 0) end as missing,
            case when flags & 2 = 0 then 0
                else sum(greatest(posted, 0)) over legs - greatest(-balance, 0) end as excess,
            case when lead(n) over legs is null then account_ctid end as last_ctid
        from change
        window legs as (partition by account_no order by n rows unbounded preceding)
    ), verdict as materialized (
        select case when is_decided then true else
            not exists (select from effect where not is_sound)
            and not exists (select from running where missing > 0 or excess > 0)
            and not exists (select from hold_use where is_contested)
            and not exists (select from effect where kind = 'L' group by cmd, asset having sum(amount) <> 0)
            and not exists (
                select from unnest(ids, kinds) as c (id, kind) join journal j on j.journal_id = c.id
                where c.kind = 'P')
            and not exists (
                select from unnest(ids, kinds) as c (id, kind) join hold h on h.hold_id = c.id where c.kind = 'H')
        end as is_legal
    ), journals as (
        insert into journal (journal_no, journal_id, organisation_id, environment, fingerprint, booking_date,
                             value_date, source, reference, releases, kind, reverses, metadata, batch_no,
                             created_at)
        select current.journal_no + places[c.cmd], c.id, organisations[c.tenant], environments[c.tenant],
            c.fingerprint, c.booking_date, c.value_date, c.source, c.reference, r.releases,
            case when reversed[c.cmd] is null then 'posting' else 'reversal' end, reversed[c.cmd], metadata[c.cmd],
            current.batch_no + 1, at
        from unnest(ids, tenants, fingerprints, booking_dates, value_dates, sources, refs) with ordinality
            as c (id, tenant, fingerprint, booking_date, value_date, source, reference, cmd)
        left join (
            select cmd, array_agg(hold_id order by n) as releases from effect where kind = 'R' group by cmd
        ) r on r.cmd = c.cmd
        where places[c.cmd] > 0 and (select is_legal from verdict)
    ), entries as (
        insert into entry (account_no, version, journal_no, leg_no, amount, balance, hold_id, held)
        select account_no, version_after, current.journal_no + places[cmd], effect_legs[n], posted, balance_after,
            effect_holds[n], held_after
        from running where kind = 'L' and (select is_legal from verdict)
    ), accounts as (
        -- The writer lock keeps each account where it was found.
        update account a set debits_posted = r.debits_after, credits_posted = r.balance_after + r.debits_after,
            debits_pending = r.held_after, version = r.version_after
        from running r where a.ctid = r.last_ctid and (select is_legal from verdict)
    ), placed as (
        insert into hold (hold_id, organisation_id, environment, account_no, address, amount, expires_at,
                          fingerprint, source, reference, created_at)
        select effect_holds[n], organisations[tenants[cmd]], environments[tenants[cmd]], account_no,
            effect_accounts[n], effect_amounts[n], effect_expiries[n], fingerprints[cmd], sources[cmd], refs[cmd], at
        from running where kind = 'H' and (select is_legal from verdict)
    ), used as (
        update hold h set
            captured = h.captured + u.captured,
            released = h.released + case when u.release_n is null then 0 else u.hold_left - u.captured end,
            state = case
                when u.captured = u.hold_left then 'captured'
                when u.release_n is null then 'open'
                when u.is_expired then 'expired'
                else 'released'
            end,
            closed_at = case when u.captured = u.hold_left or u.release_n is not null then at end
        from hold_use u where h.hold_id = u.hold_id and h.state = 'open' and (select is_legal from verdict)
    ), told as (
        -- Of a hold's own command there is one effect.
        select r.cmd, a.owner, min(effect_holds[r.n]) as hold_id, max(abs(r.held_change) * a.unit) as held_amount,
            row_number() over (partition by r.cmd order by a.owner) as place,
            string_agg(leg_json(a.address, a.asset, a.unit, r.posted, r.balance_after, r.held_after, r.version_after),
                ',' order by r.n) as legs
        from running r join account a on a.account_no = r.account_no
        where is_told and (select is_legal from verdict) and a.owner like 'acc\_%'
        group by r.cmd, a.owner
    ), events as (
        insert into platform.outbox (event_id, organisation_id, environment, channel, kind, body, occurred_at)
        select
            case when kinds[t.cmd] = 'P' then journal_event_id(current.journal_no + places[t.cmd], t.place)
                else 'evt_' || lpad(to_hex(current.event_no + t.cmd), 15, '0') || lpad(to_hex(t.place), 5, '0') end,
            organisations[tenants[t.cmd]], environments[tenants[t.cmd]], 'ledger:' || t.owner, w.word,
            case when kinds[t.cmd] = 'P' then journal_json(ids[t.cmd], sources[t.cmd], refs[t.cmd], t.legs)
                else '{"kind":"' || w.word || '","journal_id":null,"hold_id":"' || t.hold_id
                    || '","amount":"' || t.held_amount || '","source":' || to_json(sources[t.cmd])
                    || ',"reference":' || coalesce(to_json(refs[t.cmd])::text, 'null')
                    || ',"legs":[' || t.legs || ']}' end,
            at
        from told t
        cross join lateral (select case kinds[t.cmd]
            when 'P' then 'journal_posted' when 'H' then 'hold_placed' else 'hold_released' end) w (word)
        order by t.cmd
    )
    select is_legal into is_written from verdict;
    return is_written;
end
$$;
