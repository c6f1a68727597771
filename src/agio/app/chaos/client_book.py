"""What all clients together were told, held against the ledger."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agio.app.chaos.client_log import TRANSFER, Ack, Answer, Idle, LogReader, Wrong
from agio.ledger.api import ResultCode
from agio.platform.db import Transaction

SHOWN: Final = 10
_CHUNK: Final = 5000
_SUCCESSES: Final = frozenset({ResultCode.CREATED.value, ResultCode.EXISTS.value})


class Comparison(msgspec.Struct):
    """What the ledger has not kept of what clients were told."""

    lost: list[str]
    doubled: list[str]
    phantom: list[str]
    wrong: list[str]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.phantom or self.wrong)


class ClientBook:
    """The clients' logs, read as they grow."""

    def __init__(self, logs: Sequence[Path]) -> None:
        self._readers = [LogReader(log) for log in logs]
        self.newest_begun = dict.fromkeys(logs, 0.0)
        """When the newest acknowledged batch of each client was sent."""
        self.first_acks: dict[Path, list[tuple[float, float]]] = {log: [] for log in logs}
        self.idle_since = dict.fromkeys(logs, 0.0)
        self.acknowledged = self.refused = self.replayed = self.retried = 0
        self._journals: dict[str, str] = {}
        self._holds: dict[str, str] = {}
        self._refused: set[str] = set()
        self._transfers: set[str] = set()
        self._fresh: list[str] = []
        self._wrong: list[str] = []

    def read(self) -> None:
        for reader in self._readers:
            for line in reader.read():
                match line:
                    case Ack():
                        self._take(reader.path, line)
                    case Idle(at=at):
                        self.idle_since[reader.path] = at
                    case Wrong(what=what):
                        self._wrong.append(what)

    def acknowledged_after(self, log: Path, instant: float) -> float | None:
        """When the first batch that was sent after an instant was acknowledged."""
        for begun, at in self.first_acks[log]:
            if begun >= instant:
                return at
        return None

    def forget_acks(self) -> None:
        for acks in self.first_acks.values():
            acks.clear()

    async def compare(self, tx: Transaction, *, everything: bool) -> Comparison:
        """Against the ledger as the transaction sees it; only what is new, or all that was ever told."""
        names = set(self._fresh)
        lost = await self._find_lost(tx, "journal", self._journals, None if everything else names)
        lost += await self._find_lost(tx, "hold", self._holds, None if everything else names)
        phantom = await self._find_phantoms(tx)
        transfers = {
            row[0]
            for row in await tx.fetch_tuples(
                "select t.transfer_id from custody.transfer t join ledger.journal j using (journal_id)"
            )
        }
        # One deposit, the opening balance, was not a client's.
        extra = len(transfers) - len(self._transfers) - 1
        doubled = [f"{extra} transfers that nobody was told of"] if extra > 0 else []
        lost += [f"transfer {name}" for name in sorted(self._transfers - transfers)]
        self._fresh.clear()
        return Comparison(lost[:SHOWN], doubled, phantom[:SHOWN], self._wrong[:SHOWN])

    def _take(self, log: Path, ack: Ack) -> None:
        self.newest_begun[log] = max(self.newest_begun[log], ack.begun)
        self.first_acks[log].append((ack.begun, ack.at))
        self.replayed += len(ack.answers) if ack.is_replay else 0
        self.retried += ack.attempts > 1
        for answer in ack.answers:
            if answer.code in _SUCCESSES:
                self.acknowledged += 1
                self._keep(answer)
            else:
                self.refused += 1
                if answer.kind != "V" and answer.code != ResultCode.CONFLICT.value:
                    self._refused.add(answer.id)

    def _keep(self, answer: Answer) -> None:
        if answer.kind == TRANSFER:
            self._transfers.add(answer.id)
            return
        if answer.kind == "V":
            return
        told = self._journals if answer.kind == "P" else self._holds
        if told.setdefault(answer.id, answer.fingerprint) != answer.fingerprint:
            self._wrong.append(f"{answer.id} was acknowledged with two bodies")
        self._fresh.append(answer.id)

    async def _find_lost(
        self, tx: Transaction, table: str, told: dict[str, str], only: set[str] | None
    ) -> list[str]:
        lost = []
        names = [name for name in told if only is None or name in only]
        for chunk in _chunks(names):
            rows = await tx.fetch_tuples(
                f"select {table}_id, encode(fingerprint, 'hex') from ledger.{table}"
                f" where {table}_id = any(%s)",
                (chunk,),
            )
            found = dict(rows)
            lost += [f"{table} {name}" for name in chunk if found.get(name) != told[name]]
        return lost

    async def _find_phantoms(self, tx: Transaction) -> list[str]:
        """Ids whose every answer was a refusal must not be there."""
        names = [name for name in self._refused if name not in self._journals and name not in self._holds]
        phantoms = []
        for chunk in _chunks(names):
            rows = await tx.fetch_tuples(
                "select journal_id from ledger.journal where journal_id = any(%(names)s)"
                " union all select hold_id from ledger.hold where hold_id = any(%(names)s)",
                {"names": chunk},
            )
            phantoms += [str(row[0]) for row in rows]
        return phantoms


def _chunks(names: list[str]) -> Iterable[list[str]]:
    return (names[place : place + _CHUNK] for place in range(0, len(names), _CHUNK))
