"""Statements from outside and the breaks between them and the ledger: `agio.reconciliation`."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from agio_sdk.listing import Listing
from agio_sdk.transport import Verbs, instant_text, segment

BreakState = Literal["open", "explained", "resolved"]


class ExternalStatement(msgspec.Struct, frozen=True):
    """An imported statement and what came of the comparison."""

    statement_id: str
    account_id: str
    source: str
    as_of: datetime
    line_count: int
    agreed_count: int
    break_count: int
    imported_by: str
    imported_at: datetime


class ExternalStatementDetail(msgspec.Struct, frozen=True):
    """An imported statement with its file, as it came in."""

    statement: ExternalStatement
    content: str


class Break(msgspec.Struct, frozen=True):
    """A difference between ledger, outside and the platform's own records; `kind` says who stands alone."""

    break_id: str
    account_id: str
    source: str
    asset: str
    kind: str
    ledger: Decimal
    external: Decimal
    expected: Decimal
    difference: Decimal
    state: BreakState
    statement_id: str
    opened_at: datetime
    changed_at: datetime
    age_seconds: int


class Note(msgspec.Struct, frozen=True):
    """Who decided what, when and why."""

    state: BreakState
    reason: str
    decided_by: str
    decided_at: datetime


class BreakDetail(msgspec.Struct, frozen=True):
    """A break and everything that was decided about it, oldest first."""

    one: Break = msgspec.field(name="break")
    notes: list[Note]


class Reconciliation(Verbs):
    """Three views of an account: the ledger's, the outside's, and what the records of business expect."""

    async def import_statement(
        self, account_id: str, source: str, as_of: datetime, content: str
    ) -> ExternalStatement:
        """Import a position statement: CSV with the columns `asset` and `quantity`. Safe to repeat."""
        return await self._rest.request(
            "POST",
            f"/api/accounts/{segment(account_id)}/external-statements",
            ExternalStatement,
            body={"source": source, "as_of": instant_text(as_of), "content": content},
            is_repeatable=True,
        )

    def statements(self, account_id: str, *, page_size: int | None = None) -> Listing[ExternalStatement]:
        """Imported statements of an account, newest first."""
        path = f"/api/accounts/{segment(account_id)}/external-statements"
        return self._rest.listing(path, ExternalStatement, {"limit": page_size})

    async def statement(self, statement_id: str) -> ExternalStatementDetail:
        """One imported statement with its file."""
        return await self._rest.get(
            f"/api/external-statements/{segment(statement_id)}", ExternalStatementDetail
        )

    def breaks(
        self,
        account_id: str | None = None,
        state: BreakState | None = None,
        *,
        page_size: int | None = None,
    ) -> Listing[Break]:
        """Breaks of one account or of all, oldest first."""
        query = {"account_id": account_id, "state": state, "limit": page_size}
        return self._rest.listing("/api/breaks", Break, query)

    async def get(self, break_id: str) -> BreakDetail:
        """One break and what was decided about it."""
        return await self._rest.get(f"/api/breaks/{segment(break_id)}", BreakDetail)

    async def explain(self, break_id: str, reason: str) -> BreakDetail:
        """Say why the difference is there. It lives on until a statement agrees or it is resolved."""
        return await self._decide(break_id, "explain", reason)

    async def resolve(self, break_id: str, reason: str) -> BreakDetail:
        """Close a break. If the next statement still differs, a new one opens."""
        return await self._decide(break_id, "resolve", reason)

    async def _decide(self, break_id: str, verb: str, reason: str) -> BreakDetail:
        path = f"/api/breaks/{segment(break_id)}/{verb}"
        return await self._rest.post(path, BreakDetail, {"reason": reason})
