"""`/api/accounts`, `/api/transfers`."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, Response, Router, get, post

from agio.custody.schemas import (
    AccountEntryView,
    AccountPage,
    AccountView,
    BalancePage,
    BalanceView,
    CreateAccount,
    CreateTransfer,
    EntryPage,
    TransferPage,
    TransferView,
)
from agio.custody.service import CustodyService
from agio.identity.api import Principal
from agio.kernel.ids import AccountId, TransferId
from agio.kernel.page import DEFAULT_LIMIT
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotencyKey, IdempotentReplies

AnyRequest = Request[Any, Any, Any]


def build_router(custody: CustodyService, database: Database, replies: IdempotentReplies) -> Router:
    """The room's routes."""

    async def write(
        principal: Principal,
        request: AnyRequest,
        key: str | None,
        effect: Callable[[Transaction], Awaitable[object]],
    ) -> Response[Any]:
        """Run once per idempotency key where the caller sent one."""
        if key is not None:
            return await replies.once(principal.scope, request, effect)
        async with database.transaction(principal.scope) as tx:
            content = await effect(tx)
        return Response(content, status_code=201)

    @get("/accounts", opt={"scope": "accounts:read"})
    async def list_accounts(
        principal: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> AccountPage:
        """Accounts, oldest first."""
        async with database.transaction(principal.scope) as tx:
            page = await custody.accounts(tx, limit, cursor)
        return AccountPage([AccountView.of(account) for account in page.items], page.next_cursor)

    @post("/accounts", opt={"scope": "accounts:write"})
    async def open_account(
        request: AnyRequest,
        principal: Principal,
        data: CreateAccount,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[AccountView]:
        """Open an account. With an `Idempotency-Key`, repeating the request opens no second one."""

        async def effect(tx: Transaction) -> AccountView:
            return AccountView.of(await custody.open_account(tx, data.name, data.base_currency))

        return await write(principal, request, idempotency_key, effect)

    @get("/accounts/{account_id:str}", opt={"scope": "accounts:read"})
    async def show_account(principal: Principal, account_id: str) -> AccountView:
        """One account."""
        return AccountView.of(await custody.account(principal, AccountId(account_id)))

    @get("/accounts/{account_id:str}/balances", opt={"scope": "accounts:read"})
    async def list_balances(principal: Principal, account_id: str) -> BalancePage:
        """What the account holds, by asset."""
        async with database.transaction(principal.scope) as tx:
            balances = await custody.balances(tx, AccountId(account_id))
        return BalancePage([BalanceView.of(balance) for balance in balances])

    @get("/accounts/{account_id:str}/entries", opt={"scope": "accounts:read"})
    async def list_entries(
        principal: Principal,
        account_id: str,
        asset: str | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> EntryPage:
        """The account's bookings, newest first."""
        async with database.transaction(principal.scope) as tx:
            page = await custody.entries(tx, AccountId(account_id), asset, limit, cursor)
        return EntryPage([AccountEntryView.of(entry) for entry in page.items], page.next_cursor)

    @post("/transfers", opt={"scope": "transfers:write"})
    async def create_transfer(
        request: AnyRequest,
        principal: Principal,
        data: CreateTransfer,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[TransferView]:
        """Deposit or withdraw on the sandbox rail. Send an `Idempotency-Key` so that you may repeat it."""

        async def effect(tx: Transaction) -> TransferView:
            transfer = await custody.transfer(
                tx,
                AccountId(data.account_id),
                data.direction,
                data.asset,
                data.amount,
                data.reference,
                principal.key_id,
            )
            return TransferView.of(transfer)

        return await write(principal, request, idempotency_key, effect)

    @get("/transfers", opt={"scope": "accounts:read"})
    async def list_transfers(
        principal: Principal,
        account_id: str | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> TransferPage:
        """Transfers of one account or of all, newest first."""
        account = AccountId(account_id) if account_id is not None else None
        async with database.transaction(principal.scope) as tx:
            page = await custody.transfers(tx, account, limit, cursor)
        return TransferPage([TransferView.of(transfer) for transfer in page.items], page.next_cursor)

    @get("/transfers/{transfer_id:str}", opt={"scope": "accounts:read"})
    async def show_transfer(principal: Principal, transfer_id: str) -> TransferView:
        """One transfer."""
        async with database.transaction(principal.scope) as tx:
            return TransferView.of(await custody.show_transfer(tx, TransferId(transfer_id)))

    return Router(
        "/api",
        route_handlers=[
            list_accounts,
            open_account,
            show_account,
            list_balances,
            list_entries,
            create_transfer,
            list_transfers,
            show_transfer,
        ],
        tags=["Custody"],
    )
