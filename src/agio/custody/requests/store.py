"""SQL of transfer requests, their steps, and what limits add up."""

from datetime import datetime, timedelta
from typing import Final, LiteralString

import msgspec

from agio.custody.policy.decision import Decision, Facts
from agio.custody.policy.limits import Usage, Window
from agio.custody.policy.model import Dimension, RequestKind
from agio.custody.requests.model import Signed, Status, TargetKind, TransferRequest
from agio.kernel.ids import (
    HoldId,
    JournalId,
    KeyId,
    OrganisationId,
    SubAccountId,
    TransferRequestId,
    VaultId,
)
from agio.ledger.api import Environment
from agio.platform.db import Transaction
from agio.platform.vault import Place

REFERENCE: Final = "custody.request.reference"
REASON: Final = "custody.request.reason"
_REQUEST: Final = (
    "select request_id, organisation_id, environment, version, kind, status, vault_id, sub_account_id, asset,"
    " scale, amount::text as amount, target_kind, target_id, reference, initiator, editors, policy_version,"
    " decision, digest, reason_code, reason, hold_id, journal_id, signature, external_reference, created_at,"
    " updated_at, expires_at, held_at from custody.request"
)
_DIMENSIONS: Final[dict[Dimension, LiteralString]] = {
    "sub_account": " and sub_account_id = %(sub_account_id)s",
    "vault": " and vault_id = %(vault_id)s",
    "destination": " and target_id = %(target_id)s",
    "initiator": " and initiator = %(initiator)s",
    "organisation": "",
}


class _Row(msgspec.Struct):
    request_id: TransferRequestId
    organisation_id: OrganisationId
    environment: Environment
    version: int
    kind: RequestKind
    status: Status
    vault_id: VaultId
    sub_account_id: SubAccountId
    asset: str
    scale: int
    amount: str
    target_kind: TargetKind
    target_id: str
    reference: str | None
    initiator: KeyId
    editors: list[KeyId]
    policy_version: int
    decision: str
    digest: bytes
    reason_code: str | None
    reason: str | None
    hold_id: HoldId | None
    journal_id: JournalId | None
    signature: str | None
    external_reference: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    held_at: datetime | None


class Step(msgspec.Struct, frozen=True):
    """One line of a request's history."""

    step_no: int
    what: str
    version: int
    status: Status
    by_key: KeyId | None
    detail: str
    at: datetime


async def insert_request(tx: Transaction, request: TransferRequest) -> None:
    await tx.execute(
        "insert into custody.request (request_id, organisation_id, environment, version, kind, status,"
        " vault_id, sub_account_id, asset, scale, amount, target_kind, target_id, reference, initiator,"
        " editors, policy_version, decision, digest, created_at, updated_at, expires_at)"
        " values (%(request_id)s, %(organisation_id)s, %(environment)s, %(version)s, %(kind)s, %(status)s,"
        " %(vault_id)s, %(sub_account_id)s, %(asset)s, %(scale)s, %(amount)s, %(target_kind)s, %(target_id)s,"
        " %(reference)s, %(initiator)s, %(editors)s, %(policy_version)s, %(decision)s, %(digest)s,"
        " %(created_at)s, %(updated_at)s, %(expires_at)s)",
        await _to_row(tx, request),
    )


async def update_request(tx: Transaction, request: TransferRequest) -> None:
    await tx.execute(
        "update custody.request set version = %(version)s, status = %(status)s, amount = %(amount)s,"
        " target_kind = %(target_kind)s, target_id = %(target_id)s, reference = %(reference)s,"
        " editors = %(editors)s, policy_version = %(policy_version)s, decision = %(decision)s,"
        " digest = %(digest)s, reason_code = %(reason_code)s, reason = %(reason)s, hold_id = %(hold_id)s,"
        " journal_id = %(journal_id)s, signature = %(signature)s,"
        " external_reference = %(external_reference)s, updated_at = %(updated_at)s,"
        " expires_at = %(expires_at)s, held_at = %(held_at)s"
        " where request_id = %(request_id)s",
        await _to_row(tx, request),
    )


async def select_request(tx: Transaction, request_id: TransferRequestId) -> TransferRequest | None:
    row = await tx.fetch_one(_Row, _REQUEST + " where request_id = %s", (request_id,))
    return None if row is None else await _to_request(tx, row)


async def select_requests(
    tx: Transaction, status: Status | None, vault_id: str | None, before: str | None, limit: int
) -> list[TransferRequest]:
    """Newest first."""
    rows = await tx.fetch(
        _Row,
        _REQUEST + " where organisation_id = %(organisation_id)s and environment = %(environment)s"
        " and (%(status)s::text is null or status = %(status)s::text)"
        " and (%(vault_id)s::text is null or vault_id = %(vault_id)s::text)"
        " and (%(before)s::text is null or request_id < %(before)s::text)"
        " order by request_id desc limit %(limit)s",
        {
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
            "status": status,
            "vault_id": vault_id,
            "before": before,
            "limit": limit,
        },
    )
    return [await _to_request(tx, row) for row in rows]


async def count_waiting(tx: Transaction) -> int:
    number: int = await tx.value(
        "select count(*) from custody.request"
        " where organisation_id = %s and environment = %s and status = 'approving'",
        (tx.scope.organisation_id, tx.scope.environment),
    )
    return number


async def sum_usage(tx: Transaction, window: Window, facts: Facts, now: datetime) -> Usage:
    """What was held in the window and not given back. True until the commit only under the house lock."""
    row = await tx.fetch_tuples(
        "select coalesce(sum(amount) filter (where asset = %(asset)s), 0)::text,"
        " coalesce(sum(amount) filter (where asset = %(asset)s and status = 'settled'), 0)::text, count(*)"
        " from custody.request where organisation_id = %(organisation_id)s and environment = %(environment)s"
        " and status in ('held', 'released', 'settled') and held_at > %(since)s"
        + _DIMENSIONS[window.dimension],
        {
            **msgspec.structs.asdict(facts),
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
            "since": now - timedelta(seconds=window.seconds),
        },
    )
    held, settled, count = row[0]
    return Usage(int(held), int(settled), count)


async def insert_step(
    tx: Transaction, request: TransferRequest, what: str, by: KeyId | None, detail: str, at: datetime
) -> None:
    await tx.execute(
        "insert into custody.step (request_id, step_no, organisation_id, environment, what, version, status,"
        " by_key, detail, at) select %(request_id)s, coalesce(max(step_no), 0) + 1, %(organisation_id)s,"
        " %(environment)s, %(what)s, %(version)s, %(status)s, %(by)s, %(detail)s, %(at)s"
        " from custody.step where request_id = %(request_id)s",
        {
            "request_id": request.request_id,
            "organisation_id": request.organisation_id,
            "environment": request.environment,
            "what": what,
            "version": request.version,
            "status": request.status,
            "by": by,
            "detail": detail,
            "at": at,
        },
    )


async def select_steps(tx: Transaction, request_id: TransferRequestId) -> list[Step]:
    """In the order in which they happened."""
    return await tx.fetch(
        Step,
        "select step_no, what, version, status, by_key, detail, at from custody.step"
        " where request_id = %s order by step_no",
        (request_id,),
    )


async def _to_row(tx: Transaction, request: TransferRequest) -> dict[str, object]:
    reference, reason, signature = request.reference, request.reason, request.signature
    if reference is not None:
        reference = await tx.vault.seal(tx, Place(REFERENCE, request.request_id), reference)
    if reason is not None:
        reason = await tx.vault.seal(tx, Place(REASON, request.request_id), reason)
    return {
        **msgspec.structs.asdict(request),
        "editors": list(request.editors),
        "reference": reference,
        "reason": reason,
        "decision": msgspec.json.encode(request.decision).decode(),
        "signature": None if signature is None else msgspec.json.encode(signature).decode(),
    }


async def _to_request(tx: Transaction, row: _Row) -> TransferRequest:
    values = msgspec.structs.asdict(row)
    if row.reference is not None:
        place = Place(REFERENCE, row.request_id)
        values["reference"] = await tx.vault.unseal(tx, place, row.reference)
    if row.reason is not None:
        values["reason"] = await tx.vault.unseal(tx, Place(REASON, row.request_id), row.reason)
    if row.signature is not None:
        values["signature"] = msgspec.json.decode(row.signature, type=Signed)
    values["amount"] = int(row.amount)
    values["editors"] = tuple(row.editors)
    values["decision"] = msgspec.json.decode(row.decision, type=Decision)
    return TransferRequest(**values)
