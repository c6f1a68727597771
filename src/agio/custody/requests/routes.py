"""`/api/custody/requests`, the dry run of a policy, and the house's signing key."""

from collections.abc import Awaitable, Callable

from litestar import Response, Router, get, patch, post
from litestar.handlers import HTTPRouteHandler

from agio.custody.credentials.schemas import ApprovalPage, ApprovalView, GiveApproval
from agio.custody.errors import InvalidApproval
from agio.custody.requests.approvals import RequestApprovals
from agio.custody.requests.model import Status, TransferRequest
from agio.custody.requests.schemas import (
    ChangeTransferRequest,
    CreateTransferRequest,
    DryRunView,
    GiveReason,
    ReportSettlement,
    SignerView,
    StepPage,
    StepView,
    TransferRequestPage,
    TransferRequestView,
    TryPolicy,
)
from agio.custody.requests.service import Requests
from agio.custody.requests.settlement import Settlement
from agio.custody.writes import AnyRequest, Writes
from agio.identity.api import Principal
from agio.kernel.ids import KeyId, PolicyId, TransferRequestId, VaultId
from agio.kernel.page import DEFAULT_LIMIT
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotencyKey

View = Callable[[Transaction, TransferRequest], Awaitable[TransferRequestView]]


def build_routers(
    requests: Requests,
    approvals: RequestApprovals,
    settlement: Settlement,
    database: Database,
    write: Writes,
) -> list[Router]:
    """The routes of those who ask, those who approve, and those who carry out."""

    async def view(tx: Transaction, request: TransferRequest) -> TransferRequestView:
        return TransferRequestView.of(request, await requests.target(tx, request))

    return [
        Router(
            "/api/custody",
            route_handlers=[
                *_asking(requests, database, write, view),
                *_approving(approvals, database, view),
                *_carrying_out(settlement, database, view),
            ],
            tags=["Custody"],
        )
    ]


def _asking(requests: Requests, database: Database, write: Writes, view: View) -> list[HTTPRouteHandler]:
    @get("/requests", opt={"scope": "custody:read"})
    async def list_requests(
        principal: Principal,
        status: Status | None = None,
        vault_id: str | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> TransferRequestPage:
        """Transfer requests, newest first."""
        vault = None if vault_id is None else VaultId(vault_id)
        async with database.transaction(principal.scope) as tx:
            page = await requests.requests(tx, status, vault, limit, cursor)
            return TransferRequestPage([await view(tx, one) for one in page.items], page.next_cursor)

    @post("/requests", opt={"scope": "custody:write"})
    async def create_request(
        request: AnyRequest,
        principal: Principal,
        data: CreateTransferRequest,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[TransferRequestView]:
        """Ask for a transfer out of a vault. What the policy denies is recorded as `failed`, with reason."""

        async def effect(tx: Transaction) -> TransferRequestView:
            return await view(tx, await requests.create(tx, data.to_wanted(), principal.key_id))

        return await write(principal, request, idempotency_key, effect)

    @get("/requests/{request_id:str}", opt={"scope": "custody:read"})
    async def show_request(principal: Principal, request_id: str) -> TransferRequestView:
        """One transfer request, with the policy's decision."""
        async with database.transaction(principal.scope) as tx:
            return await view(tx, await requests.request(tx, TransferRequestId(request_id)))

    @patch("/requests/{request_id:str}", opt={"scope": "custody:write"})
    async def change_request(
        principal: Principal, request_id: str, data: ChangeTransferRequest
    ) -> TransferRequestView:
        """Change the terms while it waits: a new version and digest; every approval so far is void."""
        async with database.transaction(principal.scope) as tx:
            changed = await requests.change(
                tx, TransferRequestId(request_id), data.to_change(), principal.key_id
            )
            return await view(tx, changed)

    @post("/requests/{request_id:str}/cancel", opt={"scope": "custody:write"}, status_code=200)
    async def cancel_request(principal: Principal, request_id: str, data: GiveReason) -> TransferRequestView:
        """End a request that is not released yet; what was held is free again."""
        async with database.transaction(principal.scope) as tx:
            cancelled = await requests.cancel(
                tx, TransferRequestId(request_id), data.reason, principal.key_id
            )
            return await view(tx, cancelled)

    @get("/requests/{request_id:str}/history", opt={"scope": "custody:read"})
    async def show_history(principal: Principal, request_id: str) -> StepPage:
        """What happened to a request, in order."""
        async with database.transaction(principal.scope) as tx:
            steps = await requests.steps(tx, TransferRequestId(request_id))
        return StepPage([StepView.of(step) for step in steps])

    @post("/policy/dry-run", opt={"scope": "custody:read"}, status_code=200)
    async def try_policy(principal: Principal, data: TryPolicy) -> DryRunView:
        """Try a request out: the rule that decides and why, each limit, what stands in the way."""
        by = principal.key_id if data.initiator is None else KeyId(data.initiator)
        policy_id = None if data.policy_id is None else PolicyId(data.policy_id)
        async with database.transaction(principal.scope) as tx:
            return DryRunView.of(await requests.dry_run(tx, data.request.to_wanted(), by, policy_id))

    return [
        list_requests,
        create_request,
        show_request,
        change_request,
        cancel_request,
        show_history,
        try_policy,
    ]


def _approving(approvals: RequestApprovals, database: Database, view: View) -> list[HTTPRouteHandler]:
    @get("/requests/{request_id:str}/approvals", opt={"scope": "custody:read"})
    async def list_approvals(principal: Principal, request_id: str) -> ApprovalPage:
        """Approvals of all versions, void ones included."""
        async with database.transaction(principal.scope) as tx:
            found = await approvals.approvals(tx, TransferRequestId(request_id))
        return ApprovalPage([ApprovalView.of(one) for one in found])

    @post("/requests/{request_id:str}/approvals", opt={"scope": "custody:approve"})
    async def approve_request(
        principal: Principal, request_id: str, data: GiveApproval
    ) -> TransferRequestView:
        """Consent to exactly this digest. The last approval needed holds the money, or fails at a limit."""
        proof = data.to_proof()
        async with database.transaction(principal.scope) as tx:
            outcome = await approvals.approve(tx, TransferRequestId(request_id), proof, principal.key_id)
            if not isinstance(outcome, InvalidApproval):
                return await view(tx, outcome)
        raise outcome

    @post("/requests/{request_id:str}/reject", opt={"scope": "custody:approve"}, status_code=200)
    async def reject_request(principal: Principal, request_id: str, data: GiveReason) -> TransferRequestView:
        """Say no: one of those who may approve is enough to end it."""
        async with database.transaction(principal.scope) as tx:
            rejected = await approvals.reject(
                tx, TransferRequestId(request_id), data.reason, principal.key_id
            )
            return await view(tx, rejected)

    return [list_approvals, approve_request, reject_request]


def _carrying_out(settlement: Settlement, database: Database, view: View) -> list[HTTPRouteHandler]:
    @post("/requests/{request_id:str}/release", opt={"scope": "custody:write"}, status_code=200)
    async def release_request(principal: Principal, request_id: str) -> TransferRequestView:
        """Sign a held request and hand it to its rail. What stays in the house settles at once."""
        async with database.transaction(principal.scope) as tx:
            released = await settlement.release(tx, TransferRequestId(request_id), principal.key_id)
            return await view(tx, released)

    @post("/requests/{request_id:str}/settle", opt={"scope": "custody:admin"}, status_code=200)
    async def settle_request(
        principal: Principal, request_id: str, data: ReportSettlement
    ) -> TransferRequestView:
        """Report that the rail has paid: the hold is captured and booked."""
        async with database.transaction(principal.scope) as tx:
            settled = await settlement.settle(
                tx, TransferRequestId(request_id), data.external_reference, principal.key_id
            )
            return await view(tx, settled)

    @post("/requests/{request_id:str}/fail", opt={"scope": "custody:admin"}, status_code=200)
    async def fail_request(principal: Principal, request_id: str, data: GiveReason) -> TransferRequestView:
        """Report that the rail has not paid and will not: what was held is free again."""
        async with database.transaction(principal.scope) as tx:
            failed = await settlement.fail(tx, TransferRequestId(request_id), data.reason, principal.key_id)
            return await view(tx, failed)

    @get("/signer", opt={"scope": "custody:read"})
    async def show_signer(principal: Principal) -> SignerView:  # noqa: ARG001 - every key that may read
        """The public key under which the signatures of released requests verify."""
        return SignerView("ed25519", (await settlement.public_key()).hex())

    return [release_request, settle_request, fail_request, show_signer]
