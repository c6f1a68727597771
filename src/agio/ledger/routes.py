"""`/api/journals`."""

from litestar import Router, get

from agio.identity.api import Principal
from agio.kernel.ids import JournalId
from agio.ledger.api import Ledger
from agio.ledger.schemas import JournalView
from agio.platform.db import Database


def build_router(ledger: Ledger, database: Database) -> Router:
    """The room's routes."""

    @get("/journals/{journal_id:str}", opt={"scope": "ledger:read"})
    async def show_journal(principal: Principal, journal_id: str) -> JournalView:
        """One journal with its legs."""
        async with database.transaction(principal.scope) as tx:
            return JournalView.of(await ledger.journal(tx, JournalId(journal_id)))

    return Router("/api", route_handlers=[show_journal], tags=["Ledger"])
