"""Transfer requests: their life cycle, and the exact text whose digest approvers sign. Pure.

created -> (policy) -> approving -> held -> released -> settled | failed | cancelled
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from agio.custody.errors import SelfApproval, WrongState
from agio.custody.policy.decision import Decision, Facts
from agio.custody.policy.model import RequestKind
from agio.kernel.ids import HoldId, JournalId, KeyId, OrganisationId, SubAccountId, TransferRequestId, VaultId
from agio.kernel.money import format_decimal
from agio.ledger.api import Environment

APPROVAL_TIME: Final = timedelta(days=7)
"""How long approvals may take; after a change the time begins again."""
MAX_OPEN_REQUESTS: Final = 1000
"""Requests of one tenant that wait for approvals."""
MAX_REFERENCE_LENGTH: Final = 140
MAX_REASON_LENGTH: Final = 300
MAX_VERSION: Final = 1000
PURPOSE: Final = "agio.custody.request.v1"

Status = Literal["created", "approving", "held", "released", "settled", "failed", "cancelled"]
Action = Literal[
    "decide", "change", "approve", "reject", "hold", "refuse", "release", "settle", "fail", "cancel"
]
TargetKind = Literal["destination", "sub_account", "account"]

NEXT: Final[dict[tuple[Status, Action], Status]] = {
    ("created", "decide"): "approving",
    ("approving", "change"): "approving",
    ("approving", "decide"): "approving",
    ("approving", "approve"): "approving",
    ("approving", "reject"): "failed",
    ("approving", "hold"): "held",
    ("approving", "refuse"): "failed",
    ("approving", "cancel"): "cancelled",
    ("held", "release"): "released",
    ("held", "fail"): "failed",
    ("held", "cancel"): "cancelled",
    ("released", "settle"): "settled",
    ("released", "fail"): "failed",
}
"""The whole life cycle; what is not here does not happen."""

ENDED: Final[frozenset[Status]] = frozenset({"settled", "failed", "cancelled"})


class Target(msgspec.Struct, frozen=True):
    """Where the money goes: an id, and how it is reached, as the approver must see it."""

    kind: TargetKind
    target_id: str
    shown: tuple[str, ...]
    """Kind, address and BIC of a destination; the ledger address of our own accounts."""


class Signed(msgspec.Struct, frozen=True):
    """The house's signature over a released request's digest."""

    algorithm: str
    public_key: str
    signature: str


class TransferRequest(msgspec.Struct, frozen=True):
    """A wish to move money out of a sub-account, and what became of it."""

    request_id: TransferRequestId
    organisation_id: OrganisationId
    environment: Environment
    version: int
    """Grows with every change; approvals belong to one version."""
    kind: RequestKind
    status: Status
    vault_id: VaultId
    sub_account_id: SubAccountId
    asset: str
    scale: int
    amount: int
    target_kind: TargetKind
    target_id: str
    reference: str | None
    initiator: KeyId
    editors: tuple[KeyId, ...]
    """The initiator and everybody who changed it since: none of them approves."""
    policy_version: int
    decision: Decision
    digest: bytes
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    reason_code: str | None = None
    reason: str | None = None
    hold_id: HoldId | None = None
    journal_id: JournalId | None = None
    signature: Signed | None = None
    external_reference: str | None = None
    held_at: datetime | None = None


def advance(request: TransferRequest, action: Action) -> Status:
    """The status after an action; raises WrongState where the life cycle has no such step."""
    status = NEXT.get((request.status, action))
    if status is None:
        raise WrongState(
            f"{request.request_id} is {request.status}: it cannot {action}", extra={"status": request.status}
        )
    return status


def canonical_text(request: TransferRequest, target: Target) -> bytes:
    """The request as one line of JSON (members sorted, no blanks, amounts and times as text: RFC 8785).

    Everything that decides where how much goes, for which version, under which policy.
    """
    content = {
        "purpose": PURPOSE,
        "request_id": request.request_id,
        "version": str(request.version),
        "organisation_id": request.organisation_id,
        "environment": request.environment,
        "kind": request.kind,
        "vault_id": request.vault_id,
        "sub_account_id": request.sub_account_id,
        "asset": request.asset,
        "amount": format_decimal(request.amount, request.scale),
        "target": {"kind": target.kind, "id": target.target_id, "shown": list(target.shown)},
        "reference": request.reference or "",
        "initiator": request.initiator,
        "editors": list(request.editors),
        "policy_version": str(request.policy_version),
    }
    return msgspec.json.encode(content, order="sorted")


def digest_of(request: TransferRequest, target: Target) -> bytes:
    """SHA-256 of the canonical text: what an approver signs."""
    return hashlib.sha256(canonical_text(request, target)).digest()


def facts_of(request: TransferRequest, location: str) -> Facts:
    """What the policy looks at."""
    return Facts(
        kind=request.kind,
        asset=request.asset,
        scale=request.scale,
        amount=request.amount,
        vault_id=request.vault_id,
        sub_account_id=request.sub_account_id,
        location=location,
        target_id=request.target_id,
        initiator=request.initiator,
    )


def check_not_own(request: TransferRequest, key_id: KeyId) -> None:
    """Raise SelfApproval for the initiator and for everybody who changed the request."""
    if key_id in request.editors:
        raise SelfApproval("you made or changed this request; others must approve it")
