-- Writes what was accepted, set-based, and answers nothing: everything in `effects` is legal by now.
create function ledger.write_batch(
    kinds text[], ids text[], organisations text[], environments text[], fingerprints bytea[],
    booking_dates date[], value_dates date[], sources text[], refs text[],
    is_refused boolean[], effects ledger.effect[], current ledger.head, at timestamptz
) returns void
    language plpgsql
    set search_path = ledger, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
as $$
declare
    journal_nos   bigint[];
    journal_count bigint;
    contents      bytea;
    new_hash      bytea := current.hash;
begin
    -- 0 for commands that post no journal, so that the array has no nulls and is quick to index.
    select array_agg(case when is_posted then current.journal_no + place else 0 end order by cmd),
        count(*) filter (where is_posted), string_agg(fingerprint, ''::bytea order by cmd) filter (where is_posted)
    into journal_nos, journal_count, contents
    from (
        select cmd, fingerprint, is_posted, count(*) filter (where is_posted) over (order by cmd) as place
        from (
            select cmd, fingerprint, kind = 'P' and not refused as is_posted
            from unnest(kinds, fingerprints, is_refused) with ordinality as u (kind, fingerprint, refused, cmd)
        ) marked
    ) placed;

    if journal_count > 0 then
        insert into journal (journal_no, journal_id, organisation_id, environment, fingerprint, booking_date,
                             value_date, source, reference, releases, batch_no, created_at)
        select journal_nos[c.cmd], c.id, c.organisation_id, c.environment, c.fingerprint, c.booking_date,
            c.value_date, c.source, c.reference, r.releases, current.batch_no + 1, at
        from unnest(ids, organisations, environments, fingerprints, booking_dates, value_dates, sources, refs)
            with ordinality as c (id, organisation_id, environment, fingerprint, booking_date, value_date,
                                  source, reference, cmd)
        left join (
            select cmd, array_agg(hold_id order by n) as releases
            from unnest(effects) where kind = 'R' group by cmd
        ) r on r.cmd = c.cmd
        where journal_nos[c.cmd] > 0
        order by c.cmd;

        new_hash := chain_hash(current.hash, current.batch_no + 1, current.journal_no + 1, journal_count, at, contents);
        insert into chain (batch_no, previous_hash, hash, first_journal_no, journal_count, created_at)
        values (current.batch_no + 1, current.hash, new_hash, current.journal_no + 1, journal_count, at);
    end if;

    with hold_use as materialized (
        select hold_id, min(hold_left) as hold_left, coalesce(-sum(amount) filter (where kind = 'L'), 0) as captured,
            min(n) filter (where kind <> 'L') as release_n, bool_or(kind = 'X') as is_expired
        from unnest(effects) where hold_id is not null and kind <> 'H' group by hold_id
    ), change as (
        select e.*, case
            when e.kind = 'H' then e.amount
            when e.hold_id is null then 0
            when e.kind = 'L' then e.amount
            when e.n = u.release_n then u.captured - u.hold_left
            else 0
        end as held_change
        from unnest(effects) e left join hold_use u on u.hold_id = e.hold_id and e.kind <> 'H'
    ), running as materialized (
        select cmd, n, kind, leg_no, account_no, address, owner, organisation_id, environment, asset, unit, hold_id,
            case when kind = 'L' then amount else 0 end as posted, amount, held_change, expires_at,
            balance + sum(case when kind = 'L' then amount else 0 end) over legs as balance_after,
            version + count(*) filter (where kind = 'L') over legs as version_after,
            held + sum(held_change) over legs as held_after
        from change
        window legs as (partition by account_no order by cmd, n rows unbounded preceding)
    ), entries as (
        insert into entry (account_no, version, journal_no, leg_no, amount, balance, hold_id)
        select account_no, version_after, journal_nos[cmd], leg_no, posted, balance_after, hold_id
        from running where kind = 'L' order by n
    ), accounts as (
        update account a set
            debits_posted = a.debits_posted + d.debited, credits_posted = a.credits_posted + d.credited,
            debits_pending = a.debits_pending + d.held, version = a.version + d.entries
        from (
            select account_no, coalesce(-sum(posted) filter (where posted < 0), 0) as debited,
                coalesce(sum(posted) filter (where posted > 0), 0) as credited,
                sum(held_change) as held, count(*) filter (where kind = 'L') as entries
            from running group by account_no
        ) d
        where a.account_no = d.account_no
    ), placed as (
        insert into hold (hold_id, organisation_id, environment, account_no, address, amount, expires_at,
                          fingerprint, source, reference, created_at)
        select r.hold_id, r.organisation_id, r.environment, r.account_no, r.address, r.amount, r.expires_at,
            c.fingerprint, c.source, c.reference, at
        from running r
        join unnest(fingerprints, sources, refs) with ordinality as c (fingerprint, source, reference, cmd)
            on c.cmd = r.cmd
        where r.kind = 'H'
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
        from hold_use u where h.hold_id = u.hold_id and h.state = 'open'
    ), told as (
        -- Each customer is told of its own accounts; the whole journal is there to be read by its id.
        select cmd, owner, min(organisation_id) as organisation_id, min(environment) as environment,
            row_number() over (partition by cmd order by owner) as place,
            string_agg(
                '{"account":"' || address || '","asset":"' || asset || '","amount":"' || posted * unit
                || '","balance":"' || balance_after * unit || '","held":"' || held_after * unit
                || '","version":' || version_after || '}', ',' order by n) as legs,
            -- Of a hold's own command there is one effect.
            min(hold_id) as hold_id, max(abs(held_change) * unit) as held_amount
        from running where owner like 'acc\_%' group by cmd, owner
    )
    insert into platform.outbox (event_id, organisation_id, environment, channel, kind, body, occurred_at)
    -- Commands are counted on, owners within a command: no two events of a ledger share an id.
    select 'evt_' || lpad(to_hex(current.event_no + t.cmd), 15, '0') || lpad(to_hex(t.place), 5, '0'),
        t.organisation_id, t.environment, 'ledger:' || t.owner, w.word,
        '{"kind":"' || w.word || '",' || case when c.kind = 'P'
            then '"journal_id":"' || c.id || '",'
            else '"journal_id":null,"hold_id":"' || t.hold_id || '","amount":"' || t.held_amount || '",' end
        || '"source":' || to_json(c.source) || ',"reference":' || coalesce(to_json(c.reference)::text, 'null')
        || ',"legs":[' || t.legs || ']}',
        at
    from told t
    join unnest(kinds, ids, sources, refs) with ordinality as c (kind, id, source, reference, cmd)
        on c.cmd = t.cmd
    cross join lateral (select case c.kind
        when 'P' then 'journal_posted' when 'H' then 'hold_placed' else 'hold_released' end) w (word)
    order by t.cmd;

    update head set
        batch_no = current.batch_no + case when journal_count > 0 then 1 else 0 end,
        journal_no = current.journal_no + journal_count,
        event_no = current.event_no + cardinality(kinds),
        hash = new_hash,
        at = write_batch.at;
end
$$;

-- What a batch's link commits to; the same text can be hashed outside the database.
create function ledger.chain_hash(
    previous_hash bytea, batch_no bigint, first_journal_no bigint, journal_count bigint, created_at timestamptz,
    fingerprints bytea
) returns bytea
    language sql immutable parallel safe
    return sha256(
        previous_hash
        || convert_to(batch_no || '|' || first_journal_no || '|' || journal_count || '|'
            || (extract(epoch from created_at) * 1000000)::bigint || '|', 'UTF8')
        || fingerprints
    );

-- Applies a batch; answers one row per command that was not applied as new.
create function ledger.apply(
    kinds text[], ids text[], organisations text[], environments text[], fingerprints bytea[],
    booking_dates date[], value_dates date[], sources text[], refs text[],
    effect_commands integer[], effect_kinds text[], effect_legs integer[], effect_accounts text[],
    effect_amounts numeric[], effect_holds text[], effect_organisations text[], effect_environments text[],
    effect_expiries timestamptz[], now_at timestamptz
) returns table (cmd integer, code text, detail text)
    language plpgsql security definer
    set search_path = ledger, pg_temp
as $$
declare
    effects    effect[];
    refusals   refusal[];
    decided    refusal[];
    accounts   bigint[];
    holds      text[];
    is_refused boolean[] := array_fill(false, array[cardinality(kinds)]);
    current    head;
    at         timestamptz;
    r          refusal;
begin
    perform assert_tenant(organisations, environments);
    select * into strict current from head for update;
    at := greatest(now_at, current.at + interval '1 microsecond');
    effects := resolve(effect_commands, effect_kinds, effect_legs, effect_accounts, effect_amounts, effect_holds,
                       effect_organisations, effect_environments, effect_expiries);
    refusals := coalesce(find_duplicates(kinds, ids, organisations, environments, fingerprints, booking_dates,
                                         value_dates, sources, refs, effects), '{}');
    foreach r in array refusals loop
        is_refused[r.cmd] := true;
    end loop;
    foreach r in array coalesce(find_faults(effects, at), '{}') loop
        if not is_refused[r.cmd] then
            refusals := refusals || r;
            is_refused[r.cmd] := true;
        end if;
    end loop;
    if cardinality(refusals) > 0 then
        effects := keep_accepted(effects, is_refused);
    end if;
    accounts := find_contested_accounts(effects);
    holds := find_contested_holds(effects);
    if accounts is not null or holds is not null then
        decided := decide(effects, coalesce(accounts, '{}'), coalesce(holds, '{}'));
        if cardinality(decided) > 0 then
            refusals := refusals || decided;
            foreach r in array decided loop
                is_refused[r.cmd] := true;
            end loop;
            effects := keep_accepted(effects, is_refused);
        end if;
    end if;
    if effects is not null then
        perform write_batch(kinds, ids, organisations, environments, fingerprints, booking_dates, value_dates,
                            sources, refs, is_refused, effects, current, at);
    end if;
    return query select f.cmd, refusal_code(f.rank), f.detail from unnest(refusals) f;
end
$$;

create function ledger.keep_accepted(effects ledger.effect[], is_refused boolean[]) returns ledger.effect[]
    language sql immutable
    return (select array_agg(e order by e.n) from unnest(effects) e where not is_refused[e.cmd]);

-- A transaction that acts for one tenant cannot move another's money, whatever it was handed.
create function ledger.assert_tenant(organisations text[], environments text[]) returns void
    language plpgsql stable
as $$
declare
    organisation text := current_setting('agio.organisation_id', true);
    tenant_environment text := current_setting('agio.environment', true);
begin
    if organisation <> '' and exists (
        select from unnest(organisations, environments) as c (organisation_id, environment)
        where c.organisation_id <> organisation or c.environment <> tenant_environment
    ) then
        raise exception 'the transaction acts for one organisation, the ledger batch for another'
            using errcode = 'AG003';
    end if;
end
$$;
