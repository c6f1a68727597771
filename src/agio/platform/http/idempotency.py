"""`Idempotency-Key`: a repeated POST gets the first one's answer instead of a second effect.

The answer is stored in the transaction that makes the effect, so there is no moment in which one exists
without the other, and a process that dies in between leaves nothing behind. Verbs with a natural key
(`client_order_id`) do not need this.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response
from litestar.params import Parameter

from agio.kernel.problem import Conflict, InvalidRequest
from agio.platform.db import Database, Scope, Transaction
from agio.platform.http.problems import InvalidHeader
from agio.platform.vault import Place

HEADER: Final = "Idempotency-Key"
REPLAY_HEADER: Final = "Idempotent-Replay"
RETENTION_HOURS: Final = 24
IdempotencyKey = Annotated[
    str | None,
    Parameter(
        header=HEADER,
        description="A new random value, at most 255 visible ASCII characters; the same one when you repeat"
        " the request, which then has no second effect for 24 hours",
    ),
]
"""A handler's parameter: says in the OpenAPI document that the request may carry the header."""
_KEY = re.compile(r"^[\x21-\x7e]{1,255}$", re.ASCII)
_SWEEP_LIMIT: Final = 100
_BODY: Final = "platform.idempotent_reply.body"
_PLAIN: Final = b"{"
"""How an answer begins that an earlier version stored in plain text; within a day there are none."""


class IdempotencyKeyReused(InvalidRequest):
    """The key was used for a request with another path or body. Use a new key for a new request."""

    code = "idempotency_key_reused"
    title = "Idempotency key reused"


class IdempotencyInFlight(Conflict):
    """The first request with this key is still being worked on. Repeat it in a moment for its answer."""

    code = "idempotency_in_flight"
    title = "Request in flight"


class RepeatableRequest(msgspec.Struct, frozen=True):
    """A request that names itself: its key, and a hash of what it asks for."""

    key: str
    request_hash: bytes


class _StoredReply(msgspec.Struct):
    request_hash: bytes
    status: int
    body: bytes


async def read_repeatable(request: Request[Any, Any, Any]) -> RepeatableRequest:
    """The request's key and hash; raises InvalidHeader without a usable key."""
    key = request.headers.get(HEADER)
    if key is None:
        raise InvalidHeader(
            f"send {HEADER} with a new random value, and the same value when you repeat the request",
            extra={"header": HEADER},
        )
    if not _KEY.fullmatch(key):
        raise InvalidHeader(f"{HEADER} takes 1 to 255 visible ASCII characters", extra={"header": HEADER})
    digest = hashlib.sha256(f"{request.method} {request.scope['path']}\n".encode())
    digest.update(await request.body())
    return RepeatableRequest(key, digest.digest())


class IdempotentReplies:
    """Runs a write at most once per tenant and key, for 24 hours."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def once(
        self,
        scope: Scope,
        request: Request[Any, Any, Any],
        effect: Callable[[Transaction], Awaitable[object]],
        *,
        status: int = 201,
    ) -> Response[Any]:
        """Answer with what `effect` returns, or returned the first time (with `Idempotent-Replay: true`).

        `effect` must do all its writing in the transaction it is given. A refusal is not stored: nothing
        happened, so the request may be repeated. Raises IdempotencyKeyReused, IdempotencyInFlight.
        """
        repeatable = await read_repeatable(request)
        async with self._database.transaction(scope) as tx:
            stored = await self._find(tx, repeatable)
            if stored is not None:
                return Response(
                    content=stored.body,
                    status_code=stored.status,
                    media_type="application/json",
                    headers={REPLAY_HEADER: "true"},
                )
            body = msgspec.json.encode(await effect(tx))
            await self._store(tx, repeatable, status, body)
        return Response(content=body, status_code=status, media_type="application/json")

    async def _find(self, tx: Transaction, repeatable: RepeatableRequest) -> _StoredReply | None:
        name = f"{tx.scope.organisation_id}/{tx.scope.environment}/{repeatable.key}"
        is_ours = await tx.value("select pg_try_advisory_xact_lock(hashtextextended(%s, 1))", (name,))
        if not is_ours:
            raise IdempotencyInFlight(
                "repeat the same request in a moment to get its answer", headers={"Retry-After": "1"}
            )
        stored = await tx.fetch_one(
            _StoredReply,
            "select request_hash, status, body from platform.idempotent_reply"
            " where organisation_id = %s and environment = %s and key = %s"
            " and created_at > now() - make_interval(hours => %s)",
            (tx.scope.organisation_id, tx.scope.environment, repeatable.key, RETENTION_HOURS),
        )
        if stored is not None and stored.request_hash != repeatable.request_hash:
            raise IdempotencyKeyReused(f"this {HEADER} belongs to another request; use a new one")
        if stored is not None and not stored.body.startswith(_PLAIN):
            stored.body = await tx.vault.unseal_bytes(tx, Place(_BODY, repeatable.key), stored.body)
        return stored

    async def _store(self, tx: Transaction, repeatable: RepeatableRequest, status: int, body: bytes) -> None:
        sealed = await tx.vault.seal_bytes(tx, Place(_BODY, repeatable.key), body)
        tenant = (tx.scope.organisation_id, tx.scope.environment)
        await tx.execute(
            "delete from platform.idempotent_reply where (organisation_id, environment, key) in ("
            " select organisation_id, environment, key from platform.idempotent_reply"
            " where organisation_id = %s and environment = %s"
            " and created_at <= now() - make_interval(hours => %s) order by created_at limit %s)",
            (*tenant, RETENTION_HOURS, _SWEEP_LIMIT),
        )
        # An expired row under this very key may be beyond the sweep's limit, hence the second delete.
        await tx.execute(
            "delete from platform.idempotent_reply"
            " where organisation_id = %s and environment = %s and key = %s",
            (*tenant, repeatable.key),
        )
        await tx.execute(
            "insert into platform.idempotent_reply"
            " (organisation_id, environment, key, request_hash, status, body)"
            " values (%s, %s, %s, %s, %s, %s)",
            (*tenant, repeatable.key, repeatable.request_hash, status, sealed),
        )
