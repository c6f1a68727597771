"""The export: one snapshot of the ledger through one renderer."""

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Final, Protocol

from agio.ledger.proof.beancount import BeancountRenderer
from agio.ledger.proof.chain import Head, Link, RecordedJournal, SealedJournal
from agio.ledger.proof.jsonl import LineRenderer
from agio.ledger.proof.snapshot import (
    RecordedAccount,
    Totals,
    read_accounts,
    read_chain,
    read_head,
    read_totals,
)
from agio.ledger.proof.tables import TableRenderer
from agio.platform.clock import Clock
from agio.platform.db import Transaction

PROGRESS_EVERY: Final = 1000


class ExportFormat(StrEnum):
    """`jsonl` is the one that can be verified; the others are for other programs."""

    JSONL = "jsonl"
    CSV = "csv"
    BEANCOUNT = "beancount"


class Renderer(Protocol):
    """Turns records into the bytes of a file."""

    def begin(self) -> bytes: ...
    def account(self, account: RecordedAccount) -> bytes: ...
    def link(self, link: Link) -> bytes: ...
    def journal(self, journal: RecordedJournal) -> bytes: ...
    def sealed(self, journal: SealedJournal) -> bytes: ...
    def end(self, head: Head) -> bytes: ...


class Export:
    """One export of everything, or of one organisation. After `chunks`, `head` is what was exported."""

    def __init__(self, kind: ExportFormat, clock: Clock, organisation: str | None = None) -> None:
        self._kind = kind
        self._clock = clock
        self._organisation = organisation
        self.head: Head | None = None
        self.totals: Totals | None = None
        self.journals = 0

    async def chunks(
        self, tx: Transaction, tell: Callable[[int, int], None] | None = None
    ) -> AsyncIterator[bytes]:
        """The file, piece by piece; `tell` hears how many journals of how many were read."""
        self.totals = await read_totals(tx)
        self.head = await read_head(tx)
        renderer = self._make_renderer(self.totals)
        yield renderer.begin()
        async for account in read_accounts(tx, self._organisation):
            yield renderer.account(account)
        async for record in read_chain(tx, self._organisation):
            if isinstance(record, Link):
                yield renderer.link(record)
                continue
            self.journals += 1
            if tell is not None and self.journals % PROGRESS_EVERY == 0:
                tell(self.journals, self.totals.journals)
            if isinstance(record, RecordedJournal):
                yield renderer.journal(record)
            else:
                yield renderer.sealed(record)
        yield renderer.end(self.head)

    def _make_renderer(self, totals: Totals) -> Renderer:
        match self._kind:
            case ExportFormat.JSONL:
                return LineRenderer(self._organisation, self._clock.now())
            case ExportFormat.CSV:
                return TableRenderer()
            case ExportFormat.BEANCOUNT:
                return BeancountRenderer(totals, self._clock.now().date())
