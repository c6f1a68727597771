"""Use cases of approvers: consent to exactly this, or refuse it."""

from agio.custody import model as rules
from agio.custody.credentials.model import Approval, Proof
from agio.custody.credentials.service import Credentials
from agio.custody.errors import InvalidApproval, NotAnApprover, RequestChanged, WrongState
from agio.custody.house import lock_house
from agio.custody.policy.decision import Decision
from agio.custody.policy.model import PolicyDocument
from agio.custody.policy.quorum import count_missing, may_approve
from agio.custody.requests.desk import Desk
from agio.custody.requests.model import MAX_REASON_LENGTH, TransferRequest, advance, check_not_own
from agio.kernel.ids import KeyId, TransferRequestId
from agio.kernel.time import format_instant
from agio.platform.db import Transaction


class RequestApprovals:
    """m of n approvals by group, over the digest of the request's present version."""

    def __init__(self, desk: Desk, credentials: Credentials) -> None:
        self._desk = desk
        self._credentials = credentials

    async def approve(
        self, tx: Transaction, request_id: TransferRequestId, proof: Proof, by: KeyId
    ) -> TransferRequest | InvalidApproval:
        """Consent. With the last approval that is needed the money is held, in the same transaction.

        Repeating it changes nothing. A wrong code is counted: commit, then raise what is returned. Raises
        UnknownTransferRequest, WrongState, RequestChanged, SelfApproval, NotAnApprover, Frozen, and what
        `Credentials.consent` raises.
        """
        await lock_house(tx)
        request = await self._desk.request(tx, request_id)
        if request.status == "held" and await self._has_approved(tx, request, by):
            return request
        advance(request, "approve")
        if self._desk.clock.now() >= request.expires_at:
            since = format_instant(request.expires_at)
            raise WrongState(f"its time for approvals was over at {since}; change or cancel it")
        check_not_own(request, by)
        await self._desk.require_open(tx, request, by)
        decision, document = await self._decision(tx, request)
        if not may_approve(decision.approvals, document.groups, by):
            groups = ", ".join(one.group for one in decision.approvals)
            raise NotAnApprover(f"this needs the approval of {groups}")
        had_approved = await self._has_approved(tx, request, by)
        subject = (request_id, request.version)
        given = await self._credentials.consent(tx, by, subject, request.digest, proof)
        if isinstance(given, InvalidApproval):
            return given
        if not had_approved:
            await self._desk.note(tx, request, "approved", by, given.method)
        approvers = await self._credentials.approvers(tx, request_id, request.version)
        if count_missing(decision.approvals, document.groups, approvers - set(request.editors)):
            return request
        return await self._desk.hold(tx, request, decision.limits, by)

    async def reject(
        self, tx: Transaction, request_id: TransferRequestId, reason: str, by: KeyId
    ) -> TransferRequest:
        """End a request: one approver who says no is enough. Raises NotAnApprover, WrongState, Frozen."""
        rules.check_text("reason", reason, MAX_REASON_LENGTH)
        await lock_house(tx)
        request = await self._desk.request(tx, request_id)
        rejected = self._desk.moved(request, "reject", reason_code="rejected", reason=reason)
        await self._desk.freezes.require_none(tx, keys=[by])
        decision, document = await self._decision(tx, request)
        if not may_approve(decision.approvals, document.groups, by):
            raise NotAnApprover("only those who may approve it may reject it")
        return await self._desk.record(tx, rejected, "rejected", by)

    async def approvals(self, tx: Transaction, request_id: TransferRequestId) -> list[Approval]:
        """All that were given, void ones included; raises UnknownTransferRequest."""
        await self._desk.request(tx, request_id)
        return await self._credentials.approvals(tx, request_id)

    async def _has_approved(self, tx: Transaction, request: TransferRequest, by: KeyId) -> bool:
        return any(
            one.key_id == by and one.subject_version == request.version and one.voided_at is None
            for one in await self._credentials.approvals(tx, request.request_id)
        )

    async def _decision(self, tx: Transaction, request: TransferRequest) -> tuple[Decision, PolicyDocument]:
        """What the policy in force says now: it is asked again, whatever is stored with the request."""
        sub, _ = await self._desk.parts(tx, request)
        active = await self._desk.policies.active(tx)
        version, decision = await self._desk.judge(tx, request, sub)
        if active is None or version != request.policy_version or decision.outcome == "deny":
            raise RequestChanged("another policy is in force; read the request again")
        return decision, active.document
