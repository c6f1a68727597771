"""The crash run: rounds of traffic and faults, and after each of them every invariant."""

import asyncio
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from agio.app.chaos.client_book import ClientBook
from agio.app.chaos.disk import DiskRefused, small_disk
from agio.app.chaos.faults import Faults
from agio.app.chaos.stand import Stand, WriterProcess
from agio.app.chaos.workload import make_accounts, make_funding
from agio.app.chaos.writer import WriterOrder
from agio.ledger.proof.snapshot import snapshot
from agio.ledger.service import LedgerService
from agio.ledger.verify import verify
from agio.platform.clock import SystemClock
from agio.platform.db import Database, Transaction

LEDGER_WRITERS: Final = 3
PAUSE_SECONDS: Final = 0.03
RECOVERY_SECONDS: Final = 90.0
POLL_SECONDS: Final = 0.05
MOST_FAULTS: Final = 3


class Round(msgspec.Struct):
    """One round: what was done to the platform, and what it had to say for itself."""

    number: int
    faults: list[str]
    acknowledged: int
    refused: int
    replayed: int
    retried: int
    recovery_seconds: float | None
    """From the end of the last fault until every client had a batch acknowledged that it sent after it."""
    ready_seconds: float | None
    """Until `/readyz` agreed."""
    told_seconds: float | None
    """Until the outbox was empty: every event is on its channel. Includes the clients' coming to rest."""
    journals: int
    lost: list[str]
    doubled: list[str]
    partial: list[str]
    broken: list[str]

    @property
    def is_clean(self) -> bool:
        return self.recovery_seconds is not None and not (
            self.lost or self.doubled or self.partial or self.broken
        )


class CrashReport(msgspec.Struct):
    """The whole run."""

    seed: int
    disk: str
    rounds: list[Round]
    is_clean: bool


def run_rounds(rounds: int, seed: int, tell: Callable[[Round], None]) -> CrashReport:
    """Run on servers of our own, in a folder of our own; `tell` hears each round. Raises StandFailed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agio-chaos-")))
        folder.chmod(0o711)
        said = "full in turn, on a small file system"
        small: Path | None = None
        try:
            small = stack.enter_context(small_disk(folder))
        except DiskRefused as refusal:
            said = f"never full: {refusal}"
        data_dir = (small or folder) / "data"
        data_dir.mkdir()
        run = stack.enter_context(_crash_run(folder, data_dir, small, seed))
        done = []
        for number in range(1, rounds + 1):
            done.append(run.play(number, is_last=number == rounds))
            tell(done[-1])
        return CrashReport(seed, said, done, all(each.is_clean for each in done))


@contextmanager
def _crash_run(folder: Path, data_dir: Path, small: Path | None, seed: int) -> Iterator["CrashRun"]:
    stand = Stand(data_dir, folder / "up.log")
    writers: list[WriterProcess] = []
    try:
        asyncio.run(_prepare(stand.settings.engine_database_url))
        writers += [WriterProcess(order) for order in _orders(stand, folder, seed)]
        yield CrashRun(stand, writers, small, seed)
    finally:
        for writer in writers:
            writer.kill()
        stand.stop()


def _orders(stand: Stand, folder: Path, seed: int) -> list[WriterOrder]:
    orders = [
        WriterOrder(
            str(folder / f"writer-{number}.jsonl"),
            f"w{number}",
            seed * 100 + number,
            PAUSE_SECONDS,
            stand.settings.database_url,
        )
        for number in range(LEDGER_WRITERS)
    ]
    deposits = WriterOrder(
        str(folder / "deposits.jsonl"),
        f"chaos-{seed}",
        seed * 100 + 99,
        PAUSE_SECONDS,
        stand.url,
        account_id=stand.ready.account_id,
        api_key=stand.ready.api_key,
        ca_file=str(stand.settings.ca_file or ""),
    )
    return [*orders, deposits]


async def _prepare(url: str) -> None:
    database = Database(url, name="agio chaos")
    await database.open()
    try:
        ledger = LedgerService(database, SystemClock())
        async with database.transaction() as tx:
            await ledger.open_accounts(tx, make_accounts())
            for result in await ledger.apply(tx, make_funding()):
                result.require()
    finally:
        await database.close()


class CrashRun:
    """A platform, its clients, and what they were told so far."""

    def __init__(self, stand: Stand, writers: list[WriterProcess], small: Path | None, seed: int) -> None:
        self._stand = stand
        self._writers = writers
        self._random = random.Random(seed)  # noqa: S311
        self._faults = Faults(stand, writers, small, seed)
        self._book = ClientBook([Path(writer.order.log) for writer in writers])
        self._told = (0, 0, 0, 0)

    def play(self, number: int, *, is_last: bool) -> Round:
        """Traffic, faults, recovery, rest, and the checks."""
        self._book.forget_acks()
        self._tell_writers(signal.SIGUSR2)
        begun = time.monotonic()
        self._wait(lambda: self._latest_ack(begun))
        faults = []
        for _ in range(self._random.randint(1, MOST_FAULTS)):
            time.sleep(self._random.uniform(0.1, 1.2))
            faults.append(self._faults.draw()())
        over = time.monotonic()
        recovered_at = self._wait(lambda: self._latest_ack(over))
        is_ready = self._wait(self._is_settled)
        is_idle = self._pause()
        is_told = self._wait(lambda: asyncio.run(self._find_empty_outbox())) if is_idle is not None else None
        played = Round(
            number=number,
            faults=faults,
            acknowledged=0,
            refused=0,
            replayed=0,
            retried=0,
            recovery_seconds=round(recovered_at - over, 2) if recovered_at is not None else None,
            ready_seconds=round(is_ready - over, 2) if is_ready is not None else None,
            told_seconds=round(is_told - over, 2) if is_told is not None else None,
            journals=0,
            lost=[],
            doubled=[],
            partial=[],
            broken=[],
        )
        self._count(played)
        reached = {"every client": recovered_at, "/readyz": is_ready, "rest": is_idle, "every event": is_told}
        for what, at in reached.items():
            if at is None:
                played.broken.append(f"{what} was not reached within {RECOVERY_SECONDS:.0f} s")
        try:
            asyncio.run(self._check(played, everything=is_last))
        except Exception as error:
            played.broken.append(f"could not be checked: {error!r}")
        return played

    def _count(self, played: Round) -> None:
        book = self._book
        now = (book.acknowledged, book.refused, book.replayed, book.retried)
        played.acknowledged, played.refused, played.replayed, played.retried = (
            after - before for after, before in zip(now, self._told, strict=True)
        )
        self._told = now

    async def _check(self, played: Round, *, everything: bool) -> None:
        database = Database(self._stand.settings.engine_database_url, name="agio chaos")
        await database.open()
        try:
            async with snapshot(database) as tx:
                compared = await self._book.compare(tx, everything=everything)
                findings = await verify(tx)
                played.journals = await tx.value("select count(*) from ledger.journal")
                backwards = await _find_time_going_back(tx)
        finally:
            await database.close()
        played.lost += compared.lost
        played.doubled += compared.doubled
        played.broken += [*compared.wrong, *[f"refused, yet there: {name}" for name in compared.phantom]]
        played.broken += backwards
        for finding in findings:
            text = f"invariant {finding.invariant}: {finding.what}"
            is_partial = finding.invariant == 1 or "content that was hashed" in finding.what
            (played.partial if is_partial else played.broken).append(text)

    def _tell_writers(self, number: signal.Signals) -> None:
        for writer in self._writers:
            writer.tell(number)

    def _latest_ack(self, since: float) -> float | None:
        """When the last of all clients had a batch acknowledged that it sent after an instant."""
        firsts = [self._book.acknowledged_after(log, since) for log in self._book.first_acks]
        known = [first for first in firsts if first is not None]
        return max(known) if len(known) == len(firsts) else None

    def _is_settled(self) -> float | None:
        if not self._stand.is_running():
            return None
        return time.monotonic() if self._stand.is_ready() else None

    def _pause(self) -> float | None:
        begun = time.monotonic()

        def find() -> float | None:
            # Again and again: a writer that has just been started does not listen yet.
            self._tell_writers(signal.SIGUSR1)
            return max(self._book.idle_since.values()) if self._are_idle(begun) else None

        return self._wait(find)

    def _are_idle(self, since: float) -> bool:
        return all(at >= since for at in self._book.idle_since.values())

    async def _find_empty_outbox(self) -> float | None:
        database = Database(self._stand.settings.engine_database_url, name="agio chaos")
        await database.open()
        try:
            async with database.transaction() as tx:
                is_empty = not await tx.value("select exists (select from platform.outbox)")
        except Exception:
            return None
        finally:
            await database.close()
        return time.monotonic() if is_empty else None

    def _wait(self, find: Callable[[], float | None]) -> float | None:
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            self._book.read()
            found = find()
            if found is not None:
                return found
            time.sleep(POLL_SECONDS)
        return None


async def _find_time_going_back(tx: Transaction) -> list[str]:
    """Whatever the clients' clocks say, the ledger's time only rises."""
    rows = await tx.fetch_tuples(
        "select batch_no from (select batch_no, created_at,"
        " lag(created_at) over (order by batch_no) as before from ledger.chain) c"
        " where created_at <= before limit 3"
    )
    return [f"the ledger's time went back at link {row[0]}" for row in rows]
