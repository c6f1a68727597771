"""Use cases of policies: draft, agree, activate, under the quorum and the delay of the policy in force."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import msgspec

from agio.custody.credentials.model import Proof
from agio.custody.credentials.service import Credentials
from agio.custody.errors import (
    InvalidApproval,
    NotAnApprover,
    PolicyMoved,
    SelfApproval,
    TooEarly,
    TooMany,
    UnknownPolicy,
    WrongState,
)
from agio.custody.freezes.service import Freezes
from agio.custody.house import lock_house, tell
from agio.custody.policy import store
from agio.custody.policy.model import PolicyDocument, Requirement, check_document
from agio.custody.policy.quorum import count_missing, may_approve
from agio.custody.policy.store import Policy
from agio.kernel.ids import KeyId, PolicyId, is_id, new_id
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.kernel.time import format_instant
from agio.ledger.api import Ledger
from agio.platform.clock import Clock
from agio.platform.db import Transaction

MAX_OPEN_DRAFTS: Final = 50
PURPOSE: Final = "agio.custody.policy.v1"
DRAFT_VERSION: Final = 1
"""A draft never changes, so that approvals of it have one version only."""
_SHOWN: Final = 40


class Policies:
    """Policies of the transaction's tenant."""

    def __init__(self, ledger: Ledger, freezes: Freezes, credentials: Credentials, clock: Clock) -> None:
        self._ledger = ledger
        self._freezes = freezes
        self._credentials = credentials
        self._clock = clock
        self.on_activated: Callable[[Transaction], Awaitable[None]] | None = None
        """What waits for approvals is decided anew; filled by the wiring."""

    async def draft(self, tx: Transaction, document: PolicyDocument, by: KeyId) -> Policy:
        """Propose a policy; it never changes from here on. Raises InvalidPolicy, TooMany, Frozen."""
        check_document(document, {one.asset: one.scale for one in await self._ledger.assets(tx)})
        await lock_house(tx)
        await self._freezes.require_none(tx, keys=[by])
        if await store.count_open(tx) >= MAX_OPEN_DRAFTS:
            raise TooMany(f"at most {MAX_OPEN_DRAFTS} open drafts; discard one")
        active = await store.select_active(tx)
        policy_id = PolicyId(new_id("pol"))
        base = 0 if active is None else active.version
        policy = Policy(
            policy_id=policy_id,
            status="draft",
            version=0,
            base_version=base,
            document=document,
            digest=digest_of(tx, policy_id, base, document),
            drafted_by=by,
            drafted_at=self._clock.now(),
        )
        await store.insert_policy(tx, policy)
        await self._tell(tx, "policy_drafted", policy, by)
        return policy

    async def approve(
        self, tx: Transaction, policy_id: PolicyId, by: KeyId, proof: Proof
    ) -> Policy | InvalidApproval:
        """Agree to a draft. With the quorum there, its delay begins.

        Raises UnknownPolicy, WrongState, PolicyMoved, SelfApproval, NotAnApprover, Frozen and what
        `Credentials.consent` raises. A wrong code is counted: commit, then raise what is returned.
        """
        await lock_house(tx)
        policy = await self.policy(tx, policy_id)
        await self._freezes.require_none(tx, keys=[by, policy.drafted_by])
        if policy.status != "draft":
            raise WrongState(f"{policy_id} is {policy.status}", extra={"status": policy.status})
        if by == policy.drafted_by:
            raise SelfApproval("you drafted this policy; others must approve it")
        judge = await self._judge(tx, policy)
        requirement = Requirement(judge.changes.group, judge.changes.required)
        if not may_approve([requirement], judge.groups, by):
            raise NotAnApprover(f"policies are approved by the group {requirement.group}")
        given = await self._credentials.consent(tx, by, (policy_id, DRAFT_VERSION), policy.digest, proof)
        if isinstance(given, InvalidApproval):
            return given
        await self._tell(tx, "policy_approved", policy, by)
        if await self._count_missing(tx, policy, judge):
            return policy
        now = self._clock.now()
        # The first policy waits for nothing: until then everything is denied, so nobody can be surprised.
        delay = judge.changes.delay_seconds if policy.base_version else 0
        scheduled = msgspec.structs.replace(
            policy, status="scheduled", approved_at=now, activates_at=now + timedelta(seconds=delay)
        )
        await store.update_policy(tx, scheduled)
        await self._tell(tx, "policy_scheduled", scheduled, by)
        return scheduled

    async def activate(self, tx: Transaction, policy_id: PolicyId, by: KeyId) -> Policy:
        """Put an agreed policy into force after its delay; open requests are decided anew.

        Raises UnknownPolicy, WrongState, TooEarly, PolicyMoved, Frozen.
        """
        await lock_house(tx)
        policy = await self.policy(tx, policy_id)
        await self._freezes.require_none(tx, keys=[by, policy.drafted_by])
        if policy.status != "scheduled" or policy.activates_at is None:
            raise WrongState(f"{policy_id} is {policy.status}", extra={"status": policy.status})
        now = self._clock.now()
        if now < policy.activates_at:
            until = format_instant(policy.activates_at)
            raise TooEarly(f"{policy_id} may be activated from {until} on", extra={"activates_at": until})
        if await self._count_missing(tx, policy, await self._judge(tx, policy)):
            raise WrongState("an approver's key was frozen meanwhile; have it lifted, or make the draft anew")
        active = await store.select_active(tx)
        if active is not None:
            await store.update_policy(tx, msgspec.structs.replace(active, status="retired", ended_at=now))
        activated = msgspec.structs.replace(
            policy, status="active", version=policy.base_version + 1, activated_at=now
        )
        await store.update_policy(tx, activated)
        await self._tell(tx, "policy_activated", activated, by)
        if self.on_activated is not None:
            await self.on_activated(tx)
        return activated

    async def discard(self, tx: Transaction, policy_id: PolicyId, by: KeyId) -> Policy:
        """Give a draft up, also one that waits for its delay: one person is enough to stay as it is."""
        await lock_house(tx)
        await self._freezes.require_key(tx, by)
        policy = await self.policy(tx, policy_id)
        if policy.status not in {"draft", "scheduled"}:
            raise WrongState(f"{policy_id} is {policy.status}", extra={"status": policy.status})
        discarded = msgspec.structs.replace(policy, status="discarded", ended_at=self._clock.now())
        await store.update_policy(tx, discarded)
        await self._tell(tx, "policy_discarded", discarded, by)
        return discarded

    async def policy(self, tx: Transaction, policy_id: PolicyId) -> Policy:
        """One policy in whatever state; raises UnknownPolicy."""
        policy = await store.select_policy(tx, policy_id) if is_id(policy_id, "pol") else None
        if policy is None:
            raise UnknownPolicy(f"no policy {policy_id[:_SHOWN]!r}")
        return policy

    async def active(self, tx: Transaction) -> Policy | None:
        """The policy in force; None at first: everything is denied."""
        return await store.select_active(tx)

    async def policies(self, tx: Transaction, limit: int, cursor: str | None) -> Page[Policy]:
        """Drafts and versions, newest first."""
        check_limit(limit)
        found = await store.select_policies(tx, read_id_cursor(cursor, "before", "pol"), limit + 1)
        items = found[:limit]
        more = encode_cursor({"before": items[-1].policy_id}) if len(found) > limit else None
        return Page(items, more)

    async def _count_missing(self, tx: Transaction, policy: Policy, judge: PolicyDocument) -> int:
        """How many approvals a draft lacks; neither its drafter's nor those of frozen keys count."""
        requirement = Requirement(judge.changes.group, judge.changes.required)
        approvers = await self._credentials.approvers(tx, policy.policy_id, DRAFT_VERSION)
        return count_missing([requirement], judge.groups, approvers - {policy.drafted_by})

    async def _judge(self, tx: Transaction, policy: Policy) -> PolicyDocument:
        """Whose rules a change follows: the policy in force; the draft itself when it is the first."""
        active = await store.select_active(tx)
        present = 0 if active is None else active.version
        if present != policy.base_version:
            raise PolicyMoved(f"version {present} is active; the draft was made for {policy.base_version}")
        return policy.document if active is None else active.document

    async def _tell(self, tx: Transaction, kind: str, policy: Policy, by: KeyId) -> None:
        await tell(
            tx, kind, self._clock.now(),
            policy_id=policy.policy_id, status=policy.status, version=policy.version, by=by,
        )  # fmt: skip


def digest_of(tx: Transaction, policy_id: PolicyId, base_version: int, document: PolicyDocument) -> bytes:
    """SHA-256 of the draft as one line of JSON with its members sorted: what an approver signs."""
    content = {
        "purpose": PURPOSE,
        "organisation_id": tx.scope.organisation_id,
        "environment": tx.scope.environment,
        "policy_id": policy_id,
        "base_version": str(base_version),
        "document": msgspec.to_builtins(document),
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).digest()
