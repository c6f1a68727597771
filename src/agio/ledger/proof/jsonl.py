"""The ledger as JSON lines: enough to recompute the chain without the database.

Lines: `header`, `account`s, then each `link` followed by its `journal`s (or `sealed` ones, of which only the
fingerprint is disclosed), at the end `head`. Amounts are decimal text, hashes hexadecimal.
"""

from datetime import date, datetime
from typing import Final

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.kernel.money import format_decimal, parse_decimal
from agio.ledger.api import Environment
from agio.ledger.proof.chain import Head, Link, RecordedJournal, RecordedLeg, SealedJournal
from agio.ledger.proof.snapshot import RecordedAccount

FORMAT: Final = "agio-ledger/1"


class HeaderLine(msgspec.Struct, tag="header", tag_field="type"):
    """What the file is."""

    format: str
    exported_at: datetime
    organisation_id: OrganisationId | None
    """Whose journals are told in full; None: everybody's."""


class AccountLine(msgspec.Struct, tag="account", tag_field="type"):
    """An account and its balance at the head."""

    address: LedgerAccountId
    owner: str
    organisation_id: OrganisationId
    environment: Environment
    asset: str
    scale: int
    flags: int
    code: str
    opened_at: datetime
    balance: str
    version: int


class LinkLine(msgspec.Struct, tag="link", tag_field="type"):
    """One committed batch."""

    batch_no: int
    previous_hash: str
    hash: str
    first_journal_no: int
    journal_count: int
    created_at: datetime


class LegLine(msgspec.Struct):
    """One leg; a positive amount credits."""

    account: LedgerAccountId
    asset: str
    amount: str
    balance: str
    version: int
    hold_id: HoldId | None = None


class JournalLine(msgspec.Struct, tag="journal", tag_field="type"):
    """A journal with its legs."""

    journal_no: int
    journal_id: JournalId
    organisation_id: OrganisationId
    environment: Environment
    kind: str
    booking_date: date
    value_date: date
    source: str
    reference: str | None
    releases: tuple[HoldId, ...]
    reverses: JournalId | None
    metadata: dict[str, str]
    created_at: datetime
    fingerprint: str
    legs: list[LegLine]


class SealedLine(msgspec.Struct, tag="sealed", tag_field="type"):
    """A journal of somebody else."""

    journal_no: int
    fingerprint: str


class HeadLine(msgspec.Struct, tag="head", tag_field="type"):
    """The end of the file, and of the chain."""

    batch_no: int
    journal_no: int
    hash: str
    at: datetime


Line = HeaderLine | AccountLine | LinkLine | JournalLine | SealedLine | HeadLine

encode_line = msgspec.json.Encoder().encode
decode_line = msgspec.json.Decoder(Line).decode


class LineRenderer:
    """Records as lines. Accounts must come first: they tell the assets' scales."""

    def __init__(self, organisation: str | None, exported_at: datetime) -> None:
        self._organisation = organisation
        self._exported_at = exported_at
        self._scales: dict[str, int] = {}

    def begin(self) -> bytes:
        organisation = OrganisationId(self._organisation) if self._organisation is not None else None
        return _render(HeaderLine(FORMAT, self._exported_at, organisation))

    def account(self, account: RecordedAccount) -> bytes:
        self._scales[account.asset] = account.scale
        return _render(
            AccountLine(
                account.address,
                account.owner,
                account.organisation_id,
                account.environment,
                account.asset,
                account.scale,
                account.flags,
                account.code,
                account.opened_at,
                format_decimal(int(account.balance), account.scale),
                account.version,
            )
        )

    def link(self, link: Link) -> bytes:
        return _render(
            LinkLine(
                link.batch_no,
                link.previous_hash.hex(),
                link.hash.hex(),
                link.first_journal_no,
                link.journal_count,
                link.created_at,
            )
        )

    def journal(self, journal: RecordedJournal) -> bytes:
        return _render(
            JournalLine(
                journal.journal_no,
                journal.journal_id,
                journal.organisation_id,
                journal.environment,
                journal.kind,
                journal.booking_date,
                journal.value_date,
                journal.source,
                journal.reference,
                journal.releases,
                journal.reverses,
                journal.metadata,
                journal.created_at,
                journal.fingerprint.hex(),
                [self._leg(leg) for leg in journal.legs],
            )
        )

    def sealed(self, journal: SealedJournal) -> bytes:
        return _render(SealedLine(journal.journal_no, journal.fingerprint.hex()))

    def end(self, head: Head) -> bytes:
        return _render(HeadLine(head.batch_no, head.journal_no, head.hash.hex(), head.at))

    def _leg(self, leg: RecordedLeg) -> LegLine:
        scale = self._scales[leg.asset]
        return LegLine(
            leg.account,
            leg.asset,
            format_decimal(leg.amount, scale),
            format_decimal(leg.balance, scale),
            leg.version,
            leg.hold_id,
        )


def _render(line: Line) -> bytes:
    return encode_line(line) + b"\n"


def read_link(line: LinkLine) -> Link:
    """Raises ValueError when a hash is not hexadecimal."""
    return Link(
        line.batch_no,
        bytes.fromhex(line.previous_hash),
        bytes.fromhex(line.hash),
        line.first_journal_no,
        line.journal_count,
        line.created_at,
    )


def read_journal(line: JournalLine, link: Link, scales: dict[str, int]) -> RecordedJournal:
    """Raises KeyError for an asset without a scale, InvalidAmount, or ValueError."""
    legs = [
        RecordedLeg(
            leg.account,
            leg.asset,
            parse_decimal(leg.amount, scales[leg.asset]),
            parse_decimal(leg.balance, scales[leg.asset]),
            leg.version,
            leg.hold_id,
        )
        for leg in line.legs
    ]
    return RecordedJournal(
        line.journal_no,
        line.journal_id,
        line.organisation_id,
        line.environment,
        line.kind,
        line.booking_date,
        line.value_date,
        line.source,
        line.reference,
        line.releases,
        line.reverses,
        line.metadata,
        link.batch_no,
        line.created_at,
        bytes.fromhex(line.fingerprint),
        legs,
    )
