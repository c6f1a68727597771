"""Commands as PostgreSQL array literals, and batches cut where one command depends on another.

A command is rendered once, when it is submitted, while the batch before it is being written; a batch is then
put together by joining. (The driver's own array dumping costs more than the whole of the database's work.)
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from agio.kernel.ids import HoldId, OrganisationId
from agio.kernel.time import to_micros
from agio.ledger.api import Command, Environment, Leg, PlaceHold, PostJournal, ReleaseHold

_SEPARATOR: Final = "\x1f"
_NOTHING: Final = "\x1d"
_FURTHER: Final = "\x1e"
"""Announces what journals have had only since later versions; no other part can be this."""
_NO_HOLDS: Final[frozenset[str]] = frozenset()
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/+-]+", re.ASCII)


class ExpireHold(msgspec.Struct, frozen=True):
    """End a hold whose time is over; only the ledger's own sweep says this."""

    hold_id: HoldId
    organisation_id: OrganisationId
    environment: Environment
    source: str = "expiry"
    reference: None = None


Kind = Literal["P", "H", "V", "X"]


class EncodedCommand(NamedTuple):
    """One command as elements of the arrays that `ledger.apply` takes."""

    kind: Kind
    id: str
    organisation: str
    environment: str
    fingerprint: bytes
    booking_date: str
    value_date: str
    source: str
    reference: str
    effect_count: int
    effect_kinds: str
    effect_legs: str
    effect_accounts: str
    effect_amounts: str
    effect_holds: str
    effect_expiries: str
    named_holds: frozenset[str]
    """Holds that it captures, releases or expires."""
    is_plain: bool = False
    """A journal that names no holds."""
    reverses: str = "NULL"
    metadata: str = "NULL"
    effect_versions: str = ""
    """Empty when no leg expects a version."""


def _quote(text: str) -> str:
    """One element of a text array literal."""
    if _PLAIN.fullmatch(text) and text.upper() != "NULL":
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


quote_element = lru_cache(maxsize=4096)(_quote)
"""`_quote` for texts that recur: organisations, sources."""


iso_date = lru_cache(maxsize=1024)(date.isoformat)


def _name(text: str) -> str:
    """An id or address as an element: `check_command` has let only plain characters through."""
    return text if len(text) != len("NULL") else _quote(text)


def encode_command(command: Command | ExpireHold) -> EncodedCommand:
    match command:
        case PostJournal():
            return _encode_journal(command)
        case PlaceHold():
            return _encode_hold(command)
        case ReleaseHold():
            return _encode_end(command, "V")
        case ExpireHold():
            return _encode_end(command, "X")


def journal_fingerprint(journal: PostJournal) -> bytes:
    """SHA-256 of the journal's whole content."""
    parts = [
        journal.journal_id,
        journal.organisation_id,
        journal.environment,
        iso_date(journal.booking_date),
        iso_date(journal.value_date),
        journal.source,
        _NOTHING if journal.reference is None else journal.reference,
    ]
    for leg in journal.legs:
        parts += (leg.account, str(leg.amount), leg.hold_id or "")
    parts += journal.releases
    if journal.reverses is not None or journal.metadata:
        parts += (_FURTHER, journal.reverses or "", metadata_text(journal.metadata) or "")
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).digest()


def hold_fingerprint(hold: PlaceHold) -> bytes:
    """SHA-256 of everything that a repeated placement must agree on."""
    parts = [
        hold.hold_id,
        hold.organisation_id,
        hold.environment,
        hold.account,
        str(hold.amount),
        "" if hold.expires_at is None else str(to_micros(hold.expires_at)),
        hold.source,
        _NOTHING if hold.reference is None else hold.reference,
    ]
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).digest()


def metadata_text(metadata: tuple[tuple[str, str], ...]) -> str | None:
    """Metadata as it is hashed and stored: a JSON object in the order of its keys."""
    return msgspec.json.encode(dict(metadata)).decode() if metadata else None


def _encode_journal(journal: PostJournal) -> EncodedCommand:
    legs, releases = journal.legs, journal.releases
    count, extra = len(legs), len(releases)
    shape = _shape(count, extra)
    holds = [leg.hold_id for leg in legs]
    has_holds = extra > 0 or any(holds)
    accounts = ",".join([_name(leg.account) for leg in legs])
    amounts = ",".join([str(leg.amount) for leg in legs])
    return EncodedCommand(
        "P",
        _name(journal.journal_id),
        quote_element(journal.organisation_id),
        quote_element(journal.environment),
        journal_fingerprint(journal),
        iso_date(journal.booking_date),
        iso_date(journal.value_date),
        quote_element(journal.source),
        "NULL" if journal.reference is None else _quote(journal.reference),
        count + extra,
        shape.kinds,
        shape.numbers,
        f"{accounts},{shape.extra_nulls}" if extra else accounts,
        f"{amounts},{shape.extra_zeros}" if extra else amounts,
        ",".join(["NULL" if name is None else _name(name) for name in (*holds, *releases)])
        if has_holds
        else shape.nulls,
        shape.nulls,
        frozenset([*(name for name in holds if name is not None), *releases]) if has_holds else _NO_HOLDS,
        not has_holds,
        "NULL" if journal.reverses is None else _name(journal.reverses),
        _quote(metadata_text(journal.metadata) or "NULL") if journal.metadata else "NULL",
        _versions(legs, extra),
    )


def _versions(legs: tuple[Leg, ...], extra: int) -> str:
    expected = [leg.expected_version for leg in legs]
    if expected.count(None) == len(expected):
        return ""
    return ",".join(["NULL" if version is None else str(version) for version in expected] + ["NULL"] * extra)


class _Shape(NamedTuple):
    """The parts of a journal's arrays that depend on nothing but how many legs and releases it has."""

    kinds: str
    numbers: str
    nulls: str
    extra_nulls: str
    extra_zeros: str


@lru_cache(maxsize=256)
def _shape(count: int, extra: int) -> _Shape:
    return _Shape(
        kinds=",".join(["L"] * count + ["R"] * extra),
        numbers=",".join(map(str, range(1, count + extra + 1))),
        nulls=",".join(["NULL"] * (count + extra)),
        extra_nulls=",".join(["NULL"] * extra),
        extra_zeros=",".join(["0"] * extra),
    )


def _encode_hold(hold: PlaceHold) -> EncodedCommand:
    return EncodedCommand(
        "H",
        _name(hold.hold_id),
        quote_element(hold.organisation_id),
        quote_element(hold.environment),
        hold_fingerprint(hold),
        "NULL",
        "NULL",
        quote_element(hold.source),
        "NULL" if hold.reference is None else _quote(hold.reference),
        1,
        "H",
        "1",
        _name(hold.account),
        str(hold.amount),
        _name(hold.hold_id),
        "NULL" if hold.expires_at is None else f'"{hold.expires_at.isoformat()}"',
        frozenset(),
    )


def _encode_end(command: ReleaseHold | ExpireHold, kind: Literal["V", "X"]) -> EncodedCommand:
    hold_id = _name(command.hold_id)
    return EncodedCommand(
        kind,
        hold_id,
        quote_element(command.organisation_id),
        quote_element(command.environment),
        b"",
        "NULL",
        "NULL",
        quote_element(command.source),
        "NULL" if command.reference is None else _quote(command.reference),
        1,
        kind,
        "1",
        "NULL",
        "0",
        hold_id,
        "NULL",
        frozenset((command.hold_id,)),
    )


def cut_batches(commands: Sequence[EncodedCommand]) -> Iterator[tuple[int, Sequence[EncodedCommand]]]:
    """Cut where a command depends on another of the same batch: (offset, batch) pairs.

    `ledger.apply` looks ids, holds, reversed journals and expected versions up once, before a batch; so each
    cut sees what came before it.
    """
    start = 0
    journals: set[str] = set()
    holds: set[str] = set()
    for index, command in enumerate(commands):
        known = journals if command.kind == "P" else holds if command.kind == "H" else _NO_HOLDS
        if (
            command.id in known
            or not command.named_holds.isdisjoint(holds)
            or (command.reverses != "NULL" and command.reverses in journals)
            or (command.effect_versions and index > start)
        ):
            yield start, commands[start:index]
            start = index
            journals, holds = set(), set()
        if command.kind == "P":
            journals.add(command.id)
            if command.reverses != "NULL":
                journals.add(command.reverses)
        elif command.kind == "H":
            holds.add(command.id)
    yield start, commands[start:]


def batch_parameters(commands: Sequence[EncodedCommand], at: datetime) -> list[str | datetime | None]:
    """The parameters of `ledger.apply`, in its order."""
    is_plain = all(command.is_plain for command in commands)
    tenants: dict[tuple[str, str], str] = {}
    tenant_numbers = [
        tenants.setdefault((command.organisation, command.environment), str(len(tenants) + 1))
        for command in commands
    ]
    return [
        _array(tenant_numbers),
        _array([organisation for organisation, _ in tenants]),
        _array([environment for _, environment in tenants]),
        _array([command.kind for command in commands]),
        _array([command.id for command in commands]),
        _array([f'"\\\\x{command.fingerprint.hex()}"' for command in commands]),
        _array([command.booking_date for command in commands]),
        _array([command.value_date for command in commands]),
        _array([command.source for command in commands]),
        _array([command.reference for command in commands]),
        _array_or_null([command.reverses for command in commands]),
        _array_or_null([command.metadata for command in commands]),
        _array([_repeat(str(number), command.effect_count) for number, command in enumerate(commands, 1)]),
        None if is_plain else _array([command.effect_kinds for command in commands]),
        _array([command.effect_legs for command in commands]),
        _array([command.effect_accounts for command in commands]),
        _array([command.effect_amounts for command in commands]),
        None if is_plain else _array([command.effect_holds for command in commands]),
        None if is_plain else _array([command.effect_expiries for command in commands]),
        _versions_array(commands),
        at,
    ]


def _versions_array(commands: Sequence[EncodedCommand]) -> str | None:
    if not any(command.effect_versions for command in commands):
        return None
    return _array([command.effect_versions or _repeat("NULL", command.effect_count) for command in commands])


def _array_or_null(elements: list[str]) -> str | None:
    """None when no command has the element, which is the rule."""
    return None if elements.count("NULL") == len(elements) else _array(elements)


def _array(elements: list[str]) -> str:
    return f"{{{','.join(elements)}}}"


def _repeat(element: str, count: int) -> str:
    return element if count == 1 else ",".join([element] * count)
