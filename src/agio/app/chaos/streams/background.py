"""An event loop on a thread of its own, so that the main thread is free to hurt things and to wait."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Background:
    """Runs coroutines for the main thread. A task that fails is found by `check`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True)
        self._tasks: dict[Future[None], str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_all()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def begin(self, name: str, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run until `end` or `end_all`."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._tasks[future] = name
        return future

    def check(self) -> list[str]:
        """Who died of what: none of them may end by itself."""
        return [
            f"{name} died: {task.exception()!r}"
            for task, name in self._tasks.items()
            if task.done() and not task.cancelled()
        ]

    def end(self, task: Future[None]) -> None:
        self._tasks.pop(task, None)
        task.cancel()

    def end_all(self) -> None:
        self._tasks.clear()
        self.call(_cancel_others())


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
