"""What a policy says about a request, and why: deny by default, ordered rules, the first match decides."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from agio.custody.policy.model import Conditions, Limit, PolicyDocument, RequestKind, Requirement, Rule
from agio.kernel.ids import KeyId, SubAccountId, VaultId
from agio.kernel.money import format_decimal, parse_decimal

NO_RULE: Final = "no rule matches; what no rule allows is denied"


class Facts(msgspec.Struct, frozen=True):
    """What a policy may look at in a request."""

    kind: RequestKind
    asset: str
    scale: int
    amount: int
    vault_id: VaultId
    sub_account_id: SubAccountId
    location: str
    target_id: str
    initiator: KeyId


class Check(msgspec.Struct, frozen=True):
    """One condition of a rule against the request."""

    condition: str
    expected: str
    actual: str
    holds: bool


class RuleTrace(msgspec.Struct, frozen=True):
    """How a rule fared. `decided` is true for one rule at most; later ones are not asked."""

    position: int
    rule: str
    action: Literal["allow", "deny"]
    matches: bool
    decided: bool
    checks: list[Check]


class Decision(msgspec.Struct, frozen=True):
    """The answer, the rule that gave it, what it demands, and the trace of all rules in order."""

    outcome: Literal["allow", "deny"]
    rule: str | None
    position: int | None
    reason: str
    approvals: list[Requirement]
    limits: list[Limit]
    trace: list[RuleTrace]


def decide(document: PolicyDocument | None, facts: Facts) -> Decision:
    """Ask the rules in order. Without a policy everything is denied."""
    if document is None:
        return Decision("deny", None, None, "there is no active policy; everything is denied", [], [], [])
    decisive: tuple[int, Rule] | None = None
    trace: list[RuleTrace] = []
    for position, rule in enumerate(document.rules, 1):
        checks = check_conditions(rule.when, facts, document)
        matches = all(check.holds for check in checks)
        decides = matches and decisive is None
        if decides:
            decisive = (position, rule)
        trace.append(RuleTrace(position, rule.name, rule.action, matches, decides, checks))
    if decisive is None:
        return Decision("deny", None, None, NO_RULE, [], [], trace)
    position, rule = decisive
    reason = f"rule {position}, {rule.name}, is the first that matches; it says {rule.action}"
    return Decision(rule.action, rule.name, position, reason, rule.approvals, rule.limits, trace)


def check_conditions(when: Conditions, facts: Facts, document: PolicyDocument) -> list[Check]:
    """Every condition that the rule states, whether it holds or not."""
    groups = sorted(name for name, members in document.groups.items() if facts.initiator in members)
    listed: list[tuple[str, list[str], list[str]]] = [
        ("kinds", list(when.kinds), [facts.kind]),
        ("assets", when.assets, [facts.asset]),
        ("vaults", when.vaults, [facts.vault_id]),
        ("locations", when.locations, [facts.location]),
        ("targets", when.targets, [facts.target_id]),
        ("initiator_groups", when.initiator_groups, groups),
    ]
    checks = [
        Check(name, ", ".join(wanted), ", ".join(actual), not set(wanted).isdisjoint(actual))
        for name, wanted, actual in listed
        if wanted
    ]
    bounds: list[tuple[str, str | None, Callable[[int], bool]]] = [
        ("min_amount", when.min_amount, lambda bound: facts.amount >= bound),
        ("max_amount", when.max_amount, lambda bound: facts.amount <= bound),
    ]
    for name, text, holds in bounds:
        if text is not None:
            # The text was checked for the rule's own assets; another asset fails by `assets` already.
            is_comparable = facts.asset in when.assets
            bound = parse_decimal(text, facts.scale) if is_comparable else 0
            shown = format_decimal(facts.amount, facts.scale)
            checks.append(Check(name, text, shown, is_comparable and holds(bound)))
    return checks
