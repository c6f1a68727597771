"""Refusals of the ledger, as result codes inside and as problems at the edge."""

from enum import StrEnum

from agio.kernel.problem import Conflict, NotFound, Problem


class ResultCode(StrEnum):
    """What became of one command. `created` and `exists` are successes; everything else changed nothing."""

    CREATED = "created"
    EXISTS = "exists"
    CONFLICT = "conflict"
    UNBALANCED = "unbalanced"
    UNKNOWN_ACCOUNT = "unknown_account"
    ACCOUNT_CLOSED = "account_closed"
    ACCOUNT_FROZEN = "account_frozen"
    UNKNOWN_HOLD = "unknown_hold"
    HOLD_CLOSED = "hold_closed"
    HOLD_EXPIRED = "hold_expired"
    HOLD_EXCEEDED = "hold_exceeded"
    HOLD_MISMATCH = "hold_mismatch"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    LIMIT_EXCEEDED = "limit_exceeded"
    INVALID_COMMAND = "invalid_command"


class LedgerProblem(Problem):
    """The ledger refused a command; nothing was changed."""

    status = 422
    code = "ledger_refused"
    title = "The ledger refused this"


class InsufficientFunds(LedgerProblem):
    """The account's available balance (holds counted) does not cover this."""

    code = "insufficient_funds"
    title = "Insufficient funds"


class LimitExceeded(LedgerProblem):
    """The account may not be credited beyond its debits."""

    code = "limit_exceeded"
    title = "Account limit exceeded"


class UnbalancedJournal(LedgerProblem):
    """The legs of each asset of a journal must sum to zero."""

    code = "unbalanced"
    title = "Journal does not balance"


class UnknownLedgerAccount(NotFound):
    """No such ledger account, or not one of this organisation and environment."""

    code = "unknown_account"
    title = "Unknown ledger account"


class AccountClosed(Conflict):
    """The account is closed; it takes no further entries."""

    code = "account_closed"
    title = "Account closed"


class AccountFrozen(Conflict):
    """The account is frozen; ask whoever froze it."""

    code = "account_frozen"
    title = "Account frozen"


class UnknownHold(NotFound):
    """No such hold, or not one of this organisation and environment."""

    code = "unknown_hold"
    title = "Unknown hold"


class HoldClosed(Conflict):
    """The hold is captured, released or expired; nothing is left of it."""

    code = "hold_closed"
    title = "Hold closed"


class HoldExpired(Conflict):
    """The hold's time is over; place a new one."""

    code = "hold_expired"
    title = "Hold expired"


class HoldExceeded(LedgerProblem):
    """More would be captured than is left of the hold."""

    code = "hold_exceeded"
    title = "Hold exceeded"


class HoldMismatch(LedgerProblem):
    """The leg names a hold of another account, or is not a debit."""

    code = "hold_mismatch"
    title = "Hold belongs to another account"


class IdempotencyConflict(LedgerProblem):
    """This id was used before with another body; `differs` names the field. Use a new id."""

    code = "idempotency_conflict"
    title = "Same id, other content"


class InvalidCommand(LedgerProblem):
    """The command is malformed: no legs, a zero amount, or more than 38 digits."""

    code = "invalid_command"
    title = "Invalid ledger command"


class AssetMismatch(Conflict):
    """The asset or the account exists already with other properties (scale, owner, asset, flags)."""

    code = "asset_mismatch"
    title = "Exists with other properties"


_PROBLEMS: dict[ResultCode, type[Problem]] = {
    ResultCode.CONFLICT: IdempotencyConflict,
    ResultCode.UNBALANCED: UnbalancedJournal,
    ResultCode.UNKNOWN_ACCOUNT: UnknownLedgerAccount,
    ResultCode.ACCOUNT_CLOSED: AccountClosed,
    ResultCode.ACCOUNT_FROZEN: AccountFrozen,
    ResultCode.UNKNOWN_HOLD: UnknownHold,
    ResultCode.HOLD_CLOSED: HoldClosed,
    ResultCode.HOLD_EXPIRED: HoldExpired,
    ResultCode.HOLD_EXCEEDED: HoldExceeded,
    ResultCode.HOLD_MISMATCH: HoldMismatch,
    ResultCode.INSUFFICIENT_FUNDS: InsufficientFunds,
    ResultCode.LIMIT_EXCEEDED: LimitExceeded,
    ResultCode.INVALID_COMMAND: InvalidCommand,
}


def problem_of(code: ResultCode, detail: str) -> Problem:
    """The problem that tells a caller about a refusal; not for `created` and `exists`."""
    extra: dict[str, object] = {"differs": detail} if code is ResultCode.CONFLICT else {}
    return _PROBLEMS[code](detail, extra=extra)
