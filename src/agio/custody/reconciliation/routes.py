"""`/api/accounts/{account_id}/external-statements`, `/api/external-statements`, `/api/breaks`."""

from typing import Annotated, Final

from litestar import Response, Router, get, post
from litestar.params import Parameter

from agio.custody.reconciliation.model import Break, BreakState, Note
from agio.custody.reconciliation.schemas import (
    BreakDetail,
    BreakPage,
    BreakView,
    ExternalStatementDetail,
    ExternalStatementPage,
    ExternalStatementView,
    ImportStatement,
    NoteView,
    Reason,
)
from agio.custody.reconciliation.service import ReconciliationService
from agio.identity.api import Principal
from agio.kernel.ids import AccountId
from agio.kernel.page import DEFAULT_LIMIT
from agio.platform.db import Database

READ: Final = {"scope": "reconciliation:read"}
WRITE: Final = {"scope": "reconciliation:write"}
InState = Annotated[BreakState | None, Parameter(query="state", description="Only breaks in this state")]
REPLAY_HEADER: Final = "Idempotent-Replay"


def build_router(service: ReconciliationService, database: Database) -> Router:
    """The folder's routes."""

    @post("/accounts/{account_id:str}/external-statements", opt=WRITE)
    async def import_statement(
        principal: Principal, account_id: str, data: ImportStatement
    ) -> Response[ExternalStatementView]:
        """Import a position and cash statement and compare it. The same file again is the same statement."""
        async with database.transaction(principal.scope) as tx:
            imported = await service.import_statement(
                tx, AccountId(account_id), data.source, data.as_of, data.content, principal.key_id
            )
        return Response(
            ExternalStatementView.of(imported.statement),
            status_code=201 if imported.is_new else 200,
            headers={} if imported.is_new else {REPLAY_HEADER: "true"},
        )

    @get("/accounts/{account_id:str}/external-statements", opt=READ)
    async def list_external_statements(
        principal: Principal, account_id: str, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> ExternalStatementPage:
        """Imported statements, newest first."""
        async with database.transaction(principal.scope) as tx:
            page = await service.statements(tx, AccountId(account_id), limit, cursor)
        return ExternalStatementPage([ExternalStatementView.of(one) for one in page.items], page.next_cursor)

    @get("/external-statements/{statement_id:str}", opt=READ)
    async def show_external_statement(principal: Principal, statement_id: str) -> ExternalStatementDetail:
        """One imported statement with its file."""
        async with database.transaction(principal.scope) as tx:
            statement, content = await service.statement(tx, statement_id)
        return ExternalStatementDetail(ExternalStatementView.of(statement), content)

    @get("/breaks", opt=READ)
    async def list_breaks(
        principal: Principal,
        account_id: str | None = None,
        in_state: InState = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> BreakPage:
        """Breaks of one account or of all, oldest first."""
        account = AccountId(account_id) if account_id is not None else None
        async with database.transaction(principal.scope) as tx:
            page = await service.breaks(tx, account, in_state, limit, cursor)
        return BreakPage([BreakView.of(one, service.now()) for one in page.items], page.next_cursor)

    @get("/breaks/{break_id:str}", opt=READ)
    async def show_break(principal: Principal, break_id: str) -> BreakDetail:
        """One break and what was decided about it."""
        async with database.transaction(principal.scope) as tx:
            return _detail(*await service.show_break(tx, break_id), service)

    @post("/breaks/{break_id:str}/explain", opt=WRITE, status_code=200)
    async def explain_break(principal: Principal, break_id: str, data: Reason) -> BreakDetail:
        """Say why the difference is there. The break lives on until a statement agrees or it is resolved."""
        async with database.transaction(principal.scope) as tx:
            return _detail(
                *await service.decide(tx, break_id, "explained", data.reason, principal.key_id), service
            )

    @post("/breaks/{break_id:str}/resolve", opt=WRITE, status_code=200)
    async def resolve_break(principal: Principal, break_id: str, data: Reason) -> BreakDetail:
        """Close a break. If the next statement still differs, a new one opens."""
        async with database.transaction(principal.scope) as tx:
            return _detail(
                *await service.decide(tx, break_id, "resolved", data.reason, principal.key_id), service
            )

    return Router(
        "/api",
        route_handlers=[
            import_statement,
            list_external_statements,
            show_external_statement,
            list_breaks,
            show_break,
            explain_break,
            resolve_break,
        ],
        tags=["Reconciliation"],
    )


def _detail(one: Break, notes: list[Note], service: ReconciliationService) -> BreakDetail:
    return BreakDetail(BreakView.of(one, service.now()), [NoteView.of(note) for note in notes])
