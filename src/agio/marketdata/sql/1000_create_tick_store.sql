-- The tick store keeps history in Parquet files; its catalogue (DuckLake) is the schema `ticks`. These tables
-- are the newest hours, from which streams resume, and how far the store has taken over.

create schema ticks;
grant usage, create on schema ticks to agio_ticks;
grant usage on schema ticks to agio_ticks_reader;

-- `correction`: 1 replaces, 2 cancels the earlier trade with the same trade_id. `late_ns`: how far the trade is
-- behind the newest venue time before it; 0 for one that came in order.
alter table marketdata.trade
    add column correction smallint not null default 0 check (correction between 0 and 2),
    add column late_ns    bigint not null default 0 check (late_ns >= 0);

create index trade_correction on marketdata.trade (symbol, seq) where correction > 0;

create table marketdata.quote (
    symbol        text not null,
    seq           bigint not null,
    venue_time_ns bigint not null,
    bid           bigint not null,
    bid_size      bigint not null,
    ask           bigint not null,
    ask_size      bigint not null,
    received_at   timestamptz not null,
    primary key (symbol, seq)
);

-- Everything up to `moved_seq` is in the tick store. Rows above it are in the tables here, and nowhere else.
create table marketdata.tick_mark (
    kind      text not null check (kind in ('trades', 'quotes')),
    symbol    text not null,
    moved_seq bigint not null default 0,
    primary key (kind, symbol)
);

-- The folder of the files carries the same id.
create table marketdata.tick_store (
    only_row boolean primary key default true check (only_row),
    store_id text not null
);
grant select on marketdata.tick_store to agio_ticks, agio_ticks_reader;
grant insert on marketdata.tick_store to agio_ticks;

-- A tape that was played again from `from_ns` on: earlier trades of that span stay in the history and no longer
-- count for bars.
create table marketdata.bar_rewind (
    symbol     text not null,
    before_seq bigint not null,
    from_ns    bigint not null,
    primary key (symbol, before_seq)
);

-- Corrections whose bars of a second and a minute wait to be drawn anew.
create table marketdata.bar_redraw (
    symbol text not null,
    seq    bigint not null,
    primary key (symbol, seq)
);

grant select on marketdata.quote, marketdata.tick_mark, marketdata.bar_rewind to agio_app;
grant select, insert, update, delete
    on marketdata.quote, marketdata.tick_mark, marketdata.bar_rewind, marketdata.bar_redraw to agio_engine;

grant usage on schema marketdata to agio_ticks, agio_ticks_reader;
grant select on marketdata.trade, marketdata.quote, marketdata.tick_mark, marketdata.bar_rewind,
    marketdata.trade_stream, marketdata.instrument to agio_ticks, agio_ticks_reader;

-- A writer whose lease was taken over cannot commit: every commit of the catalogue is a row of ducklake_snapshot.
create function marketdata.refuse_stale_tick_writer() returns trigger
    language plpgsql security definer
    set search_path = platform, pg_temp
as $$
begin
    perform platform.assert_lease('ticks', coalesce(nullif(current_setting('agio.tick_lease', true), ''), '0')::bigint);
    return new;
end
$$;

-- Called by agio_ticks, which owns the catalogue's tables, once DuckLake has made them.
create function marketdata.guard_tick_catalogue() returns void
    language plpgsql
    set search_path = ticks, pg_temp
as $$
begin
    if not exists (select from pg_trigger where tgname = 'one_writer' and tgrelid = 'ticks.ducklake_snapshot'::regclass) then
        create trigger one_writer before insert on ticks.ducklake_snapshot
            for each row execute function marketdata.refuse_stale_tick_writer();
    end if;
    alter default privileges in schema ticks grant select on tables to agio_ticks_reader;
    grant select on all tables in schema ticks to agio_ticks_reader;
end
$$;
revoke execute on function marketdata.refuse_stale_tick_writer(), marketdata.guard_tick_catalogue() from public;
grant execute on function marketdata.refuse_stale_tick_writer(), marketdata.guard_tick_catalogue() to agio_ticks;
