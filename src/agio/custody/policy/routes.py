"""`/api/custody/policy`."""

from litestar import Response, Router, delete, get, post

from agio.custody.credentials.schemas import GiveApproval
from agio.custody.credentials.service import Credentials
from agio.custody.errors import InvalidApproval
from agio.custody.policy.schemas import (
    CreatePolicyDraft,
    PolicyInForce,
    PolicyPage,
    PolicySummary,
    PolicyView,
)
from agio.custody.policy.service import Policies
from agio.custody.policy.store import Policy
from agio.custody.writes import AnyRequest, Writes
from agio.identity.api import Principal
from agio.kernel.ids import PolicyId
from agio.kernel.page import DEFAULT_LIMIT
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotencyKey


def build_router(policies: Policies, credentials: Credentials, database: Database, write: Writes) -> Router:
    """The routes of policies."""

    async def view(tx: Transaction, policy: Policy) -> PolicyView:
        return PolicyView.of(policy, await credentials.approvals(tx, policy.policy_id))

    @get("/", opt={"scope": "custody:read"})
    async def show_policy(principal: Principal) -> PolicyInForce:
        """The policy in force. Version 0, without a policy, denies everything."""
        async with database.transaction(principal.scope) as tx:
            active = await policies.active(tx)
            if active is None:
                return PolicyInForce(0, None)
            return PolicyInForce(active.version, await view(tx, active))

    @get("/drafts", opt={"scope": "custody:read"})
    async def list_drafts(
        principal: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> PolicyPage:
        """Drafts and versions, newest first."""
        async with database.transaction(principal.scope) as tx:
            page = await policies.policies(tx, limit, cursor)
        return PolicyPage([PolicySummary.of(one) for one in page.items], page.next_cursor)

    @post("/drafts", opt={"scope": "custody:admin"})
    async def draft_policy(
        request: AnyRequest,
        principal: Principal,
        data: CreatePolicyDraft,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[PolicyView]:
        """Propose a policy. A draft never changes; those who may agree to it sign its digest."""

        async def effect(tx: Transaction) -> PolicyView:
            return await view(tx, await policies.draft(tx, data.document, principal.key_id))

        return await write(principal, request, idempotency_key, effect)

    @get("/drafts/{policy_id:str}", opt={"scope": "custody:read"})
    async def show_draft(principal: Principal, policy_id: str) -> PolicyView:
        """One draft or version with its approvals."""
        async with database.transaction(principal.scope) as tx:
            return await view(tx, await policies.policy(tx, PolicyId(policy_id)))

    @post("/drafts/{policy_id:str}/approvals", opt={"scope": "custody:approve"})
    async def approve_draft(principal: Principal, policy_id: str, data: GiveApproval) -> PolicyView:
        """Agree to a draft. The quorum of the policy in force starts its delay; its drafter never counts."""
        proof = data.to_proof()
        async with database.transaction(principal.scope) as tx:
            outcome = await policies.approve(tx, PolicyId(policy_id), principal.key_id, proof)
            if not isinstance(outcome, InvalidApproval):
                return await view(tx, outcome)
        raise outcome

    @post("/drafts/{policy_id:str}/activate", opt={"scope": "custody:admin"}, status_code=200)
    async def activate_draft(principal: Principal, policy_id: str) -> PolicyView:
        """Put an agreed draft into force once its delay is over. What waits for approvals is decided anew."""
        async with database.transaction(principal.scope) as tx:
            return await view(tx, await policies.activate(tx, PolicyId(policy_id), principal.key_id))

    @delete("/drafts/{policy_id:str}", opt={"scope": "custody:admin"}, status_code=200)
    async def discard_draft(principal: Principal, policy_id: str) -> PolicyView:
        """Give a draft up, also one that waits for its delay."""
        async with database.transaction(principal.scope) as tx:
            return await view(tx, await policies.discard(tx, PolicyId(policy_id), principal.key_id))

    return Router(
        "/api/custody/policy",
        route_handlers=[
            show_policy,
            list_drafts,
            draft_policy,
            show_draft,
            approve_draft,
            activate_draft,
            discard_draft,
        ],
        tags=["Custody"],
    )
