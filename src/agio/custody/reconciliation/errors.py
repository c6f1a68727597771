"""Refusals of reconciliation."""

from agio.kernel.problem import Conflict, InvalidRequest, NotFound


class UnknownBreak(NotFound):
    """No such break, or not one of this organisation and environment."""


class UnknownExternalStatement(NotFound):
    """No such external statement, or not one of this organisation and environment."""


class MalformedStatement(InvalidRequest):
    """The file is not CSV with the columns `asset` and `quantity`; `line` says where it goes wrong."""

    code = "malformed_statement"
    title = "Malformed statement"


class StatementOutdated(Conflict):
    """A statement of this source with the same or a later instant was imported already."""

    code = "statement_outdated"
    title = "Statement outdated"


class StatementTooOld(InvalidRequest):
    """Too much was booked since the statement's instant to compare with it. Import a newer one."""

    code = "statement_too_old"
    title = "Statement too old"


class BreakResolved(Conflict):
    """The break is resolved; a new difference opens a new one."""

    code = "break_resolved"
    title = "Break already resolved"


class AccountBusy(Conflict):
    """The account was booked on all the while. Nothing was imported; try again."""

    code = "account_busy"
    title = "Account busy"
