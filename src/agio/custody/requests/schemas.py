"""Wire types of transfer requests."""

from datetime import datetime

import msgspec

from agio.custody.policy.decision import Decision
from agio.custody.policy.limits import LimitReading
from agio.custody.policy.model import RequestKind
from agio.custody.requests.model import Signed, Status, Target, TargetKind, TransferRequest
from agio.custody.requests.service import Change, DryRun, Wanted
from agio.custody.requests.store import Step
from agio.kernel.ids import SubAccountId
from agio.kernel.money import format_decimal


class TargetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to: an allowlisted destination, another sub-account, or an account."""

    kind: TargetKind
    id: str


class CreateTransferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money to move out of a sub-account; `amount` is decimal text in its asset."""

    sub_account_id: str
    target: TargetBody
    amount: str
    reference: str | None = None

    def to_wanted(self) -> Wanted:
        return Wanted(
            SubAccountId(self.sub_account_id), self.target.kind, self.target.id, self.amount, self.reference
        )


class ChangeTransferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """New terms; what is left out stays."""

    amount: str | None = None
    target: TargetBody | None = None
    reference: str | None = None

    def to_change(self) -> Change:
        target = None if self.target is None else (self.target.kind, self.target.id)
        return Change(self.amount, target, self.reference)


class GiveReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for the record."""

    reason: str


class ReportSettlement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the rail calls the payment: an end-to-end id, a transaction hash."""

    external_reference: str


class TargetView(msgspec.Struct, frozen=True):
    """A target and how it is reached: kind, address and BIC, or our own ledger account."""

    kind: TargetKind
    id: str
    shown: list[str]


class TransferRequestView(msgspec.Struct, frozen=True):
    """A transfer request. Approvers sign the 32 bytes of `digest`: the SHA-256 of its canonical text."""

    request_id: str
    version: int
    kind: RequestKind
    status: Status
    vault_id: str
    sub_account_id: str
    asset: str
    amount: str
    target: TargetView
    reference: str | None
    initiator: str
    editors: list[str]
    policy_version: int
    decision: Decision
    digest: str
    reason_code: str | None
    reason: str | None
    hold_id: str | None
    journal_id: str | None
    signature: Signed | None
    external_reference: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, one: TransferRequest, target: Target) -> "TransferRequestView":
        return cls(
            request_id=one.request_id,
            version=one.version,
            kind=one.kind,
            status=one.status,
            vault_id=one.vault_id,
            sub_account_id=one.sub_account_id,
            asset=one.asset,
            amount=format_decimal(one.amount, one.scale),
            target=TargetView(target.kind, target.target_id, list(target.shown)),
            reference=one.reference,
            initiator=one.initiator,
            editors=list(one.editors),
            policy_version=one.policy_version,
            decision=one.decision,
            digest=one.digest.hex(),
            reason_code=one.reason_code,
            reason=one.reason,
            hold_id=one.hold_id,
            journal_id=one.journal_id,
            signature=one.signature,
            external_reference=one.external_reference,
            created_at=one.created_at,
            updated_at=one.updated_at,
            expires_at=one.expires_at,
        )


class TransferRequestPage(msgspec.Struct, frozen=True):
    items: list[TransferRequestView]
    next_cursor: str | None


class StepView(msgspec.Struct, frozen=True):
    """What happened, to which version, by whom, and the status after it."""

    step_no: int
    what: str
    version: int
    status: Status
    by_key: str | None
    detail: str
    at: datetime

    @classmethod
    def of(cls, one: Step) -> "StepView":
        return cls(one.step_no, one.what, one.version, one.status, one.by_key, one.detail, one.at)


class StepPage(msgspec.Struct, frozen=True):
    items: list[StepView]
    next_cursor: str | None = None


class TryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request to try out: by `initiator` (else your key), under `policy_id` (else the policy in force)."""

    request: CreateTransferRequest
    policy_id: str | None = None
    initiator: str | None = None


class DryRunView(msgspec.Struct, frozen=True):
    """What would become of it: the rule that decides, why the others do not match, each limit now."""

    policy_version: int
    decision: Decision
    limits: list[LimitReading]
    obstacles: list[str]

    @classmethod
    def of(cls, one: DryRun) -> "DryRunView":
        return cls(one.policy_version, one.decision, one.limits, one.obstacles)


class SignerView(msgspec.Struct, frozen=True):
    """The public key under which released requests verify."""

    algorithm: str
    public_key: str
