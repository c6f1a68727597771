"""A concurrent history, replayed in commit order against the pure model, with a final read.

Processes of concurrent clients send colliding commands through LedgerService to one PostgreSQL. Every batch
takes its number while it holds the writer lock, so that the order of commits is exact, refused commands
included.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from agio.app.chaos.observed import KINDS, ORDER, Observed
from agio.app.chaos.workload import make_accounts
from agio.app.services import agio_command
from agio.ledger.batch import ExpireHold
from agio.ledger.model import LedgerModel
from agio.ledger.proof.snapshot import read_accounts, snapshot
from agio.ledger.service import LedgerService
from agio.ledger.verify import verify
from agio.platform.clock import SystemClock
from agio.platform.db import Database, Transaction
from agio.platform.embedded.child import die_with_parent

DIFFERENCES_SHOWN: Final = 20
HISTORIAN: Final = "agio.app.chaos.historian"


class Assignment(msgspec.Struct):
    """What one process of clients is told."""

    url: str
    log: str
    prefix: str
    seed: int
    operations: int
    clients: int


class HistoryReport(msgspec.Struct):
    """What the replay found."""

    operations: int
    batches: int
    seconds: float
    codes: dict[str, int]
    differences: list[str]
    findings: list[str]

    @property
    def is_clean(self) -> bool:
        return not self.differences and not self.findings


async def run_history(
    engine_url: str,
    owner_url: str,
    folder: Path,
    *,
    operations: int,
    seed: int,
    processes: int = 2,
    clients: int = 64,
) -> HistoryReport:
    """Run, then replay. The database must be migrated and otherwise unused."""
    _make_order(owner_url)
    database = Database(engine_url, name="agio history")
    await database.open()
    try:
        async with database.transaction() as tx:
            await LedgerService(database, SystemClock()).open_accounts(tx, make_accounts())
        assignments = [
            Assignment(
                engine_url,
                str(folder / f"history-{number}.jsonl"),
                f"{seed}-{number}",
                seed * 1000 + number,
                operations // processes,
                clients,
            )
            for number in range(processes)
        ]
        begun = time.monotonic()
        await asyncio.to_thread(_run_processes, assignments)
        seconds = time.monotonic() - begun
        replay = Replay()
        for observed in _read_in_order([Path(each.log) for each in assignments]):
            replay.take(observed)
        async with snapshot(database) as tx:
            await replay.compare_final_state(tx)
            findings = [f"invariant {each.invariant}: {each.what}" for each in await verify(tx)]
    finally:
        await database.close()
    return HistoryReport(
        replay.operations,
        replay.batches,
        round(seconds, 2),
        dict(sorted(replay.codes.items())),
        replay.differences,
        findings,
    )


class Replay:
    """The model beside the log. Differences are told in words; the first few suffice."""

    def __init__(self) -> None:
        self.operations = 0
        self.batches = 0
        self.codes: Counter[str] = Counter()
        self.differences: list[str] = []
        self._model = LedgerModel()
        self._order = 0
        for account in make_accounts():
            self._model.open_account(account)

    def take(self, observed: Observed) -> None:
        self.batches += 1
        if observed.order != self._order + 1:
            self._differ(f"batch {self._order + 1} is missing from the logs")
        self._order = observed.order
        for kind, raw, code, detail in zip(
            observed.kinds, observed.commands, observed.codes, observed.details, strict=True
        ):
            command = msgspec.json.decode(raw, type=KINDS[kind])
            if isinstance(command, ExpireHold):
                raise TypeError("holds are not swept while a history is observed")
            expected = self._model.apply(command, observed.at)
            self.operations += 1
            self.codes[code] += 1
            # Which of several holds at fault is named is not part of the contract.
            is_detail_wrong = expected.detail != detail and "hold" not in code
            if expected.code != code or is_detail_wrong:
                self._differ(
                    f"batch {observed.order}: {raw!r} answered {code} {detail!r},"
                    f" the model {expected.code} {expected.detail!r}"
                )

    async def compare_final_state(self, tx: Transaction) -> None:
        """The final read: every account, hold and journal is the model's, and nothing else is there."""
        held = dict(await tx.fetch_tuples("select address, debits_pending::text from ledger.account"))
        count = 0
        async for account in read_accounts(tx):
            count += 1
            state = self._model.accounts[account.address]
            found = (int(account.balance), int(held[account.address]), account.version)
            if found != (state.balance, state.held, state.version):
                self._differ(f"{account.address} is {found}, the model {state}")
        if count != len(self._model.accounts):
            self._differ(f"there are {count} accounts, the model has {len(self._model.accounts)}")
        journals = await tx.fetch_tuples("select journal_id from ledger.journal order by journal_no")
        if [row[0] for row in journals] != list(self._model.journals):
            self._differ("the journals are not the model's in its order")
        holds = await tx.fetch_tuples(
            "select hold_id, (amount - captured - released)::text, state from ledger.hold"
        )
        wanted = {name: (hold.left, hold.state) for name, hold in self._model.holds.items()}
        if {row[0]: (int(row[1]), row[2]) for row in holds} != wanted:
            self._differ("the holds are not the model's")

    def _differ(self, what: str) -> None:
        if len(self.differences) < DIFFERENCES_SHOWN:
            self.differences.append(what)


def _make_order(owner_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("create schema if not exists public")
        connection.execute(f"create sequence {ORDER}")
        connection.execute("grant usage on schema public to agio_engine")
        connection.execute(f"grant usage on sequence {ORDER} to agio_engine")


def _run_processes(assignments: list[Assignment]) -> None:
    """Run all to their end; raises CalledProcessError when one fails."""
    running = []
    for assignment in assignments:
        process = subprocess.Popen(
            [*agio_command()[:2], "-m", HISTORIAN],
            stdin=subprocess.PIPE,
            stdout=sys.stderr,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509
        )
        running.append(process)
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(assignment))
            process.stdin.close()
    codes = [process.wait() for process in running]
    if any(codes):
        raise subprocess.CalledProcessError(next(filter(None, codes)), HISTORIAN)


def _read_in_order(logs: list[Path]) -> Iterator[Observed]:
    """Each log is nearly in order: two writers of one process may note their batches in turn."""
    yield from merge(*[iter(_read_sorted(log)) for log in logs], key=lambda observed: observed.order)


def _read_sorted(log: Path) -> list[Observed]:
    decode = msgspec.json.Decoder(Observed).decode
    with log.open("rb") as lines:
        return sorted((decode(line) for line in lines), key=lambda observed: observed.order)
