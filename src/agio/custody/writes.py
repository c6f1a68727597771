"""How custody's routes write: once per idempotency key where the caller sent one."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, Response

from agio.identity.api import Principal
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotentReplies

AnyRequest = Request[Any, Any, Any]


class Writes:
    """Runs an effect in a transaction of the caller's tenant."""

    def __init__(self, database: Database, replies: IdempotentReplies) -> None:
        self._database = database
        self._replies = replies

    async def __call__(
        self,
        principal: Principal,
        request: AnyRequest,
        key: str | None,
        effect: Callable[[Transaction], Awaitable[object]],
    ) -> Response[Any]:
        """Answer 201 with what the effect returns, or returned the first time."""
        if key is not None:
            return await self._replies.once(principal.scope, request, effect)
        async with self._database.transaction(principal.scope) as tx:
            content = await effect(tx)
        return Response(content, status_code=201)
