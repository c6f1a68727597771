"""SQL of policies."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from agio.custody.policy.model import PolicyDocument
from agio.kernel.ids import KeyId, PolicyId
from agio.platform.db import Transaction

PolicyStatus = Literal["draft", "scheduled", "active", "retired", "discarded"]
_POLICY: Final = (
    "select policy_id, status, version, base_version, document, digest, drafted_by, drafted_at, approved_at,"
    " activates_at, activated_at, ended_at from custody.policy"
)


class Policy(msgspec.Struct, frozen=True):
    """A draft, or what became of it. Its document never changes."""

    policy_id: PolicyId
    status: PolicyStatus
    version: int
    """Counted from 1 at activation; 0 before."""
    base_version: int
    """The active version when it was drafted: it can replace only that one."""
    document: PolicyDocument
    digest: bytes
    drafted_by: KeyId
    drafted_at: datetime
    approved_at: datetime | None = None
    activates_at: datetime | None = None
    activated_at: datetime | None = None
    ended_at: datetime | None = None


class _Row(msgspec.Struct):
    policy_id: PolicyId
    status: PolicyStatus
    version: int
    base_version: int
    document: str
    digest: bytes
    drafted_by: KeyId
    drafted_at: datetime
    approved_at: datetime | None
    activates_at: datetime | None
    activated_at: datetime | None
    ended_at: datetime | None

    def to_policy(self) -> Policy:
        document = msgspec.json.decode(self.document, type=PolicyDocument)
        return Policy(**{**msgspec.structs.asdict(self), "document": document})


async def insert_policy(tx: Transaction, policy: Policy) -> None:
    await tx.execute(
        "insert into custody.policy (policy_id, organisation_id, environment, status, base_version, document,"
        " digest, drafted_by, drafted_at) values (%(policy_id)s, %(organisation_id)s, %(environment)s,"
        " %(status)s, %(base_version)s, %(document)s, %(digest)s, %(drafted_by)s, %(drafted_at)s)",
        {
            **msgspec.structs.asdict(policy),
            "document": msgspec.json.encode(policy.document).decode(),
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
        },
    )


async def update_policy(tx: Transaction, policy: Policy) -> None:
    await tx.execute(
        "update custody.policy set status = %(status)s, version = %(version)s, approved_at = %(approved_at)s,"
        " activates_at = %(activates_at)s, activated_at = %(activated_at)s, ended_at = %(ended_at)s"
        " where policy_id = %(policy_id)s",
        {**msgspec.structs.asdict(policy), "document": None},
    )


async def select_policy(tx: Transaction, policy_id: PolicyId) -> Policy | None:
    row = await tx.fetch_one(_Row, _POLICY + " where policy_id = %s", (policy_id,))
    return None if row is None else row.to_policy()


async def select_active(tx: Transaction) -> Policy | None:
    """The policy in force of the transaction's tenant."""
    row = await tx.fetch_one(
        _Row,
        _POLICY + " where organisation_id = %s and environment = %s and status = 'active'",
        (tx.scope.organisation_id, tx.scope.environment),
    )
    return None if row is None else row.to_policy()


async def select_policies(tx: Transaction, before: str | None, limit: int) -> list[Policy]:
    """Newest first."""
    rows = await tx.fetch(
        _Row,
        _POLICY + " where (%(before)s::text is null or policy_id < %(before)s::text)"
        " order by policy_id desc limit %(limit)s",
        {"before": before, "limit": limit},
    )
    return [row.to_policy() for row in rows]


async def count_open(tx: Transaction) -> int:
    number: int = await tx.value("select count(*) from custody.policy where status in ('draft', 'scheduled')")
    return number
