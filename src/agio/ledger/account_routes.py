"""`/api/ledger/accounts`: accounts of the ledger, their balances then and now, and their history."""

from datetime import datetime

from litestar import get, post, put
from litestar.handlers import HTTPRouteHandler

from agio.identity.api import Principal
from agio.kernel.ids import LedgerAccountId
from agio.kernel.money import parse_decimal
from agio.kernel.page import DEFAULT_LIMIT
from agio.kernel.problem import InvalidRequest
from agio.ledger.account_store import Change, EntryFilter
from agio.ledger.accounts import LedgerAccounts
from agio.ledger.api import AccountFlags, OpenAccount
from agio.ledger.requests import FLAGS, ChangeVersion, OpenLedgerAccount, SetMinimumBalance
from agio.ledger.schemas import (
    BalanceAsOf,
    LedgerAccountPage,
    LedgerAccountView,
    LedgerEntryPage,
    LedgerEntryView,
)
from agio.platform.clock import Clock
from agio.platform.db import Database


def build_account_routes(
    accounts: LedgerAccounts, database: Database, clock: Clock
) -> list[HTTPRouteHandler]:
    """Routes of ledger accounts."""

    async def change(
        principal: Principal, address: str, what: Change, data: ChangeVersion | None
    ) -> LedgerAccountView:
        expected = None if data is None else data.expected_version
        async with database.transaction(principal.scope) as tx:
            return LedgerAccountView.of(
                await accounts.change(tx, address, what, principal.key_id, expected_version=expected)
            )

    @get("/ledger/accounts", opt={"scope": "ledger:read"})
    async def list_ledger_accounts(
        principal: Principal,
        owner: str | None = None,
        code: str | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> LedgerAccountPage:
        """Ledger accounts by address, of one owner or one chart code if you like."""
        async with database.transaction(principal.scope) as tx:
            page = await accounts.list(tx, owner, code, limit, cursor)
        return LedgerAccountPage([LedgerAccountView.of(row) for row in page.items], page.next_cursor)

    @post("/ledger/accounts", opt={"scope": "ledger:write"})
    async def open_ledger_account(principal: Principal, data: OpenLedgerAccount) -> LedgerAccountView:
        """Open an account of the organisation's own books; repeating it with the same content is harmless."""
        flags = AccountFlags.NONE
        for name in data.flags:
            flags |= FLAGS[name]
        scope = principal.scope
        async with database.transaction(scope) as tx:
            row = await accounts.open(
                tx,
                OpenAccount(
                    address=LedgerAccountId(f"{principal.organisation_id}:book:{data.name}:{data.asset}"),
                    owner=principal.organisation_id,
                    asset=data.asset,
                    organisation_id=principal.organisation_id,
                    environment=principal.environment,
                    flags=flags,
                    minimum_balance=parse_decimal(
                        data.minimum_balance,
                        await accounts.scale_of(tx, data.asset),
                        field="minimum_balance",
                    ),
                    code=data.code,
                ),
            )
        return LedgerAccountView.of(row)

    @get("/ledger/accounts/{ledger_address:str}", opt={"scope": "ledger:read"})
    async def show_ledger_account(principal: Principal, ledger_address: str) -> LedgerAccountView:
        """One ledger account as it stands."""
        async with database.transaction(principal.scope) as tx:
            return LedgerAccountView.of(await accounts.show(tx, ledger_address))

    @get("/ledger/accounts/{ledger_address:str}/balance", opt={"scope": "ledger:read"})
    async def show_balance_as_of(
        principal: Principal, ledger_address: str, at: datetime | None = None
    ) -> BalanceAsOf:
        """What was booked on the account at an instant (or now), from its entries; nothing is recomputed."""
        at = at or clock.now()
        _require_zone(at, "at")
        async with database.transaction(principal.scope) as tx:
            account, row = await accounts.balance_as_of(tx, ledger_address, at)
        return BalanceAsOf.of(account, row, at)

    @get("/ledger/accounts/{ledger_address:str}/entries", opt={"scope": "ledger:read"})
    async def list_ledger_entries(
        principal: Principal,
        ledger_address: str,
        start: datetime | None = None,
        end: datetime | None = None,
        reference: str | None = None,
        journal_id: str | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> LedgerEntryPage:
        """The account's history, newest first; booked within [start, end), of a reference, of a journal."""
        for name, instant in (("start", start), ("end", end)):
            if instant is not None:
                _require_zone(instant, name)
        wanted = EntryFilter(start, end, reference, journal_id)
        async with database.transaction(principal.scope) as tx:
            page = await accounts.entries(tx, ledger_address, wanted, limit, cursor)
        return LedgerEntryPage([LedgerEntryView.of(entry) for entry in page.items], page.next_cursor)

    @post("/ledger/accounts/{ledger_address:str}/freeze", opt={"scope": "ledger:write"}, status_code=200)
    async def freeze_ledger_account(
        principal: Principal, ledger_address: str, data: ChangeVersion | None = None
    ) -> LedgerAccountView:
        """Take no further entries or holds until it is unfrozen; what is held stays held."""
        return await change(principal, ledger_address, "freeze", data)

    @post("/ledger/accounts/{ledger_address:str}/unfreeze", opt={"scope": "ledger:write"}, status_code=200)
    async def unfreeze_ledger_account(
        principal: Principal, ledger_address: str, data: ChangeVersion | None = None
    ) -> LedgerAccountView:
        """Take entries again."""
        return await change(principal, ledger_address, "unfreeze", data)

    @post("/ledger/accounts/{ledger_address:str}/close", opt={"scope": "ledger:write"}, status_code=200)
    async def close_ledger_account(
        principal: Principal, ledger_address: str, data: ChangeVersion | None = None
    ) -> LedgerAccountView:
        """Close an empty account for ever."""
        return await change(principal, ledger_address, "close", data)

    @put("/ledger/accounts/{ledger_address:str}/minimum-balance", opt={"scope": "ledger:write"})
    async def set_minimum_balance(
        principal: Principal, ledger_address: str, data: SetMinimumBalance
    ) -> LedgerAccountView:
        """Say what must stay on the account; refused when the available balance does not cover it now."""
        async with database.transaction(principal.scope) as tx:
            row = await accounts.show(tx, ledger_address)
            minimum = parse_decimal(data.minimum_balance, row.scale, field="minimum_balance")
            return LedgerAccountView.of(
                await accounts.change(
                    tx,
                    ledger_address,
                    "minimum_balance",
                    principal.key_id,
                    minimum=minimum,
                    expected_version=data.expected_version,
                )
            )

    return [
        list_ledger_accounts,
        open_ledger_account,
        show_ledger_account,
        show_balance_as_of,
        list_ledger_entries,
        freeze_ledger_account,
        unfreeze_ledger_account,
        close_ledger_account,
        set_minimum_balance,
    ]


def _require_zone(instant: datetime, field: str) -> None:
    if instant.tzinfo is None:
        raise InvalidRequest(f"{field} needs a time zone, such as Z", extra={"field": field})
