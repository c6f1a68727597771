"""`/api/journals`, `/api/holds`, `/api/ledger/accounts`."""

from typing import Any

from litestar import Response, Router, get, post

from agio.identity.api import Principal
from agio.kernel.ids import JournalId
from agio.ledger.account_routes import build_account_routes
from agio.ledger.accounts import IsManaged, LedgerAccounts, nothing_is_managed
from agio.ledger.api import Journal, Ledger
from agio.ledger.hold_routes import build_hold_routes
from agio.ledger.posting import Posting
from agio.ledger.proof_routes import build_proof_routes
from agio.ledger.requests import NewBatch, NewJournal, NewReversal
from agio.ledger.schemas import BatchView, JournalView
from agio.platform.clock import Clock, SystemClock
from agio.platform.db import Database

BATCH_BODY_BYTES = 8 * 1024 * 1024
"""8,189 journals with ids, references and some metadata."""


def build_router(
    ledger: Ledger, database: Database, clock: Clock | None = None, is_managed: IsManaged = nothing_is_managed
) -> Router:
    """The room's routes. `is_managed` tells the addresses to which only other rooms post."""
    clock = clock or SystemClock()
    accounts = LedgerAccounts(ledger, clock, is_managed)
    posting = Posting(database, ledger, accounts, clock)

    @get("/journals/{journal_id:str}", opt={"scope": "ledger:read"})
    async def show_journal(principal: Principal, journal_id: str) -> JournalView:
        """One journal with its legs."""
        async with database.transaction(principal.scope) as tx:
            return JournalView.of(await ledger.journal(tx, JournalId(journal_id)))

    @post("/journals", opt={"scope": "ledger:write"})
    async def post_journal(principal: Principal, data: NewJournal) -> Response[JournalView]:
        """Post a journal. With a `journal_id` of your own you may repeat the request: it is posted once."""
        return answer_journal(*await posting.post(principal.scope, data))

    @post(
        "/journals/batch",
        opt={"scope": "ledger:write"},
        status_code=200,
        request_max_body_size=BATCH_BODY_BYTES,
    )
    async def post_journals(principal: Principal, data: NewBatch) -> BatchView:
        """Post up to 8,189 journals: all or none, or each for itself with a result code each."""
        is_whole = data.mode == "all_or_nothing"
        results = await posting.post_batch(principal.scope, data.journals, is_whole=is_whole)
        return BatchView(sum(result.is_applied for result in results), results)

    @post("/journals/{journal_id:str}/reverse", opt={"scope": "ledger:write"})
    async def reverse_journal(
        principal: Principal, journal_id: str, data: NewReversal
    ) -> Response[JournalView]:
        """Undo a journal by its mirror image; the two name each other. A journal is reversed once."""
        return answer_journal(
            *await posting.reverse(principal.scope, JournalId(journal_id), data.as_journal())
        )

    return Router(
        "/api",
        route_handlers=[
            show_journal,
            post_journal,
            post_journals,
            reverse_journal,
            *build_hold_routes(posting, accounts, database),
            *build_account_routes(accounts, database, clock),
            *build_proof_routes(accounts, ledger, database, clock),
        ],
        tags=["Ledger"],
    )


def answer_journal(journal: Journal, is_new: bool) -> Response[Any]:
    """201 for a new journal, 200 with `Idempotent-Replay: true` for one that stood already."""
    if is_new:
        return Response(JournalView.of(journal), status_code=201)
    return Response(JournalView.of(journal), status_code=200, headers={"Idempotent-Replay": "true"})
