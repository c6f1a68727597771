-- Opens accounts that do not exist yet; answers the addresses that exist with other content.
create function ledger.open_accounts(
    addresses text[], owners text[], assets text[], organisations text[], environments text[],
    account_flags smallint[], minimum_balances numeric[], codes text[]
) returns setof text
    language plpgsql security definer
    set search_path = ledger, pg_temp
as $$
begin
    perform assert_tenant(organisations, environments);
    if exists (
        select from unnest(addresses, environments) as w (address, environment)
        where not exists (
            select from account a where a.address = w.address and a.environment = w.environment
        )
    ) then
        -- Under the writer lock like every change, so that two openers cannot wait for each other.
        perform from head for update;
        insert into account (address, owner, asset, unit, organisation_id, environment, flags, minimum_balance, code)
        select w.address, w.owner, w.asset, s.unit, w.organisation_id, w.environment, w.flags, w.minimum_balance,
            w.code
        from unnest(addresses, owners, assets, organisations, environments, account_flags, minimum_balances, codes)
            as w (address, owner, asset, organisation_id, environment, flags, minimum_balance, code)
        join asset s on s.asset = w.asset
        on conflict (address, environment) do nothing;
    end if;
    return query
    select w.address
    from unnest(addresses, owners, assets, organisations, environments, account_flags)
        as w (address, owner, asset, organisation_id, environment, flags)
    left join account a on a.address = w.address and a.environment = w.environment
    where (a.owner, a.asset, a.organisation_id, a.environment, a.flags)
        is distinct from (w.owner, w.asset, w.organisation_id, w.environment, w.flags);
end
$$;

-- Takes the writer lock now, for callers that must read what nobody changes until they have applied.
create function ledger.lock_head() returns void
    language plpgsql security definer
    set search_path = ledger, pg_temp
as $$
begin
    perform from head for update;
end
$$;

revoke execute on all functions in schema ledger from public;
grant execute on function ledger.apply, ledger.open_accounts, ledger.lock_head, ledger.chain_hash
    to agio_app, agio_engine;
