"""One ledger account at a time: what it is, what it held when, its history, and what may be changed."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from agio.kernel.page import InvalidCursor, Page, check_limit, decode_cursor, encode_cursor
from agio.kernel.problem import NotFound
from agio.ledger import account_store as store
from agio.ledger.account_store import AccountRow, AsOfRow, Change, EntryFilter, HoldRow
from agio.ledger.api import Entry, Ledger, OpenAccount
from agio.ledger.errors import (
    AccountNotEmpty,
    AssetNotDefined,
    ManagedAccount,
    ResultCode,
    problem_of,
)
from agio.ledger.model import MAX_VERSION, is_name
from agio.ledger.store import to_entry
from agio.platform.clock import Clock
from agio.platform.db import Transaction

_NOT_EMPTY: Final = "account_not_empty"
_SHOWN: Final = 40


IsManaged = Callable[[str], bool]


def nothing_is_managed(_address: str) -> bool:
    """Every account may be posted to directly."""
    return False


class LedgerAccounts:
    """Reads see only what the transaction's scope may see."""

    def __init__(self, ledger: Ledger, clock: Clock, is_managed: IsManaged) -> None:
        self._ledger = ledger
        self._clock = clock
        self._is_managed = is_managed

    def require_unmanaged(self, addresses: Iterable[str]) -> None:
        """Raise ManagedAccount for an address that another room guards."""
        for address in addresses:
            if self._is_managed(address):
                raise ManagedAccount(f"{address[:_SHOWN]} moves by its own rules only")

    async def open(self, tx: Transaction, account: OpenAccount) -> AccountRow:
        """Open an account, or answer the one that is open with the same content; raises AssetMismatch."""
        await self._ledger.open_accounts(tx, [account])
        return await self.show(tx, account.address)

    async def scale_of(self, tx: Transaction, asset: str) -> int:
        """Decimals of an asset; raises AssetNotDefined."""
        for known in await self._ledger.assets(tx):
            if known.asset == asset:
                return known.scale
        raise AssetNotDefined(f"no asset {asset[:_SHOWN]!r}")

    async def show(self, tx: Transaction, address: str) -> AccountRow:
        """The account at an address; raises NotFound."""
        row = await store.select_account(tx, address) if is_name(address) else None
        if row is None:
            raise NotFound(f"no ledger account {address[:_SHOWN]!r}")
        return row

    async def list(
        self, tx: Transaction, owner: str | None, code: str | None, limit: int, cursor: str | None
    ) -> Page[AccountRow]:
        """The tenant's accounts in the order of their addresses."""
        check_limit(limit)
        after = "" if cursor is None else decode_cursor(cursor).get("address")
        if not isinstance(after, str) or (after and not is_name(after)):
            raise InvalidCursor("use next_cursor exactly as the previous page gave it")
        rows = await store.select_accounts(tx, owner, code, after, limit + 1)
        following = encode_cursor({"address": rows[limit - 1].address}) if len(rows) > limit else None
        return Page(rows[:limit], following)

    async def change(
        self,
        tx: Transaction,
        address: str,
        change: Change,
        who: str,
        *,
        minimum: int | None = None,
        expected_version: int | None = None,
    ) -> AccountRow:
        """Freeze, unfreeze, close, or set the minimum balance; repeating it changes nothing.

        Raises NotFound, ManagedAccount, AccountClosed, AccountNotEmpty, VersionConflict,
        InsufficientFunds.
        """
        await self.show(tx, address)
        self.require_unmanaged([address])
        code = await store.change_account(
            tx,
            address,
            change,
            minimum=minimum,
            expected_version=expected_version,
            who=who,
            at=self._clock.now(),
        )
        if code == _NOT_EMPTY:
            raise AccountNotEmpty(f"{address} still has a balance or holds")
        if code not in (ResultCode.CREATED, ResultCode.EXISTS):
            raise problem_of(ResultCode(code), address)
        return await self.show(tx, address)

    async def balance_as_of(self, tx: Transaction, address: str, at: datetime) -> tuple[AccountRow, AsOfRow]:
        """The account, and its posted balance as it was at an instant (entries booked then included)."""
        account = await self.show(tx, address)
        row = await store.select_balance_as_of(tx, address, at)
        if row is None or row.version is None:
            raise NotFound(f"no ledger account {address[:_SHOWN]!r}")
        return account, row

    async def entries(
        self, tx: Transaction, address: str, wanted: EntryFilter, limit: int, cursor: str | None
    ) -> Page[Entry]:
        """The account's history, newest first; entries booked meanwhile do not move a page."""
        check_limit(limit)
        await self.show(tx, address)
        rows = await store.select_account_entries(tx, address, wanted, _read_version(cursor), limit + 1)
        following = encode_cursor({"version": rows[limit - 1].version}) if len(rows) > limit else None
        return Page([to_entry(row) for row in rows[:limit]], following)

    async def hold_sources(self, tx: Transaction, hold_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Who placed each hold; unknown ones are left out."""
        return await store.select_hold_sources(tx, [hold_id for hold_id in hold_ids if is_name(hold_id)])

    async def hold(self, tx: Transaction, hold_id: str) -> HoldRow:
        """A hold as it stands; raises NotFound."""
        row = await store.select_hold(tx, hold_id) if is_name(hold_id) else None
        if row is None:
            raise NotFound(f"no hold {hold_id[:_SHOWN]!r}")
        return row


class AssetScales:
    """How many decimals the asset of each account has, remembered: it never changes."""

    LIMIT: Final = 100_000

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], int] = {}

    async def learn(self, tx: Transaction, addresses: Sequence[str]) -> dict[str, int]:
        """Decimals by address, for those accounts that the transaction's tenant has."""
        tenant = (tx.scope.organisation_id, tx.scope.environment)
        scales = {address: self._known.get((*tenant, address)) for address in addresses}
        missing = [address for address, scale in scales.items() if scale is None and is_name(address)]
        found = await store.select_scales(tx, missing) if missing else []
        if len(self._known) + len(found) > self.LIMIT:
            self._known.clear()
        self._known.update({(*tenant, address): scale for address, scale in found})
        scales.update(found)
        return {address: scale for address, scale in scales.items() if scale is not None}


def _read_version(cursor: str | None) -> int:
    if cursor is None:
        return MAX_VERSION - 1
    version = decode_cursor(cursor).get("version")
    if not isinstance(version, int) or not 0 < version < MAX_VERSION:
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return version
