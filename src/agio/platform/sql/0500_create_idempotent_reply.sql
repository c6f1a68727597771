-- Answers kept for POSTs that are repeated under the same Idempotency-Key.
create table platform.idempotent_reply (
    organisation_id text not null,
    environment text not null,
    key text not null,
    request_hash bytea not null,
    status smallint not null,
    body bytea not null,
    created_at timestamptz not null default now(),
    primary key (organisation_id, environment, key)
);

create index idempotent_reply_by_age on platform.idempotent_reply (organisation_id, environment, created_at);

alter table platform.idempotent_reply enable row level security;
create policy tenant on platform.idempotent_reply to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));

grant select, insert, delete on platform.idempotent_reply to agio_app;
