"""Use cases of those who ask for transfers: request, change, cancel, try out, look."""

from typing import Final, NamedTuple, cast

import msgspec

from agio.custody import model as rules
from agio.custody.api import SOURCE
from agio.custody.credentials.service import Credentials
from agio.custody.errors import Frozen, TooMany, UnknownPolicy, WrongState
from agio.custody.house import lock_house
from agio.custody.policy.decision import Decision, decide
from agio.custody.policy.limits import LimitReading
from agio.custody.policy.model import PolicyDocument
from agio.custody.requests import store
from agio.custody.requests.desk import Desk, kind_of, parse_units
from agio.custody.requests.model import (
    APPROVAL_TIME,
    MAX_OPEN_REQUESTS,
    MAX_REASON_LENGTH,
    MAX_REFERENCE_LENGTH,
    MAX_VERSION,
    Status,
    Target,
    TargetKind,
    TransferRequest,
    advance,
    digest_of,
    facts_of,
)
from agio.custody.requests.store import Step
from agio.custody.vaults.model import SubAccount
from agio.kernel.ids import (
    KeyId,
    OrganisationId,
    PolicyId,
    SubAccountId,
    TransferRequestId,
    VaultId,
    is_id,
    new_id,
)
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.kernel.problem import InvalidRequest, Problem
from agio.ledger.api import Environment, ReleaseHold
from agio.platform.db import Transaction

NO_DECISION: Final = Decision("deny", None, None, "not decided yet", [], [], [])
UNDECIDED: Final = bytes(32)


class Wanted(NamedTuple):
    """What somebody wants to move: the terms of a request."""

    sub_account_id: SubAccountId
    target_kind: TargetKind
    target_id: str
    amount: str
    reference: str | None = None


class Change(NamedTuple):
    """New terms; None keeps the present one."""

    amount: str | None = None
    target: tuple[TargetKind, str] | None = None
    reference: str | None = None


class DryRun(NamedTuple):
    """What would become of a request: the decision with its trace, each limit now, what stands in the way."""

    policy_version: int
    decision: Decision
    limits: list[LimitReading]
    obstacles: list[str]


class Requests:
    """Transfer requests of the transaction's tenant."""

    def __init__(self, desk: Desk, credentials: Credentials) -> None:
        self._desk = desk
        self._credentials = credentials

    async def create(self, tx: Transaction, wanted: Wanted, by: KeyId) -> TransferRequest:
        """Ask for a transfer. The policy answers at once; a refusal is recorded: `failed`, with its reason.

        Raises NotFound, InvalidRequest, InvalidAmount, Frozen, DestinationNotUsable, RailNotConnected,
        TooMany.
        """
        await lock_house(tx)
        request, sub, target = await self._compose(tx, wanted, by)
        await self._desk.require_open(tx, request, by)
        await self._desk.require_usable(tx, request, request.created_at)
        if await store.count_waiting(tx) >= MAX_OPEN_REQUESTS:
            raise TooMany(f"at most {MAX_OPEN_REQUESTS} requests wait for approvals; decide or cancel some")
        version, decision = await self._desk.judge(tx, request, sub)
        decided = _sealed(request, version, decision, target)
        await store.insert_request(tx, decided)
        await self._desk.note(tx, decided, "created", by)
        waiting = self._desk.moved(decided, "decide")
        return await self._follow(tx, waiting, by)

    async def change(
        self, tx: Transaction, request_id: TransferRequestId, change: Change, by: KeyId
    ) -> TransferRequest:
        """New terms: a new version with a new digest, decided anew. Every approval so far is void.

        Whoever changes it becomes one of those who cannot approve it.
        """
        await lock_house(tx)
        request = await self._desk.request(tx, request_id)
        advance(request, "change")
        if request.version >= MAX_VERSION:
            raise WrongState(f"{request_id} was changed too often; make a new one")
        sub = await self._desk.vaults.sub_account(tx, request.sub_account_id)
        amount, reference = request.amount, request.reference
        if change.amount is not None:
            amount = parse_units(change.amount, await self._desk.vaults.asset(tx, sub.asset))
        if change.reference is not None:
            reference = rules.check_text("reference", change.reference, MAX_REFERENCE_LENGTH)
        kind, target_id = change.target or (request.target_kind, request.target_id)
        now = self._desk.clock.now()
        changed = msgspec.structs.replace(
            request,
            version=request.version + 1,
            kind=kind_of(kind),
            amount=amount,
            target_kind=kind,
            target_id=target_id,
            reference=reference,
            editors=(*request.editors, by) if by not in request.editors else request.editors,
            updated_at=now,
            expires_at=now + APPROVAL_TIME,
        )
        route = await self._desk.route(tx, sub, kind, target_id)
        await self._desk.require_open(tx, changed, by)
        await self._desk.require_usable(tx, changed, now)
        version, decision = await self._desk.judge(tx, changed, sub)
        voided = await self._credentials.void(tx, request_id)
        renewed = _sealed(changed, version, decision, route.target)
        await self._desk.record(tx, renewed, "changed", by, f"{voided} approvals void")
        return await self._follow(tx, renewed, by)

    async def cancel(
        self, tx: Transaction, request_id: TransferRequestId, reason: str, by: KeyId
    ) -> TransferRequest:
        """End a request that is not released yet; what was held is free again. Raises WrongState, Frozen."""
        rules.check_text("reason", reason, MAX_REASON_LENGTH)
        await lock_house(tx)
        request = await self._desk.request(tx, request_id)
        await self._desk.freezes.require_none(tx, keys=[by])
        cancelled = self._desk.moved(request, "cancel", reason_code="cancelled", reason=reason)
        await self._desk.record(tx, cancelled, "cancelled", by)
        if request.hold_id is not None:
            (await self._desk.ledger.apply(tx, [release_of(request)]))[0].require()
        return cancelled

    async def decide_again(self, tx: Transaction) -> None:
        """Another policy is in force: what waits is decided by it, and its approvals are void."""
        waiting = await store.select_requests(tx, "approving", None, None, MAX_OPEN_REQUESTS)
        for request in reversed(waiting):
            sub = await self._desk.vaults.sub_account(tx, request.sub_account_id)
            try:
                route = await self._desk.route(tx, sub, request.target_kind, request.target_id)
            except Problem as problem:
                await self._desk.refuse(tx, request, problem.code, problem.detail, None)
                continue
            changed = msgspec.structs.replace(
                request, version=request.version + 1, updated_at=self._desk.clock.now()
            )
            version, decision = await self._desk.judge(tx, changed, sub)
            voided = await self._credentials.void(tx, request.request_id)
            renewed = _sealed(changed, version, decision, route.target)
            await self._desk.record(
                tx, renewed, "decided_again", None, f"policy {version}, {voided} approvals void"
            )
            try:
                await self._follow(tx, renewed, None)
            except Frozen:
                # It would be held at once; it waits for the thaw and for one more look by a person.
                await self._desk.note(tx, renewed, "waits", None, "frozen")

    async def dry_run(self, tx: Transaction, wanted: Wanted, by: KeyId, policy_id: PolicyId | None) -> DryRun:
        """What would become of a request under a policy, by default the one in force; changes nothing.

        `by` may be any key, so that a policy can be tried for others.
        """
        if not is_id(by, "key"):
            raise InvalidRequest("initiator: key_...", extra={"field": "initiator"})
        await lock_house(tx)
        request, sub, _ = await self._compose(tx, wanted, by)
        document, version = await self._policy(tx, policy_id)
        facts = facts_of(request, sub.location)
        decision = decide(document, facts)
        readings = await self._desk.read_limits(tx, decision.limits, facts, sub)
        obstacles = []
        for check in (
            self._desk.require_open(tx, request, by),
            self._desk.require_usable(tx, request, request.created_at),
        ):
            try:
                await check
            except Problem as problem:
                obstacles.append(f"{problem.code}: {problem.detail}")
        kept = await self._desk.vaults.kept(tx, sub)
        if kept.balance.available < request.amount:
            obstacles.append("insufficient_funds: less is available")
        return DryRun(version, decision, readings, obstacles)

    async def request(self, tx: Transaction, request_id: TransferRequestId) -> TransferRequest:
        """One request; raises UnknownTransferRequest."""
        return await self._desk.request(tx, request_id)

    async def target(self, tx: Transaction, request: TransferRequest) -> Target:
        """Where a request leads, as its approver must see it."""
        sub = await self._desk.vaults.sub_account(tx, request.sub_account_id)
        return (await self._desk.route(tx, sub, request.target_kind, request.target_id)).target

    async def steps(self, tx: Transaction, request_id: TransferRequestId) -> list[Step]:
        """What happened to a request, in order; raises UnknownTransferRequest."""
        await self._desk.request(tx, request_id)
        return await store.select_steps(tx, request_id)

    async def requests(
        self, tx: Transaction, status: Status | None, vault_id: VaultId | None, limit: int, cursor: str | None
    ) -> Page[TransferRequest]:
        """Requests, newest first; raises UnknownVault."""
        check_limit(limit)
        if vault_id is not None:
            await self._desk.vaults.vault(tx, vault_id)
        before = read_id_cursor(cursor, "before", "trq")
        found = await store.select_requests(tx, status, vault_id, before, limit + 1)
        items = found[:limit]
        more = encode_cursor({"before": items[-1].request_id}) if len(found) > limit else None
        return Page(items, more)

    async def _compose(
        self, tx: Transaction, wanted: Wanted, by: KeyId
    ) -> tuple[TransferRequest, SubAccount, Target]:
        sub = await self._desk.vaults.sub_account(tx, wanted.sub_account_id)
        asset = await self._desk.vaults.asset(tx, sub.asset)
        route = await self._desk.route(tx, sub, wanted.target_kind, wanted.target_id)
        amount = parse_units(wanted.amount, asset)
        if wanted.reference is not None:
            rules.check_text("reference", wanted.reference, MAX_REFERENCE_LENGTH)
        now = self._desk.clock.now()
        request = TransferRequest(
            request_id=TransferRequestId(new_id("trq")),
            organisation_id=OrganisationId(tx.scope.organisation_id),
            environment=cast("Environment", tx.scope.environment),
            version=1,
            kind=kind_of(wanted.target_kind),
            status="created",
            vault_id=sub.vault_id,
            sub_account_id=sub.sub_account_id,
            asset=sub.asset,
            scale=asset.scale,
            amount=amount,
            target_kind=wanted.target_kind,
            target_id=wanted.target_id,
            reference=wanted.reference,
            initiator=by,
            editors=(by,),
            policy_version=0,
            decision=NO_DECISION,
            digest=UNDECIDED,
            created_at=now,
            updated_at=now,
            expires_at=now + APPROVAL_TIME,
        )
        return request, sub, route.target

    async def _policy(self, tx: Transaction, policy_id: PolicyId | None) -> tuple[PolicyDocument | None, int]:
        if policy_id is not None:
            policy = await self._desk.policies.policy(tx, policy_id)
            if policy.status == "discarded":
                raise UnknownPolicy(f"{policy_id} was discarded")
            return policy.document, policy.version
        active = await self._desk.policies.active(tx)
        return (None, 0) if active is None else (active.document, active.version)

    async def _follow(self, tx: Transaction, request: TransferRequest, by: KeyId | None) -> TransferRequest:
        """What the decision says is done: refused, held at once, or waiting for approvals."""
        decision = request.decision
        if decision.outcome == "deny":
            return await self._desk.refuse(tx, request, "policy_denied", decision.reason, by)
        await self._desk.record(tx, request, "allowed", by, decision.reason)
        if decision.approvals:
            return request
        return await self._desk.hold(tx, request, decision.limits, by)


def _sealed(
    request: TransferRequest, policy_version: int, decision: Decision, target: Target
) -> TransferRequest:
    """The request with its decision and the digest over all of it."""
    decided = msgspec.structs.replace(request, policy_version=policy_version, decision=decision)
    return msgspec.structs.replace(decided, digest=digest_of(decided, target))


def release_of(request: TransferRequest) -> ReleaseHold:
    """Give back what was held for a request."""
    if request.hold_id is None:
        raise WrongState(f"{request.request_id} holds nothing")
    return ReleaseHold(
        request.hold_id, request.organisation_id, request.environment, SOURCE, request.request_id
    )
