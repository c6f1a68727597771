"""Single commands gathered into durable batches, and what happens when a batch's outcome is unknown."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import Final

import psycopg
import structlog

from agio.kernel.problem import Unavailable
from agio.ledger.api import Result, ResultCode
from agio.ledger.batch import EncodedCommand
from agio.platform.db import DatabaseUnavailable
from agio.platform.group_commit import GroupCommit

WRITERS: Final = 2
"""While the database writes one batch (one at a time: the head's lock), this process answers the callers of
the one before and renders the one after."""
PAUSES_SECONDS: Final = (0.1, 0.4, 1.5)
"""Before each repeat of a batch whose outcome is unknown: a server that restarts needs about a second."""

EXISTS: Final = Result(ResultCode.EXISTS)
Apply = Callable[[Sequence[EncodedCommand]], Awaitable[list[Result]]]

log = structlog.get_logger(__name__)


class UnknownOutcome(Unavailable):
    """The connection broke while the command was being written: it stands or it does not.

    Repeat it with the same id; the ledger then says which.
    """

    code = "unknown_outcome"
    title = "Outcome unknown"


class Submission:
    """Group commit of commands. Commands that are submitted at the same time have no order among them."""

    def __init__(self, apply: Apply, *, max_batch: int, queue_limit: int) -> None:
        """`apply` is one durable transaction."""
        self._apply = apply
        self._writers: list[GroupCommit[EncodedCommand, Result]] = [
            GroupCommit(self._write, max_batch=max_batch, queue_limit=queue_limit // WRITERS)
            for _ in range(WRITERS)
        ]
        self._turns = cycle(self._writers)

    async def submit(self, command: EncodedCommand) -> Result:
        return await next(self._turns).submit(command)

    async def drain(self) -> None:
        for writer in self._writers:
            await writer.drain()

    async def _write(self, commands: Sequence[EncodedCommand]) -> Sequence[Result | Exception]:
        distinct, places = merge_repeats(commands)
        try:
            return spread(await self.write(distinct), places)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            # The database was given something that no check foresaw: it must not take others down with it.
            log.error("ledger_batch_refused", size=len(distinct), error=repr(error))
        outcomes = [await self._write_alone(command) for command in distinct]
        return [outcomes[place] for place in places]

    async def _write_alone(self, command: EncodedCommand) -> Result | Exception:
        try:
            return (await self.write([command]))[0]
        except Exception as error:
            return error

    async def write(self, commands: Sequence[EncodedCommand]) -> list[Result]:
        """One transaction. A lost connection leaves the outcome unknown; ids make a repeat safe."""
        try:
            return await self._apply(commands)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError, DatabaseUnavailable):
            raise
        except Exception as error:
            failure = error
        for pause in PAUSES_SECONDS:
            log.warning("ledger_batch_repeated", size=len(commands), error=repr(failure))
            await asyncio.sleep(pause)
            try:
                return await self._apply(commands)
            except Exception as error:
                failure = error
        raise UnknownOutcome("repeat with the same id", headers={"Retry-After": "1"}) from failure


def merge_repeats(commands: Sequence[EncodedCommand]) -> tuple[list[EncodedCommand], list[int]]:
    """Gather the same command submitted several times at once, so that a burst of retries is one command.

    Answers the distinct commands, and for each command its place among them.
    """
    distinct: list[EncodedCommand] = []
    index: dict[str, int] = {}
    places = []
    for command in commands:
        place = index.setdefault(command.id, len(distinct))
        if place == len(distinct):
            distinct.append(command)
        elif distinct[place] != command:
            # The same id with another content or of another kind: the ledger answers that.
            place = len(distinct)
            distinct.append(command)
        places.append(place)
    return distinct, places


def spread(results: Sequence[Result], places: Sequence[int]) -> list[Result]:
    """The repeats come right after the first of their kind: what that created, exists for them."""
    answered: set[int] = set()
    answers = []
    for place in places:
        result = results[place]
        answers.append(EXISTS if place in answered and result.code is ResultCode.CREATED else result)
        answered.add(place)
    return answers
