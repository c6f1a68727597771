-- ledger.apply with the batch written at once; the careful path decides only what that leaves open.

alter type ledger.effect add attribute expected_version bigint;

create or replace function ledger.refusal_code(rank integer) returns text
    language sql immutable parallel safe
    return (array['exists', 'conflict', 'unknown_account', 'unbalanced', 'account_closed', 'account_frozen',
                  'unknown_hold', 'hold_mismatch', 'hold_expired', 'hold_closed', 'hold_exceeded',
                  'insufficient_funds', 'limit_exceeded', 'version_conflict', 'unknown_journal',
                  'already_reversed', 'not_reversible'])[rank];

drop function ledger.resolve;

-- Effects with what they touch, as it stands before the batch. An account is looked for by its unique address
-- alone and compared with the tenant afterwards: no statistics, however old, can make that slow.
create function ledger.resolve(
    effect_commands integer[], effect_kinds "char"[], effect_legs integer[], effect_accounts text[],
    effect_amounts numeric[], effect_holds text[], effect_expiries timestamptz[], effect_versions bigint[],
    command_organisations text[], command_environments text[]
) returns ledger.effect[]
    language plpgsql stable
as $$
begin
    return array_agg(row(
            e.n, e.cmd, e.kind::text, e.leg_no, e.amount, effect_holds[e.n], case when a.is_own then a.account_no end,
            coalesce(e.address, case when h.is_own then h.address end), a.owner, command_organisations[e.cmd],
            command_environments[e.cmd], a.asset, a.unit, a.flags, a.minimum_balance, a.is_frozen, a.is_closed,
            greatest(a.debits_posted, a.credits_posted, a.debits_pending) > 1e37,
            a.credits_posted - a.debits_posted, a.debits_pending, a.version,
            case when h.is_own then h.account_no end, h.amount - h.captured - h.released, h.state,
            coalesce(effect_expiries[e.n], h.expires_at), effect_versions[e.n]
        )::effect order by e.n)
    from unnest(effect_commands, effect_kinds, effect_legs, effect_accounts, effect_amounts) with ordinality
        as e (cmd, kind, leg_no, address, amount, n)
    left join lateral (
        select x.*, x.organisation_id = command_organisations[e.cmd]
            and x.environment = command_environments[e.cmd] as is_own
        from hold x where x.hold_id = effect_holds[e.n]
    ) h on true
    left join lateral (
        select x.*, x.organisation_id = command_organisations[e.cmd] as is_own
        from account x where x.address = coalesce(e.address, h.address) and x.environment = command_environments[e.cmd]
    ) a on true;
end
$$;

drop function ledger.find_duplicates;

-- Commands whose id is taken: rank 1 the same content, rank 2 another (the detail names the field).
create function ledger.find_duplicates(
    kinds text[], ids text[], organisations text[], environments text[], fingerprints bytea[],
    booking_dates date[], value_dates date[], sources text[], refs text[], reversed text[], metadata json[],
    effects ledger.effect[]
) returns ledger.refusal[]
    language plpgsql stable
as $$
#variable_conflict use_column
begin
    return array_agg(row(
            c.cmd, case when c.fingerprint = coalesce(j.fingerprint, h.fingerprint) then 1 else 2 end,
            case
                when c.fingerprint = coalesce(j.fingerprint, h.fingerprint) then ''
                when c.organisation_id <> coalesce(j.organisation_id, h.organisation_id) then 'organisation_id'
                when c.environment <> coalesce(j.environment, h.environment) then 'environment'
                when c.source <> coalesce(j.source, h.source) then 'source'
                when c.reference is distinct from coalesce(j.reference, h.reference) then 'reference'
                when c.kind = 'P' and c.booking_date <> j.booking_date then 'booking_date'
                when c.kind = 'P' and c.value_date <> j.value_date then 'value_date'
                when c.kind = 'P' and coalesce(j.releases, '{}') <> array(
                    select e.hold_id from unnest(effects) e where e.cmd = c.cmd and e.kind = 'R' order by e.n
                ) then 'releases'
                when c.kind = 'P' and reversed[c.cmd] is distinct from j.reverses then 'reverses'
                when c.kind = 'P' and find_duplicates.metadata[c.cmd]::text is distinct from j.metadata::text then 'metadata'
                when c.kind = 'P' then 'legs'
                else (
                    select case
                        when e.address <> h.address then 'account'
                        when e.amount <> h.amount then 'amount'
                        else 'expires_at'
                    end
                    from unnest(effects) e where e.cmd = c.cmd
                )
            end
        )::refusal)
    from unnest(kinds, ids, organisations, environments, fingerprints, booking_dates, value_dates, sources, refs)
        with ordinality as c (kind, id, organisation_id, environment, fingerprint, booking_date, value_date,
                              source, reference, cmd)
    left join journal j on j.journal_id = c.id and c.kind = 'P'
    left join hold h on h.hold_id = c.id and c.kind = 'H'
    where j.journal_no is not null or h.hold_id is not null;
end
$$;

-- Reversals that cannot be, and accounts that are not at the version their command expects.
create function ledger.find_reversal_faults(effects ledger.effect[], reversed text[], organisations text[],
    environments text[]) returns ledger.refusal[]
    language sql stable
    set search_path = ledger, pg_temp
as $$
    with stale as (
        select distinct on (e.cmd) e.cmd, 14 as rank, e.address as detail
        from unnest(effects) e where e.version <> e.expected_version order by e.cmd, e.n
    ), reversal as (
        select c.cmd, case
            when j.journal_no is null then 15
            when r.journal_no is not null then 16
            when j.reverses is not null then 17
            when (select array_agg((e.account_no, -e.amount) order by e.leg_no) from entry e
                    where e.journal_no = j.journal_no)
                is distinct from
                (select array_agg((e.account_no, e.amount) order by e.n) from unnest(effects) e
                    where e.cmd = c.cmd and e.kind = 'L') then 17
        end::integer as rank, c.reverses as detail
        from unnest(reversed, organisations, environments) with ordinality
            as c (reverses, organisation_id, environment, cmd)
        left join lateral (
            select x.* from journal x where x.journal_id = c.reverses and x.organisation_id = c.organisation_id
                and x.environment = c.environment
        ) j on true
        left join journal r on r.reverses = c.reverses
        where c.reverses is not null
    )
    select array_agg(row(f.cmd, f.rank, f.detail)::refusal)
    from (select * from stale union all select * from reversal where rank is not null) f
$$;

-- Which commands of a batch are refused, and why: everything that only a close look can tell.
create function ledger.find_refusals(
    tenants integer[], tenant_organisations text[], tenant_environments text[],
    kinds text[], ids text[], fingerprints bytea[], booking_dates date[], value_dates date[],
    sources text[], refs text[], reversed text[], metadata json[],
    effect_commands integer[], effect_kinds "char"[], effect_legs integer[], effect_accounts text[],
    effect_amounts numeric[], effect_holds text[], effect_expiries timestamptz[], effect_versions bigint[],
    at timestamptz
) returns ledger.refusal[]
    language plpgsql stable
as $$
declare
    refusals   ledger.refusal[] := '{}';
    found_now  ledger.refusal[];
    is_refused boolean[] := array_fill(false, array[cardinality(kinds)]);
    accounts   bigint[];
    holds      text[];
    effects    ledger.effect[];
    organisations text[];
    environments  text[];
    r          ledger.refusal;
begin
    select array_agg(tenant_organisations[t] order by n), array_agg(tenant_environments[t] order by n)
    into organisations, environments from unnest(tenants) with ordinality as u (t, n);
    effects := resolve(effect_commands, effect_kinds, effect_legs, effect_accounts, effect_amounts, effect_holds,
                       effect_expiries, effect_versions, organisations, environments);
    -- A command that is known is not looked at further; of the faults of another the first counts.
    for step in 1 .. 4 loop
        if step = 1 then
            found_now := find_duplicates(kinds, ids, organisations, environments, fingerprints, booking_dates,
                                         value_dates, sources, refs, reversed, metadata, effects);
        elsif step = 2 then
            found_now := find_faults(effects, at);
        elsif step = 3 then
            found_now := find_reversal_faults(effects, reversed, organisations, environments);
        else
            accounts := find_contested_accounts(effects);
            holds := find_contested_holds(effects);
            found_now := case when accounts is not null or holds is not null
                then decide(effects, coalesce(accounts, '{}'), coalesce(holds, '{}')) end;
        end if;
        continue when coalesce(cardinality(found_now), 0) = 0;
        foreach r in array found_now loop
            if not is_refused[r.cmd] then
                refusals := refusals || r;
                is_refused[r.cmd] := true;
            end if;
        end loop;
        if step in (1, 2, 3) then
            effects := keep_accepted(effects, is_refused);
        end if;
    end loop;
    return refusals;
end
$$;

-- Applies a batch; answers one row per command that was not applied as new. `effect_holds` is null when the batch
-- posts nothing but journals that name no holds; `effect_kinds` and `effect_expiries` are null then, too.
create function ledger.apply(
    tenants integer[], organisations text[], environments text[],
    kinds text[], ids text[], fingerprints bytea[], booking_dates date[], value_dates date[],
    sources text[], refs text[], reversed text[], metadata json[],
    effect_commands integer[], effect_kinds "char"[], effect_legs integer[], effect_accounts text[],
    effect_amounts numeric[], effect_holds text[], effect_expiries timestamptz[], effect_versions bigint[],
    now_at timestamptz
) returns table (cmd integer, code text, detail text)
    language plpgsql security definer
    set search_path = ledger, pg_temp
    -- For everything that is called from here: plans that do not depend on what was counted when.
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set jit = off
    set work_mem = '32MB'
as $$
declare
    size       integer := cardinality(ids);
    is_special boolean := reversed is not null or effect_versions is not null;
    -- Of journals with many legs the events are written out at once: the relay takes small bites.
    is_told    boolean := effect_holds is not null or cardinality(effect_commands) > 4 * size;
    is_refused boolean[];
    refusals   ledger.refusal[];
    places     bigint[];
    current    ledger.head;
    at         timestamptz;
begin
    perform assert_tenant(organisations, environments);
    select * into strict current from head for update;
    at := greatest(now_at, current.at + interval '1 microsecond');

    if not is_special and not is_told and write_journals(
        tenants, organisations, environments, ids, fingerprints, booking_dates, value_dates, sources, refs, metadata,
        effect_commands, effect_legs, effect_accounts, effect_amounts, current, at)
    then
        perform extend_chain(fingerprints, null, size, not is_told, current, at);
        return;
    end if;

    is_refused := array_fill(false, array[size]);
    places := place_journals(kinds, is_refused);
    effect_kinds := coalesce(effect_kinds, array_fill('L'::"char", array[cardinality(effect_commands)]));
    if is_special or not is_told or not write_batch(
        tenants, organisations, environments, kinds, ids, fingerprints, booking_dates, value_dates, sources, refs,
        reversed, metadata, effect_commands, effect_kinds, effect_legs, effect_accounts, effect_amounts,
        effect_holds, effect_expiries, places, is_refused, false, is_told, current, at)
    then
        refusals := find_refusals(
            tenants, organisations, environments, kinds, ids, fingerprints, booking_dates, value_dates, sources, refs,
            reversed, metadata, effect_commands, effect_kinds, effect_legs, effect_accounts, effect_amounts,
            effect_holds, effect_expiries, effect_versions, at);
        for i in 1 .. coalesce(cardinality(refusals), 0) loop
            is_refused[refusals[i].cmd] := true;
        end loop;
        places := place_journals(kinds, is_refused);
        perform write_batch(
            tenants, organisations, environments, kinds, ids, fingerprints, booking_dates, value_dates, sources, refs,
            reversed, metadata, effect_commands, effect_kinds, effect_legs, effect_accounts, effect_amounts,
            effect_holds, effect_expiries, places, is_refused, true, is_told, current, at);
    end if;
    if false = any (is_refused) then
        perform extend_chain(fingerprints, places, size, not is_told, current, at);
    end if;
    return query select f.cmd, refusal_code(f.rank), f.detail from unnest(refusals) f;
end
$$;

-- Which journal, counted from the head's last, each command posts; 0 for commands that post none.
create function ledger.place_journals(kinds text[], is_refused boolean[]) returns bigint[]
    language sql immutable
    return (
        select array_agg(case when is_posted then place else 0 end order by n)
        from (
            select n, is_posted, count(*) filter (where is_posted) over (order by n) as place
            from (
                select n, kind = 'P' and not refused as is_posted
                from unnest(kinds, is_refused) with ordinality as u (kind, refused, n)
            ) marked
        ) placed
    );

-- The batch's link, if it posted journals, the rows from which the relay will tell of them (unless it was told
-- already), and the head that the next batch will see. `places` is null when every command posted a journal.
create function ledger.extend_chain(
    fingerprints bytea[], places bigint[], size integer, is_to_tell boolean, current ledger.head, at timestamptz
) returns void
    language plpgsql
as $$
declare
    contents bytea;
    posted   bigint := size;
    new_hash bytea := current.hash;
begin
    if places is null then
        select string_agg(u.fingerprint, ''::bytea) into contents from unnest(fingerprints) as u (fingerprint);
    else
        select string_agg(u.fingerprint, ''::bytea order by u.place), count(*) into contents, posted
        from unnest(fingerprints, places) as u (fingerprint, place) where u.place > 0;
    end if;
    if posted > 0 then
        new_hash := chain_hash(current.hash, current.batch_no + 1, current.journal_no + 1, posted, at, contents);
        insert into chain (batch_no, previous_hash, hash, first_journal_no, journal_count, created_at)
        values (current.batch_no + 1, current.hash, new_hash, current.journal_no + 1, posted, at);
        if is_to_tell then
            insert into platform.outbox
                (event_id, organisation_id, environment, channel, kind, body, occurred_at, renderer, weight)
            select 'evt_batch_' || s.first, '', '', 'ledger:journals', 'journals_posted', s.first || '-' || s.last, at,
                'ledger_journals', 2 * (s.last - s.first + 1)
            from (
                select current.journal_no + f as first, current.journal_no + least(f + 499, posted) as last
                from generate_series(1, posted, 500) f
            ) s;
        end if;
    end if;
    update head set
        batch_no = current.batch_no + case when posted > 0 then 1 else 0 end,
        journal_no = current.journal_no + posted,
        event_no = current.event_no + size,
        hash = new_hash,
        at = extend_chain.at;
end
$$;

revoke execute on all functions in schema ledger from public;
grant execute on function ledger.apply to agio_app, agio_engine;
