"""`/api/vaults`."""

from litestar import Response, Router, get, post

from agio.custody.vaults.schemas import (
    CreateSubAccount,
    CreateVault,
    CreateVaultDeposit,
    SubAccountPage,
    SubAccountView,
    VaultDepositView,
    VaultPage,
    VaultView,
)
from agio.custody.vaults.service import Vaults
from agio.custody.writes import AnyRequest, Writes
from agio.identity.api import Principal
from agio.kernel.ids import SubAccountId, VaultId
from agio.kernel.page import DEFAULT_LIMIT
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotencyKey


def build_router(vaults: Vaults, database: Database, write: Writes) -> Router:
    """The routes of vaults."""

    @get("/", opt={"scope": "custody:read"})
    async def list_vaults(
        principal: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> VaultPage:
        """Vaults, oldest first."""
        async with database.transaction(principal.scope) as tx:
            page = await vaults.vaults(tx, limit, cursor)
        return VaultPage([VaultView.of(vault) for vault in page.items], page.next_cursor)

    @post("/", opt={"scope": "custody:admin"})
    async def open_vault(
        request: AnyRequest, principal: Principal, data: CreateVault, idempotency_key: IdempotencyKey = None
    ) -> Response[VaultView]:
        """Open a vault."""

        async def effect(tx: Transaction) -> VaultView:
            return VaultView.of(await vaults.open_vault(tx, data.name, principal.key_id))

        return await write(principal, request, idempotency_key, effect)

    @get("/{vault_id:str}", opt={"scope": "custody:read"})
    async def show_vault(principal: Principal, vault_id: str) -> VaultView:
        """One vault."""
        async with database.transaction(principal.scope) as tx:
            return VaultView.of(await vaults.vault(tx, VaultId(vault_id)))

    @get("/{vault_id:str}/sub-accounts", opt={"scope": "custody:read"})
    async def list_sub_accounts(principal: Principal, vault_id: str) -> SubAccountPage:
        """A vault's sub-accounts with their balances, by asset and location."""
        async with database.transaction(principal.scope) as tx:
            contents = await vaults.contents(tx, VaultId(vault_id))
        return SubAccountPage([SubAccountView.of(kept) for kept in contents])

    @post("/{vault_id:str}/sub-accounts", opt={"scope": "custody:admin"})
    async def open_sub_account(
        request: AnyRequest,
        principal: Principal,
        vault_id: str,
        data: CreateSubAccount,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[SubAccountView]:
        """Open a sub-account for an asset in a location."""

        async def effect(tx: Transaction) -> SubAccountView:
            kept = await vaults.open_sub_account(
                tx, VaultId(vault_id), data.asset, data.location, principal.key_id
            )
            return SubAccountView.of(kept)

        return await write(principal, request, idempotency_key, effect)

    @post("/{vault_id:str}/deposits", opt={"scope": "custody:write"})
    async def deposit(
        request: AnyRequest,
        principal: Principal,
        vault_id: str,
        data: CreateVaultDeposit,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[VaultDepositView]:
        """Let money arrive on the sandbox rail. Send an `Idempotency-Key` so that you may repeat it."""

        async def effect(tx: Transaction) -> VaultDepositView:
            done = await vaults.deposit(
                tx, VaultId(vault_id), SubAccountId(data.sub_account_id), data.amount, principal.key_id
            )
            return VaultDepositView.of(done)

        return await write(principal, request, idempotency_key, effect)

    return Router(
        "/api/vaults",
        route_handlers=[
            list_vaults,
            open_vault,
            show_vault,
            list_sub_accounts,
            open_sub_account,
            deposit,
        ],
        tags=["Custody"],
    )
