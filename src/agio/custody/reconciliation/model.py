"""Reading a foreign file and comparing three views of an account. Pure."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from agio.custody.reconciliation.errors import MalformedStatement
from agio.kernel.ids import AccountId, OrganisationId
from agio.kernel.money import InvalidAmount, format_decimal, parse_decimal
from agio.kernel.problem import InvalidRequest
from agio.kernel.time import to_micros

MAX_BYTES: Final = 512 * 1024
MAX_LINES: Final = 5_000
MAX_FIELD: Final = 80
MAX_REASON: Final = 500
UNKNOWN_SCALE: Final = 18
"""Decimals that an asset may have which we do not know."""
COLUMNS: Final = ("asset", "quantity")

_SOURCE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}", re.ASCII)
_ASSET: Final = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,31}", re.ASCII)

BreakKind = Literal["external_differs", "ledger_differs", "expected_differs", "all_differ"]
BreakState = Literal["open", "explained", "resolved"]


class Views(msgspec.Struct, frozen=True):
    """What the ledger, the outside and our records say about one asset, as decimal text."""

    ledger: str
    external: str
    expected: str

    def kind(self) -> BreakKind | None:
        """Which of the three stands alone; None when all agree."""
        if self.ledger == self.external == self.expected:
            return None
        if self.ledger == self.expected:
            return "external_differs"
        if self.external == self.expected:
            return "ledger_differs"
        return "expected_differs" if self.ledger == self.external else "all_differ"


class ExternalStatement(msgspec.Struct, frozen=True):
    """An imported file and what came of it."""

    statement_id: str
    account_id: AccountId
    source: str
    as_of: datetime
    line_count: int
    agreed_count: int
    break_count: int
    imported_by: str
    imported_at: datetime


class Break(msgspec.Struct, frozen=True):
    """A difference in one asset that somebody has to see to."""

    break_id: str
    organisation_id: OrganisationId
    environment: str
    account_id: AccountId
    source: str
    asset: str
    kind: BreakKind
    ledger: str
    external: str
    expected: str
    state: BreakState
    statement_id: str
    opened_at: datetime
    changed_at: datetime
    note_count: int

    @property
    def views(self) -> Views:
        return Views(self.ledger, self.external, self.expected)


class Note(msgspec.Struct, frozen=True):
    """One decision about a break."""

    state: BreakState
    reason: str
    decided_by: str
    decided_at: datetime


def check_source(source: str) -> str:
    if _SOURCE.fullmatch(source) is None:
        raise InvalidRequest("source takes 1 to 40 characters of a-z 0-9 _ . -", extra={"field": "source"})
    return source


def file_hash(source: str, as_of: datetime, content: str) -> bytes:
    """What makes two files the same statement."""
    return hashlib.sha256(f"{source}\0{to_micros(as_of)}\0{content}".encode()).digest()


def read_positions(content: str, scales: Mapping[str, int]) -> dict[str, int]:
    """Quantities by asset, in the asset's smallest unit (unknown assets: 18 decimals).

    Raises MalformedStatement naming the line. Nothing is guessed: one header, two columns, each asset once,
    plain decimals.
    """
    if len(content.encode()) > MAX_BYTES:
        raise MalformedStatement(f"more than {MAX_BYTES} bytes", extra={"field": "content"})
    rows = _rows(content.removeprefix("\ufeff"))
    header = next(rows, None)
    if header is None or sorted(header[1]) != sorted(COLUMNS):
        raise _at(1, f"the first line must name the columns {','.join(COLUMNS)}")
    place = {name: number for number, name in enumerate(header[1])}
    positions: dict[str, int] = {}
    for line, row in rows:
        if len(row) != len(COLUMNS):
            raise _at(line, f"{len(row)} fields instead of {len(COLUMNS)}")
        asset, quantity = row[place["asset"]], row[place["quantity"]]
        if _ASSET.fullmatch(asset) is None:
            raise _at(line, f"{asset[:MAX_FIELD]!r} is not the name of an asset")
        if asset in positions:
            raise _at(line, f"{asset} is there twice")
        try:
            positions[asset] = parse_decimal(quantity, scales.get(asset, UNKNOWN_SCALE), field="quantity")
        except InvalidAmount as error:
            raise _at(line, error.detail) from error
    return positions


def compare(
    ledger: Mapping[str, int],
    external: Mapping[str, int],
    expected: Mapping[str, int],
    scales: Mapping[str, int],
) -> dict[str, Views]:
    """The three views of every asset that any of them names."""
    return {
        asset: Views(*(_show(view.get(asset, 0), scales.get(asset)) for view in (ledger, external, expected)))
        for asset in sorted({*ledger, *external, *expected})
    }


def difference(views: Views) -> str:
    """External minus ledger."""
    scale = max(len(text.partition(".")[2]) for text in (views.external, views.ledger))
    return format_decimal(parse_decimal(views.external, scale) - parse_decimal(views.ledger, scale), scale)


def _show(amount: int, scale: int | None) -> str:
    return format_decimal(amount, UNKNOWN_SCALE if scale is None else scale)


def _rows(content: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields); empty lines are skipped."""
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    count = 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _at(reader.line_num, f"not CSV: {error}") from error
        if row is None:
            return
        if not row:
            continue
        count += 1
        if count > MAX_LINES + 1:
            raise _at(reader.line_num, f"more than {MAX_LINES} lines")
        if any(len(field) > MAX_FIELD for field in row):
            raise _at(reader.line_num, f"a field is longer than {MAX_FIELD} characters")
        yield reader.line_num, row


def _at(line: int, what: str) -> MalformedStatement:
    return MalformedStatement(f"line {line}: {what}", extra={"field": "content", "line": line})
