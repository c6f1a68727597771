"""SQL of destinations. Names and addresses are sealed."""

from datetime import datetime
from typing import Final

import msgspec

from agio.custody.destinations.model import Destination
from agio.kernel.ids import DestinationId, KeyId
from agio.platform.db import Transaction
from agio.platform.vault import Place

NAME: Final = "custody.destination.name"
ADDRESS: Final = "custody.destination.address"
_DESTINATION: Final = (
    "select destination_id, kind, name, address, bic, added_by, added_at, usable_from, revoked_at, revoked_by"
    " from custody.destination"
)


async def insert_destination(tx: Transaction, destination: Destination) -> None:
    row = destination.destination_id
    await tx.execute(
        "insert into custody.destination (destination_id, organisation_id, environment, kind, name, address,"
        " bic, added_by, added_at, usable_from) values (%(destination_id)s, %(organisation_id)s,"
        " %(environment)s, %(kind)s, %(name)s, %(address)s, %(bic)s, %(added_by)s, %(added_at)s,"
        " %(usable_from)s)",
        {
            **msgspec.structs.asdict(destination),
            "name": await tx.vault.seal(tx, Place(NAME, row), destination.name),
            "address": await tx.vault.seal(tx, Place(ADDRESS, row), destination.address),
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
        },
    )


async def update_revoked(tx: Transaction, destination_id: DestinationId, by: KeyId, at: datetime) -> None:
    await tx.execute(
        "update custody.destination set revoked_at = %s, revoked_by = %s where destination_id = %s",
        (at, by, destination_id),
    )


async def select_destination(tx: Transaction, destination_id: DestinationId) -> Destination | None:
    row = await tx.fetch_one(Destination, _DESTINATION + " where destination_id = %s", (destination_id,))
    return None if row is None else await _open(tx, row)


async def select_destinations(tx: Transaction, after: str, limit: int) -> list[Destination]:
    """Oldest first."""
    rows = await tx.fetch(
        Destination,
        _DESTINATION + " where destination_id > %s order by destination_id limit %s",
        (after, limit),
    )
    return [await _open(tx, row) for row in rows]


async def select_listed(tx: Transaction, limit: int) -> list[Destination]:
    """Those that are not revoked."""
    rows = await tx.fetch(
        Destination, _DESTINATION + " where revoked_at is null order by destination_id limit %s", (limit,)
    )
    return [await _open(tx, row) for row in rows]


async def _open(tx: Transaction, row: Destination) -> Destination:
    return msgspec.structs.replace(
        row,
        name=await tx.vault.unseal(tx, Place(NAME, row.destination_id), row.name),
        address=await tx.vault.unseal(tx, Place(ADDRESS, row.destination_id), row.address),
    )
