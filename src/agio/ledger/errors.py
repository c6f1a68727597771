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
    VERSION_CONFLICT = "version_conflict"
    UNKNOWN_JOURNAL = "unknown_journal"
    ALREADY_REVERSED = "already_reversed"
    NOT_REVERSIBLE = "not_reversible"
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


class VersionConflict(Conflict):
    """The account is not at the version that the command expects; read it again."""

    code = "version_conflict"
    title = "The account has changed"


class UnknownJournal(NotFound):
    """No such journal, or not one of this organisation and environment."""

    code = "unknown_journal"
    title = "Unknown journal"


class AlreadyReversed(Conflict):
    """The journal was reversed before; a journal is reversed once."""

    code = "already_reversed"
    title = "Already reversed"


class NotReversible(LedgerProblem):
    """A reversal cannot be reversed, and it has exactly the legs of its journal with the signs turned."""

    code = "not_reversible"
    title = "Not a reversal of this journal"


class AssetNotDefined(NotFound):
    """Nothing of this name is counted here."""

    code = "asset_not_defined"
    title = "Unknown asset"


class AccountNotEmpty(Conflict):
    """Only an account without balance and without holds can be closed."""

    code = "account_not_empty"
    title = "Account not empty"


class MadeElsewhere(Conflict):
    """Another part of the platform made this and relies on it: undo it there."""

    code = "made_elsewhere"
    title = "Not made through the ledger's interface"


class ManagedAccount(Conflict):
    """Another part of the platform guards this account: ask there for what you want done with it."""

    code = "managed_account"
    title = "Account is not moved through the ledger's interface"


class BatchRefused(LedgerProblem):
    """Nothing of the batch was posted; `results` says for each refused journal why."""

    code = "batch_refused"
    title = "The batch was refused"


class InvalidCommand(LedgerProblem):
    """The command is malformed: no legs, a zero amount, or more than 38 digits."""

    code = "invalid_command"
    title = "Invalid ledger command"


class AssetMismatch(Conflict):
    """The asset or the account exists already with other properties (scale, owner, asset, flags)."""

    code = "asset_mismatch"
    title = "Exists with other properties"


_PROBLEMS: dict[ResultCode, tuple[type[Problem], str]] = {
    ResultCode.CONFLICT: (
        IdempotencyConflict,
        "this id stands with other {}: repeat it unchanged, or take a new id for something else",
    ),
    ResultCode.UNBALANCED: (UnbalancedJournal, "the legs in {} do not sum to zero"),
    ResultCode.UNKNOWN_ACCOUNT: (UnknownLedgerAccount, "there is no ledger account {}"),
    ResultCode.ACCOUNT_CLOSED: (AccountClosed, "{} is closed and takes no further entries"),
    ResultCode.ACCOUNT_FROZEN: (AccountFrozen, "{} is frozen: unfreeze it first"),
    ResultCode.UNKNOWN_HOLD: (UnknownHold, "there is no hold {}"),
    ResultCode.HOLD_CLOSED: (HoldClosed, "nothing is left of {}: place a new hold"),
    ResultCode.HOLD_EXPIRED: (HoldExpired, "the time of {} is over: place a new hold"),
    ResultCode.HOLD_EXCEEDED: (HoldExceeded, "this is more than is left of {}"),
    ResultCode.HOLD_MISMATCH: (HoldMismatch, "{} is held on another account, or its leg is not a debit"),
    ResultCode.INSUFFICIENT_FUNDS: (
        InsufficientFunds,
        "{} has less available than this takes, holds and minimum balance counted",
    ),
    ResultCode.LIMIT_EXCEEDED: (LimitExceeded, "{} would be credited beyond its debits"),
    ResultCode.VERSION_CONFLICT: (VersionConflict, "{} is not at the expected version: read it again"),
    ResultCode.UNKNOWN_JOURNAL: (UnknownJournal, "there is no journal {}"),
    ResultCode.ALREADY_REVERSED: (AlreadyReversed, "{} was reversed before; a journal is reversed once"),
    ResultCode.NOT_REVERSIBLE: (
        NotReversible,
        "{} is a reversal itself, or these are not its legs with the signs turned",
    ),
    ResultCode.INVALID_COMMAND: (InvalidCommand, "{}"),
}


def problem_of(code: ResultCode, subject: str) -> Problem:
    """The problem that tells a caller about a refusal; not for `created` and `exists`."""
    extra: dict[str, object] = {"differs": subject} if code is ResultCode.CONFLICT else {}
    kind, sentence = _PROBLEMS[code]
    return kind(sentence.format(subject), extra=extra)
