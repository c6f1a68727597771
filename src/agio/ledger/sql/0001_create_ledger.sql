-- The ledger's tables. Amounts are integers in the asset's smallest unit; a positive leg is a credit.

create table ledger.asset (
    asset       text primary key check (asset ~ '^[A-Z0-9][A-Z0-9.-]{0,31}$'),
    scale       smallint not null check (scale between 0 and 18),
    name        text not null,
    asset_class text not null,
    -- amount * unit is the amount as a decimal with all its places.
    unit        numeric not null generated always as (trim_scale(10::numeric ^ (-scale))) stored
);

insert into ledger.asset (asset, scale, name, asset_class) values
    ('USD', 2, 'US dollar', 'currency'),
    ('EUR', 2, 'Euro', 'currency'),
    ('GBP', 2, 'Pound sterling', 'currency'),
    ('CHF', 2, 'Swiss franc', 'currency'),
    ('JPY', 0, 'Yen', 'currency');

create table ledger.account (
    account_no      bigint generated always as identity primary key,
    address         text not null check (address ~ '^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)+$' and length(address) <= 200),
    owner           text not null check (owner ~ '^[A-Za-z0-9_.-]+$'),
    organisation_id text not null,
    environment     text not null check (environment in ('sandbox', 'live')),
    asset           text not null references ledger.asset,
    unit            numeric not null,
    -- 1: debits must not exceed credits, 2: credits must not exceed debits.
    flags           smallint not null default 0 check (flags between 0 and 3),
    minimum_balance numeric(38,0) not null default 0,
    code            text not null default '',
    debits_posted   numeric(38,0) not null default 0 check (debits_posted >= 0),
    credits_posted  numeric(38,0) not null default 0 check (credits_posted >= 0),
    debits_pending  numeric(38,0) not null default 0 check (debits_pending >= 0),
    credits_pending numeric(38,0) not null default 0 check (credits_pending >= 0),
    -- How many entries the account has.
    version         bigint not null default 0,
    is_frozen       boolean not null default false,
    is_closed       boolean not null default false,
    opened_at       timestamptz not null default now(),
    -- An organisation's own accounts have the same addresses in each of its environments.
    unique (address, environment)
) with (fillfactor = 50);
create index account_by_owner on ledger.account (organisation_id, environment, owner);

create table ledger.journal (
    journal_no      bigint primary key,
    journal_id      text not null unique,
    organisation_id text not null,
    environment     text not null,
    kind            text not null default 'posting',
    fingerprint     bytea not null,
    booking_date    date not null,
    value_date      date not null,
    source          text not null,
    reference       text,
    releases        text[],
    reverses        text,
    batch_no        bigint not null,
    created_at      timestamptz not null
);
create unique index journal_reverses_once on ledger.journal (reverses) where reverses is not null;

create table ledger.entry (
    account_no bigint not null,
    version    bigint not null,
    journal_no bigint not null,
    leg_no     integer not null,
    amount     numeric(38,0) not null check (amount <> 0),
    balance    numeric(38,0) not null,
    -- The hold that this debit consumed.
    hold_id    text,
    primary key (account_no, version)
);
-- Entries are appended in journal order, so block ranges find a journal's legs at no cost to the writer.
create index entry_by_journal on ledger.entry using brin (journal_no) with (pages_per_range = 8, autosummarize = on);

create table ledger.hold (
    hold_id         text primary key,
    organisation_id text not null,
    environment     text not null,
    account_no      bigint not null,
    address         text not null,
    amount          numeric(38,0) not null check (amount > 0),
    captured        numeric(38,0) not null default 0 check (captured >= 0),
    released        numeric(38,0) not null default 0 check (released >= 0),
    state           text not null default 'open' check (state in ('open', 'captured', 'released', 'expired')),
    expires_at      timestamptz,
    fingerprint     bytea not null,
    source          text not null,
    reference       text,
    created_at      timestamptz not null,
    closed_at       timestamptz,
    check (captured + released <= amount),
    check ((state = 'open') = (captured + released < amount))
) with (fillfactor = 70);
create index hold_expiring on ledger.hold (expires_at) where state = 'open' and expires_at is not null;

-- One row per committed batch that posted journals.
create table ledger.chain (
    batch_no         bigint primary key,
    previous_hash    bytea not null,
    hash             bytea not null,
    first_journal_no bigint not null,
    journal_count    bigint not null check (journal_count > 0),
    created_at       timestamptz not null
);

-- The writer lock, and the counters that only its holder may advance: numbers have no gaps, time never falls.
create table ledger.head (
    only_row   boolean primary key default true check (only_row),
    batch_no   bigint not null default 0,
    journal_no bigint not null default 0,
    event_no   bigint not null default 0,
    hash       bytea not null default '\x0000000000000000000000000000000000000000000000000000000000000000',
    at         timestamptz not null default '1970-01-01 00:00:00+00'
) with (fillfactor = 10);
insert into ledger.head default values;

create function ledger.refuse_change() returns trigger
    language plpgsql
as $$
begin
    raise exception 'ledger.% is immutable: correct by a reversal', tg_table_name using errcode = 'AG002';
end
$$;
create trigger immutable before update or delete or truncate on ledger.journal
    for each statement execute function ledger.refuse_change();
create trigger immutable before update or delete or truncate on ledger.entry
    for each statement execute function ledger.refuse_change();
create trigger immutable before update or delete or truncate on ledger.chain
    for each statement execute function ledger.refuse_change();

alter table ledger.account enable row level security;
alter table ledger.journal enable row level security;
alter table ledger.entry enable row level security;
alter table ledger.hold enable row level security;
create policy tenant on ledger.account for select to agio_app
    using (platform.is_tenant(organisation_id, environment));
create policy tenant on ledger.journal for select to agio_app
    using (platform.is_tenant(organisation_id, environment));
create policy tenant on ledger.hold for select to agio_app
    using (platform.is_tenant(organisation_id, environment));
create policy tenant on ledger.entry for select to agio_app
    using (exists (
        select from ledger.account a
        where a.account_no = entry.account_no and platform.is_tenant(a.organisation_id, a.environment)
    ));
create policy engine on ledger.account for select to agio_engine using (true);
create policy engine on ledger.journal for select to agio_engine using (true);
create policy engine on ledger.hold for select to agio_engine using (true);
create policy engine on ledger.entry for select to agio_engine using (true);

-- Nobody writes to these tables directly; the functions of the next files do.
grant usage on schema ledger to agio_app, agio_engine;
grant select on ledger.account, ledger.journal, ledger.entry, ledger.hold, ledger.asset to agio_app, agio_engine;
grant select on ledger.chain, ledger.head to agio_engine;
grant insert (asset, scale, name, asset_class) on ledger.asset to agio_app, agio_engine;
