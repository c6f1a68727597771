-- Everything here is public to every key with market:read: no tenant columns, no row-level security.

create table marketdata.calendar (
    name       text primary key,
    definition jsonb not null
);

create table marketdata.instrument (
    symbol         text primary key check (symbol ~ '^[A-Z0-9][A-Z0-9-]{0,23}$'),
    name           text not null,
    venue          text not null,
    base_asset     text not null,
    quote_asset    text not null,
    tick_size      bigint not null check (tick_size > 0),
    lot_size       bigint not null check (lot_size > 0),
    price_scale    smallint not null check (price_scale between 0 and 18),
    quantity_scale smallint not null check (quantity_scale between 0 and 18),
    quote_scale    smallint not null check (quote_scale between 0 and 18),
    calendar       text not null references marketdata.calendar,
    status         text not null check (status in ('active', 'halted', 'retired')),
    asset_class    text not null,
    created_at     timestamptz not null default clock_timestamp()
);

-- One row per symbol: who may assign the next sequence locks it. `open_bars` (MessagePack) are the bars in
-- progress after `last_seq`, so that a restart folds on from exactly there.
create table marketdata.trade_stream (
    symbol    text primary key,
    epoch     text not null default substr(replace(gen_random_uuid()::text, '-', ''), 1, 8),
    last_seq  bigint not null default 0,
    open_bars bytea not null default '\x90'
);

create table marketdata.trade (
    symbol        text not null,
    seq           bigint not null,
    venue_time_ns bigint not null,
    price         bigint not null,
    size          bigint not null check (size > 0),
    side          smallint not null check (side between 0 and 2),
    trade_id      text,
    received_at   timestamptz not null,
    primary key (symbol, seq)
);

-- Trades arrive nearly in order of venue time: a block range index finds a time range at no cost to writers.
create index trade_venue_time on marketdata.trade
    using brin (venue_time_ns) with (pages_per_range = 16, autosummarize = on);

create table marketdata.bar (
    symbol   text not null,
    interval text not null check (interval in ('1s', '1m')),
    start_ns bigint not null,
    open     bigint not null,
    high     bigint not null,
    low      bigint not null,
    close    bigint not null,
    volume   bigint not null,
    notional numeric(38, 0) not null,
    trades   bigint not null,
    first_ns bigint not null,
    last_ns  bigint not null,
    revision integer not null default 0,
    primary key (symbol, interval, start_ns)
);

-- `done` rows of the tape are durable; the listeners have decided on `heard` of them.
create table marketdata.replay (
    replay_id        text primary key,
    path             text not null,
    kind             text not null check (kind in ('trades', 'quotes')),
    symbol           text not null,
    speed            double precision not null check (speed >= 0 and speed <= 1e9),
    time_zone        text not null,
    state            text not null default 'pending'
                     check (state in ('pending', 'running', 'done', 'failed', 'canceled')),
    total            bigint not null,
    done             bigint not null default 0,
    heard            bigint not null default 0,
    first_seq        bigint,
    first_ns         bigint not null,
    last_ns          bigint not null,
    venue_time_ns    bigint,
    price_scale      smallint not null,
    quantity_scale   smallint not null,
    file_size        bigint not null,
    file_modified_ns bigint not null,
    problem          text,
    problem_line     bigint,
    created_at       timestamptz not null default clock_timestamp(),
    started_at       timestamptz,
    finished_at      timestamptz,
    check (heard <= done and done <= total)
);

create unique index replay_active on marketdata.replay (symbol) where state in ('pending', 'running');
create index replay_created on marketdata.replay (created_at);

grant usage on schema marketdata to agio_app, agio_engine;
grant select on all tables in schema marketdata to agio_app;
grant insert on marketdata.replay to agio_app;
grant update (state, finished_at) on marketdata.replay to agio_app;
grant select, insert, update, delete on all tables in schema marketdata to agio_engine;
