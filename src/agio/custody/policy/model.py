"""A policy as people write it: groups, ordered rules, and who may change it. Pure values and their checks."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from agio.custody.errors import InvalidPolicy
from agio.kernel.ids import is_id
from agio.kernel.money import InvalidAmount, parse_decimal

MAX_RULES: Final = 100
MAX_GROUPS: Final = 50
MAX_MEMBERS: Final = 100
MAX_LISTED: Final = 100
MAX_WINDOW_SECONDS: Final = 366 * 24 * 3600
MAX_DELAY_SECONDS: Final = 30 * 24 * 3600
DEFAULT_COOLING_SECONDS: Final = 24 * 3600
FULL_BASIS_POINTS: Final = 10_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}", re.ASCII)

RequestKind = Literal["withdrawal", "internal"]
"""`withdrawal`: to an allowlisted destination; `internal`: to a sub-account or account of the same books."""

LimitKind = Literal["per_transaction", "rolling", "share_of_balance", "count"]
Dimension = Literal["sub_account", "vault", "destination", "initiator", "organisation"]


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bound at the moment of the hold. What was held in the window counts, whichever rule let it.

    `per_transaction`: `amount`. `rolling`: `amount` in `window_seconds`. `count`: `count` requests in
    `window_seconds`. `share_of_balance`: `basis_points` of the sub-account's balance, together with what left
    in `window_seconds` when that is given. `per` says whose requests are added up.
    """

    kind: LimitKind
    amount: str | None = None
    window_seconds: int | None = None
    count: int | None = None
    basis_points: int | None = None
    per: Dimension = "sub_account"


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many members of a group must approve; nobody counts twice, not even in two groups."""

    group: str
    required: int


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a rule matches: all that is said must hold; an empty list says nothing."""

    kinds: list[RequestKind] = []
    assets: list[str] = []
    vaults: list[str] = []
    locations: list[str] = []
    targets: list[str] = []
    """Ids of destinations, sub-accounts or accounts."""
    initiator_groups: list[str] = []
    min_amount: str | None = None
    max_amount: str | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a policy. The first that matches decides."""

    name: str
    action: Literal["allow", "deny"]
    when: Conditions = msgspec.field(default_factory=Conditions)
    approvals: list[Requirement] = []
    limits: list[Limit] = []


class ChangeControl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who must agree to the next policy, and how long it then waits."""

    group: str
    required: int
    delay_seconds: int


class PolicyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole policy. What no rule allows is denied."""

    groups: dict[str, list[str]]
    """Group name to the key ids of its members."""
    rules: list[Rule]
    changes: ChangeControl
    destination_cooling_seconds: int = DEFAULT_COOLING_SECONDS
    """How long a new destination waits before money may be sent there."""
    credential_cooling_seconds: int = 0
    """How long a new approver's credential waits before it can approve."""


def check_document(document: PolicyDocument, scales: Mapping[str, int]) -> PolicyDocument:
    """Return a sound document; raises InvalidPolicy naming the place. `scales`: decimals of each asset."""
    _require(0 < len(document.groups) <= MAX_GROUPS, "groups", f"1 to {MAX_GROUPS} groups")
    for name, members in document.groups.items():
        place = f"groups.{name}"
        _check_name(place, name)
        _require(0 < len(members) <= MAX_MEMBERS, place, f"1 to {MAX_MEMBERS} members")
        _require(len(set(members)) == len(members), place, "a member is named twice")
        _require(all(is_id(member, "key") for member in members), place, "members are key ids, key_...")
    _require(len(document.rules) <= MAX_RULES, "rules", f"at most {MAX_RULES} rules")
    names = [rule.name for rule in document.rules]
    _require(len(set(names)) == len(names), "rules", "two rules have the same name")
    for number, rule in enumerate(document.rules):
        _check_rule(f"rules[{number}]", rule, document.groups, scales)
    changes = document.changes
    _check_requirement("changes", Requirement(changes.group, changes.required), document.groups)
    _check_range("changes.delay_seconds", changes.delay_seconds, 0, MAX_DELAY_SECONDS)
    for field in ("destination_cooling_seconds", "credential_cooling_seconds"):
        _check_range(field, getattr(document, field), 0, MAX_DELAY_SECONDS)
    return document


def _check_rule(place: str, rule: Rule, groups: Mapping[str, list[str]], scales: Mapping[str, int]) -> None:
    _check_name(f"{place}.name", rule.name)
    when = rule.when
    for field in ("kinds", "assets", "vaults", "locations", "targets", "initiator_groups"):
        _require(len(getattr(when, field)) <= MAX_LISTED, f"{place}.when.{field}", f"at most {MAX_LISTED}")
    for asset in when.assets:
        _require(asset in scales, f"{place}.when.assets", f"no asset {asset[:40]!r}")
    _check_ids(f"{place}.when.vaults", when.vaults, ("vlt",))
    _check_ids(f"{place}.when.targets", when.targets, ("dst", "sub", "acc"))
    for location in when.locations:
        _check_name(f"{place}.when.locations", location)
    for group in when.initiator_groups:
        _require(group in groups, f"{place}.when.initiator_groups", f"no group {group[:50]!r}")
    _require(
        rule.action == "allow" or not (rule.approvals or rule.limits),
        place,
        "a rule that denies takes neither approvals nor limits",
    )
    for number, requirement in enumerate(rule.approvals):
        _check_requirement(f"{place}.approvals[{number}]", requirement, groups)
    asked = [requirement.group for requirement in rule.approvals]
    _require(len(set(asked)) == len(asked), f"{place}.approvals", "a group is named twice")
    for number, limit in enumerate(rule.limits):
        _check_limit(f"{place}.limits[{number}]", limit, when.assets, scales)
    for field in ("min_amount", "max_amount"):
        _check_amount(f"{place}.when.{field}", getattr(when, field), when.assets, scales)


def _check_limit(place: str, limit: Limit, assets: Iterable[str], scales: Mapping[str, int]) -> None:
    needs: dict[LimitKind, set[str]] = {
        "per_transaction": {"amount"},
        "rolling": {"amount", "window_seconds"},
        "count": {"count", "window_seconds"},
        "share_of_balance": {"basis_points"},
    }
    may: set[str] = {"window_seconds"} if limit.kind == "share_of_balance" else set()
    given = {
        field
        for field in ("amount", "window_seconds", "count", "basis_points")
        if getattr(limit, field) is not None
    }
    wanted = needs[limit.kind]
    _require(
        wanted <= given <= wanted | may, place, f"{limit.kind} takes exactly {', '.join(sorted(wanted))}"
    )
    if limit.kind == "share_of_balance":
        _require(limit.per == "sub_account", place, "a share is one of the sub-account's balance")
    _check_amount(f"{place}.amount", limit.amount, assets, scales)
    for field, high in (
        ("window_seconds", MAX_WINDOW_SECONDS),
        ("count", 1_000_000),
        ("basis_points", FULL_BASIS_POINTS),
    ):
        value = getattr(limit, field)
        if value is not None:
            _check_range(f"{place}.{field}", value, 1, high)


def _check_requirement(place: str, requirement: Requirement, groups: Mapping[str, list[str]]) -> None:
    _require(requirement.group in groups, f"{place}.group", f"no group {requirement.group[:50]!r}")
    size = len(groups[requirement.group])
    _check_range(f"{place}.required", requirement.required, 1, size)


def _check_amount(place: str, text: str | None, assets: Iterable[str], scales: Mapping[str, int]) -> None:
    """An amount means so much of each asset that the rule names; so it must name some."""
    if text is None:
        return
    named = list(assets)
    _require(bool(named), place, "a rule with an amount names its assets in when.assets")
    for asset in named:
        try:
            amount = parse_decimal(text, scales[asset], field=place)
        except InvalidAmount as error:
            raise InvalidPolicy(error.detail, extra={"field": place}) from error
        _require(amount >= 0, place, "an amount is not negative")


def _check_ids(place: str, ids: Iterable[str], prefixes: Sequence[str]) -> None:
    wanted = " or ".join(f"{prefix}_..." for prefix in prefixes)
    for one in ids:
        _require(any(is_id(one, prefix) for prefix in prefixes), place, f"ids are {wanted}")


def _check_name(place: str, name: str) -> None:
    _require(_NAME.fullmatch(name) is not None, place, "names have 1 to 50 characters of a-z 0-9 _ -")


def _check_range(place: str, value: int, low: int, high: int) -> None:
    _require(low <= value <= high, place, f"between {low} and {high}")


def _require(is_met: bool, place: str, rule: str) -> None:
    if not is_met:
        raise InvalidPolicy(f"{place}: {rule}", extra={"field": place})
