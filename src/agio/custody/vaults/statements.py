"""Statements of sub-accounts: what came into a vault and what left it, in one place and asset."""

from litestar import Response, Router, get

from agio.custody.api import Account, Tenant
from agio.custody.errors import UnknownSubAccount
from agio.custody.statements.model import Period, StatementFormat, parse_period
from agio.custody.statements.routes import OTHER_FORMS, From, To, Wanted, answer
from agio.custody.statements.schemas import StatementView
from agio.custody.statements.service import StatementService
from agio.custody.vaults.service import Vaults
from agio.identity.api import Principal
from agio.kernel.ids import AccountId, SubAccountId, VaultId
from agio.kernel.page import DEFAULT_LIMIT
from agio.ledger.api import AccountPeriod, LedgerHistory
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction


class SubAccounts:
    """Sub-accounts in the words of a statement."""

    def __init__(self, vaults: Vaults, database: Database) -> None:
        self._vaults = vaults
        self._database = database

    async def account(self, tenant: Tenant, account_id: AccountId) -> Account:
        """The sub-account with this id; raises UnknownSubAccount."""
        async with self._database.transaction(tenant.scope) as tx:
            sub = await self._vaults.sub_account(tx, SubAccountId(account_id))
            vault = await self._vaults.vault(tx, sub.vault_id)
        return Account(
            account_id=account_id,
            organisation_id=vault.organisation_id,
            environment=vault.environment,
            name=f"{vault.name}, {sub.location}",
            base_currency=sub.asset,
            status="open",
            created_at=sub.created_at,
        )


class SubAccountStatements(StatementService):
    """Statements whose account is one sub-account: one ledger account of several that its vault has."""

    def __init__(self, database: Database, vaults: Vaults, history: LedgerHistory, clock: Clock) -> None:
        super().__init__(database, SubAccounts(vaults, database), history, clock)
        self._vaults = vaults

    async def require_in(self, tenant: Tenant, vault_id: VaultId, sub_account_id: SubAccountId) -> None:
        """Raise UnknownSubAccount unless the sub-account is one of this vault."""
        async with self._database.transaction(tenant.scope) as tx:
            sub = await self._vaults.sub_account(tx, sub_account_id)
        if sub.vault_id != vault_id:
            raise UnknownSubAccount(f"no sub-account {sub_account_id} in this vault")

    async def _periods(
        self, tx: Transaction, account_id: AccountId, period: Period, asset: str | None
    ) -> list[AccountPeriod]:
        sub = await self._vaults.sub_account(tx, SubAccountId(account_id))
        parts = await super()._periods(tx, AccountId(sub.vault_id), period, asset)
        return [part for part in parts if part.address == sub.address]


def build_router(statements: SubAccountStatements) -> Router:
    """The route of sub-accounts' statements."""

    @get(
        "/vaults/{vault_id:str}/sub-accounts/{sub_account_id:str}/statements",
        opt={"scope": "custody:read", "other_media_types": OTHER_FORMS},
    )
    async def show_sub_account_statement(
        principal: Principal,
        vault_id: str,
        sub_account_id: str,
        start: From,
        end: To,
        format: StatementFormat = "json",  # noqa: A002 - the parameter's name on the wire
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Response[StatementView]:
        """Opening balance, entries, closing balance and chain head of a period, like that of an account.

        `account_id` is the sub-account. `format=json` pages, `csv` streams everything, `pdf` is for people.
        """
        period = parse_period(start, end)
        await statements.require_in(principal, VaultId(vault_id), SubAccountId(sub_account_id))
        wanted = Wanted(AccountId(sub_account_id), period, None, format, limit, cursor)
        return await answer(statements, principal, wanted)

    return Router("/api", route_handlers=[show_sub_account_statement], tags=["Statements"])
