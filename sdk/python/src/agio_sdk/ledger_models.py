"""The ledger's objects, typed. Positive amounts credit, negative ones debit."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

from agio_sdk.transport import Amount, amount_text

BatchMode = Literal["all_or_nothing", "each"]
Flag = Literal["debits_must_not_exceed_credits", "credits_must_not_exceed_debits"]
HoldState = Literal["open", "captured", "released", "expired"]


class NewLeg(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One side of a journal to post. A debit that names a hold captures that much of it."""

    account: str
    amount: Amount
    hold_id: str | None = None
    expected_version: int | None = None
    """Refuse the journal unless the account has exactly so many entries."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "amount", amount_text(self.amount))


class NewJournal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A journal to post: the legs of each asset sum to zero. The client gives it an id where you do not."""

    legs: list[NewLeg]
    journal_id: str | None = None
    booking_date: date | None = None
    value_date: date | None = None
    reference: str | None = None
    metadata: dict[str, str] = {}
    releases: list[str] = []
    """Holds to end with this journal."""


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One leg of a posted journal, with the balance it left and the hold it consumed."""

    account: str
    asset: str
    amount: Decimal
    balance: Decimal
    version: int
    hold_id: str | None = None


class Journal(msgspec.Struct, frozen=True):
    """A posted journal; `reverses` and `reversed_by` name its counterpart."""

    journal_id: str
    journal_no: int
    kind: str
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    reverses: str | None
    reversed_by: str | None
    batch_no: int
    created_at: datetime
    legs: list[Leg]
    metadata: dict[str, str] = {}
    releases: list[str] = []


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one journal of a batch: `created`, `exists`, or why it was refused."""

    journal_id: str
    code: str
    detail: str = ""

    @property
    def is_applied(self) -> bool:
        return self.code in {"created", "exists"}


class Batch(msgspec.Struct, frozen=True):
    """What became of each journal, in the order in which they were sent."""

    applied: int
    results: list[Outcome]


class LedgerAccount(msgspec.Struct, frozen=True):
    """A ledger account. `version` is the number of its entries; `available` what can still be debited."""

    address: str
    owner: str
    asset: str
    code: str
    flags: list[str]
    is_frozen: bool
    is_closed: bool
    minimum_balance: Decimal
    total: Decimal
    held: Decimal
    available: Decimal
    version: int
    opened_at: datetime


class BalanceAsOf(msgspec.Struct, frozen=True):
    """What was booked on an account up to an instant; `journal_id` is the last journal that is in it."""

    account: str
    asset: str
    at: datetime
    total: Decimal
    version: int
    journal_id: str | None
    booked_at: datetime | None


class LedgerEntry(msgspec.Struct, frozen=True):
    """One leg in its account's history, with the balance it left."""

    account: str
    version: int
    journal_id: str
    leg_no: int
    asset: str
    amount: Decimal
    balance: Decimal
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    created_at: datetime


class Hold(msgspec.Struct, frozen=True):
    """An amount set aside: captured + released + left = amount."""

    hold_id: str
    account: str
    asset: str
    amount: Decimal
    captured: Decimal
    released: Decimal
    left: Decimal
    state: HoldState
    expires_at: datetime | None
    source: str
    reference: str | None
    created_at: datetime
    closed_at: datetime | None


class ChainHead(msgspec.Struct, frozen=True):
    """A link of the hash chain: everything up to `last_journal_no` is in its hash."""

    batch_no: int
    hash: str
    last_journal_no: int
    created_at: datetime | None = None


class Finding(msgspec.Struct, frozen=True):
    """One broken promise: the invariant's number and where it broke."""

    invariant: int
    what: str


class AccountCheck(msgspec.Struct, frozen=True):
    """How much of an account was checked just now, and what is broken."""

    account: str
    is_sound: bool
    first_version: int
    last_version: int
    entries: int
    journals: int
    links: int
    findings: list[Finding]
    head: ChainHead
    checked_at: datetime


class EventLeg(msgspec.Struct, frozen=True, gc=False):
    """What an event did to an account, and how it stands after it."""

    account: str
    asset: str
    amount: Decimal
    balance: Decimal
    held: Decimal
    version: int


class LedgerEvent(msgspec.Struct, frozen=True):
    """A message of `ledger:{account}`: `journal_posted`, `hold_placed` or `hold_released`.

    A journal has its `journal_id`, a hold its `hold_id` and `amount`.
    """

    kind: str
    journal_id: str | None
    source: str
    reference: str | None
    legs: list[EventLeg]
    hold_id: str | None = None
    amount: Decimal | None = None
