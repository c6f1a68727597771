-- What the outside says that an account holds, and where it differs from us.

-- A file as it came in; its content is sealed.
create table custody.external_statement (
    statement_id    text primary key,
    organisation_id text not null,
    environment     text not null,
    account_id      text not null references custody.account,
    source          text not null,
    as_of           timestamptz not null,
    file_hash       bytea not null check (length(file_hash) = 32),
    content         bytea not null,
    line_count      integer not null,
    agreed_count    integer not null,
    break_count     integer not null,
    imported_by     text not null,
    imported_at     timestamptz not null,
    -- The same file twice is the same statement.
    unique (account_id, file_hash)
);
create index external_statement_by_account on custody.external_statement (account_id, statement_id);
create index external_statement_newest on custody.external_statement (account_id, source, as_of);

-- A difference: what the ledger, the outside and our own records of business say about one asset.
create table custody.reconciliation_break (
    break_id        text primary key,
    organisation_id text not null,
    environment     text not null,
    account_id      text not null references custody.account,
    source          text not null,
    asset           text not null,
    kind            text not null
        check (kind in ('external_differs', 'ledger_differs', 'expected_differs', 'all_differ')),
    ledger          text not null,
    external        text not null,
    expected        text not null,
    state           text not null default 'open' check (state in ('open', 'explained', 'resolved')),
    statement_id    text not null references custody.external_statement,
    opened_at       timestamptz not null,
    changed_at      timestamptz not null,
    note_count      integer not null default 0
) with (fillfactor = 70);
-- One living break per asset and source: the next statement finds it again.
create unique index break_lives_once on custody.reconciliation_break (account_id, source, asset)
    where state <> 'resolved';
create index break_by_tenant on custody.reconciliation_break (organisation_id, environment, break_id);
create index break_by_state on custody.reconciliation_break (organisation_id, environment, state, break_id);

-- Who decided what about a break, and why; it only grows.
create table custody.break_note (
    break_id        text not null references custody.reconciliation_break,
    note_no         integer not null,
    organisation_id text not null,
    environment     text not null,
    state           text not null,
    reason          text not null check (reason like 'sealed:%' and length(reason) <= 4000),
    decided_by      text not null,
    decided_at      timestamptz not null,
    primary key (break_id, note_no)
);

alter table custody.external_statement enable row level security;
alter table custody.reconciliation_break enable row level security;
alter table custody.break_note enable row level security;
create policy tenant on custody.external_statement to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));
create policy tenant on custody.reconciliation_break to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));
create policy tenant on custody.break_note to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));

grant select, insert on custody.external_statement, custody.reconciliation_break, custody.break_note to agio_app;
grant update (kind, ledger, external, expected, state, statement_id, changed_at, note_count)
    on custody.reconciliation_break to agio_app;
