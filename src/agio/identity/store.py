"""All SQL of the room."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from agio.identity.model import ApiKey, Credential
from agio.kernel.ids import KeyId
from agio.platform.db import Transaction
from agio.platform.vault import Place

ORGANISATION_NAME: Final = "identity.organisation.name"
KEY_NAME: Final = "identity.api_key.name"
_COLUMNS: Final = (
    "key_id, organisation_id, environment, name, hint, scopes, allowed_cidrs, created_by, created_at,"
    " expires_at, revoked_at, replaced_by, last_used_at"
)


async def insert_organisation(tx: Transaction, organisation_id: str, name: str) -> bool:
    """Returns False when it was there already."""
    sealed = await tx.vault.seal(tx, Place(ORGANISATION_NAME, organisation_id), name)
    inserted = await tx.execute(
        "insert into identity.organisation (organisation_id, name) values (%s, %s)"
        " on conflict (organisation_id) do nothing",
        (organisation_id, sealed),
    )
    return inserted == 1


async def insert_key(tx: Transaction, key: ApiKey, token_hash: bytes) -> None:
    name = await tx.vault.seal(tx, Place(KEY_NAME, key.key_id), key.name)
    await tx.execute(
        "insert into identity.api_key (key_id, organisation_id, environment, name, token_hash, hint, scopes,"
        " allowed_cidrs, created_by, created_at, expires_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            key.key_id,
            key.organisation_id,
            key.environment,
            name,
            token_hash,
            key.hint,
            key.scopes,
            key.allowed_cidrs,
            key.created_by,
            key.created_at,
            key.expires_at,
        ),
    )


async def lock_key(tx: Transaction, key_id: str) -> ApiKey | None:
    """The tenant's key, locked until the transaction ends."""
    return await _open(
        tx,
        await tx.fetch_one(
            ApiKey,
            f"select {_COLUMNS} from identity.api_key"
            " where organisation_id = %s and environment = %s and key_id = %s for update",
            (tx.scope.organisation_id, tx.scope.environment, key_id),
        ),
    )


async def find_key(tx: Transaction, key_id: str) -> ApiKey | None:
    return await _open(
        tx,
        await tx.fetch_one(
            ApiKey,
            f"select {_COLUMNS} from identity.api_key"
            " where organisation_id = %s and environment = %s and key_id = %s",
            (tx.scope.organisation_id, tx.scope.environment, key_id),
        ),
    )


async def list_keys(tx: Transaction, after: str, limit: int) -> list[ApiKey]:
    """The tenant's keys after a key id, oldest first."""
    rows = await tx.fetch(
        ApiKey,
        f"select {_COLUMNS} from identity.api_key"
        " where organisation_id = %s and environment = %s and key_id > %s order by key_id limit %s",
        (tx.scope.organisation_id, tx.scope.environment, after, limit),
    )
    return [key for row in rows if (key := await _open(tx, row)) is not None]


async def _open(tx: Transaction, row: ApiKey | None) -> ApiKey | None:
    if row is None:
        return None
    name = await tx.vault.unseal(tx, Place(KEY_NAME, row.key_id), row.name)
    return msgspec.structs.replace(row, name=name)


async def count_active_keys(tx: Transaction) -> int:
    count: int = await tx.value(
        "select count(*) from identity.api_key where organisation_id = %s and environment = %s"
        " and revoked_at is null and expires_at > clock_timestamp()",
        (tx.scope.organisation_id, tx.scope.environment),
    )
    return count


async def revoke_key(tx: Transaction, key_id: str) -> bool:
    """Whether the key was not revoked before."""
    touched = await tx.execute(
        "update identity.api_key set revoked_at = clock_timestamp()"
        " where organisation_id = %s and environment = %s and key_id = %s and revoked_at is null",
        (tx.scope.organisation_id, tx.scope.environment, key_id),
    )
    return touched == 1


async def replace_key(tx: Transaction, key_id: str, replaced_by: str, expires_at: datetime) -> None:
    await tx.execute(
        "update identity.api_key set replaced_by = %s, expires_at = %s"
        " where organisation_id = %s and environment = %s and key_id = %s",
        (replaced_by, expires_at, tx.scope.organisation_id, tx.scope.environment, key_id),
    )


async def insert_ticket(tx: Transaction, ticket_hash: bytes, key_id: str, lifetime: timedelta) -> datetime:
    """Store a ticket, and forget the tenant's expired ones; returns when it expires."""
    await tx.execute(
        "delete from identity.stream_ticket where organisation_id = %s and environment = %s"
        " and expires_at < clock_timestamp()",
        (tx.scope.organisation_id, tx.scope.environment),
    )
    expires_at: datetime = await tx.value(
        "insert into identity.stream_ticket (ticket_hash, organisation_id, environment, key_id, expires_at)"
        " values (%s, %s, %s, %s, clock_timestamp() + %s) returning expires_at",
        (ticket_hash, tx.scope.organisation_id, tx.scope.environment, key_id, lifetime),
    )
    return expires_at


async def count_tickets(tx: Transaction) -> int:
    count: int = await tx.value(
        "select count(*) from identity.stream_ticket where organisation_id = %s and environment = %s"
        " and expires_at > clock_timestamp()",
        (tx.scope.organisation_id, tx.scope.environment),
    )
    return count


async def find_credential(tx: Transaction, token_hash: bytes) -> Credential | None:
    return await tx.fetch_one(Credential, "select * from identity.find_api_key(%s)", (token_hash,))


async def redeem_ticket(tx: Transaction, ticket_hash: bytes) -> Credential | None:
    return await tx.fetch_one(Credential, "select * from identity.redeem_stream_ticket(%s)", (ticket_hash,))


async def list_ended_keys(tx: Transaction, since: timedelta) -> list[KeyId]:
    rows = await tx.fetch_tuples("select key_id from identity.ended_api_keys(%s)", (since,))
    return [KeyId(row[0]) for row in rows]


async def touch_keys(tx: Transaction, used_at: Mapping[KeyId, datetime]) -> None:
    await tx.execute("select identity.touch_api_keys(%s, %s)", (list(used_at), list(used_at.values())))
