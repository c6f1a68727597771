"""Group commit: concurrent calls gathered into one transaction.

One writer takes whatever is queued, at most a batch, while the callers of the next batch queue behind
it: no timer, so a lone call waits for nobody, and a busy node commits hundreds of calls at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from agio.kernel.problem import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(Unavailable):
    """More calls are waiting than the node will hold; nothing was done."""

    code = "overloaded"
    title = "Too many calls are waiting"


class GroupCommit(Generic[Item, Result]):
    """Gathers items and hands them to `execute`, which answers one result per item, in order.

    A result that is an exception is raised to that item's caller alone. An exception out of `execute`
    itself reaches every caller of the batch. Submission order is execution order.
    """

    def __init__(
        self,
        execute: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_batch: int = 1000,
        queue_limit: int = 20_000,
    ) -> None:
        self._execute = execute
        self._max_batch = max_batch
        self._queue_limit = queue_limit
        self._queue: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Queue an item and wait until its batch is durable; raises Overloaded when the queue is full."""
        if len(self._queue) >= self._queue_limit:
            raise Overloaded("try again in a second", headers={"Retry-After": "1"})
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await future

    async def drain(self) -> None:
        """Wait until everything queued has been answered."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        # Callers that became ready in this turn of the loop join the first batch.
        await asyncio.sleep(0)
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch))]
            try:
                results = await self._execute([item for item, _ in batch])
            except BaseException as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(
                            error if isinstance(error, Exception) else Unavailable("the node is stopping")
                        )
                if not isinstance(error, Exception):
                    raise
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)
