-- The item-by-item path: commands that touch contested accounts or holds, in order, each against the state
-- that the accepted ones before it left. Accounts and holds that are not contested cannot be exhausted by
-- this batch in any order and need not be followed.
create function ledger.decide(effects ledger.effect[], accounts bigint[], holds text[])
    returns ledger.refusal[]
    language plpgsql stable
    set search_path = ledger, pg_temp
as $$
declare
    available numeric[];   -- per contested account
    room      numeric[];   -- what may still be credited to it, if that is limited
    flags     integer[];
    hold_left numeric[];   -- per hold of the commands to decide
    state     text[];
    refusals  ledger.refusal[] := '{}';
    c         record;
    rank      integer;
    detail    text;
    old_available numeric[];
    old_room  numeric[];
    old_left  numeric[];
    old_state text[];
    a         integer;
    h         integer;
begin
    select array_agg(t.available order by t.account_no), array_agg(-t.balance order by t.account_no),
        array_agg(t.flags order by t.account_no)
    into available, room, flags
    from (
        select e.account_no, min(e.balance - e.held - e.minimum_balance) as available, min(e.balance) as balance,
            min(e.flags)::integer as flags
        from unnest(effects) e where e.account_no = any (accounts) group by e.account_no
    ) t;

    -- Uncontested holds of contested accounts matter too: what they free becomes available.
    select array_agg(t.hold_id order by t.hold_id), array_agg(t.hold_left order by t.hold_id),
        array_agg(t.hold_state order by t.hold_id)
    into holds, hold_left, state
    from (
        select e.hold_id, min(e.hold_left) as hold_left, min(e.hold_state) as hold_state
        from unnest(effects) e
        where e.kind <> 'H' and e.hold_id is not null
            and (e.hold_id = any (holds) or e.hold_account_no = any (accounts))
        group by e.hold_id
    ) t;

    for c in
        select e.cmd, array_agg(e.kind order by e.n) as kinds, array_agg(e.amount order by e.n) as amounts,
            array_agg(array_position(accounts, coalesce(e.account_no, e.hold_account_no)) order by e.n) as slots,
            array_agg(case when e.kind <> 'H' then array_position(holds, e.hold_id) end order by e.n) as hold_slots,
            array_agg(e.hold_id order by e.n) as hold_ids, array_agg(e.address order by e.n) as addresses
        from unnest(effects) e group by e.cmd
        having bool_or(e.account_no = any (accounts) or (e.kind <> 'H' and e.hold_id = any (holds)))
        order by e.cmd
    loop
        rank := null;
        old_available := available;
        old_room := room;
        old_left := hold_left;
        old_state := state;
        for i in 1 .. cardinality(c.kinds) loop
            a := c.slots[i];
            h := c.hold_slots[i];
            if c.kinds[i] in ('V', 'X') and state[h] <> 'open' then
                rank := case when state[h] = 'captured' then 10 else 1 end;
                detail := case when rank = 10 then c.hold_ids[i] else '' end;
            elsif c.kinds[i] = 'L' and h is not null and state[h] <> 'open' then
                if rank is distinct from 10 then
                    detail := c.hold_ids[i];
                end if;
                rank := 10;
            elsif c.kinds[i] = 'L' and h is not null and hold_left[h] < -c.amounts[i] then
                if rank is null then
                    rank := 11;
                    detail := c.hold_ids[i];
                end if;
            elsif c.kinds[i] = 'L' then
                if h is not null then
                    hold_left[h] := hold_left[h] + c.amounts[i];
                elsif a is not null then
                    available[a] := available[a] + c.amounts[i];
                end if;
                if a is not null then
                    room[a] := room[a] - c.amounts[i];
                end if;
            elsif c.kinds[i] = 'H' then
                if a is not null then
                    available[a] := available[a] - c.amounts[i];
                end if;
            elsif h is not null and state[h] = 'open' then
                if a is not null then
                    available[a] := available[a] + hold_left[h];
                end if;
                if hold_left[h] > 0 then
                    state[h] := case when c.kinds[i] = 'X' then 'expired' else 'released' end;
                end if;
                hold_left[h] := 0;
            end if;
        end loop;
        if rank is null then
            for i in 1 .. cardinality(c.kinds) loop
                a := c.slots[i];
                if a is not null and flags[a] & 1 = 1 and available[a] < 0 and available[a] < old_available[a] then
                    rank := 12;
                    detail := c.addresses[i];
                    exit;
                end if;
            end loop;
        end if;
        if rank is null then
            for i in 1 .. cardinality(c.kinds) loop
                a := c.slots[i];
                if a is not null and flags[a] & 2 = 2 and room[a] < 0 and room[a] < old_room[a] then
                    rank := 13;
                    detail := c.addresses[i];
                    exit;
                end if;
            end loop;
        end if;
        if rank is not null then
            available := old_available;
            room := old_room;
            hold_left := old_left;
            state := old_state;
            refusals := refusals || row(c.cmd, rank, detail)::ledger.refusal;
        else
            for i in 1 .. cardinality(c.kinds) loop
                h := c.hold_slots[i];
                if h is not null and state[h] = 'open' and hold_left[h] = 0 then
                    state[h] := 'captured';
                end if;
            end loop;
        end if;
    end loop;
    return refusals;
end
$$;
