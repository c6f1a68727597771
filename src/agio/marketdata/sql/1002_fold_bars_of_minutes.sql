-- Bars of hours to years are folded from those of a minute, and whether one was changed later is asked of the trades.

grant select on marketdata.bar to agio_ticks_reader;

-- Minutes lie scattered among sixty times as many seconds: a year of them is read from here alone.
create index bar_minute on marketdata.bar (symbol, start_ns)
    include (high, low, volume, notional, trades, revision) where interval = '1m';

create index trade_late on marketdata.trade (symbol, venue_time_ns) where late_ns > 0;
