-- ledger.apply: the one door through which the ledger changes.
--
-- A batch is a list of commands and the flat list of their effects, as parallel arrays. Command kinds:
-- P post a journal, H place a hold, V void (release) a hold, X expire a hold. Effect kinds: L leg, H hold
-- placed, R hold released by a journal, V and X as the command. Within one call ids are unique and no
-- command names a hold that the same call places: the caller splits such batches.
--
-- The head row is locked first and serialises all writers; whatever changes below, changes only under that
-- lock, so nothing else needs locking and nothing can deadlock.
--
-- Steps: resolve the effects -> refuse what no order could allow -> find what only an order can decide
-- (contested accounts and holds) and decide that item by item -> write everything accepted, set-based.

create type ledger.effect as (
    n               integer,     -- place in the batch: commands in order, their effects in order
    cmd             integer,
    kind            text,
    leg_no          integer,
    amount          numeric,     -- leg: signed; hold placed: positive; else 0
    hold_id         text,
    account_no      bigint,      -- null: unknown, or not of the command's organisation and environment
    address         text,
    owner           text,
    organisation_id text,
    environment     text,
    asset           text,
    unit            numeric,
    flags           smallint,
    minimum_balance numeric,
    is_frozen       boolean,
    is_closed       boolean,
    is_full         boolean,     -- so much has gone through it that another batch might not fit its columns
    balance         numeric,     -- the account before the batch
    held            numeric,
    version         bigint,
    hold_account_no bigint,      -- the hold before the batch; null: no such hold
    hold_left       numeric,
    hold_state      text,
    expires_at      timestamptz
);

create type ledger.refusal as (cmd integer, rank integer, detail text);

-- Ranks are the order in which a command's faults are looked for; model.py has the same.
create function ledger.refusal_code(rank integer) returns text
    language sql immutable parallel safe
    return (array['exists', 'conflict', 'unknown_account', 'unbalanced', 'account_closed', 'account_frozen',
                  'unknown_hold', 'hold_mismatch', 'hold_expired', 'hold_closed', 'hold_exceeded',
                  'insufficient_funds', 'limit_exceeded'])[rank];

-- Effects with what they touch, as it stands before the batch.
create function ledger.resolve(
    effect_commands integer[], effect_kinds text[], effect_legs integer[], effect_accounts text[],
    effect_amounts numeric[], effect_holds text[], effect_organisations text[], effect_environments text[],
    effect_expiries timestamptz[]
) returns ledger.effect[]
    language sql stable
    set search_path = ledger, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
as $$
    select array_agg(row(
        e.n, e.cmd, e.kind, e.leg_no, e.amount, e.hold_id, a.account_no, coalesce(e.address, h.address), a.owner,
        e.organisation_id, e.environment, a.asset, a.unit, a.flags, a.minimum_balance, a.is_frozen, a.is_closed,
        greatest(a.debits_posted, a.credits_posted, a.debits_pending) > 1e37,
        a.credits_posted - a.debits_posted, a.debits_pending, a.version,
        h.account_no, h.amount - h.captured - h.released, h.state, coalesce(e.expires_at, h.expires_at)
    )::effect order by e.n)
    from unnest(effect_commands, effect_kinds, effect_legs, effect_accounts, effect_amounts, effect_holds,
                effect_organisations, effect_environments, effect_expiries) with ordinality
        as e (cmd, kind, leg_no, address, amount, hold_id, organisation_id, environment, expires_at, n)
    left join hold h on h.hold_id = e.hold_id
        and h.organisation_id = e.organisation_id and h.environment = e.environment
    left join account a on a.address = coalesce(e.address, h.address)
        and a.organisation_id = e.organisation_id and a.environment = e.environment
$$;

-- Commands whose id is taken: rank 1 the same content, rank 2 another (the detail names the field).
create function ledger.find_duplicates(
    kinds text[], ids text[], organisations text[], environments text[], fingerprints bytea[],
    booking_dates date[], value_dates date[], sources text[], refs text[], effects ledger.effect[]
) returns ledger.refusal[]
    language sql stable
    set search_path = ledger, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
as $$
    select array_agg(row(
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
    where j.journal_no is not null or h.hold_id is not null
$$;

-- Faults that no order of the batch could heal: the first of each command.
create function ledger.find_faults(effects ledger.effect[], at timestamptz) returns ledger.refusal[]
    language sql stable
    set search_path = ledger, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
    with checked as (
        select e.cmd, e.n, e.address, e.hold_id, case
            when e.kind in ('L', 'H') and e.account_no is null then 3
            when e.kind in ('L', 'H') and e.is_closed then 5
            when e.kind in ('L', 'H') and e.is_frozen then 6
            when e.kind = 'H' and e.expires_at <= at then 9
            when e.kind in ('L', 'H') and e.is_full then 13
            when e.kind = 'H' then null
            when e.hold_id is null then null
            when e.hold_account_no is null then 7
            when e.kind = 'L' and (e.hold_account_no <> e.account_no or e.amount > 0) then 8
            when e.kind = 'L' and e.expires_at <= at then 9
            when e.kind in ('L', 'V', 'X') and e.hold_state = 'captured' then 10
            when e.kind = 'L' and e.hold_state <> 'open' then 10
            when e.kind in ('V', 'X') and e.hold_state <> 'open' then 1
            when e.kind = 'X' and (e.expires_at <= at) is not true then 1
        end as rank
        from unnest(effects) e
    ), fault as (
        select cmd, rank, n, case when rank < 7 or rank = 13 then address else hold_id end as detail
        from checked where rank is not null
        union all
        select cmd, 4, min(n), asset from unnest(effects) where kind = 'L'
        group by cmd, asset having sum(amount) <> 0
    ), first_fault as (
        select distinct on (cmd) cmd, rank, case when rank = 1 then '' else detail end as detail
        from fault order by cmd, rank, n
    )
    select array_agg(row(cmd, rank, detail)::refusal) from first_fault
$$;

-- Accounts whose opening balance does not cover all debits and holds of the batch (credits ignored).
create function ledger.find_contested_accounts(effects ledger.effect[]) returns bigint[]
    language sql stable
    set search_path = ledger, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
    with demand as (
        select account_no, flags, min(balance) as balance, min(balance - held - minimum_balance) as available,
            sum(amount) filter (where kind = 'H')
                as placed,
            -sum(amount) filter (where kind = 'L' and amount < 0 and hold_id is null) as debited,
            sum(amount) filter (where kind = 'L' and amount > 0) as credited
        from unnest(effects) where flags <> 0 group by account_no, flags
    )
    select array_agg(account_no order by account_no) from demand
    where flags & 1 = 1 and coalesce(placed, 0) + coalesce(debited, 0) > greatest(available, 0)
        or flags & 2 = 2 and credited > greatest(-balance, 0)
$$;

-- Holds whose captures and releases do not fit together in whatever order.
create function ledger.find_contested_holds(effects ledger.effect[]) returns text[]
    language sql stable
    set search_path = ledger, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
    with use as (
        select hold_id, min(hold_left) as hold_left, coalesce(-sum(amount), 0) as captured,
            count(*) as uses,
            count(*) filter (where kind <> 'L') as releases,
            max(cmd) filter (where kind = 'L') as last_capture,
            min(cmd) filter (where kind <> 'L') as first_release,
            bool_or(kind in ('V', 'X')) as is_voided
        from unnest(effects) where hold_id is not null and kind <> 'H' group by hold_id
    )
    select array_agg(hold_id order by hold_id) from use
    where captured > hold_left or releases > 1 or last_capture > first_release or is_voided and uses > 1
$$;
