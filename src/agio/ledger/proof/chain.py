"""The chain recomputed from genesis, as a pure machine: fed with links and journals, it names what is broken.

The same machine reads a running ledger and an exported file. No I/O.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.kernel.time import to_micros
from agio.ledger.api import Environment, Leg, PostJournal
from agio.ledger.batch import journal_fingerprint

FINDINGS_SHOWN: Final = 20
GENESIS: Final = bytes(32)


class Finding(msgspec.Struct, frozen=True):
    """One broken promise: the invariant's number and where it broke."""

    invariant: int
    what: str


class Link(msgspec.Struct, frozen=True):
    """One link of the chain: what one committed batch added."""

    batch_no: int
    previous_hash: bytes
    hash: bytes
    first_journal_no: int
    journal_count: int
    created_at: datetime


class Head(msgspec.Struct, frozen=True):
    """Where the ledger stands: its last link and its last journal."""

    batch_no: int
    journal_no: int
    hash: bytes
    at: datetime


class RecordedLeg(msgspec.Struct, frozen=True):
    """A leg with the balance and the version that it led to."""

    account: LedgerAccountId
    asset: str
    amount: int
    balance: int
    version: int
    hold_id: HoldId | None


class RecordedJournal(msgspec.Struct, frozen=True):
    """A journal as it is stored. `legs` is None where only its fingerprint was disclosed."""

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
    batch_no: int
    created_at: datetime
    fingerprint: bytes
    legs: Sequence[RecordedLeg]

    def compute_fingerprint(self) -> bytes:
        """What its content hashes to now."""
        return journal_fingerprint(
            PostJournal(
                journal_id=self.journal_id,
                organisation_id=self.organisation_id,
                environment=self.environment,
                legs=tuple(Leg(leg.account, leg.amount, leg.hold_id) for leg in self.legs),
                booking_date=self.booking_date,
                value_date=self.value_date,
                source=self.source,
                reference=self.reference,
                releases=self.releases,
                reverses=self.reverses,
                metadata=tuple(self.metadata.items()),
            )
        )


class SealedJournal(msgspec.Struct, frozen=True):
    """A journal of which only the fingerprint is told: the chain can be recomputed without its content."""

    journal_no: int
    fingerprint: bytes


def chain_hash(link: Link, fingerprints: bytes) -> bytes:
    """A link's hash as `ledger.chain_hash` computes it."""
    header = f"{link.batch_no}|{link.first_journal_no}|{link.journal_count}|{to_micros(link.created_at)}|"
    return hashlib.sha256(link.previous_hash + header.encode() + fingerprints).digest()


class ChainChecker:
    """Takes each link followed by its journals, in order; then `finish` with the head.

    It goes on after a fault, but names only the first broken link: what follows one is broken with it.
    """

    def __init__(self, known_heads: Sequence[bytes] = ()) -> None:
        self.findings: list[Finding] = []
        self.journals = 0
        self.links = 0
        self._unseen_heads = set(known_heads) - {GENESIS}
        self._is_chain_broken = False
        self._previous_hash = GENESIS
        self._batch_no = 0
        self._next_journal_no = 1
        self._link: Link | None = None
        self._fingerprints = bytearray()
        self._stray = 0
        """The first journal of the link that says another batch or time than the link."""

    def begin_link(self, link: Link) -> None:
        self._end_link()
        follows = (self._previous_hash, self._batch_no + 1, self._next_journal_no)
        if (link.previous_hash, link.batch_no, link.first_journal_no) != follows:
            self._break(f"link {link.batch_no} does not follow link {self._batch_no}")
            self._next_journal_no = link.first_journal_no
        self._link = link
        self.links += 1

    def add(self, journal: RecordedJournal | SealedJournal) -> None:
        """The next journal of the link."""
        link = self._link
        self.journals += 1
        if link is None or journal.journal_no >= link.first_journal_no + link.journal_count:
            self._break(f"journal {journal.journal_no} belongs to no link")
            return
        if journal.journal_no != self._next_journal_no:
            self._break(
                f"journal {self._next_journal_no} is missing from link {link.batch_no}:"
                f" journal {journal.journal_no} is there instead"
            )
        self._next_journal_no = journal.journal_no + 1
        self._fingerprints += journal.fingerprint
        if isinstance(journal, RecordedJournal):
            self._check_content(journal, link)

    def finish(self, head: Head) -> list[Finding]:
        """End with what the ledger calls its head; answers everything found."""
        self._end_link()
        if (head.hash, head.batch_no, head.journal_no + 1) != (
            self._previous_hash,
            self._batch_no,
            self._next_journal_no,
        ):
            self._break(f"the head is not link {self._batch_no}")
        for missing in sorted(self._unseen_heads):
            self._find(8, f"the chain does not contain the known head {missing.hex()}")
        return self.findings

    def _end_link(self) -> None:
        link = self._link
        if link is None:
            return
        self._link = None
        expected = link.first_journal_no + link.journal_count
        if self._next_journal_no != expected:
            self._break(f"link {link.batch_no} has lost its journals from {self._next_journal_no} on")
            self._next_journal_no = expected
        elif chain_hash(link, bytes(self._fingerprints)) != link.hash:
            self._break(f"link {link.batch_no} does not have the hash of its journals")
        elif self._stray:
            self._break(f"journal {self._stray} does not say the batch and time of its link {link.batch_no}")
        self._fingerprints.clear()
        self._stray = 0
        self._previous_hash, self._batch_no = link.hash, link.batch_no
        self._unseen_heads.discard(link.hash)

    def _check_content(self, journal: RecordedJournal, link: Link) -> None:
        sums: dict[str, int] = {}
        for leg in journal.legs:
            sums[leg.asset] = sums.get(leg.asset, 0) + leg.amount
        for asset, total in sums.items():
            if total != 0:
                self._find(1, f"journal {journal.journal_no} does not balance in {asset}")
        if journal.compute_fingerprint() != journal.fingerprint:
            self._break(
                f"journal {journal.journal_id} of link {link.batch_no} does not have"
                " the content that was hashed"
            )
        elif journal.batch_no != link.batch_no or journal.created_at != link.created_at:
            self._stray = self._stray or journal.journal_no

    def _break(self, what: str) -> None:
        if not self._is_chain_broken:
            self.findings.append(Finding(8, what))
        self._is_chain_broken = True

    def _find(self, invariant: int, what: str) -> None:
        if len(self.findings) < FINDINGS_SHOWN:
            self.findings.append(Finding(invariant, what))
