"""A writer of the crash run: a client that never gives up and trusts nothing but what it was told.

Its life: resend what an earlier life left unanswered, then batches of mixed sizes until it is ended. SIGUSR1
pauses it after the batch under way, SIGUSR2 lets it go on, SIGHUP steps its clock back.
"""

import asyncio
import contextlib
import random
import signal
import ssl
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import aiohttp
import msgspec

from agio.app.chaos.client_log import (
    TRANSFER,
    Ack,
    Answer,
    ClientLog,
    Idle,
    Try,
    Wrong,
    answer,
    find_unanswered,
    pack,
    unpack,
)
from agio.app.chaos.workload import CommandSource
from agio.ledger.api import Command, Result
from agio.ledger.service import LedgerService
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.tls import client_context

BATCH_SIZES: Final = (1, 1, 2, 5, 20, 80, 300)
REPLAYS: Final = 0.2
RETRY_SECONDS: Final = 0.15
REQUEST_SECONDS: Final = 8.0
LONGEST_STEP_SECONDS: Final = 7200
_SUCCESSES: Final = frozenset({"created", "exists"})


class WriterOrder(msgspec.Struct):
    """What a writer is told. An empty `account_id`: ledger commands; else deposits through the API."""

    log: str
    prefix: str
    seed: int
    pause_seconds: float
    url: str
    account_id: str = ""
    api_key: str = ""
    ca_file: str = ""


class SteppingClock(SystemClock):
    """A clock that falls behind the machine's, by steps."""

    def __init__(self) -> None:
        self._behind = timedelta(0)

    def step_back(self, seconds: float) -> None:
        self._behind += timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() - self._behind


class Sender(Protocol):
    """Sends a batch once; raises when the outcome is unknown."""

    def draw(self, batch: int) -> Try: ...
    async def send(self, tried: Try) -> list[Answer]: ...


class LedgerSender:
    """Commands through LedgerService, one by one or as a batch of one transaction."""

    def __init__(self, database: Database, clock: SteppingClock, prefix: str, seed: int) -> None:
        self._database = database
        self._ledger = LedgerService(database, clock)
        self._random = random.Random(seed)  # noqa: S311
        self._source = CommandSource(seed, prefix, clock, repeats=0.05)

    def draw(self, batch: int) -> Try:
        size = self._random.choice(BATCH_SIZES)
        return pack(batch, [self._source.draw() for _ in range(size)])

    async def send(self, tried: Try) -> list[Answer]:
        commands = unpack(tried)
        results = await (self._apply(commands) if tried.batch % 2 else self._submit(commands))
        return [answer(command, result.code.value) for command, result in zip(commands, results, strict=True)]

    async def _apply(self, commands: list[Command]) -> list[Result]:
        async with self._database.transaction() as tx:
            return await self._ledger.apply(tx, commands)

    async def _submit(self, commands: list[Command]) -> list[Result]:
        """All at once; each answer stands for itself, and any without one has the whole batch sent again."""
        results = await asyncio.gather(
            *[self._ledger.submit(command) for command in commands], return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Result)]


class DepositSender:
    """Deposits through the API, under an idempotency key."""

    def __init__(self, session: aiohttp.ClientSession, order: WriterOrder, trust: ssl.SSLContext) -> None:
        self._session = session
        self._order = order
        self._trust = trust

    def draw(self, batch: int) -> Try:
        return Try(batch, [], [])

    async def send(self, tried: Try) -> list[Answer]:
        body = {
            "account_id": self._order.account_id,
            "direction": "deposit",
            "asset": "USD",
            "amount": "0.01",
        }
        headers = {
            "Authorization": f"Bearer {self._order.api_key}",
            "Idempotency-Key": f"{self._order.prefix}-{tried.batch}",
        }
        async with self._session.post(
            f"{self._order.url}/api/transfers", json=body, headers=headers, ssl=self._trust
        ) as response:
            content = await response.read()
        if response.status != 201:
            raise OSError(f"status {response.status}: {content[:200]!r}")
        transfer_id = msgspec.json.decode(content, type=dict[str, object])["transfer_id"]
        return [Answer(str(transfer_id), TRANSFER, "created", "")]


class Writer:
    """The loop around a sender."""

    def __init__(self, sender: Sender, log: ClientLog, order: WriterOrder) -> None:
        self._sender = sender
        self._log = log
        self._pause_seconds = order.pause_seconds
        self._random = random.Random(order.seed)  # noqa: S311
        self._may_run = asyncio.Event()
        self._may_run.set()

    def pause(self) -> None:
        self._may_run.clear()

    def resume(self) -> None:
        self._may_run.set()

    async def run(self, unanswered: list[Try], last_batch: int) -> None:
        for tried in unanswered:
            await self._send_until_answered(tried)
        batch = last_batch
        while True:
            if not self._may_run.is_set():
                self._log.write(Idle(time.monotonic()))
                await self._may_run.wait()
            batch += 1
            tried = self._sender.draw(batch)
            self._log.write(tried)
            answers = await self._send_until_answered(tried)
            if self._random.random() < REPLAYS:
                self._compare(answers, await self._send_until_answered(tried, is_replay=True))
            await asyncio.sleep(self._random.random() * 2 * self._pause_seconds)

    async def _send_until_answered(self, tried: Try, *, is_replay: bool = False) -> list[Answer]:
        begun = time.monotonic()
        attempts = 0
        while True:
            attempts += 1
            begun_attempt = time.monotonic()
            try:
                async with asyncio.timeout(REQUEST_SECONDS * 4):
                    answers = await self._sender.send(tried)
            except Exception:
                # Whatever it was, the outcome is unknown: the same ids again.
                await asyncio.sleep(RETRY_SECONDS)
                continue
            begun = begun_attempt if attempts > 1 else begun
            self._log.acknowledge(Ack(tried.batch, begun, time.monotonic(), attempts, is_replay, answers))
            return answers

    def _compare(self, first: list[Answer], repeated: list[Answer]) -> None:
        """What stands, stands; a refused command may succeed later."""
        for before, after in zip(first, repeated, strict=True):
            is_kept = before.kind != TRANSFER or before.id == after.id
            if before.code in _SUCCESSES and before.kind != "V":
                is_kept = is_kept and after.code in _SUCCESSES
            if not is_kept:
                self._log.write(
                    Wrong(f"{before.id} answered {before.code}, repeated {after.id} {after.code}")
                )


async def _write(order: WriterOrder) -> None:
    path = Path(order.log)
    unanswered, last_batch = find_unanswered(path)
    clock = SteppingClock()
    async with contextlib.AsyncExitStack() as stack:
        log = stack.enter_context(ClientLog(path))
        sender: Sender
        if order.account_id:
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            sender = DepositSender(session, order, client_context(Path(order.ca_file)))
        else:
            database = Database(order.url, min_size=1, max_size=4, name="agio chaos writer")
            await database.open()
            stack.push_async_callback(database.close)
            prefix = f"{order.prefix}-{last_batch}"
            sender = LedgerSender(database, clock, prefix, order.seed + last_batch)
        writer = Writer(sender, log, order)
        steps = random.Random(order.seed)  # noqa: S311
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, writer.pause)
        loop.add_signal_handler(signal.SIGUSR2, writer.resume)
        loop.add_signal_handler(
            signal.SIGHUP, lambda: clock.step_back(steps.uniform(1, LONGEST_STEP_SECONDS))
        )
        await writer.run(unanswered, last_batch)


if __name__ == "__main__":
    asyncio.run(_write(msgspec.json.decode(sys.stdin.buffer.read(), type=WriterOrder)))
