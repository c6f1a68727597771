-- Acceptance, first step: take the (account, client order id) pairs of a batch that mixes organisations.
-- `claimed`: the order is new and stands; `exists`: an order has that name already and is returned;
-- `foreign`: the account is not one of the organisation and environment that the order names.
-- Keys are taken in one order, so two nodes that take the same ones wait and do not deadlock.
create function trading.claim_orders(items json)
    returns table (order_id text, code text, stored text)
    language plpgsql security definer
    set search_path = trading, pg_temp
as $$
#variable_conflict use_column
declare
    claimed text[];
begin
    with taken as (
        insert into orders (
            order_id, organisation_id, environment, account_id, client_order_id, symbol, venue, base_asset,
            quote_asset, price_scale, quantity_scale, quote_scale, fee_basis_points, side, type, time_in_force,
            quantity, limit_price, protection_price, status, filled_quantity, filled_notional, fees, fill_count,
            created_at, updated_at, version)
        select
            w.order_id, w.organisation_id, w.environment, w.account_id, w.client_order_id, w.symbol, w.venue,
            w.base_asset, w.quote_asset, w.price_scale, w.quantity_scale, w.quote_scale, w.fee_basis_points,
            w.side, w.type, w.time_in_force, w.quantity, w.limit_price, w.protection_price, 'pending_new',
            0, 0, 0, 0, w.created_at, w.updated_at, 1
        from json_populate_recordset(null::orders, items) w
        join account a on a.account_id = w.account_id
            and a.organisation_id = w.organisation_id and a.environment = w.environment
        order by w.account_id, w.client_order_id
        on conflict do nothing
        returning orders.order_id
    )
    select coalesce(array_agg(t.order_id), '{}') into claimed from taken t;

    return query select c.order_id, 'claimed', null::text from unnest(claimed) as c (order_id);
    if cardinality(claimed) = json_array_length(items) then
        return;
    end if;

    -- A new statement: it sees what a concurrent batch committed while this one waited for it. Lateral, so
    -- that it always goes by the index: the planner knows nothing of a fresh table's size.
    return query
    select w.order_id, case when o.order_id is null then 'foreign' else 'exists' end, o.stored
    from json_populate_recordset(null::orders, items) w
    left join lateral (
        select s.order_id, row_to_json(s)::text as stored
        from orders s
        where s.account_id = w.account_id and s.client_order_id = w.client_order_id
            and s.organisation_id = w.organisation_id and s.environment = w.environment
        limit 1
    ) o on true
    where w.order_id <> all (claimed);
end
$$;

-- Acceptance, last step: orders whose hold was refused leave as if they had never come; the others get their
-- venue command and their event. Touches only orders that this very transaction claimed.
create function trading.confirm_orders(refused text[], accepted text[], event_ids text[], bodies text[])
    returns void
    language plpgsql security definer
    set search_path = trading, pg_temp
as $$
declare
    confirmed integer;
begin
    delete from orders o where o.order_id = any (refused) and o.xmin = pg_current_xact_id()::xid;

    insert into venue_command (venue, order_id, kind, organisation_id, environment)
    select o.venue, o.order_id, 'submit', o.organisation_id, o.environment
    from orders o
    where o.order_id = any (accepted) and o.xmin = pg_current_xact_id()::xid
    order by o.entered_no;
    get diagnostics confirmed = row_count;
    if confirmed <> cardinality(accepted) then
        raise exception 'an order was confirmed that this transaction did not claim' using errcode = 'AG010';
    end if;

    insert into platform.outbox (event_id, organisation_id, environment, channel, kind, body, occurred_at)
    select e.event_id, o.organisation_id, o.environment, 'orders:' || o.account_id, 'order_accepted', e.body,
        o.created_at
    from unnest(accepted, event_ids, bodies) as e (order_id, event_id, body)
    cross join lateral (select s.* from orders s where s.order_id = e.order_id limit 1) o
    order by o.entered_no;
end
$$;

revoke all on function trading.claim_orders(json), trading.confirm_orders(text[], text[], text[], text[]) from public;
grant execute on function trading.claim_orders(json), trading.confirm_orders(text[], text[], text[], text[])
    to agio_app;
