-- Data keys of the organisations, each wrapped by a master key that is not in the database.
create table platform.data_key (
    organisation_id text not null,
    version         integer not null check (version > 0),
    master_id       text not null,
    wrapped         bytea not null,
    created_at      timestamptz not null default now(),
    primary key (organisation_id, version)
);
-- How a change of the master key finds what is still to be wrapped anew.
create index data_key_by_master on platform.data_key (master_id);

alter table platform.data_key enable row level security;
create policy tenant on platform.data_key to agio_app
    using (organisation_id = current_setting('agio.organisation_id', true))
    with check (organisation_id = current_setting('agio.organisation_id', true));
create policy engine on platform.data_key to agio_engine using (true) with check (true);

-- Only the owner re-wraps: a process that serves requests can add a key and never change one.
grant select, insert on platform.data_key to agio_app, agio_engine;
