"""The ledger's rules as a pure state machine: what the database must answer, command by command.

No I/O and no clock. `check_command` is what production runs before a command reaches the database; the rest
is the reference that tests hold the database against.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId
from agio.ledger.api import (
    AccountFlags,
    Command,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
    Result,
)
from agio.ledger.errors import ResultCode

MAX_LEGS: Final = 1000
MAX_AMOUNT: Final = 10**30 - 1
"""Of one leg. A million such legs in one batch still fit an account's columns (38 digits) below FULL."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,200}", re.ASCII)
_TEXT_LIMIT: Final = 256
MAX_METADATA: Final = 20
MAX_VERSION: Final = 2**63
_BAD_NAME: Final = "ids and addresses have 1 to 200 characters of A-Z a-z 0-9 _ . : -"
HoldState = Literal["open", "captured", "released"]


def check_command(command: Command) -> str:
    """Say what is malformed about a command in itself, or "" when nothing is."""
    match command:
        case PostJournal():
            fault = _check_journal(command)
        case PlaceHold():
            fault = _check_names([command.hold_id, command.account])
            if not 0 < command.amount <= MAX_AMOUNT:
                fault = "a hold's amount is positive and has at most 30 digits"
        case ReleaseHold():
            fault = _check_names([command.hold_id])
    return fault or _check_text("source", command.source) or _check_text("reference", command.reference or "")


def _check_journal(journal: PostJournal) -> str:
    if not 0 < len(journal.legs) <= MAX_LEGS or len(journal.releases) > MAX_LEGS:
        return f"a journal has between 1 and {MAX_LEGS} legs, and releases at most as many holds"
    if _NAME.fullmatch(journal.journal_id) is None:
        return _BAD_NAME
    names: list[str] = [*journal.releases]
    if journal.reverses is not None:
        names.append(journal.reverses)
    for leg in journal.legs:
        if leg.amount == 0 or not -MAX_AMOUNT <= leg.amount <= MAX_AMOUNT:
            return "a leg's amount is not zero and has at most 30 digits"
        names.append(leg.account)
        if leg.hold_id is not None:
            names.append(leg.hold_id)
        if leg.expected_version is not None and not 0 <= leg.expected_version < MAX_VERSION:
            return "an expected version is a number of entries"
    return _check_names(names) or (_check_metadata(journal.metadata) if journal.metadata else "")


def _check_metadata(metadata: tuple[tuple[str, str], ...]) -> str:
    keys = [key for key, _ in metadata]
    if len(keys) > MAX_METADATA or keys != sorted(set(keys)) or "" in keys:
        return f"metadata has at most {MAX_METADATA} keys, each once, in ascending order, none empty"
    for pair in metadata:
        for text in pair:
            fault = _check_text("metadata", text)
            if fault:
                return fault
    return ""


def _check_names(names: Iterable[str]) -> str:
    if not all(map(is_name, names)):
        return _BAD_NAME
    return ""


@lru_cache(maxsize=16_384)
def is_name(text: str) -> bool:
    """Tell whether text can be an id or an address."""
    return _NAME.fullmatch(text) is not None


def _check_text(field: str, text: str) -> str:
    if len(text) > _TEXT_LIMIT or not text.isprintable():
        return f"{field} has at most {_TEXT_LIMIT} printable characters"
    return ""


class AccountState(msgspec.Struct):
    opened: OpenAccount
    balance: int = 0
    held: int = 0
    version: int = 0
    is_frozen: bool = False
    is_closed: bool = False

    @property
    def available(self) -> int:
        return self.balance - self.held - self.opened.minimum_balance


class HoldRecord(msgspec.Struct):
    placed: PlaceHold
    left: int
    state: HoldState = "open"


class LedgerModel:
    """Accounts, holds and journals in memory; `apply` answers as `ledger.apply` does."""

    def __init__(self) -> None:
        self.accounts: dict[LedgerAccountId, AccountState] = {}
        self.holds: dict[HoldId, HoldRecord] = {}
        self.journals: dict[JournalId, PostJournal] = {}
        self.reversals: dict[JournalId, JournalId] = {}
        """The journal that undid each reversed one."""

    def open_account(self, account: OpenAccount) -> None:
        self.accounts.setdefault(account.address, AccountState(account))

    def apply(self, command: Command, at: datetime) -> Result:
        """Apply one command at an instant; a refused one changes nothing."""
        malformed = check_command(command)
        if malformed:
            return Result(ResultCode.INVALID_COMMAND, malformed)
        match command:
            case PostJournal():
                return self._post(command, at)
            case PlaceHold():
                return self._place(command, at)
            case ReleaseHold():
                return self._release(command)

    def _account(self, address: LedgerAccountId, command: Command) -> AccountState | None:
        account = self.accounts.get(address)
        if account is None or not _is_same_tenant(account.opened, command):
            return None
        return account

    def _hold(self, hold_id: HoldId, command: Command) -> HoldRecord | None:
        hold = self.holds.get(hold_id)
        return hold if hold is not None and _is_same_tenant(hold.placed, command) else None

    def _post(self, journal: PostJournal, at: datetime) -> Result:
        known = self.journals.get(journal.journal_id)
        if known is not None:
            return _compare(known, journal)
        fault = (
            self._find_fault(journal, at)
            or self._find_stale(journal)
            or self._find_reversal_fault(journal)
            or self._find_exhausted(journal)
        )
        if fault is not None:
            return fault
        for leg in journal.legs:
            account = self.accounts[leg.account]
            account.balance += leg.amount
            account.version += 1
            if leg.hold_id is not None:
                hold = self.holds[leg.hold_id]
                hold.left += leg.amount
                account.held += leg.amount
        for leg in journal.legs:
            if leg.hold_id is not None and self.holds[leg.hold_id].left == 0:
                self.holds[leg.hold_id].state = "captured"
        for hold_id in journal.releases:
            self._free(self.holds[hold_id])
        self.journals[journal.journal_id] = journal
        if journal.reverses is not None:
            self.reversals[journal.reverses] = journal.journal_id
        return Result(ResultCode.CREATED)

    def _find_fault(self, journal: PostJournal, at: datetime) -> Result | None:
        """The faults that do not depend on amounts left; in the order in which they are looked for."""
        for leg in journal.legs:
            if self._account(leg.account, journal) is None:
                return Result(ResultCode.UNKNOWN_ACCOUNT, leg.account)
        accounts = [self.accounts[leg.account] for leg in journal.legs]
        sums: dict[str, int] = {}
        for leg, account in zip(journal.legs, accounts, strict=True):
            sums[account.opened.asset] = sums.get(account.opened.asset, 0) + leg.amount
        for asset, total in sums.items():
            if total != 0:
                return Result(ResultCode.UNBALANCED, asset)
        return _find_stopped(accounts) or self._find_hold_fault(journal, at)

    def _find_hold_fault(self, journal: PostJournal, at: datetime) -> Result | None:
        captures = [(leg, leg.hold_id) for leg in journal.legs if leg.hold_id is not None]
        for hold_id in [*(hold_id for _, hold_id in captures), *journal.releases]:
            if self._hold(hold_id, journal) is None:
                return Result(ResultCode.UNKNOWN_HOLD, hold_id)
        for leg, hold_id in captures:
            if self.holds[hold_id].placed.account != leg.account or leg.amount > 0:
                return Result(ResultCode.HOLD_MISMATCH, hold_id)
        for _, hold_id in captures:
            if _is_past(self.holds[hold_id].placed.expires_at, at):
                return Result(ResultCode.HOLD_EXPIRED, hold_id)
        for _, hold_id in captures:
            if self.holds[hold_id].state != "open":
                return Result(ResultCode.HOLD_CLOSED, hold_id)
        return None

    def _find_stale(self, journal: PostJournal) -> Result | None:
        for leg in journal.legs:
            if leg.expected_version not in (None, self.accounts[leg.account].version):
                return Result(ResultCode.VERSION_CONFLICT, leg.account)
        return None

    def _find_reversal_fault(self, journal: PostJournal) -> Result | None:
        if journal.reverses is None:
            return None
        undone = self.journals.get(journal.reverses)
        if undone is None or not _is_same_tenant(undone, journal):
            return Result(ResultCode.UNKNOWN_JOURNAL, journal.reverses)
        if undone.journal_id in self.reversals:
            return Result(ResultCode.ALREADY_REVERSED, journal.reverses)
        mirrored = [(leg.account, -leg.amount) for leg in undone.legs]
        if undone.reverses is not None or mirrored != [(leg.account, leg.amount) for leg in journal.legs]:
            return Result(ResultCode.NOT_REVERSIBLE, journal.reverses)
        return None

    def _find_exhausted(self, journal: PostJournal) -> Result | None:
        """Holds and limits that the journal as a whole would exceed."""
        left: dict[HoldId, int] = {}
        for leg in journal.legs:
            if leg.hold_id is not None:
                remaining = left.get(leg.hold_id, self.holds[leg.hold_id].left) + leg.amount
                if remaining < 0:
                    return Result(ResultCode.HOLD_EXCEEDED, leg.hold_id)
                left[leg.hold_id] = remaining
        freed: dict[LedgerAccountId, int] = {}
        posted: dict[LedgerAccountId, int] = {}
        for leg in journal.legs:
            posted[leg.account] = posted.get(leg.account, 0) + leg.amount
            if leg.hold_id is None:
                freed[leg.account] = freed.get(leg.account, 0) + leg.amount
        for hold_id in dict.fromkeys(journal.releases):
            hold = self.holds[hold_id]
            if hold.state == "open":
                account = hold.placed.account
                freed[account] = freed.get(account, 0) + left.get(hold_id, hold.left)
        for leg in journal.legs:
            if _is_overdrawn(self.accounts[leg.account], freed.get(leg.account, 0)):
                return Result(ResultCode.INSUFFICIENT_FUNDS, leg.account)
        for leg in journal.legs:
            if _is_overfilled(self.accounts[leg.account], posted[leg.account]):
                return Result(ResultCode.LIMIT_EXCEEDED, leg.account)
        return None

    def _place(self, hold: PlaceHold, at: datetime) -> Result:
        known = self.holds.get(hold.hold_id)
        if known is not None:
            return _compare(known.placed, hold)
        account = self._account(hold.account, hold)
        if account is None:
            return Result(ResultCode.UNKNOWN_ACCOUNT, hold.account)
        stopped = _find_stopped([account])
        if stopped is not None:
            return stopped
        if _is_past(hold.expires_at, at):
            return Result(ResultCode.HOLD_EXPIRED, hold.hold_id)
        if _is_overdrawn(account, -hold.amount):
            return Result(ResultCode.INSUFFICIENT_FUNDS, hold.account)
        account.held += hold.amount
        self.holds[hold.hold_id] = HoldRecord(hold, hold.amount)
        return Result(ResultCode.CREATED)

    def _release(self, command: ReleaseHold) -> Result:
        hold = self._hold(command.hold_id, command)
        if hold is None:
            return Result(ResultCode.UNKNOWN_HOLD, command.hold_id)
        if hold.state == "captured":
            return Result(ResultCode.HOLD_CLOSED, command.hold_id)
        if hold.state == "released":
            return Result(ResultCode.EXISTS)
        self._free(hold)
        return Result(ResultCode.CREATED)

    def _free(self, hold: HoldRecord) -> None:
        if hold.state == "open":
            self.accounts[hold.placed.account].held -= hold.left
            hold.left = 0
            hold.state = "released"


def _is_same_tenant(thing: OpenAccount | PlaceHold | PostJournal, command: Command) -> bool:
    return thing.organisation_id == command.organisation_id and thing.environment == command.environment


def _is_past(expires_at: datetime | None, at: datetime) -> bool:
    return expires_at is not None and expires_at <= at


def _is_overdrawn(account: AccountState, change: int) -> bool:
    is_limited = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS in account.opened.flags
    return is_limited and change < 0 and account.available + change < 0


def _is_overfilled(account: AccountState, change: int) -> bool:
    is_limited = AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS in account.opened.flags
    return is_limited and change > 0 and account.balance + change > 0


def _find_stopped(accounts: Iterable[AccountState]) -> Result | None:
    frozen = None
    for account in accounts:
        if account.is_closed:
            return Result(ResultCode.ACCOUNT_CLOSED, account.opened.address)
        if account.is_frozen and frozen is None:
            frozen = Result(ResultCode.ACCOUNT_FROZEN, account.opened.address)
    return frozen


_HEADER: Final = ("organisation_id", "environment", "source", "reference")
_COMPARED: Final = {
    PostJournal: (
        "organisation_id",
        "environment",
        "source",
        "reference",
        "booking_date",
        "value_date",
        "releases",
        "reverses",
        "metadata",
    ),
    PlaceHold: ("organisation_id", "environment", "source", "reference", "account", "amount", "expires_at"),
}


def _compare(known: PostJournal | PlaceHold, repeated: PostJournal | PlaceHold) -> Result:
    for field in _COMPARED[type(known)]:
        if getattr(known, field) != getattr(repeated, field):
            return Result(ResultCode.CONFLICT, field)
    if _legs(known) != _legs(repeated):
        return Result(ResultCode.CONFLICT, "legs")
    return Result(ResultCode.EXISTS)


def _legs(command: PostJournal | PlaceHold) -> list[tuple[str, int, str | None]]:
    """What a leg expects of its account is a condition, not content."""
    if isinstance(command, PlaceHold):
        return []
    return [(leg.account, leg.amount, leg.hold_id) for leg in command.legs]
