-- Instruments of live venues: followed, never traded here.
alter table marketdata.instrument
    drop constraint instrument_status_check,
    add constraint instrument_status_check check (status in ('active', 'halted', 'retired', 'data_only'));
