-- Accounts that have traded: whose they are, so that a batch of many organisations can be checked here.
create table trading.account (
    account_id      text primary key,
    organisation_id text not null,
    environment     text not null,
    created_at      timestamptz not null default now()
);

create table trading.orders (
    order_id         text primary key,
    organisation_id  text not null,
    environment      text not null,
    account_id       text not null,
    client_order_id  text not null,
    symbol           text not null,
    venue            text not null,
    base_asset       text not null,
    quote_asset      text not null,
    price_scale      smallint not null,
    quantity_scale   smallint not null,
    quote_scale      smallint not null,
    fee_basis_points smallint not null,
    side             text not null check (side in ('buy', 'sell')),
    type             text not null check (type in ('market', 'limit')),
    time_in_force    text not null check (time_in_force in ('day', 'gtc', 'ioc')),
    quantity         numeric(38, 0) not null check (quantity > 0),
    limit_price      numeric(38, 0) check (limit_price > 0),
    protection_price numeric(38, 0) not null check (protection_price > 0),
    status           text not null check (status in (
        'pending_new', 'new', 'partially_filled', 'filled', 'pending_cancel', 'canceled', 'rejected', 'expired')),
    filled_quantity  numeric(38, 0) not null check (filled_quantity between 0 and quantity),
    filled_notional  numeric(38, 0) not null,
    fees             numeric(38, 0) not null,
    fill_count       integer not null,
    reject_reason    text,
    expires_at       timestamptz,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    version          integer not null,
    entered_no       bigint generated always as identity,
    unique (account_id, client_order_id),
    check ((type = 'limit') = (limit_price is not null)),
    check ((status = 'filled') = (filled_quantity = quantity))
) with (fillfactor = 70);

create index orders_of_account on trading.orders (account_id, order_id);
create index orders_of_organisation on trading.orders (organisation_id, environment, order_id);
create index open_orders on trading.orders (venue, entered_no)
    where status in ('pending_new', 'new', 'partially_filled', 'pending_cancel');

create table trading.executions (
    execution_no    bigint generated always as identity primary key,
    execution_id    text not null unique,
    order_id        text not null references trading.orders,
    fill_no         integer not null,
    organisation_id text not null,
    environment     text not null,
    account_id      text not null,
    symbol          text not null,
    side            text not null,
    quantity        numeric(38, 0) not null check (quantity > 0),
    price           numeric(38, 0) not null check (price > 0),
    notional        numeric(38, 0) not null,
    fee             numeric(38, 0) not null,
    fee_asset       text not null,
    price_scale     smallint not null,
    quantity_scale  smallint not null,
    quote_scale     smallint not null,
    liquidity       text not null check (liquidity in ('maker', 'taker')),
    trade_id        text not null,
    trade_seq       bigint,
    journal_id      text not null unique,
    transact_time   timestamptz not null,
    unique (order_id, fill_no)
);

create index executions_of_account on trading.executions (account_id, execution_no);
create index executions_of_organisation on trading.executions (organisation_id, environment, execution_no);

-- What a venue has to be told. A row leaves in the transaction that records what came of it.
create table trading.venue_command (
    command_no      bigint generated always as identity primary key,
    venue           text not null,
    order_id        text not null,
    kind            text not null check (kind in ('submit', 'cancel')),
    organisation_id text not null,
    environment     text not null
);

-- How far each tape has been matched: every open order has met all trades up to here, and none after.
create table trading.tape_progress (
    symbol text primary key,
    epoch  text not null,
    seq    bigint not null
) with (fillfactor = 50);

alter table trading.account enable row level security;
alter table trading.orders enable row level security;
alter table trading.executions enable row level security;
alter table trading.venue_command enable row level security;

create policy tenant on trading.account to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment));
create policy tenant on trading.orders for select to agio_app
    using (platform.is_tenant(organisation_id, environment));
create policy tenant_cancels on trading.orders for update to agio_app
    using (platform.is_tenant(organisation_id, environment))
    with check (platform.is_tenant(organisation_id, environment) and status = 'pending_cancel');
create policy tenant on trading.executions for select to agio_app
    using (platform.is_tenant(organisation_id, environment));
create policy tenant_cancels on trading.venue_command for insert to agio_app
    with check (platform.is_tenant(organisation_id, environment) and kind = 'cancel');

create policy engine on trading.orders to agio_engine using (true) with check (true);
create policy engine on trading.executions to agio_engine using (true) with check (true);
create policy engine on trading.venue_command to agio_engine using (true) with check (true);

grant usage on schema trading to agio_app, agio_engine;
grant select, insert on trading.account to agio_app;
grant select, update (status, updated_at, version) on trading.orders to agio_app;
grant select on trading.executions to agio_app;
grant insert on trading.venue_command to agio_app;
grant select, update on trading.orders to agio_engine;
grant select, insert on trading.executions to agio_engine;
grant select, delete on trading.venue_command to agio_engine;
grant select, insert, update on trading.tape_progress to agio_engine;
