-- Vaults and what guards them. Money in a sub-account leaves by a transfer request only.

-- The lock of one tenant's controls: who changes or decides anything here holds this row until it commits, so
-- that limits, quorums and freezes are decided one after the other. It is taken before the ledger's lock.
create table custody.house (
    organisation_id text not null,
    environment     text not null check (environment in ('sandbox', 'live')),
    primary key (organisation_id, environment)
);

create table custody.vault (
    vault_id        text primary key,
    organisation_id text not null,
    environment     text not null check (environment in ('sandbox', 'live')),
    name            text not null check (name like 'sealed:%'),
    created_by      text not null,
    created_at      timestamptz not null
);
create index vault_by_tenant on custody.vault (organisation_id, environment, vault_id);

create table custody.sub_account (
    sub_account_id  text primary key,
    organisation_id text not null,
    environment     text not null,
    vault_id        text not null references custody.vault,
    asset           text not null,
    location        text not null check (location ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
    address         text not null,
    created_at      timestamptz not null,
    unique (vault_id, asset, location)
);

create table custody.destination (
    destination_id  text primary key,
    organisation_id text not null,
    environment     text not null,
    kind            text not null check (kind in ('iban', 'bitcoin', 'ethereum')),
    name            text not null check (name like 'sealed:%'),
    address         text not null check (address like 'sealed:%'),
    bic             text,
    added_by        text not null,
    added_at        timestamptz not null,
    usable_from     timestamptz not null,
    revoked_at      timestamptz,
    revoked_by      text
);
create index destination_by_tenant on custody.destination (organisation_id, environment, destination_id);

create table custody.freeze (
    freeze_id       text primary key,
    organisation_id text not null,
    environment     text not null,
    target_kind     text not null check (target_kind in ('house', 'vault', 'account', 'key')),
    target_id       text not null,
    reason          text not null check (reason like 'sealed:%'),
    placed_by       text not null,
    placed_at       timestamptz not null,
    lifted_by       text,
    lifted_at       timestamptz,
    check (lifted_by <> placed_by)
);
create index freeze_by_tenant on custody.freeze (organisation_id, environment, freeze_id);
create index freeze_in_force on custody.freeze (organisation_id, environment, target_id) where lifted_at is null;

-- Which freezes stop those who want to move something, in one read for a batch of many organisations. Each mover is
-- answered for its own organisation only; the answer is ids.
create function custody.find_freezes(organisations text[], environments text[], accounts text[], keys text[])
    returns table (mover_no bigint, freeze_id text)
    language sql stable security definer
    set search_path = custody, pg_temp
as $$
    select m.mover_no, f.freeze_id
    from unnest(organisations, environments, accounts, keys)
        with ordinality as m (organisation_id, environment, account_id, key_id, mover_no)
    cross join lateral (
        select s.freeze_id from custody.freeze s
        where s.lifted_at is null and s.organisation_id = m.organisation_id and s.environment = m.environment
            and s.target_id in ('house', m.account_id, m.key_id)
    ) f
    order by m.mover_no, f.freeze_id
$$;
revoke execute on function custody.find_freezes from public;
grant execute on function custody.find_freezes to agio_app;

create table custody.credential (
    credential_id   text primary key,
    organisation_id text not null,
    environment     text not null,
    key_id          text not null,
    method          text not null check (method in ('ed25519', 'totp')),
    public_key      bytea check (length(public_key) = 32),
    secret          text check (secret like 'sealed:%'),
    registered_at   timestamptz not null,
    confirmed_at    timestamptz,
    usable_from     timestamptz not null,
    last_step       bigint not null default 0,
    failures        integer not null default 0,
    locked_until    timestamptz,
    revoked_at      timestamptz,
    check ((method = 'ed25519') = (public_key is not null)),
    check ((method = 'totp') = (secret is not null))
);
create index credential_by_key on custody.credential (organisation_id, environment, key_id);
-- Two keys with one signing key are one person.
create unique index credential_signs_for_one_key on custody.credential (organisation_id, environment, public_key)
    where public_key is not null and revoked_at is null;

create table custody.policy (
    policy_id       text primary key,
    organisation_id text not null,
    environment     text not null,
    status          text not null check (status in ('draft', 'scheduled', 'active', 'retired', 'discarded')),
    -- Counted from 1 when it becomes active; 0 before.
    version         integer not null default 0,
    base_version    integer not null,
    document        text not null,
    digest          bytea not null check (length(digest) = 32),
    drafted_by      text not null,
    drafted_at      timestamptz not null,
    approved_at     timestamptz,
    activates_at    timestamptz,
    activated_at    timestamptz,
    ended_at        timestamptz
);
create index policy_by_tenant on custody.policy (organisation_id, environment, policy_id);
create unique index policy_is_active_once on custody.policy (organisation_id, environment) where status = 'active';
create unique index policy_version_once on custody.policy (organisation_id, environment, version) where version > 0;

create table custody.request (
    request_id         text primary key,
    organisation_id    text not null,
    environment        text not null,
    version            integer not null,
    kind               text not null check (kind in ('withdrawal', 'internal')),
    status             text not null
        check (status in ('created', 'approving', 'held', 'released', 'settled', 'failed', 'cancelled')),
    vault_id           text not null references custody.vault,
    sub_account_id     text not null references custody.sub_account,
    asset              text not null,
    scale              smallint not null,
    amount             numeric(38,0) not null check (amount > 0),
    target_kind        text not null check (target_kind in ('destination', 'sub_account', 'account')),
    target_id          text not null,
    reference          text check (reference like 'sealed:%'),
    initiator          text not null,
    editors            text[] not null,
    policy_version     integer not null,
    decision           text not null,
    digest             bytea not null check (length(digest) = 32),
    reason_code        text,
    reason             text check (reason like 'sealed:%'),
    hold_id            text unique,
    journal_id         text unique,
    signature          text,
    external_reference text,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    expires_at         timestamptz not null,
    held_at            timestamptz,
    check (status in ('created', 'approving', 'failed', 'cancelled') or hold_id is not null),
    check ((status = 'settled') = (journal_id is not null))
) with (fillfactor = 70);
create index request_by_tenant on custody.request (organisation_id, environment, request_id);
create index request_by_status on custody.request (organisation_id, environment, status, request_id);
-- What rolling windows add up.
create index request_held on custody.request (organisation_id, environment, held_at)
    where status in ('held', 'released', 'settled');

-- Consents, to a version of a request or to a draft of a policy (version 1).
create table custody.approval (
    subject_id      text not null,
    subject_version integer not null,
    key_id          text not null,
    organisation_id text not null,
    environment     text not null,
    credential_id   text not null references custody.credential,
    method          text not null,
    digest          bytea not null check (length(digest) = 32),
    signature       bytea,
    approved_at     timestamptz not null,
    voided_at       timestamptz,
    primary key (subject_id, subject_version, key_id)
);

-- What happened to a request, in order.
create table custody.step (
    request_id      text not null references custody.request,
    step_no         integer not null,
    organisation_id text not null,
    environment     text not null,
    what            text not null,
    version         integer not null,
    status          text not null,
    by_key          text,
    detail          text not null default '',
    at              timestamptz not null,
    primary key (request_id, step_no)
);

create function custody.refuse_change() returns trigger
    language plpgsql
as $$
begin
    raise exception 'custody.% is a record: it only grows', tg_table_name using errcode = 'AG002';
end
$$;
create trigger immutable before update or delete or truncate on custody.step
    for each statement execute function custody.refuse_change();

do $$
declare
    name text;
begin
    foreach name in array array['house', 'vault', 'sub_account', 'destination', 'freeze', 'credential', 'policy',
        'request', 'approval', 'step']
    loop
        execute format('alter table custody.%I enable row level security', name);
        execute format('create policy tenant on custody.%I to agio_app'
            ' using (platform.is_tenant(organisation_id, environment))'
            ' with check (platform.is_tenant(organisation_id, environment))', name);
        execute format('create policy engine on custody.%I for select to agio_engine using (true)', name);
        execute format('grant select, insert on custody.%I to agio_app', name);
        execute format('grant select on custody.%I to agio_engine', name);
    end loop;
end
$$;
-- Locking a row needs a right to update some column of it; nothing is ever changed in this table.
grant update (environment) on custody.house to agio_app;
grant update (revoked_at, revoked_by) on custody.destination to agio_app;
grant update (lifted_by, lifted_at) on custody.freeze to agio_app;
grant update (confirmed_at, last_step, failures, locked_until, revoked_at) on custody.credential to agio_app;
grant update (status, version, approved_at, activates_at, activated_at, ended_at) on custody.policy to agio_app;
grant update (version, status, amount, target_kind, target_id, reference, editors, policy_version, decision,
    digest, reason_code, reason, hold_id, journal_id, signature, external_reference, updated_at, expires_at, held_at)
    on custody.request to agio_app;
grant update (voided_at) on custody.approval to agio_app;
