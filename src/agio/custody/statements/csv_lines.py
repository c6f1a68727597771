"""A statement's lines of CSV (RFC 4180), of which the ledger writes those of the entries itself."""

from datetime import datetime
from typing import Final

from agio.custody.api import Account
from agio.custody.statements.model import Period
from agio.kernel.money import format_decimal
from agio.kernel.time import format_instant
from agio.ledger.api import LINE_COLUMNS, AccountPeriod, ChainLink

COLUMNS: Final = ("type", "asset", *LINE_COLUMNS)
"""`type` is opening, entry, closing (per asset, in this order), and at the end chain_head."""


def header_line() -> str:
    return _line(COLUMNS)


def opening_line(part: AccountPeriod, period: Period) -> str:
    return _balance_line("opening", part, part.first_version - 1, period.start, part.opening)


def closing_line(part: AccountPeriod, period: Period) -> str:
    return _balance_line("closing", part, part.last_version, period.end, part.closing)


def chain_line(account: Account, chain: ChainLink, *, is_final: bool) -> str:
    """`version` is the batch, `journal_id` the account, `reference` the hash, `source`: final or not."""
    instant = format_instant(chain.created_at) if chain.created_at is not None else ""
    source = "final" if is_final else "provisional"
    return _line(
        (
            "chain_head",
            "",
            str(chain.batch_no),
            instant,
            "",
            "",
            source,
            account.account_id,
            chain.hash,
            "",
            "",
        )
    )


def _balance_line(kind: str, part: AccountPeriod, version: int, instant: datetime, balance: int) -> str:
    return _line(
        (
            kind,
            part.asset,
            str(version),
            format_instant(instant),
            "",
            "",
            "",
            "",
            "",
            "",
            format_decimal(balance, part.scale),
        )
    )


def _line(fields: tuple[str, ...]) -> str:
    """None of our own fields needs quotes."""
    return ",".join(fields) + "\r\n"
