"""What other rooms may ask of the ledger.

Signs: a positive leg credits its account, a negative one debits it; balance = credits - debits.
Amounts are integers in the asset's smallest unit.
"""

from collections.abc import Sequence
from datetime import date, datetime
from enum import IntFlag
from typing import Final, Literal, Protocol

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.kernel.page import Page
from agio.ledger.errors import (
    AccountClosed,
    AccountFrozen,
    AssetMismatch,
    HoldClosed,
    HoldExceeded,
    HoldExpired,
    HoldMismatch,
    IdempotencyConflict,
    InsufficientFunds,
    InvalidCommand,
    LimitExceeded,
    ResultCode,
    UnbalancedJournal,
    UnknownHold,
    UnknownLedgerAccount,
    problem_of,
)
from agio.platform.db import Transaction

__all__ = [
    "CUSTOMER",
    "LINE_COLUMNS",
    "NO_FLAGS",
    "AccountClosed",
    "AccountFlags",
    "AccountFrozen",
    "AccountPeriod",
    "Asset",
    "AssetMismatch",
    "Balance",
    "ChainLink",
    "Command",
    "Entry",
    "HoldClosed",
    "HoldExceeded",
    "HoldExpired",
    "HoldMismatch",
    "IdempotencyConflict",
    "InsufficientFunds",
    "InvalidCommand",
    "Journal",
    "JournalLeg",
    "Ledger",
    "LedgerHistory",
    "Leg",
    "LimitExceeded",
    "OpenAccount",
    "PlaceHold",
    "PostJournal",
    "ReleaseHold",
    "Result",
    "ResultCode",
    "UnbalancedJournal",
    "UnknownHold",
    "UnknownLedgerAccount",
    "problem_of",
]

Environment = Literal["sandbox", "live"]


class AccountFlags(IntFlag):
    """Limits that the ledger itself enforces on an account, at every committed prefix, holds counted."""

    NONE = 0
    DEBITS_MUST_NOT_EXCEED_CREDITS = 1
    CREDITS_MUST_NOT_EXCEED_DEBITS = 2


NO_FLAGS: Final = AccountFlags.NONE
CUSTOMER: Final = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
"""Flags of a customer's account: it cannot be overdrawn."""


class Asset(msgspec.Struct, frozen=True):
    """Something that is counted: a currency, a security, a coin. `scale` is its number of decimals."""

    asset: str
    scale: int
    name: str
    asset_class: str
    """`currency`, `crypto`, `stock`, `future`, ..."""


class OpenAccount(msgspec.Struct, frozen=True):
    """Open a ledger account. Repeating it with the same content changes nothing."""

    address: LedgerAccountId
    owner: str
    """`acc_...` for a customer account, `org_...` for an organisation's own."""
    asset: str
    organisation_id: OrganisationId
    environment: Environment
    flags: AccountFlags = NO_FLAGS
    minimum_balance: int = 0
    code: str = ""
    """Chart code, a plain attribute."""


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One side of a journal. A debit that names a hold consumes that much of it (capture)."""

    account: LedgerAccountId
    amount: int
    hold_id: HoldId | None = None
    expected_version: int | None = None
    """Refuse the journal unless the account is at this version. A condition, not content: a repeat of a
    posted journal answers `exists` whatever it expects."""


class PostJournal(msgspec.Struct, frozen=True):
    """Post n legs at once; each asset sums to zero. Then release what is left of `releases`."""

    journal_id: JournalId
    organisation_id: OrganisationId
    environment: Environment
    legs: tuple[Leg, ...]
    booking_date: date
    value_date: date
    source: str
    reference: str | None = None
    releases: tuple[HoldId, ...] = ()
    """Holds to end. One that is ended already is skipped; an unknown one refuses the journal."""
    reverses: JournalId | None = None
    """The journal that this one undoes: the same legs in the same order, with the signs turned."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Words of the caller's own, by key in ascending order; part of the content."""


class PlaceHold(msgspec.Struct, frozen=True):
    """Reserve an amount: it counts against the available balance from this moment."""

    hold_id: HoldId
    organisation_id: OrganisationId
    environment: Environment
    account: LedgerAccountId
    amount: int
    expires_at: datetime | None
    source: str
    reference: str | None = None


class ReleaseHold(msgspec.Struct, frozen=True):
    """End a hold and free what is left of it. Releasing a released or expired hold answers `exists`."""

    hold_id: HoldId
    organisation_id: OrganisationId
    environment: Environment
    source: str
    reference: str | None = None


Command = PostJournal | PlaceHold | ReleaseHold


class Result(msgspec.Struct, frozen=True, gc=False):
    """What became of one command. For `conflict`, `detail` names the field that differs."""

    code: ResultCode
    detail: str = ""

    @property
    def is_applied(self) -> bool:
        """True when the command stands in the ledger, from now or from before."""
        return self.code is ResultCode.CREATED or self.code is ResultCode.EXISTS

    def require(self) -> "Result":
        """Return itself when applied; raise the matching Problem otherwise."""
        if not self.is_applied:
            raise problem_of(self.code, self.detail)
        return self


class Balance(msgspec.Struct, frozen=True):
    """What an account holds of its asset, in smallest units of `scale`."""

    account: LedgerAccountId
    owner: str
    asset: str
    scale: int
    total: int
    held: int
    available: int
    version: int


class Entry(msgspec.Struct, frozen=True):
    """One leg as it stands in an account's history."""

    account: LedgerAccountId
    version: int
    """Account version after this entry; the order of an account's history."""
    journal_id: JournalId
    leg_no: int
    asset: str
    scale: int
    amount: int
    balance: int
    """Balance after this entry."""
    held: int
    """How much of a hold this entry consumed, negative; 0 for ordinary entries."""
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    created_at: datetime


class JournalLeg(msgspec.Struct, frozen=True):
    account: LedgerAccountId
    asset: str
    scale: int
    amount: int
    balance: int
    version: int
    hold_id: HoldId | None = None
    """The hold that this leg consumed."""


class Journal(msgspec.Struct, frozen=True):
    """A posted journal with its legs."""

    journal_id: JournalId
    journal_no: int
    organisation_id: OrganisationId
    environment: Environment
    kind: str
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    reverses: JournalId | None
    reversed_by: JournalId | None
    batch_no: int
    created_at: datetime
    legs: tuple[JournalLeg, ...]
    metadata: tuple[tuple[str, str], ...] = ()
    releases: tuple[HoldId, ...] = ()


LINE_COLUMNS: Final = (
    "version",
    "instant",
    "booking_date",
    "value_date",
    "source",
    "journal_id",
    "reference",
    "amount",
    "balance",
)
"""Columns of the lines that `entry_lines` gives, after its prefix."""


class AccountPeriod(msgspec.Struct, frozen=True):
    """Part of an account's history: entries `first_version` to `last_version`, none when that is before."""

    account_no: int
    address: LedgerAccountId
    asset: str
    scale: int
    first_version: int
    last_version: int
    opening: int
    closing: int

    @property
    def entry_count(self) -> int:
        return self.last_version - self.first_version + 1


class ChainLink(msgspec.Struct, frozen=True):
    """The chain as it stood at an instant: everything up to `last_journal_no` is in this hash."""

    batch_no: int
    hash: str
    last_journal_no: int
    created_at: datetime | None
    """None for the genesis, before the first batch."""
    head_at: datetime
    """The ledger's own time: nothing will ever be booked before it."""


class LedgerHistory(Protocol):
    """Accounts' histories between two instants, in the order in which they happened.

    A period is a fixed range of an account's versions. Entries never change, so its parts can be read in as
    many transactions as one likes, and together they are still one consistent statement.
    """

    async def periods(
        self, tx: Transaction, owner: str, asset: str | None, start: datetime, end: datetime
    ) -> list[AccountPeriod]:
        """The accounts of an owner of the transaction's tenant, each with its history in [start, end)."""
        ...

    async def totals(self, tx: Transaction, period: AccountPeriod) -> tuple[int, int]:
        """What was credited and what was debited in a period, both positive."""
        ...

    async def entry_range(
        self, tx: Transaction, period: AccountPeriod, first: int, limit: int
    ) -> list[Entry]:
        """Entries of a period from a version on, oldest first."""
        ...

    async def entry_lines(
        self, tx: Transaction, period: AccountPeriod, first: int, limit: int, prefix: str
    ) -> str:
        """Entries of a period from a version on as CSV lines (RFC 4180): `prefix`, then LINE_COLUMNS."""
        ...

    async def chain_before(self, tx: Transaction, instant: datetime) -> ChainLink:
        """The last link of the hash chain before an instant."""
        ...


class Ledger(Protocol):
    """The ledger's front. Reads see only what the transaction's scope may see (row-level security)."""

    async def define_assets(self, tx: Transaction, assets: Sequence[Asset]) -> None:
        """Make assets known; idempotent. Raises AssetMismatch when one exists with another scale."""
        ...

    async def assets(self, tx: Transaction) -> list[Asset]: ...

    async def open_accounts(self, tx: Transaction, accounts: Sequence[OpenAccount]) -> None:
        """Open accounts; idempotent, any order, any number. Raises AssetMismatch for other content.

        The assets must be defined before.
        """
        ...

    async def apply(self, tx: Transaction, commands: Sequence[Command]) -> list[Result]:
        """Apply commands in order inside the caller's transaction, one result each.

        A refused command leaves its neighbours alone. Takes the ledger's writer lock until the
        transaction ends: do it late. Lock order, everywhere: the ledger first, own rows after it; who
        must lock own rows before applying calls `lock` before that.
        """
        ...

    async def lock(self, tx: Transaction) -> None:
        """Take the ledger's writer lock now: balances read after it stay true until the transaction ends."""
        ...

    async def submit(self, command: Command) -> Result:
        """Apply one command durably, gathered with those of other callers. Safe to repeat by id."""
        ...

    async def submit_many(self, commands: Sequence[Command]) -> list[Result]:
        """Apply commands in order, durably, in one transaction of their own; each result for itself.

        Repeat it with the same ids when the outcome is unknown.
        """
        ...

    async def balances(self, tx: Transaction, owner: str) -> list[Balance]:
        """All balances of an owner, by asset."""
        ...

    async def balances_of(self, tx: Transaction, accounts: Sequence[LedgerAccountId]) -> list[Balance]:
        """Balances of named accounts, by address; unknown ones are left out."""
        ...

    async def entries(
        self,
        tx: Transaction,
        owner: str,
        *,
        asset: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Entry]:
        """History of an owner's accounts, newest first."""
        ...

    async def journal(self, tx: Transaction, journal_id: JournalId) -> Journal:
        """One journal with its legs; raises NotFound."""
        ...
