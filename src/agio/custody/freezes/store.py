"""SQL of freezes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from agio.custody.api import Mover
from agio.custody.freezes.model import Freeze
from agio.kernel.ids import FreezeId, KeyId
from agio.platform.db import Transaction
from agio.platform.vault import Place

REASON: Final = "custody.freeze.reason"
_FREEZE: Final = (
    "select freeze_id, target_kind, target_id, reason, placed_by, placed_at, lifted_by, lifted_at"
    " from custody.freeze"
)


async def insert_freeze(tx: Transaction, freeze: Freeze) -> None:
    reason = await tx.vault.seal(tx, Place(REASON, freeze.freeze_id), freeze.reason)
    await tx.execute(
        "insert into custody.freeze (freeze_id, organisation_id, environment, target_kind, target_id, reason,"
        " placed_by, placed_at) values (%(freeze_id)s, %(organisation_id)s, %(environment)s, %(target_kind)s,"
        " %(target_id)s, %(reason)s, %(placed_by)s, %(placed_at)s)",
        {
            **msgspec.structs.asdict(freeze),
            "reason": reason,
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
        },
    )


async def update_lifted(tx: Transaction, freeze_id: FreezeId, by: KeyId, at: datetime) -> None:
    await tx.execute(
        "update custody.freeze set lifted_by = %s, lifted_at = %s where freeze_id = %s", (by, at, freeze_id)
    )


async def select_in_force(tx: Transaction, targets: Sequence[str]) -> list[Freeze]:
    """Freezes in force of these ids; their reasons stay sealed."""
    return await tx.fetch(
        Freeze,
        _FREEZE + " where organisation_id = %s and environment = %s and lifted_at is null"
        " and target_id = any(%s) order by freeze_id",
        (tx.scope.organisation_id, tx.scope.environment, list(targets)),
    )


async def select_freezes_of(tx: Transaction, movers: Sequence[Mover]) -> list[tuple[FreezeId, ...]]:
    """In the order of the movers, which may be of any organisation."""
    found: list[list[FreezeId]] = [[] for _ in movers]
    rows = await tx.fetch_tuples(
        "select mover_no, freeze_id from custody.find_freezes(%s::text[], %s::text[],"
        " %s::text[], %s::text[])",
        (
            [mover.organisation_id for mover in movers],
            [mover.environment for mover in movers],
            [mover.account_id for mover in movers],
            [mover.key_id for mover in movers],
        ),
    )
    for mover_no, freeze_id in rows:
        found[mover_no - 1].append(freeze_id)
    return [tuple(freezes) for freezes in found]


async def count_in_force(tx: Transaction) -> int:
    number: int = await tx.value("select count(*) from custody.freeze where lifted_at is null")
    return number


async def select_freeze(tx: Transaction, freeze_id: FreezeId) -> Freeze | None:
    row = await tx.fetch_one(Freeze, _FREEZE + " where freeze_id = %s", (freeze_id,))
    return None if row is None else await _open(tx, row)


async def select_freezes(tx: Transaction, before: str | None, limit: int) -> list[Freeze]:
    """Newest first."""
    rows = await tx.fetch(
        Freeze,
        _FREEZE + " where (%(before)s::text is null or freeze_id < %(before)s::text)"
        " order by freeze_id desc limit %(limit)s",
        {"before": before, "limit": limit},
    )
    return [await _open(tx, row) for row in rows]


async def _open(tx: Transaction, row: Freeze) -> Freeze:
    reason = await tx.vault.unseal(tx, Place(REASON, row.freeze_id), row.reason)
    return msgspec.structs.replace(row, reason=reason)
