"""All SQL of reconciliation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from agio.custody.reconciliation.model import Break, BreakState, ExternalStatement, Note
from agio.kernel.ids import AccountId
from agio.platform.db import Transaction
from agio.platform.vault import Place

CONTENT: Final = "custody.external_statement.content"
REASON: Final = "custody.break_note.reason"
_STATEMENT: Final = (
    "select statement_id, account_id, source, as_of, line_count, agreed_count, break_count, imported_by,"
    " imported_at from custody.external_statement"
)
_BREAK: Final = (
    "select break_id, organisation_id, environment, account_id, source, asset, kind, ledger, external,"
    " expected, state, statement_id, opened_at, changed_at, note_count from custody.reconciliation_break"
)


async def insert_statement(
    tx: Transaction, statement: ExternalStatement, file_hash: bytes, content: str
) -> None:
    place = Place(CONTENT, statement.statement_id)
    await tx.execute(
        "insert into custody.external_statement (statement_id, organisation_id, environment, account_id,"
        " source, as_of, file_hash, content, line_count, agreed_count, break_count, imported_by, imported_at)"
        " values (%(statement_id)s, %(organisation_id)s, %(environment)s, %(account_id)s, %(source)s,"
        " %(as_of)s, %(file_hash)s, %(content)s, %(line_count)s, %(agreed_count)s, %(break_count)s,"
        " %(imported_by)s, %(imported_at)s)",
        {
            **msgspec.structs.asdict(statement),
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
            "file_hash": file_hash,
            "content": await tx.vault.seal_bytes(tx, place, content.encode()),
        },
    )


async def find_statement(
    tx: Transaction, account_id: AccountId, file_hash: bytes
) -> ExternalStatement | None:
    return await tx.fetch_one(
        ExternalStatement, _STATEMENT + " where account_id = %s and file_hash = %s", (account_id, file_hash)
    )


async def select_statement(tx: Transaction, statement_id: str) -> ExternalStatement | None:
    return await tx.fetch_one(ExternalStatement, _STATEMENT + " where statement_id = %s", (statement_id,))


async def select_statements(
    tx: Transaction, account_id: AccountId, before: str | None, limit: int
) -> list[ExternalStatement]:
    """Newest first."""
    return await tx.fetch(
        ExternalStatement,
        _STATEMENT + " where account_id = %(account_id)s"
        " and (%(before)s::text is null or statement_id < %(before)s::text)"
        " order by statement_id desc limit %(limit)s",
        {"account_id": account_id, "before": before, "limit": limit},
    )


async def newest_instant(tx: Transaction, account_id: AccountId, source: str) -> datetime | None:
    newest: datetime | None = await tx.value(
        "select max(as_of) from custody.external_statement where account_id = %s and source = %s",
        (account_id, source),
    )
    return newest


async def read_content(tx: Transaction, statement_id: str) -> str:
    """The file as it came in."""
    sealed = await tx.value(
        "select content from custody.external_statement where statement_id = %s", (statement_id,)
    )
    return (await tx.vault.unseal_bytes(tx, Place(CONTENT, statement_id), bytes(sealed))).decode()


async def select_living(tx: Transaction, account_id: AccountId, source: str) -> dict[str, Break]:
    """Breaks of an account and source that are not resolved, by asset."""
    rows = await tx.fetch(
        Break,
        _BREAK + " where account_id = %s and source = %s and state <> 'resolved' for update",
        (account_id, source),
    )
    return {row.asset: row for row in rows}


async def lock_break(tx: Transaction, break_id: str) -> Break | None:
    return await tx.fetch_one(Break, _BREAK + " where break_id = %s for update", (break_id,))


async def select_break(tx: Transaction, break_id: str) -> Break | None:
    return await tx.fetch_one(Break, _BREAK + " where break_id = %s", (break_id,))


async def select_breaks(
    tx: Transaction, account_id: AccountId | None, state: BreakState | None, after: str, limit: int
) -> list[Break]:
    """Oldest first."""
    return await tx.fetch(
        Break,
        _BREAK + " where break_id > %(after)s"
        " and (%(account_id)s::text is null or account_id = %(account_id)s::text)"
        " and (%(state)s::text is null or state = %(state)s::text)"
        " order by break_id limit %(limit)s",
        {"account_id": account_id, "state": state, "after": after, "limit": limit},
    )


async def insert_breaks(tx: Transaction, breaks: Sequence[Break]) -> None:
    await tx.execute_many(
        "insert into custody.reconciliation_break (break_id, organisation_id, environment, account_id,"
        " source, asset, kind, ledger, external, expected, state, statement_id, opened_at, changed_at)"
        " values (%(break_id)s, %(organisation_id)s, %(environment)s, %(account_id)s, %(source)s, %(asset)s,"
        " %(kind)s, %(ledger)s, %(external)s, %(expected)s, %(state)s, %(statement_id)s, %(opened_at)s,"
        " %(changed_at)s)",
        [msgspec.structs.asdict(one) for one in breaks],
    )


async def update_break(tx: Transaction, changed: Break) -> None:
    await tx.execute(
        "update custody.reconciliation_break set kind = %(kind)s, ledger = %(ledger)s,"
        " external = %(external)s, expected = %(expected)s, state = %(state)s,"
        " statement_id = %(statement_id)s, changed_at = %(changed_at)s, note_count = %(note_count)s"
        " where break_id = %(break_id)s",
        msgspec.structs.asdict(changed),
    )


async def insert_note(tx: Transaction, noted: Break, note: Note) -> None:
    """`noted.note_count` is this note's number."""
    reason = await tx.vault.seal(tx, _note_place(noted.break_id, noted.note_count), note.reason)
    await tx.execute(
        "insert into custody.break_note (break_id, note_no, organisation_id, environment, state, reason,"
        " decided_by, decided_at) values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            noted.break_id,
            noted.note_count,
            noted.organisation_id,
            noted.environment,
            note.state,
            reason,
            note.decided_by,
            note.decided_at,
        ),
    )


async def select_notes(tx: Transaction, break_id: str) -> list[Note]:
    """Oldest first."""
    rows = await tx.fetch(
        Note,
        "select state, reason, decided_by, decided_at from custody.break_note"
        " where break_id = %s order by note_no",
        (break_id,),
    )
    return [
        msgspec.structs.replace(
            row, reason=await tx.vault.unseal(tx, _note_place(break_id, number), row.reason)
        )
        for number, row in enumerate(rows, 1)
    ]


def _note_place(break_id: str, number: int) -> Place:
    return Place(REASON, f"{break_id}/{number}")
