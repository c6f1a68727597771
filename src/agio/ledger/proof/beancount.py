"""The ledger as a Beancount file: every journal a transaction, every account's balance asserted at the end.

Signs turn around: Beancount's positive amount is a debit, ours a credit. The balance assertions allow no
difference at all. The chain's head stands in a `custom` directive.
"""

from datetime import date, timedelta
from typing import Final

from agio.kernel.money import format_decimal
from agio.kernel.time import format_instant
from agio.ledger.proof.beancount_names import BeancountNames
from agio.ledger.proof.chain import Head, Link, RecordedJournal, SealedJournal
from agio.ledger.proof.snapshot import RecordedAccount, Totals

_TITLE: Final = "agio ledger"


class _Standing:
    """Where an account stands, for its assertion."""

    def __init__(self, name: str, amount: str) -> None:
        self.name = name
        self.amount = amount


class BeancountRenderer:
    """Records as directives. Accounts must come before journals."""

    def __init__(self, totals: Totals, today: date) -> None:
        self._first = totals.first_booking_date or today
        last = totals.last_booking_date or today
        # A balance directive speaks of the begin of its day.
        self._after = last + timedelta(days=1) if last < date.max else None
        self._last = last
        self._names = BeancountNames()
        self._scales: dict[str, int] = {}
        self._standings: list[_Standing] = []

    def begin(self) -> bytes:
        return f'option "title" "{_TITLE}"\n\n'.encode()

    def account(self, account: RecordedAccount) -> bytes:
        commodity = self._names.commodity(account.asset)
        lines = []
        if account.asset not in self._scales:
            self._scales[account.asset] = account.scale
            lines += [
                f"{self._first} commodity {commodity}",
                f"  asset: {_quote(account.asset)}",
                f"  scale: {account.scale}",
            ]
        name = self._names.name_account(account)
        lines += [f"{self._first} open {name} {commodity}", f"  address: {_quote(account.address)}"]
        if account.code:
            lines.append(f"  code: {_quote(account.code)}")
        amount = f"{format_decimal(-int(account.balance), account.scale)} ~ 0 {commodity}"
        self._standings.append(_Standing(name, amount))
        return _block(lines)

    def link(self, link: Link) -> bytes:  # noqa: ARG002
        return b""

    def journal(self, journal: RecordedJournal) -> bytes:
        lines = [
            f"{journal.booking_date} * {_quote(journal.source)} {_quote(journal.reference or '')}",
            f"  journal-id: {_quote(journal.journal_id)}",
            f"  journal-no: {journal.journal_no}",
            f"  value-date: {journal.value_date}",
            f"  created-at: {_quote(format_instant(journal.created_at))}",
        ]
        if journal.reverses is not None:
            lines.append(f"  reverses: {_quote(journal.reverses)}")
        for leg in journal.legs:
            amount = format_decimal(-leg.amount, self._scales[leg.asset])
            name = self._names.account(leg.account, journal.environment)
            lines.append(f"  {name}  {amount} {self._names.commodity(leg.asset)}")
        return _block(lines)

    def sealed(self, journal: SealedJournal) -> bytes:  # noqa: ARG002
        return b""

    def end(self, head: Head) -> bytes:
        lines = []
        if self._after is not None:
            lines = [f"{self._after} balance {each.name} {each.amount}" for each in self._standings]
        lines.append(
            f'{self._last} custom "agio-ledger-head" "{head.hash.hex()}" {head.batch_no} {head.journal_no}'
        )
        return _block(lines)


def _block(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n\n").encode()


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
