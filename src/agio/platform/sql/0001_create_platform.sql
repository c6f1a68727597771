-- Tenancy: which organisation and environment the current transaction acts for.
create function platform.is_tenant(organisation text, environment text) returns boolean
    language sql stable parallel safe
    return organisation = current_setting('agio.organisation_id', true)
        and environment = current_setting('agio.environment', true);

-- Facts waiting to be given their place on a channel. Rows leave as soon as the relay has moved them.
create table platform.outbox (
    event_no        bigint generated always as identity primary key,
    event_id        text not null,
    organisation_id text not null,
    environment     text not null,
    channel         text not null,
    kind            text not null,
    body            text not null,
    occurred_at     timestamptz not null
);

create table platform.channel (
    channel  text primary key,
    epoch    text not null default substr(md5(gen_random_uuid()::text), 1, 8),
    last_seq bigint not null default 0
) with (fillfactor = 50);

-- The log channels themselves: what streams, REST and replays number alike.
create table platform.event_log (
    channel         text not null,
    seq             bigint not null,
    event_id        text not null,
    organisation_id text not null,
    environment     text not null,
    kind            text not null,
    body            text not null,
    occurred_at     timestamptz not null,
    primary key (channel, seq)
);

-- The last batch that the relay moved: published again after a crash, as nobody knows whether it was.
create table platform.relay_batch (
    only_row boolean primary key default true check (only_row),
    channels text[] not null default '{}',
    seqs     bigint[] not null default '{}'
);
insert into platform.relay_batch default values;

-- Gives up to `batch_limit` waiting events their sequence and moves them to the log. One caller at a time
-- (the relay's lease). Plain event_no order is enough: writers of one channel hold a common lock until
-- they commit, so a visible event is never ahead of an invisible one that caused it.
create function platform.move_outbox(batch_limit integer)
    returns table (channel text, epoch text, seq bigint, event_id text, kind text, occurred_at timestamptz, body text)
    language plpgsql
    set search_path = platform, pg_temp
as $$
begin
    return query
    with taken as (
        delete from outbox o
        where o.event_no in (select w.event_no from outbox w order by w.event_no limit batch_limit)
        returning o.*
    ), placed as (
        select t.*, row_number() over (partition by t.channel order by t.event_no) as place from taken t
    ), advanced as (
        insert into channel as c (channel, last_seq)
        select p.channel, count(*) from placed p group by p.channel
        on conflict on constraint channel_pkey do update set last_seq = c.last_seq + excluded.last_seq
        returning c.channel, c.epoch, c.last_seq
    ), numbered as (
        select p.*, a.epoch, a.last_seq - count(*) over (partition by p.channel) + p.place as seq
        from placed p join advanced a on a.channel = p.channel
    ), logged as (
        insert into event_log (channel, seq, event_id, organisation_id, environment, kind, body, occurred_at)
        select n.channel, n.seq, n.event_id, n.organisation_id, n.environment, n.kind, n.body, n.occurred_at
        from numbered n
    ), remembered as (
        update relay_batch set
            channels = coalesce((select array_agg(n.channel order by n.event_no) from numbered n), '{}'),
            seqs = coalesce((select array_agg(n.seq order by n.event_no) from numbered n), '{}')
        where exists (select from numbered)
    )
    select n.channel, n.epoch, n.seq, n.event_id, n.kind, n.occurred_at, n.body
    from numbered n order by n.event_no;
end
$$;

-- Duties that one process holds at a time. The token grows with every change of holder and fences the old one.
create table platform.lease (
    duty       text primary key,
    holder     text not null,
    token      bigint not null,
    expires_at timestamptz not null
);

create function platform.acquire_lease(wanted_duty text, wanted_holder text, ttl interval) returns bigint
    language sql
    set search_path = platform, pg_temp
as $$
    insert into lease as l (duty, holder, token, expires_at)
    values (wanted_duty, wanted_holder, 1, clock_timestamp() + ttl)
    on conflict (duty) do update
        set holder = excluded.holder, token = l.token + 1, expires_at = excluded.expires_at
        where l.holder = excluded.holder or l.expires_at < clock_timestamp()
    returning token
$$;

create function platform.renew_lease(held_duty text, held_token bigint, ttl interval) returns boolean
    language sql
    set search_path = platform, pg_temp
as $$
    with renewed as (
        update lease set expires_at = clock_timestamp() + ttl
        where duty = held_duty and token = held_token returning 1
    )
    select exists (select from renewed)
$$;

-- Refuses a stale holder, and keeps a new one from taking over until this transaction ends.
create function platform.assert_lease(held_duty text, held_token bigint) returns void
    language plpgsql
    set search_path = platform, pg_temp
as $$
begin
    perform from lease where duty = held_duty and token = held_token for share;
    if not found then
        raise exception 'lease % with token % is no longer held', held_duty, held_token using errcode = 'AG001';
    end if;
end
$$;

alter table platform.outbox enable row level security;
alter table platform.event_log enable row level security;
create policy tenant on platform.outbox for insert to agio_app
    with check (platform.is_tenant(organisation_id, environment));
create policy tenant on platform.event_log for select to agio_app
    using (platform.is_tenant(organisation_id, environment));
create policy engine on platform.outbox to agio_engine using (true) with check (true);
create policy engine on platform.event_log to agio_engine using (true) with check (true);

grant usage on schema platform to agio_app, agio_engine;
grant insert on platform.outbox to agio_app;
grant select on platform.event_log, platform.channel, platform.lease to agio_app;
grant select, insert, update, delete
    on platform.outbox, platform.event_log, platform.channel, platform.relay_batch, platform.lease to agio_engine;

-- A channel's epoch and top, also before anything happened on it.
create function platform.open_channel(wanted text) returns table (epoch text, last_seq bigint)
    language plpgsql security definer
    set search_path = platform, pg_temp
as $$
begin
    return query select c.epoch, c.last_seq from channel c where c.channel = wanted;
    if not found then
        insert into channel (channel) values (wanted) on conflict do nothing;
        return query select c.epoch, c.last_seq from channel c where c.channel = wanted;
    end if;
end
$$;
