"""Statements out of the ledger's history."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, Protocol

from agio.custody.api import Account, Tenant
from agio.custody.errors import UnknownAsset
from agio.custody.statements.csv_lines import chain_line, closing_line, header_line, opening_line
from agio.custody.statements.model import MAX_PDF_ENTRIES, Period, Section, Statement, StatementTooLong
from agio.kernel.ids import AccountId
from agio.kernel.page import InvalidCursor, check_limit, decode_cursor, encode_cursor
from agio.ledger.api import AccountPeriod, Entry, LedgerHistory
from agio.platform.clock import Clock
from agio.platform.db import Database, Scope, Transaction

CHUNK_ENTRIES: Final = 10_000
READS_AT_ONCE: Final = 2
"""Parts of long statements that a node reads at once, whoever asked: other work has its share too."""

MAX_VERSION: Final = 2**62


class AccountSource(Protocol):
    """Whose history a statement tells: custody's accounts, or sub-accounts (`vaults/statements.py`)."""

    async def account(self, tenant: Tenant, account_id: AccountId) -> Account:
        """Raises NotFound, also for somebody else's."""
        ...


class StatementService:
    """Reads only. A long statement holds no transaction open between two of its parts."""

    def __init__(
        self, database: Database, custody: AccountSource, history: LedgerHistory, clock: Clock
    ) -> None:
        self._database = database
        self._custody = custody
        self._history = history
        self._clock = clock
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    async def page(
        self,
        tenant: Tenant,
        account_id: AccountId,
        period: Period,
        asset: str | None,
        limit: int,
        cursor: str | None,
    ) -> Statement:
        """The statement with up to `limit` of its entries; raises UnknownAccount, InvalidCursor."""
        check_limit(limit)
        begin = _read_cursor(cursor)
        account = await self._custody.account(tenant, account_id)
        async with self._database.transaction(tenant.scope) as tx:
            statement = await self._read(tx, account, period, asset)
            entries: list[Entry] = []
            for section in statement.sections:
                part = section.period
                if part.address < begin[0] or len(entries) > limit:
                    continue
                first = begin[1] if part.address == begin[0] else part.first_version
                entries += await self._history.entry_range(tx, part, first, limit + 1 - len(entries))
        return _cut(statement, entries, limit)

    async def document(
        self, tenant: Tenant, account_id: AccountId, period: Period, asset: str | None
    ) -> Statement:
        """The statement with all its entries; raises UnknownAccount, StatementTooLong."""
        account = await self._custody.account(tenant, account_id)
        async with self._database.transaction(tenant.scope) as tx:
            statement = await self._read(tx, account, period, asset)
            count = sum(section.period.entry_count for section in statement.sections)
            if count > MAX_PDF_ENTRIES:
                raise StatementTooLong(
                    f"{count} entries; format=csv takes any number", extra={"entries": count}
                )
            entries: list[Entry] = []
            for section in statement.sections:
                part = section.period
                entries += await self._history.entry_range(tx, part, part.first_version, MAX_PDF_ENTRIES)
        return _cut(statement, entries, len(entries))

    async def lines(
        self, tenant: Tenant, account_id: AccountId, period: Period, asset: str | None
    ) -> AsyncIterator[str]:
        """The statement as CSV, in parts; raises UnknownAccount before there is any part."""
        account = await self._custody.account(tenant, account_id)
        async with self._database.transaction(tenant.scope) as tx:
            parts = await self._periods(tx, account_id, period, asset)
            chain = await self._history.chain_before(tx, period.end)
        is_final = period.is_final(self._clock.now(), chain.head_at)

        async def generate() -> AsyncIterator[str]:
            yield header_line()
            for part in parts:
                yield opening_line(part, period)
                async with aclosing(self._entries(tenant.scope, part)) as texts:
                    async for text in texts:
                        yield text
                yield closing_line(part, period)
            yield chain_line(account, chain, is_final=is_final)

        return generate()

    async def _entries(self, scope: Scope, part: AccountPeriod) -> AsyncGenerator[str, None]:
        """Parts in order; the next ones are read while the caller sends this one."""
        ahead: deque[asyncio.Task[str]] = deque()
        first = part.first_version
        try:
            while first <= part.last_version or ahead:
                while first <= part.last_version and len(ahead) < READS_AT_ONCE:
                    ahead.append(asyncio.create_task(self._read_lines(scope, part, first)))
                    first += CHUNK_ENTRIES
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _read_lines(self, scope: Scope, part: AccountPeriod, first: int) -> str:
        async with self._reads, self._database.transaction(scope) as tx:
            return await self._history.entry_lines(tx, part, first, CHUNK_ENTRIES, f"entry,{part.asset}")

    async def _read(self, tx: Transaction, account: Account, period: Period, asset: str | None) -> Statement:
        sections = []
        for part in await self._periods(tx, account.account_id, period, asset):
            credits_, debits = await self._history.totals(tx, part)
            sections.append(Section(part, credits_, debits))
        chain = await self._history.chain_before(tx, period.end)
        return Statement(
            account=account,
            period=period,
            chain=chain,
            is_final=period.is_final(self._clock.now(), chain.head_at),
            sections=tuple(sections),
            entries=(),
        )

    async def _periods(
        self, tx: Transaction, account_id: AccountId, period: Period, asset: str | None
    ) -> list[AccountPeriod]:
        parts = await self._history.periods(tx, account_id, asset, period.start, period.end)
        if asset is not None and not parts:
            raise UnknownAsset(f"the account never held {asset[:40]!r}", extra={"field": "asset"})
        return parts


def _cut(statement: Statement, entries: list[Entry], limit: int) -> Statement:
    cursor = None
    if len(entries) > limit:
        cursor = encode_cursor({"account": entries[limit].account, "version": entries[limit].version})
    return Statement(
        account=statement.account,
        period=statement.period,
        chain=statement.chain,
        is_final=statement.is_final,
        sections=statement.sections,
        entries=tuple(entries[:limit]),
        next_cursor=cursor,
    )


def _read_cursor(cursor: str | None) -> tuple[str, int]:
    if cursor is None:
        return "", 0
    position = decode_cursor(cursor)
    account, version = position.get("account"), position.get("version")
    if not isinstance(account, str) or not isinstance(version, int) or not 0 < version < MAX_VERSION:
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return account, version
