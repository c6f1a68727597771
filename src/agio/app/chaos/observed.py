"""A ledger service that writes down what it did, in the order in which it was committed."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Final

import msgspec

from agio.ledger.api import Command, PlaceHold, PostJournal, ReleaseHold, Result, ResultCode
from agio.ledger.batch import EncodedCommand, ExpireHold, cut_batches, encode_command
from agio.ledger.service import LedgerService
from agio.platform.clock import SystemClock
from agio.platform.db import Database, Transaction

ORDER: Final = "public.chaos_order"
_MICROSECOND: Final = timedelta(microseconds=1)
_pinned: ContextVar[datetime | None] = ContextVar("pinned", default=None)


class PinnedClock(SystemClock):
    """The machine's clock, which an observer can hold still for the batch that it watches."""

    def now(self) -> datetime:
        return _pinned.get() or super().now()


class Observed(msgspec.Struct):
    """One batch: its place among all batches, the instant that the ledger gave it, and what was answered."""

    order: int
    at: datetime
    kinds: list[str]
    commands: list[msgspec.Raw]
    codes: list[ResultCode]
    details: list[str]


KINDS: Final[dict[str, type[Command | ExpireHold]]] = {
    "P": PostJournal,
    "H": PlaceHold,
    "V": ReleaseHold,
    "X": ExpireHold,
}
_encode: Final = msgspec.json.Encoder().encode


class ObservedLedger(LedgerService):
    """Each batch takes a number while it holds the writer lock: so the numbers are the order of commits.

    That places refused commands too, which leave no trace in the ledger.
    """

    def __init__(self, database: Database, note: Callable[[Observed], None], *, max_batch: int) -> None:
        super().__init__(database, PinnedClock(), max_batch=max_batch)
        self._note = note
        self._originals: dict[EncodedCommand, Command] = {}

    async def submit(self, command: Command) -> Result:
        self._originals[encode_command(command)] = command
        return await super().submit(command)

    async def apply(self, tx: Transaction, commands: Sequence[Command]) -> list[Result]:
        for command in commands:
            self._originals[encode_command(command)] = command
        return await super().apply(tx, commands)

    async def _apply_alone(self, commands: Sequence[EncodedCommand]) -> list[Result]:
        async with self._database.transaction() as tx:
            return await self._apply_encoded(tx, commands)

    async def _apply_encoded(self, tx: Transaction, commands: Sequence[EncodedCommand]) -> list[Result]:
        results: list[Result] = []
        for _, batch in cut_batches(commands):
            results += await self._apply_one(tx, batch)
        return results

    async def _apply_one(self, tx: Transaction, batch: Sequence[EncodedCommand]) -> list[Result]:
        now = SystemClock().now()
        token = _pinned.set(now)
        try:
            results = await super()._apply_encoded(tx, batch)
        finally:
            _pinned.reset(token)
        ((order, at),) = await tx.fetch_tuples(f"select nextval('{ORDER}'), at from ledger.head")
        if not any(result.code is ResultCode.CREATED for result in results):
            # Nothing was written, so the head does not tell when it was decided.
            at = max(now, at + _MICROSECOND)
        self._note(
            Observed(
                order,
                at,
                [each.kind for each in batch],
                [msgspec.Raw(_encode(self._original(each))) for each in batch],
                [result.code for result in results],
                [result.detail for result in results],
            )
        )
        return results

    def _original(self, encoded: EncodedCommand) -> Command | ExpireHold:
        if encoded.kind == "X":
            raise LookupError("holds are not swept while a history is observed")
        return self._originals[encoded]
