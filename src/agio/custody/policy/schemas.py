"""Wire types of policies."""

from datetime import datetime

import msgspec

from agio.custody.credentials.model import Approval
from agio.custody.credentials.schemas import ApprovalView
from agio.custody.policy.model import PolicyDocument
from agio.custody.policy.store import Policy, PolicyStatus


class CreatePolicyDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole policy to propose."""

    document: PolicyDocument


class PolicyView(msgspec.Struct, frozen=True):
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
    approvals: list[ApprovalView]

    @classmethod
    def of(cls, one: Policy, approvals: list[Approval]) -> "PolicyView":
        return cls(
            policy_id=one.policy_id,
            status=one.status,
            version=one.version,
            base_version=one.base_version,
            document=one.document,
            digest=one.digest.hex(),
            drafted_by=one.drafted_by,
            drafted_at=one.drafted_at,
            approved_at=one.approved_at,
            activates_at=one.activates_at,
            activated_at=one.activated_at,
            ended_at=one.ended_at,
            approvals=[ApprovalView.of(approval) for approval in approvals],
        )


class PolicyInForce(msgspec.Struct, frozen=True):
    """The policy in force; none at first, and then everything is denied."""

    version: int
    policy: PolicyView | None


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

    @classmethod
    def of(cls, one: Policy) -> "PolicySummary":
        return cls(
            policy_id=one.policy_id,
            status=one.status,
            version=one.version,
            base_version=one.base_version,
            drafted_by=one.drafted_by,
            drafted_at=one.drafted_at,
            activates_at=one.activates_at,
            activated_at=one.activated_at,
            ended_at=one.ended_at,
        )


class PolicyPage(msgspec.Struct, frozen=True):
    items: list[PolicySummary]
    next_cursor: str | None
