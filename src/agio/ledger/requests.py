"""Bodies of requests to the ledger. Amounts are decimal text; positive credits, negative debits."""

from datetime import date, datetime
from typing import Annotated, Final, Literal

import msgspec

from agio.ledger.api import AccountFlags

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Text = Annotated[str, msgspec.Meta(max_length=256)]
Amount = Annotated[str, msgspec.Meta(max_length=80)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Flag = Literal["debits_must_not_exceed_credits", "credits_must_not_exceed_debits"]
FLAGS: Final[dict[Flag, AccountFlags]] = {
    "debits_must_not_exceed_credits": AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS,
    "credits_must_not_exceed_debits": AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS,
}


class NewLeg(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One side of a journal. A debit that names a hold captures that much of it."""

    account: Name
    amount: Amount
    hold_id: Name | None = None
    expected_version: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    """Refuse the journal unless the account has exactly so many entries."""


class NewJournal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A journal to post: the legs of each asset sum to zero. Choose `journal_id` to be able to repeat it."""

    legs: Annotated[list[NewLeg], msgspec.Meta(min_length=1, max_length=1000)]
    journal_id: Identifier | None = None
    booking_date: date | None = None
    """Today (UTC) when left out."""
    value_date: date | None = None
    """The booking date when left out."""
    reference: Text | None = None
    metadata: dict[str, Text] = {}
    releases: Annotated[list[Name], msgspec.Meta(max_length=1000)] = []
    """Holds to end with this journal."""


class NewBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 8,189 journals, posted all or none, or each for itself."""

    journals: list[NewJournal]
    mode: Literal["all_or_nothing", "each"]


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one journal of a batch: `created`, `exists`, or why it was refused."""

    journal_id: str
    code: str
    detail: str = ""

    @property
    def is_applied(self) -> bool:
        return self.code in ("created", "exists")


class NewReversal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Undoing a journal: its legs with the signs turned, as a journal of its own."""

    journal_id: Identifier | None = None
    """The id of the reversal; choose it to be able to repeat the request."""
    booking_date: date | None = None
    value_date: date | None = None
    reference: Text | None = None
    metadata: dict[str, Text] = {}

    def as_journal(self) -> NewJournal:
        return NewJournal(
            [], self.journal_id, self.booking_date, self.value_date, self.reference, self.metadata
        )


class NewHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount to set aside; it counts against the available balance at once."""

    account: Name
    amount: Amount
    hold_id: Identifier | None = None
    expires_at: Instant | None = None
    reference: Text | None = None


class CaptureHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Move some of what is held to another account."""

    to: Name
    amount: Annotated[str, msgspec.Meta(pattern=r"^[0-9][0-9.]{0,79}$")]
    is_final: bool = False
    """Free what is then left."""
    journal_id: Identifier | None = None
    reference: Text | None = None
    metadata: dict[str, Text] = {}


class OpenLedgerAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account of the organisation's own, at the address `{organisation_id}:book:{name}:{asset}`."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)*$", max_length=120)]
    asset: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9][A-Z0-9.-]{0,31}$")]
    flags: list[Flag] = []
    minimum_balance: Amount = "0"
    code: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{0,64}$")] = ""
    """Chart code, a plain attribute."""


class ChangeVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on a change."""

    expected_version: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None


class SetMinimumBalance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must stay on the account."""

    minimum_balance: Amount
    expected_version: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
