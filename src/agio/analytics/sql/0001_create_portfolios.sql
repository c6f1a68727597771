-- Portfolios: named sets of accounts with one base currency.
create table analytics.portfolio (
    portfolio_id    text primary key,
    organisation_id text not null,
    environment     text not null check (environment in ('sandbox', 'live')),
    name            text not null check (length(name) between 1 and 100),
    base_currency   text not null,
    account_ids     text[] not null check (cardinality(account_ids) between 1 and 32),
    created_at      timestamptz not null
);
create index portfolio_by_tenant on analytics.portfolio (organisation_id, environment, portfolio_id);

alter table analytics.portfolio enable row level security;
create policy tenant on analytics.portfolio to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));
create policy engine on analytics.portfolio for select to agio_engine using (true);

-- The prices that portfolios are valued with: the last trade of each second in which a symbol traded, by the
-- instant at which it was received. After two days only the last of each minute is kept.
create table analytics.mark (
    symbol        text not null,
    received_us   bigint not null,
    price         bigint not null,
    price_scale   smallint not null,
    venue_time_ns bigint not null,
    epoch         text not null,
    seq           bigint not null,
    primary key (symbol, received_us)
);

grant usage on schema analytics to agio_app, agio_engine;
grant select, insert on analytics.portfolio to agio_app;
grant select on analytics.portfolio to agio_engine;
grant select on analytics.mark to agio_app;
grant select, insert, delete on analytics.mark to agio_engine;
