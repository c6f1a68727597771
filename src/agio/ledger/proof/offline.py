"""An exported file checked on its own: chain, balance of each journal, and each account's entries.

Needs no database. Memory grows with the accounts in the file, not with its journals.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from agio.kernel.money import InvalidAmount, parse_decimal
from agio.ledger.proof.chain import (
    FINDINGS_SHOWN,
    ChainChecker,
    Finding,
    Head,
    Link,
    RecordedJournal,
    SealedJournal,
)
from agio.ledger.proof.jsonl import (
    FORMAT,
    AccountLine,
    HeaderLine,
    HeadLine,
    JournalLine,
    Line,
    LinkLine,
    SealedLine,
    decode_line,
    read_journal,
    read_link,
)

_NOTHING: Final = Head(0, 0, b"", datetime.min.replace(tzinfo=UTC))


class FileReport(msgspec.Struct):
    """What an exported file holds, and what is wrong with it."""

    findings: list[Finding]
    links: int
    journals: int
    head: str | None


class _Account(msgspec.Struct):
    balance: int
    version: int
    final_balance: int
    final_version: int


class UnreadableLine(Exception):
    """A line is not what belongs there; the message names it."""


def verify_lines(lines: Iterable[bytes], known_heads: Sequence[bytes] = ()) -> FileReport:
    """Recompute everything from the lines of an exported file."""
    reader = _FileReader(known_heads)
    count = 0
    try:
        for text in lines:
            count += 1
            reader.take(decode_line(text))
    except (msgspec.DecodeError, UnreadableLine, InvalidAmount, KeyError, ValueError) as error:
        reader.fail(f"line {count} cannot be read: {error}")
    return reader.report()


class _FileReader:
    def __init__(self, known_heads: Sequence[bytes]) -> None:
        self._checker = ChainChecker(known_heads)
        self._findings: list[Finding] = []
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._scales: dict[str, int] = {}
        self._link: Link | None = None
        self._head: Head | None = None
        self._is_begun = False
        self._is_failed = False

    def fail(self, what: str) -> None:
        self._is_failed = True
        self._find(8, what)

    def take(self, line: Line) -> None:
        if isinstance(line, HeaderLine) == self._is_begun or self._head is not None:
            raise UnreadableLine("a file has one header at its begin and one head at its end")
        match line:
            case HeaderLine():
                if line.format != FORMAT:
                    raise UnreadableLine(f"its format is {line.format}, not {FORMAT}")
                self._is_begun = True
            case AccountLine():
                self._take_account(line)
            case LinkLine():
                self._link = read_link(line)
                self._checker.begin_link(self._link)
            case JournalLine():
                if self._link is None:
                    raise UnreadableLine("a journal comes before its link")
                journal = read_journal(line, self._link, self._scales)
                self._checker.add(journal)
                self._fold(journal)
            case SealedLine():
                self._checker.add(SealedJournal(line.journal_no, bytes.fromhex(line.fingerprint)))
            case HeadLine():
                self._head = Head(line.batch_no, line.journal_no, bytes.fromhex(line.hash), line.at)

    def report(self) -> FileReport:
        if self._head is None and not self._is_failed:
            self._find(8, "the file ends before its head")
        if not self._is_failed:
            for (address, _), account in self._accounts.items():
                if (account.balance, account.version) != (account.final_balance, account.final_version):
                    self._find(2, f"account {address} differs from the fold of its entries")
        findings = self._checker.finish(self._head or _NOTHING) if not self._is_failed else []
        return FileReport(
            [*self._findings, *(self._checker.findings if self._is_failed else findings)],
            self._checker.links,
            self._checker.journals,
            self._head.hash.hex() if self._head is not None else None,
        )

    def _take_account(self, line: AccountLine) -> None:
        self._scales[line.asset] = line.scale
        balance = parse_decimal(line.balance, line.scale)
        self._accounts[line.address, line.environment] = _Account(0, 0, balance, line.version)

    def _fold(self, journal: RecordedJournal) -> None:
        # Legs of one journal on one account follow each other by version.
        for leg in sorted(journal.legs, key=lambda leg: leg.version):
            account = self._accounts[leg.account, journal.environment]
            account.balance += leg.amount
            account.version += 1
            if (account.balance, account.version) != (leg.balance, leg.version):
                self._find(2, f"entry {leg.version} of account {leg.account} does not follow the one before")
                account.balance, account.version = leg.balance, leg.version

    def _find(self, invariant: int, what: str) -> None:
        if len(self._findings) < FINDINGS_SHOWN:
            self._findings.append(Finding(invariant, what))
