"""Statements of accounts: `agio.statements`, and the short verbs of the client itself."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from agio_sdk.errors import ApiError
from agio_sdk.ledger_models import ChainHead
from agio_sdk.reconciliation import Break, BreakState, ExternalStatement, Reconciliation
from agio_sdk.transport import Instant, Transport, Verbs, instant_text, segment

FileFormat = Literal["csv", "pdf"]
_CHUNK_BYTES = 256 * 1024


class StatementAsset(msgspec.Struct, frozen=True):
    """opening + credits - debits = closing."""

    asset: str
    account: str
    opening: Decimal
    credits: Decimal
    debits: Decimal
    closing: Decimal
    entry_count: int
    last_version: int


class StatementEntry(msgspec.Struct, frozen=True):
    asset: str
    version: int
    instant: datetime
    booking_date: date
    value_date: date
    source: str
    journal_id: str
    amount: Decimal
    balance: Decimal
    reference: str | None = None


class Statement(msgspec.Struct, frozen=True):
    """An account over a period; `end` is not part of it."""

    account_id: str
    account_name: str
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    is_final: bool
    chain_head: ChainHead
    assets: list[StatementAsset]
    items: list[StatementEntry]
    next_cursor: str | None = None


class Statements(Verbs):
    """What an account had, what happened in a period, what it has."""

    async def get(self, account_id: str, start: Instant, end: Instant, asset: str | None = None) -> Statement:
        """The statement with all its entries. Dates are whole UTC days; of an instant `end` is excluded."""
        return await read_statement(self._rest, _account(account_id), Period(start, end), asset)

    async def download(
        self,
        account_id: str,
        start: Instant,
        end: Instant,
        file: Path,
        *,
        format: FileFormat = "csv",  # noqa: A002 - the parameter's name on the wire
        asset: str | None = None,
    ) -> int:
        """Write a statement to a file as it arrives; returns its bytes. Raises ApiError for a refusal."""
        period = Period(start, end)
        return await save_statement(self._rest, _account(account_id), period, file, format, asset)


class StatementVerbs:
    """Part of `Agio`: short words for what `agio.statements` and `agio.reconciliation` do."""

    statements: Statements
    reconciliation: Reconciliation

    async def statement(
        self, account_id: str, start: Instant, end: Instant, asset: str | None = None
    ) -> Statement:
        """`agio.statements.get`."""
        return await self.statements.get(account_id, start, end, asset)

    async def download_statement(
        self,
        account_id: str,
        start: Instant,
        end: Instant,
        file: Path,
        *,
        format: FileFormat = "csv",  # noqa: A002 - the parameter's name on the wire
        asset: str | None = None,
    ) -> int:
        """`agio.statements.download`."""
        return await self.statements.download(account_id, start, end, file, format=format, asset=asset)

    async def import_statement(
        self, account_id: str, source: str, as_of: datetime, content: str
    ) -> ExternalStatement:
        """`agio.reconciliation.import_statement`."""
        return await self.reconciliation.import_statement(account_id, source, as_of, content)

    async def breaks(self, account_id: str | None = None, state: BreakState | None = None) -> list[Break]:
        """All of `agio.reconciliation.breaks`."""
        return await self.reconciliation.breaks(account_id, state).all()

    async def explain_break(self, break_id: str, reason: str) -> Break:
        """`agio.reconciliation.explain`."""
        return (await self.reconciliation.explain(break_id, reason)).one

    async def resolve_break(self, break_id: str, reason: str) -> Break:
        """`agio.reconciliation.resolve`."""
        return (await self.reconciliation.resolve(break_id, reason)).one


class Period(NamedTuple):
    """Dates are whole UTC days; of an instant `end` is excluded."""

    start: Instant
    end: Instant

    def query(self) -> dict[str, str]:
        return {"from": instant_text(self.start), "to": instant_text(self.end)}


async def read_statement(rest: Transport, path: str, period: Period, asset: str | None = None) -> Statement:
    """The statement at a path, with all its entries."""
    query: dict[str, str | int | None] = {**period.query(), "asset": asset, "limit": 1000}
    statement = await rest.get(path, Statement, query)
    items, cursor = list(statement.items), statement.next_cursor
    while cursor is not None:
        page = await rest.get(path, Statement, {**query, "cursor": cursor})
        items += page.items
        cursor = page.next_cursor
    return msgspec.structs.replace(statement, items=items, next_cursor=None)


async def save_statement(
    rest: Transport, path: str, period: Period, file: Path, kind: FileFormat, asset: str | None = None
) -> int:
    """Write the statement at a path to a file as it arrives."""
    query = {**period.query(), "format": kind}
    if asset is not None:
        query["asset"] = asset
    size = 0
    headers = await rest.authorization()
    async with rest.session().get(rest.url + path, params=query, headers=headers) as response:
        if response.status >= 400:
            raise ApiError(response.status, await response.json(content_type=None))
        with file.open("wb") as target:
            async for piece in response.content.iter_chunked(_CHUNK_BYTES):
                size += target.write(piece)
    return size


def _account(account_id: str) -> str:
    return f"/api/accounts/{segment(account_id)}/statements"
