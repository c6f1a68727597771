"""The ledger as CSV: one row per leg. The last row's `chain_hash` is the head."""

import csv
import io
from typing import Final

from agio.kernel.money import format_decimal
from agio.kernel.time import format_instant
from agio.ledger.proof.chain import Head, Link, RecordedJournal, SealedJournal
from agio.ledger.proof.snapshot import RecordedAccount

COLUMNS: Final = (
    "journal_no",
    "journal_id",
    "kind",
    "organisation_id",
    "environment",
    "booking_date",
    "value_date",
    "created_at",
    "source",
    "reference",
    "reverses",
    "leg_no",
    "account",
    "asset",
    "amount",
    "balance",
    "version",
    "hold_id",
    "batch_no",
    "chain_hash",
)


class TableRenderer:
    """Records as CSV rows (RFC 4180). Accounts only tell the assets' scales."""

    def __init__(self) -> None:
        self._scales: dict[str, int] = {}
        self._link_hash = ""
        self._text = io.StringIO()
        self._rows = csv.writer(self._text)

    def begin(self) -> bytes:
        self._rows.writerow(COLUMNS)
        return self._take()

    def account(self, account: RecordedAccount) -> bytes:
        self._scales[account.asset] = account.scale
        return b""

    def link(self, link: Link) -> bytes:
        self._link_hash = link.hash.hex()
        return b""

    def journal(self, journal: RecordedJournal) -> bytes:
        for leg_no, leg in enumerate(journal.legs, 1):
            scale = self._scales[leg.asset]
            self._rows.writerow(
                (
                    journal.journal_no,
                    journal.journal_id,
                    journal.kind,
                    journal.organisation_id,
                    journal.environment,
                    journal.booking_date,
                    journal.value_date,
                    format_instant(journal.created_at),
                    journal.source,
                    journal.reference or "",
                    journal.reverses or "",
                    leg_no,
                    leg.account,
                    leg.asset,
                    format_decimal(leg.amount, scale),
                    format_decimal(leg.balance, scale),
                    leg.version,
                    leg.hold_id or "",
                    journal.batch_no,
                    self._link_hash,
                )
            )
        return self._take()

    def sealed(self, journal: SealedJournal) -> bytes:  # noqa: ARG002
        return b""

    def end(self, head: Head) -> bytes:  # noqa: ARG002
        return b""

    def _take(self) -> bytes:
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text.encode()
