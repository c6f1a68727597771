"""Wire types of reconciliation; amounts are decimal text."""

from datetime import datetime

import msgspec

from agio.custody.reconciliation.model import (
    Break,
    BreakKind,
    BreakState,
    ExternalStatement,
    Note,
    difference,
)


class ImportStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position and cash statement from outside: CSV with the columns `asset` and `quantity`."""

    source: str
    """Who says so: a venue, a bank; 1 to 40 characters of a-z 0-9 _ . -"""
    as_of: datetime
    content: str
    """The file's text, at most 512 KiB and 5,000 lines."""


class ExternalStatementView(msgspec.Struct, frozen=True):
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

    @classmethod
    def of(cls, statement: ExternalStatement) -> "ExternalStatementView":
        return cls(**msgspec.structs.asdict(statement))


class ExternalStatementDetail(msgspec.Struct, frozen=True):
    """An imported statement with its file, as it came in."""

    statement: ExternalStatementView
    content: str


class ExternalStatementPage(msgspec.Struct, frozen=True):
    items: list[ExternalStatementView]
    next_cursor: str | None


class NoteView(msgspec.Struct, frozen=True):
    """Who decided what, when and why."""

    state: BreakState
    reason: str
    decided_by: str
    decided_at: datetime

    @classmethod
    def of(cls, note: Note) -> "NoteView":
        return cls(note.state, note.reason, note.decided_by, note.decided_at)


class BreakView(msgspec.Struct, frozen=True):
    """A difference between ledger, outside and our records; `kind` says which of them stands alone.

    `difference` is external minus ledger; `age_seconds` counts from the statement that first showed it.
    """

    break_id: str
    account_id: str
    source: str
    asset: str
    kind: BreakKind
    ledger: str
    external: str
    expected: str
    difference: str
    state: BreakState
    statement_id: str
    opened_at: datetime
    changed_at: datetime
    age_seconds: int

    @classmethod
    def of(cls, one: Break, now: datetime) -> "BreakView":
        end = one.changed_at if one.state == "resolved" else now
        return cls(
            break_id=one.break_id,
            account_id=one.account_id,
            source=one.source,
            asset=one.asset,
            kind=one.kind,
            ledger=one.ledger,
            external=one.external,
            expected=one.expected,
            difference=difference(one.views),
            state=one.state,
            statement_id=one.statement_id,
            opened_at=one.opened_at,
            changed_at=one.changed_at,
            age_seconds=max(0, int((end - one.opened_at).total_seconds())),
        )


class BreakDetail(msgspec.Struct, frozen=True):
    """A break and everything that was decided about it, oldest first."""

    reconciliation_break: BreakView = msgspec.field(name="break")
    notes: list[NoteView]


class BreakPage(msgspec.Struct, frozen=True):
    items: list[BreakView]
    next_cursor: str | None


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; 1 to 500 printable characters."""

    reason: str
