"""Which accounts this node has seen trading: whose they are, and whether they may."""

from typing import NamedTuple

from agio.custody.api import Account, Custody
from agio.identity.api import Principal
from agio.kernel.ids import AccountId
from agio.platform.clock import Clock
from agio.platform.db import Database, Scope
from agio.trading import store

FRESH_SECONDS = 2.0
KNOWN_ACCOUNTS = 100_000


class _Known(NamedTuple):
    account: Account
    read_at: float


class TradingAccounts:
    """Spares the hot path a read of custody per order. Whose an account is never changes; its status may,
    which the ledger checks again with every hold."""

    def __init__(self, database: Database, custody: Custody, clock: Clock) -> None:
        self._database = database
        self._custody = custody
        self._clock = clock
        self._known: dict[tuple[Scope, AccountId], _Known] = {}
        self._registered: set[AccountId] = set()

    async def find(self, principal: Principal, account_id: AccountId) -> Account:
        """The account as it was at most two seconds ago; raises NotFound for others' too."""
        key = (principal.scope, account_id)
        known = self._known.get(key)
        now = self._clock.monotonic()
        if known is not None and now - known.read_at < FRESH_SECONDS:
            return known.account
        account = await self._custody.account(principal, account_id)
        if len(self._known) >= KNOWN_ACCOUNTS:
            self._known.clear()
        self._known[key] = _Known(account, now)
        return account

    async def register(self, principal: Principal, account_id: AccountId) -> None:
        """Make the account known to the batch's own check, once; custody has said whose it is."""
        if account_id in self._registered:
            return
        async with self._database.transaction(principal.scope) as tx:
            await store.register_account(tx, account_id)
        if len(self._registered) >= KNOWN_ACCOUNTS:
            self._registered.clear()
        self._registered.add(account_id)
