"""Questions to the tick store, off the event loop, within limits.

DuckDB is opened by the first question, with two threads of its own for questions; a question that takes
longer than its time is interrupted.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from agio.kernel.problem import InvalidRequest
from agio.marketdata.errors import TickStoreUnavailable
from agio.marketdata.ticks.duck import DuckLimits
from agio.marketdata.ticks.lake import attach_store, open_for_reading
from agio.marketdata.ticks.settings import TickStoreAddress

if TYPE_CHECKING:
    import duckdb

log = structlog.get_logger(__name__)

T = TypeVar("T")
QUESTIONS_AT_ONCE: Final = 2
QUESTIONS_WAITING: Final = 32
QUESTION_SECONDS: Final = 15.0


class TickReader:
    """Runs functions on a cursor of the store. Safe for concurrent use."""

    def __init__(self, address: TickStoreAddress, limits: DuckLimits | None = None) -> None:
        self._address = address
        self._limits = limits or DuckLimits()
        self._threads: ThreadPoolExecutor | None = None
        self._turns = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self._waiting = 0
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._has_store = False

    @property
    def export_folder(self) -> Path:
        return self._address.export_folder

    async def ask(self, question: "Callable[[StoreCursor], T]", *, seconds: float = QUESTION_SECONDS) -> T:
        """Run it in a thread; raises TickStoreUnavailable, and InvalidRequest when it takes too long."""
        if self._waiting >= QUESTIONS_WAITING:
            raise TickStoreUnavailable("too many questions wait for history", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._turns:
                return await self._ask(question, seconds)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Wait for the questions that are being answered, and let go of the store."""
        if self._threads is not None:
            await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._drop()

    async def _ask(self, question: "Callable[[StoreCursor], T]", seconds: float) -> T:
        self._threads = self._threads or ThreadPoolExecutor(QUESTIONS_AT_ONCE, thread_name_prefix="ticks")
        opened: list[StoreCursor] = []
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question, opened)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(work)
        except (TimeoutError, asyncio.CancelledError) as error:
            # A caller that went away must not keep the machine busy either.
            while not work.done():
                for cursor in opened:
                    cursor.interrupt()
                await asyncio.wait({work}, timeout=0.05)
            if work.exception() is None and isinstance(error, TimeoutError):
                return work.result()
            if isinstance(error, TimeoutError):
                raise InvalidRequest(
                    f"this takes more than {seconds:.0f} s: ask for a shorter span", extra={"field": "start"}
                ) from error
            raise

    def _answer(self, question: "Callable[[StoreCursor], T]", opened: "list[StoreCursor]") -> T:
        import duckdb  # noqa: PLC0415 - see duck.py

        for attempt in (1, 2):
            cursor = StoreCursor(self._open().cursor(), self._ensure_store)
            opened[:] = [cursor]
            try:
                return question(cursor)
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                # A server that was started anew: connections from before are dead.
                self._drop()
                if attempt == 2:
                    log.warning("tick_store_question_failed", error=repr(error)[:500])
                    raise TickStoreUnavailable("the tick store does not answer; try again") from error
            finally:
                cursor.close()
        raise AssertionError("the second attempt returns or raises")

    def _open(self) -> "duckdb.DuckDBPyConnection":
        with self._lock:
            if self._connection is None:
                self._connection = open_for_reading(self._address, self._limits)
            return self._connection

    def _ensure_store(self) -> None:
        """The catalogue exists once something has been moved."""
        with self._lock:
            if self._connection is not None and not self._has_store:
                attach_store(self._connection, self._address)
                self._has_store = True

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            self._has_store = False
        if connection is not None:
            connection.close()


class StoreCursor:
    """One question's cursor; `use_store` before its SQL names `lake`."""

    def __init__(self, cursor: "duckdb.DuckDBPyConnection", ensure_store: Callable[[], None]) -> None:
        self.sql = cursor
        self._ensure_store = ensure_store

    def use_store(self) -> None:
        self._ensure_store()

    def interrupt(self) -> None:
        self.sql.interrupt()

    def close(self) -> None:
        self.sql.close()
