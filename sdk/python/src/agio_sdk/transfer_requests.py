"""Transfer requests, the only way out of a vault: `agio.custody.requests`."""

import uuid

import msgspec

from agio_sdk.approval import Approver, check_request
from agio_sdk.custody_models import RequestStatus, Step, TargetKind, TransferRequest
from agio_sdk.listing import Listing
from agio_sdk.models import Me
from agio_sdk.policy_models import Approval
from agio_sdk.transport import Amount, Verbs, amount_text, given, segment


class To(msgspec.Struct, frozen=True):
    """Where to: a destination of the allowlist, another sub-account, or an account."""

    kind: TargetKind
    id: str


class Wanted(msgspec.Struct, frozen=True):
    """Money to move out of a sub-account."""

    sub_account_id: str
    target: To
    amount: Amount
    reference: str | None = None

    def body(self) -> dict[str, object]:
        return given(
            sub_account_id=self.sub_account_id,
            target=self.target,
            amount=amount_text(self.amount),
            reference=self.reference,
        )


class Requests(Verbs):
    """created -> policy -> approving -> held -> released -> settled | failed | cancelled."""

    def list(
        self,
        *,
        status: RequestStatus | None = None,
        vault_id: str | None = None,
        page_size: int | None = None,
    ) -> Listing[TransferRequest]:
        """Transfer requests, newest first."""
        query = {"status": status, "vault_id": vault_id, "limit": page_size}
        return self._rest.listing("/api/custody/requests", TransferRequest, query)

    async def get(self, request_id: str) -> TransferRequest:
        """A request with the policy's decision."""
        return await self._rest.get(_path(request_id), TransferRequest)

    async def create(self, wanted: Wanted, *, key: str | None = None) -> TransferRequest:
        """Ask for a transfer. What the policy denies comes back as `failed`, with its reason."""
        return await self._rest.post(
            "/api/custody/requests",
            TransferRequest,
            wanted.body(),
            idempotency_key=key or uuid.uuid4().hex,
        )

    async def change(
        self,
        request_id: str,
        *,
        amount: Amount | None = None,
        target: To | None = None,
        reference: str | None = None,
    ) -> TransferRequest:
        """Change the terms while it waits: a new digest, and every approval so far is void."""
        text = None if amount is None else amount_text(amount)
        body = given(amount=text, target=target, reference=reference)
        return await self._rest.request("PATCH", _path(request_id), TransferRequest, body=body)

    async def approve(self, request: TransferRequest, approver: Approver) -> TransferRequest:
        """Consent to a request as you have read it; the last approval needed holds the money.

        Raises DigestMismatch, before anything is signed, when its digest is not that of what it shows.
        """
        digest = check_request(request, await self._rest.get("/api/me", Me))
        path = f"{_path(request.request_id)}/approvals"
        return await self._rest.post(path, TransferRequest, approver.consent(digest))

    def approvals(self, request_id: str) -> Listing[Approval]:
        """Approvals of all versions, void ones included."""
        return self._rest.listing(f"{_path(request_id)}/approvals", Approval)

    async def reject(self, request_id: str, reason: str) -> TransferRequest:
        """Say no: one of those who may approve is enough to end it."""
        return await self._step(request_id, "reject", {"reason": reason})

    async def cancel(self, request_id: str, reason: str) -> TransferRequest:
        """End a request that is not released yet; what was held is free again."""
        return await self._step(request_id, "cancel", {"reason": reason})

    async def release(self, request_id: str) -> TransferRequest:
        """Have a held request signed by the house and handed to its rail. Inside the house it settles."""
        return await self._step(request_id, "release", None)

    async def settle(self, request_id: str, external_reference: str) -> TransferRequest:
        """Report that the rail has paid: the hold is captured and booked."""
        return await self._step(request_id, "settle", {"external_reference": external_reference})

    async def fail(self, request_id: str, reason: str) -> TransferRequest:
        """Report that the rail has not paid and will not: what was held is free again."""
        return await self._step(request_id, "fail", {"reason": reason})

    def history(self, request_id: str) -> Listing[Step]:
        """What happened to a request, in order."""
        return self._rest.listing(f"{_path(request_id)}/history", Step)

    async def _step(self, request_id: str, step: str, body: dict[str, object] | None) -> TransferRequest:
        return await self._rest.request("POST", f"{_path(request_id)}/{step}", TransferRequest, body=body)


def _path(request_id: str) -> str:
    return f"/api/custody/requests/{segment(request_id)}"
