-- A row of the outbox may stand for many events: `renderer` names the function that turns its body into them when
-- the relay moves it, so that a writer in a hurry writes one row. Only the owner can name renderers.
create table platform.renderer (
    name     text primary key,
    -- Called as function(body) by the engine's role; answers rows like `rendered_event`, in order.
    function text not null
);

create type platform.rendered_event as (
    event_id text, organisation_id text, environment text, channel text, kind text, body text, occurred_at timestamptz
);

alter table platform.outbox
    add column renderer text references platform.renderer,
    -- About how many events the row stands for.
    add column weight integer not null default 1 check (weight > 0);

drop policy tenant on platform.outbox;
create policy tenant on platform.outbox for insert to agio_app
    with check (renderer is null and platform.is_tenant(organisation_id, environment));
grant select on platform.renderer to agio_engine;

create function platform.render(renderer_name text, body text) returns setof platform.rendered_event
    language plpgsql stable strict
    set search_path = platform, pg_temp
as $$
declare
    called text;
begin
    select r.function into strict called from renderer r where r.name = renderer_name;
    return query execute format('select * from %s($1)', called) using body;
end
$$;

-- As before, and rows that stand for many events become those events here.
create or replace function platform.move_outbox(batch_limit integer)
    returns table (channel text, epoch text, seq bigint, event_id text, kind text, occurred_at timestamptz, body text)
    language plpgsql
    set search_path = platform, pg_temp
as $$
begin
    return query
    with taken as (
        delete from outbox o
        where o.event_no in (
            select w.event_no from (
                select f.event_no, sum(f.weight) over (order by f.event_no) - f.weight as before
                from (select x.event_no, x.weight from outbox x order by x.event_no limit batch_limit) f
            ) w where w.before < batch_limit
        )
        returning o.*
    ), told as (
        select t.event_no, 0::bigint as part, t.event_id, t.organisation_id, t.environment, t.channel, t.kind, t.body,
            t.occurred_at
        from taken t where t.renderer is null
        union all
        select t.event_no, e.part, e.event_id, e.organisation_id, e.environment, e.channel, e.kind, e.body,
            e.occurred_at
        from taken t
        cross join lateral render(t.renderer, t.body) with ordinality
            as e (event_id, organisation_id, environment, channel, kind, body, occurred_at, part)
        where t.renderer is not null
    ), placed as materialized (
        select t.*, row_number() over (order by t.event_no, t.part) as rank,
            row_number() over (partition by t.channel order by t.event_no, t.part) as place
        from told t
    ), advanced as (
        insert into channel as c (channel, last_seq)
        select p.channel, count(*) from placed p group by p.channel
        on conflict on constraint channel_pkey do update set last_seq = c.last_seq + excluded.last_seq
        returning c.channel, c.epoch, c.last_seq
    ), numbered as materialized (
        select p.*, a.epoch, a.last_seq - count(*) over (partition by p.channel) + p.place as seq
        from placed p join advanced a on a.channel = p.channel
    ), logged as (
        insert into event_log (channel, seq, event_id, organisation_id, environment, kind, body, occurred_at)
        select n.channel, n.seq, n.event_id, n.organisation_id, n.environment, n.kind, n.body, n.occurred_at
        from numbered n
    ), remembered as (
        update relay_batch set
            channels = coalesce((select array_agg(n.channel order by n.rank) from numbered n), '{}'),
            seqs = coalesce((select array_agg(n.seq order by n.rank) from numbered n), '{}')
        where exists (select from numbered)
    )
    select n.channel, n.epoch, n.seq, n.event_id, n.kind, n.occurred_at, n.body
    from numbered n order by n.rank;
end
$$;
