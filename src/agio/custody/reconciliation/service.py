"""Use cases: import a statement from outside, compare, see to the breaks."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from agio.custody.api import Custody
from agio.custody.house import lock_house, tell
from agio.custody.model import check_text
from agio.custody.reconciliation import store
from agio.custody.reconciliation.errors import (
    AccountBusy,
    BreakResolved,
    StatementOutdated,
    StatementTooOld,
    UnknownBreak,
    UnknownExternalStatement,
)
from agio.custody.reconciliation.model import (
    MAX_REASON,
    Break,
    BreakState,
    ExternalStatement,
    Note,
    Views,
    check_source,
    compare,
    file_hash,
    read_positions,
)
from agio.custody.reconciliation.ports import HoldingsSource
from agio.kernel.ids import AccountId, JournalId, OrganisationId, is_id, new_id
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.kernel.problem import InvalidRequest
from agio.ledger.api import Ledger, LedgerHistory
from agio.platform.clock import Clock
from agio.platform.db import Transaction

MAX_BOOKED_SINCE: Final = 20_000
ATTEMPTS: Final = 5
BY_STATEMENT: Final = "reconciliation"
"""Who resolves a break when a later statement agrees."""
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FAR: Final = datetime(9000, 1, 1, tzinfo=UTC)
_SHOWN: Final = 40


class Imported(NamedTuple):
    statement: ExternalStatement
    is_new: bool


class ReconciliationService:
    """Three views of an account: ledger, outside, and the records of `sources`."""

    def __init__(
        self,
        custody: Custody,
        ledger: Ledger,
        history: LedgerHistory,
        sources: Sequence[HoldingsSource],
        clock: Clock,
    ) -> None:
        self._custody = custody
        self._ledger = ledger
        self._history = history
        self._sources = sources
        self._clock = clock

    async def import_statement(
        self, tx: Transaction, account_id: AccountId, source: str, as_of: datetime, content: str, by: str
    ) -> Imported:
        """Read, compare and keep a position statement; the same file again changes nothing.

        Raises UnknownAccount, MalformedStatement, StatementOutdated, StatementTooOld, AccountBusy.
        """
        check_source(source)
        now = self._clock.now()
        if as_of.tzinfo is None or not _EARLIEST <= as_of <= now:
            raise InvalidRequest(
                "as_of is an instant with offset, from 1970 on, not in the future", extra={"field": "as_of"}
            )
        await self._custody.base_currency(tx, account_id)
        scales = {asset.asset: asset.scale for asset in await self._ledger.assets(tx)}
        positions = read_positions(content, scales)
        await lock_house(tx)
        digest = file_hash(source, as_of, content)
        known = await store.find_statement(tx, account_id, digest)
        if known is not None:
            return Imported(known, is_new=False)
        newest = await store.newest_instant(tx, account_id, source)
        if newest is not None and newest >= as_of:
            raise StatementOutdated(f"{source} was imported as of {newest.isoformat()} already")
        ledger, expected = await self._own_views(tx, account_id, as_of)
        views = compare(ledger, positions, expected, scales)
        broken = {asset: view for asset, view in views.items() if view.kind() is not None}
        statement = ExternalStatement(
            statement_id=new_id("xst"),
            account_id=account_id,
            source=source,
            as_of=as_of,
            line_count=len(positions),
            agreed_count=len(views) - len(broken),
            break_count=len(broken),
            imported_by=by,
            imported_at=now,
        )
        await store.insert_statement(tx, statement, digest, content)
        await self._keep_breaks(tx, statement, broken)
        await tell(
            tx,
            "statement_imported",
            now,
            statement_id=statement.statement_id,
            account_id=account_id,
            source=source,
            break_count=len(broken),
        )
        return Imported(statement, is_new=True)

    async def statements(
        self, tx: Transaction, account_id: AccountId, limit: int, cursor: str | None
    ) -> Page[ExternalStatement]:
        """Imported statements of an account, newest first."""
        check_limit(limit)
        await self._custody.base_currency(tx, account_id)
        before = read_id_cursor(cursor, "before", "xst")
        found = await store.select_statements(tx, account_id, before, limit + 1)
        more = encode_cursor({"before": found[limit - 1].statement_id}) if len(found) > limit else None
        return Page(found[:limit], more)

    async def statement(self, tx: Transaction, statement_id: str) -> tuple[ExternalStatement, str]:
        """An imported statement with its file; raises UnknownExternalStatement."""
        found = await store.select_statement(tx, statement_id) if is_id(statement_id, "xst") else None
        if found is None:
            raise UnknownExternalStatement(f"no external statement {statement_id[:_SHOWN]!r}")
        return found, await store.read_content(tx, statement_id)

    async def breaks(
        self,
        tx: Transaction,
        account_id: AccountId | None,
        state: BreakState | None,
        limit: int,
        cursor: str | None,
    ) -> Page[Break]:
        """Breaks, oldest first."""
        check_limit(limit)
        if account_id is not None:
            await self._custody.base_currency(tx, account_id)
        after = read_id_cursor(cursor, "after", "brk") or ""
        found = await store.select_breaks(tx, account_id, state, after, limit + 1)
        more = encode_cursor({"after": found[limit - 1].break_id}) if len(found) > limit else None
        return Page(found[:limit], more)

    async def show_break(self, tx: Transaction, break_id: str) -> tuple[Break, list[Note]]:
        """One break with what was decided about it; raises UnknownBreak."""
        found = await store.select_break(tx, break_id) if is_id(break_id, "brk") else None
        if found is None:
            raise UnknownBreak(f"no break {break_id[:_SHOWN]!r}")
        return found, await store.select_notes(tx, break_id)

    async def decide(
        self, tx: Transaction, break_id: str, state: BreakState, reason: str, by: str
    ) -> tuple[Break, list[Note]]:
        """Explain a break (it stays until a statement agrees) or resolve it.

        Raises UnknownBreak, BreakResolved.
        """
        check_text("reason", reason, MAX_REASON)
        await lock_house(tx)
        found = await store.lock_break(tx, break_id) if is_id(break_id, "brk") else None
        if found is None:
            raise UnknownBreak(f"no break {break_id[:_SHOWN]!r}")
        if found.state == "resolved":
            raise BreakResolved("a resolved break stays as it is")
        now = self._clock.now()
        changed = await self._note(tx, found, Note(state, reason, by, now))
        await store.update_break(tx, changed)
        await self._tell_break(tx, f"break_{state}", changed, by)
        return changed, await store.select_notes(tx, break_id)

    def now(self) -> datetime:
        """For the age of a break."""
        return self._clock.now()

    async def _own_views(
        self, tx: Transaction, account_id: AccountId, as_of: datetime
    ) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """What the ledger held at the instant, and what our records say it should have held.

        Venues have times of their own, so "before the instant" is asked of the journals: records whose
        journal was booked later are left out. When something was booked while we read, we read again.
        """
        for _ in range(ATTEMPTS):
            since = await self._history.periods(tx, account_id, None, as_of, _FAR)
            later: list[JournalId] = []
            for part in since:
                if len(later) + part.entry_count > MAX_BOOKED_SINCE:
                    raise StatementTooOld(
                        f"more than {MAX_BOOKED_SINCE} bookings since then", extra={"field": "as_of"}
                    )
                entries = await self._history.entry_range(tx, part, part.first_version, part.entry_count)
                later += [entry.journal_id for entry in entries]
            expected: dict[str, int] = {}
            for source in self._sources:
                for asset, amount in (await source.holdings(tx, account_id, later)).items():
                    expected[asset] = expected.get(asset, 0) + amount
            if await self._history.periods(tx, account_id, None, as_of, _FAR) == since:
                ledger: dict[str, int] = {}
                for part in since:
                    ledger[part.asset] = ledger.get(part.asset, 0) + part.opening
                return ledger, expected
        raise AccountBusy("it was booked on while its holdings were read", headers={"Retry-After": "1"})

    async def _keep_breaks(
        self, tx: Transaction, statement: ExternalStatement, broken: Mapping[str, Views]
    ) -> None:
        living = await store.select_living(tx, statement.account_id, statement.source)
        new = [_open(tx, statement, asset, views) for asset, views in broken.items() if asset not in living]
        await store.insert_breaks(tx, new)
        for one in new:
            await self._tell_break(tx, "break_opened", one, statement.imported_by)
        for asset, found in living.items():
            if asset in broken:
                await self._meet_again(tx, statement, found, broken[asset])
                continue
            reason = f"statement {statement.statement_id} agrees"
            note = Note("resolved", reason, BY_STATEMENT, statement.imported_at)
            resolved = await self._note(tx, found, note)
            await store.update_break(tx, resolved)
            await self._tell_break(tx, "break_resolved", resolved, BY_STATEMENT)

    async def _meet_again(
        self, tx: Transaction, statement: ExternalStatement, found: Break, views: Views
    ) -> None:
        """An explanation holds for the difference that it was given for; another one wants its own."""
        if views == found.views:
            await store.update_break(tx, msgspec.structs.replace(found, statement_id=statement.statement_id))
            return
        changed = msgspec.structs.replace(
            found,
            kind=views.kind() or found.kind,
            ledger=views.ledger,
            external=views.external,
            expected=views.expected,
            state="open",
            statement_id=statement.statement_id,
            changed_at=statement.imported_at,
        )
        await store.update_break(tx, changed)
        await self._tell_break(tx, "break_changed", changed, statement.imported_by)

    async def _note(self, tx: Transaction, found: Break, note: Note) -> Break:
        changed = msgspec.structs.replace(
            found, state=note.state, changed_at=note.decided_at, note_count=found.note_count + 1
        )
        await store.insert_note(tx, changed, note)
        return changed

    async def _tell_break(self, tx: Transaction, kind: str, one: Break, by: str) -> None:
        await tell(
            tx,
            kind,
            one.changed_at,
            break_id=one.break_id,
            account_id=one.account_id,
            source=one.source,
            asset=one.asset,
            kind=one.kind,
            ledger=one.ledger,
            external=one.external,
            expected=one.expected,
            state=one.state,
            by=by,
        )


def _open(tx: Transaction, statement: ExternalStatement, asset: str, views: Views) -> Break:
    kind = views.kind()
    assert kind is not None  # noqa: S101 - only assets whose views differ come here
    return Break(
        break_id=new_id("brk"),
        organisation_id=OrganisationId(tx.scope.organisation_id),
        environment=tx.scope.environment,
        account_id=statement.account_id,
        source=statement.source,
        asset=asset,
        kind=kind,
        ledger=views.ledger,
        external=views.external,
        expected=views.expected,
        state="open",
        statement_id=statement.statement_id,
        opened_at=statement.imported_at,
        changed_at=statement.imported_at,
        note_count=0,
    )
