"""What all controls of custody share: the tenant's lock, and its channel of events."""

from datetime import datetime

import msgspec

from agio.platform.db import Event, Transaction

CHANNEL = "custody"


async def lock_house(tx: Transaction) -> None:
    """Take the tenant's custody lock: from here to the commit nobody else changes or decides anything in it.

    Always before the ledger's lock and before any row of custody.
    """
    await _ensure_house(tx)
    await tx.execute(
        "select from custody.house where organisation_id = %s and environment = %s for update",
        (tx.scope.organisation_id, tx.scope.environment),
    )


async def share_house(tx: Transaction) -> None:
    """Keep what is decided now (freezes) true until the commit, without excluding others that only read."""
    await _ensure_house(tx)
    await tx.execute(
        "select from custody.house where organisation_id = %s and environment = %s for share",
        (tx.scope.organisation_id, tx.scope.environment),
    )


async def _ensure_house(tx: Transaction) -> None:
    await tx.execute(
        "insert into custody.house (organisation_id, environment) values (%s, %s) on conflict do nothing",
        (tx.scope.organisation_id, tx.scope.environment),
    )


def channel_of(organisation_id: str, environment: str) -> str:
    """The log channel of a tenant's controls; its order is that of the house lock."""
    return f"{CHANNEL}:{organisation_id}:{environment}"


async def tell(tx: Transaction, kind: str, at: datetime, /, **body: object) -> None:
    """Put an event on the tenant's channel. Names, addresses and references do not belong into it."""
    channel = channel_of(tx.scope.organisation_id, tx.scope.environment)
    text = msgspec.json.encode({"event": kind, **body}).decode()
    await tx.emit(Event(channel, kind, text, at, tx.scope))
