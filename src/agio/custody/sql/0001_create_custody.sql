-- Customer accounts. What they hold is in the ledger; here is what they are.
create table custody.account (
    account_id      text primary key,
    organisation_id text not null,
    environment     text not null check (environment in ('sandbox', 'live')),
    name            text not null check (length(name) between 1 and 100),
    base_currency   text not null,
    status          text not null default 'open' check (status in ('open', 'closed')),
    created_at      timestamptz not null
);
create index account_by_tenant on custody.account (organisation_id, environment, account_id);

-- Money that came in or went out, and the journal that booked it.
create table custody.transfer (
    transfer_id     text primary key,
    organisation_id text not null,
    environment     text not null check (environment in ('sandbox', 'live')),
    account_id      text not null references custody.account,
    direction       text not null check (direction in ('deposit', 'withdrawal')),
    asset           text not null,
    amount          numeric(38,0) not null check (amount > 0),
    scale           smallint not null,
    reference       text check (length(reference) <= 140),
    status          text not null default 'settled' check (status in ('settled')),
    journal_id      text not null unique,
    created_at      timestamptz not null
);
create index transfer_by_tenant on custody.transfer (organisation_id, environment, transfer_id);
create index transfer_by_account on custody.transfer (account_id, transfer_id);

alter table custody.account enable row level security;
alter table custody.transfer enable row level security;
create policy tenant on custody.account to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));
create policy tenant on custody.transfer to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));
create policy engine on custody.account for select to agio_engine using (true);
create policy engine on custody.transfer for select to agio_engine using (true);

grant usage on schema custody to agio_app, agio_engine;
grant select, insert on custody.account, custody.transfer to agio_app;
grant select on custody.account, custody.transfer to agio_engine;
