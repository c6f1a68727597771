"""Policies of custody, typed. The same structs are written, read, and hashed for what approvers sign."""

from datetime import datetime
from typing import Literal

import msgspec

LimitKind = Literal["per_transaction", "rolling", "share_of_balance", "count"]
Dimension = Literal["sub_account", "vault", "destination", "initiator", "organisation"]
PolicyStatus = Literal["draft", "scheduled", "active", "retired", "discarded"]
Method = Literal["ed25519", "totp"]
DAY_SECONDS = 24 * 3600


class Limit(msgspec.Struct, frozen=True):
    """A bound at the moment of the hold.

    `per_transaction`: `amount`. `rolling`: `amount` in `window_seconds`. `count`: `count` requests in
    `window_seconds`. `share_of_balance`: `basis_points` of the sub-account's balance, together with what left
    in `window_seconds` when that is given. `per` says whose requests are added up. Amounts are decimal text.
    """

    kind: LimitKind
    amount: str | None = None
    window_seconds: int | None = None
    count: int | None = None
    basis_points: int | None = None
    per: Dimension = "sub_account"


class Requirement(msgspec.Struct, frozen=True):
    """So many members of a group must approve."""

    group: str
    required: int


class Conditions(msgspec.Struct, frozen=True):
    """When a rule matches: all that is said must hold; an empty list says nothing."""

    kinds: list[Literal["withdrawal", "internal"]] = []
    assets: list[str] = []
    vaults: list[str] = []
    locations: list[str] = []
    targets: list[str] = []
    initiator_groups: list[str] = []
    min_amount: str | None = None
    max_amount: str | None = None


class Rule(msgspec.Struct, frozen=True):
    """One line of a policy. The first that matches decides."""

    name: str
    action: Literal["allow", "deny"]
    when: Conditions = msgspec.field(default_factory=Conditions)
    approvals: list[Requirement] = []
    limits: list[Limit] = []


class ChangeControl(msgspec.Struct, frozen=True):
    """Who must agree to the next policy, and how long it then waits."""

    group: str
    required: int
    delay_seconds: int


class PolicyDocument(msgspec.Struct, frozen=True):
    """A whole policy: groups of key ids, ordered rules, who may change it. What no rule allows is denied."""

    groups: dict[str, list[str]]
    rules: list[Rule]
    changes: ChangeControl
    destination_cooling_seconds: int = DAY_SECONDS
    credential_cooling_seconds: int = 0


class Check(msgspec.Struct, frozen=True):
    """One condition of a rule against a request."""

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


class Approval(msgspec.Struct, frozen=True):
    """A consent that was given; `voided_at` when what it was for changed afterwards."""

    key_id: str
    version: int
    method: Method
    digest: str
    signature: str | None
    approved_at: datetime
    voided_at: datetime | None


class Policy(msgspec.Struct, frozen=True):
    """A draft or version; `digest` is what its approvers sign."""

    policy_id: str
    status: PolicyStatus
    version: int
    base_version: int
    document: PolicyDocument
    digest: str
    drafted_by: str
    drafted_at: datetime
    approved_at: datetime | None
    activates_at: datetime | None
    activated_at: datetime | None
    ended_at: datetime | None
    approvals: list[Approval]


class PolicyInForce(msgspec.Struct, frozen=True):
    """The policy in force; none at first, and then everything is denied."""

    version: int
    policy: Policy | None


class PolicySummary(msgspec.Struct, frozen=True):
    """A draft or version without its document."""

    policy_id: str
    status: PolicyStatus
    version: int
    base_version: int
    drafted_by: str
    drafted_at: datetime
    activates_at: datetime | None
    activated_at: datetime | None
    ended_at: datetime | None
