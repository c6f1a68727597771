"""What a key may see of the proof: the head of the chain, its own accounts checked, journals by reference."""

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from agio.identity.api import Principal
from agio.kernel.page import DEFAULT_LIMIT, InvalidCursor, check_limit, decode_cursor, encode_cursor
from agio.kernel.problem import InvalidRequest
from agio.ledger.accounts import LedgerAccounts
from agio.ledger.api import Ledger
from agio.ledger.check_store import select_journals_of
from agio.ledger.checking import check_account, open_holds
from agio.ledger.reading import LedgerReading
from agio.ledger.schemas import AccountCheckView, ChainHeadView, HoldPage, HoldView, JournalPage, JournalView
from agio.platform.clock import Clock
from agio.platform.db import Database

JOURNALS_SHOWN = 50
"""Journals on a page: each comes with its legs."""


def build_proof_routes(
    accounts: LedgerAccounts, ledger: Ledger, database: Database, clock: Clock
) -> list[HTTPRouteHandler]:
    """Routes that only read."""
    reading = LedgerReading()

    @get("/ledger/head", opt={"scope": "ledger:read"})
    async def show_head(principal: Principal) -> ChainHeadView:
        """The last link of the hash chain. Note it elsewhere: no earlier journal can change without it."""
        async with database.transaction(principal.scope) as tx:
            return ChainHeadView.of(await reading.chain_before(tx, clock.now()))

    @post("/ledger/accounts/{ledger_address:str}/verify", opt={"scope": "ledger:read"}, status_code=200)
    async def verify_ledger_account(principal: Principal, ledger_address: str) -> AccountCheckView:
        """Check the newest 100 entries: they follow, their journals balance and are what the chain hashed."""
        async with database.transaction(principal.scope) as tx:
            account = await accounts.show(tx, ledger_address)
            check = await check_account(tx, account)
            return AccountCheckView.of(
                account, check, await reading.chain_before(tx, clock.now()), clock.now()
            )

    @get("/ledger/accounts/{ledger_address:str}/holds", opt={"scope": "ledger:read"})
    async def list_open_holds(
        principal: Principal, ledger_address: str, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> HoldPage:
        """The account's open holds, newest first."""
        async with database.transaction(principal.scope) as tx:
            page = await open_holds(tx, await accounts.show(tx, ledger_address), limit, cursor)
        return HoldPage([HoldView.of(row) for row in page.items], page.next_cursor)

    @get("/journals", opt={"scope": "ledger:read"})
    async def list_journals(
        principal: Principal, reference: str, limit: int = JOURNALS_SHOWN, cursor: str | None = None
    ) -> JournalPage:
        """The journals of a reference, newest first: an order, a transfer, a request, a word of yours."""
        if check_limit(limit) > JOURNALS_SHOWN:
            raise InvalidRequest(f"limit must be between 1 and {JOURNALS_SHOWN}", extra={"field": "limit"})
        before = _read_number(cursor)
        async with database.transaction(principal.scope) as tx:
            found = (
                await select_journals_of(tx, reference, before, limit + 1) if "\0" not in reference else []
            )
            journals = [await ledger.journal(tx, journal_id) for _, journal_id in found[:limit]]
        following = encode_cursor({"journal_no": found[limit - 1][0]}) if len(found) > limit else None
        return JournalPage([JournalView.of(journal) for journal in journals], following)

    return [show_head, verify_ledger_account, list_open_holds, list_journals]


def _read_number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    number = decode_cursor(cursor).get("journal_no")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**63:
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return number
