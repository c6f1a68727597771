-- Organisations, their API keys, and single-use stream tickets.

create table identity.organisation (
    organisation_id text primary key,
    name text not null check (length(name) between 1 and 200),
    created_at timestamptz not null default now()
);

create table identity.api_key (
    key_id text primary key,
    organisation_id text not null references identity.organisation,
    environment text not null check (environment in ('sandbox', 'live')),
    name text not null check (length(name) between 1 and 100),
    token_hash bytea not null unique check (length(token_hash) = 32),
    hint text not null,
    scopes text[] not null,
    allowed_cidrs text[] not null,
    created_by text,
    created_at timestamptz not null,
    expires_at timestamptz not null check (expires_at > created_at),
    revoked_at timestamptz,
    replaced_by text,
    last_used_at timestamptz
);

create index api_key_by_tenant on identity.api_key (organisation_id, environment, key_id);
create index api_key_by_end on identity.api_key (expires_at);
create index api_key_by_revocation on identity.api_key (revoked_at) where revoked_at is not null;

create table identity.stream_ticket (
    ticket_hash bytea primary key check (length(ticket_hash) = 32),
    organisation_id text not null,
    environment text not null,
    key_id text not null references identity.api_key,
    expires_at timestamptz not null
);

create index stream_ticket_by_tenant on identity.stream_ticket (organisation_id, environment, expires_at);

alter table identity.organisation enable row level security;
alter table identity.api_key enable row level security;
alter table identity.stream_ticket enable row level security;

create policy tenant on identity.organisation to agio_app
    using (organisation_id = current_setting('agio.organisation_id', true))
    with check (organisation_id = current_setting('agio.organisation_id', true));
create policy tenant on identity.api_key to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));
create policy tenant on identity.stream_ticket to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));

grant usage on schema identity to agio_app;
grant select, insert on identity.organisation to agio_app;
grant select, insert on identity.api_key to agio_app;
grant update (expires_at, revoked_at, replaced_by) on identity.api_key to agio_app;
grant select, insert, delete on identity.stream_ticket to agio_app;

-- Whose token this is, asked before the organisation is known. Takes the hash, so that it tells nothing
-- to anybody who does not hold the token already.
create function identity.find_api_key(lookup bytea)
    returns table (
        key_id text, organisation_id text, environment text, scopes text[], allowed_cidrs text[],
        expires_at timestamptz, revoked_at timestamptz
    )
    language sql stable security definer
    set search_path = identity, pg_temp
as $$
    select k.key_id, k.organisation_id, k.environment, k.scopes, k.allowed_cidrs, k.expires_at, k.revoked_at
    from identity.api_key k where k.token_hash = lookup
$$;

-- Uses a ticket up and says whose key it was issued to; the row is gone afterwards, on whichever node.
create function identity.redeem_stream_ticket(lookup bytea)
    returns table (
        key_id text, organisation_id text, environment text, scopes text[], allowed_cidrs text[],
        expires_at timestamptz, revoked_at timestamptz
    )
    language sql volatile security definer
    set search_path = identity, pg_temp
as $$
    with used as (
        delete from identity.stream_ticket t where t.ticket_hash = lookup returning t.key_id, t.expires_at
    )
    select k.key_id, k.organisation_id, k.environment, k.scopes, k.allowed_cidrs, k.expires_at, k.revoked_at
    from used join identity.api_key k on k.key_id = used.key_id
    where used.expires_at > clock_timestamp()
$$;

-- Keys that were revoked or ran out after an instant: how a node hears of ends that the bus did not bring.
create function identity.ended_api_keys(since interval)
    returns table (key_id text)
    language sql stable security definer
    set search_path = identity, pg_temp
as $$
    select k.key_id from identity.api_key k
    where k.revoked_at > clock_timestamp() - since
    union
    select k.key_id from identity.api_key k
    where k.expires_at > clock_timestamp() - since and k.expires_at <= clock_timestamp()
$$;

-- Notes when keys were last used, many at a time; never backwards.
create function identity.touch_api_keys(ids text[], instants timestamptz[])
    returns void
    language sql volatile security definer
    set search_path = identity, pg_temp
as $$
    update identity.api_key k set last_used_at = used.at
    from (select * from unnest(ids, instants) as u(id, at) order by id) used
    where k.key_id = used.id and (k.last_used_at is null or k.last_used_at < used.at)
$$;

revoke all on function identity.find_api_key, identity.redeem_stream_ticket, identity.ended_api_keys,
    identity.touch_api_keys from public;
grant execute on function identity.find_api_key, identity.redeem_stream_ticket, identity.ended_api_keys,
    identity.touch_api_keys to agio_app;
