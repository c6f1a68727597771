-- Settlement: new states, executions, and the commands that are done with, in one call. The caller holds the
-- rows' locks; a version that does not follow the stored one means that somebody else wrote: refuse.
create function trading.record_settlement(changed json, filled json, handled bigint[])
    returns void
    language plpgsql
    set search_path = trading, pg_temp
as $$
declare
    written integer;
begin
    update orders o set
        status = n.status, filled_quantity = n.filled_quantity, filled_notional = n.filled_notional,
        fees = n.fees, fill_count = n.fill_count, reject_reason = n.reject_reason, expires_at = n.expires_at,
        updated_at = n.updated_at, version = n.version
    from json_populate_recordset(null::orders, changed) n
    where o.order_id = n.order_id and o.version < n.version;
    get diagnostics written = row_count;
    if written <> json_array_length(changed) then
        raise exception 'an order changed under its settlement' using errcode = 'AG011';
    end if;

    insert into executions (
        execution_id, order_id, fill_no, organisation_id, environment, account_id, symbol, side, quantity, price,
        notional, fee, fee_asset, price_scale, quantity_scale, quote_scale, liquidity, trade_id, trade_seq,
        journal_id, transact_time)
    select
        x.execution_id, x.order_id, x.fill_no, x.organisation_id, x.environment, x.account_id, x.symbol, x.side,
        x.quantity, x.price, x.notional, x.fee, x.fee_asset, x.price_scale, x.quantity_scale, x.quote_scale,
        x.liquidity, x.trade_id, x.trade_seq, x.journal_id, x.transact_time
    from rows from (json_populate_recordset(null::executions, filled)) with ordinality as x
    order by x.ordinality;

    delete from venue_command c where c.command_no = any (handled);
end
$$;

revoke all on function trading.record_settlement(json, json, bigint[]) from public;
grant execute on function trading.record_settlement(json, json, bigint[]) to agio_engine;
