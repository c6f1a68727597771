"""How a subscriber is too slow on purpose: it asks for much and reads none of it, for a while.

The market alone fills a queue of 1 MiB in minutes. What is asked for and not read fills it at once: each
question names channels that this connection does not have, and the answer has a line for each of them.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from agio.app.chaos.streams.slowness import Slowness

KIB: Final = 1024
NAMES_ASKED: Final = 500
ANSWER_BYTES: Final = 90 * NAMES_ASKED
QUESTION: Final[dict[str, object]] = {
    "id": 2,
    "op": "unsub",
    "ch": [f"none:{number}" for number in range(NAMES_ASKED)],
}
QUESTIONS_AT_ONCE: Final = 30
QUESTION_PAUSE_SECONDS: Final = 0.06
"""Below what a connection may ask, in number and rate."""

FIRST_SECONDS: Final = (0.2, 1.5)
BETWEEN_SECONDS: Final = (1.0, 5.0)

WAIT_SECONDS: Final = (5.7, 6.8)
"""Longer than a message may wait, and back in time to be told so: 3 s later the line is cut."""
WAIT_BYTES: Final = 768 * KIB
FULL_SECONDS: Final = (0.0, 0.3)
FULL_BYTES: Final = 2_048 * KIB

GULP_SECONDS: Final = (1.0, 2.0)
"""Shorter than a message may wait."""
GULP_BYTES: Final = 832 * KIB
GULP_STEP_BYTES: Final = 96 * KIB
GULP_LIMITS: Final = (512 * KIB, 1_536 * KIB)
TRICKLE_SECONDS: Final = 1.0
TRICKLE_PAUSE_SECONDS: Final = 0.01
LOOK_SECONDS: Final = 0.1

Send = Callable[[dict[str, object]], Awaitable[None]]


class Dawdling(Protocol):
    """What a slow reader does instead of reading; called between two messages."""

    async def dawdle(self, send: Send, is_calm: Callable[[], bool]) -> None: ...


class Prompt:
    """Does nothing but read."""

    async def dawdle(self, send: Send, is_calm: Callable[[], bool]) -> None:
        """Go on."""


class Stalling:
    """Stops to read until the server has given up: its queue is full, or its oldest message too old."""

    def __init__(self, chance: random.Random, books: list[str]) -> None:
        self._random = chance
        self._books = books
        self._next_at = _now() + chance.uniform(*FIRST_SECONDS)

    async def dawdle(self, send: Send, is_calm: Callable[[], bool]) -> None:
        if is_calm() or _now() < self._next_at:
            return
        is_full = self._random.random() < 0.5
        seconds = self._random.uniform(*(FULL_SECONDS if is_full else WAIT_SECONDS))
        await _ask(send, FULL_BYTES if is_full else WAIT_BYTES)
        if self._books:
            await send({"op": "resync", "ch": self._books})
        await _look_away(seconds, is_calm)
        self._next_at = _now() + self._random.uniform(*BETWEEN_SECONDS)


class Gulping:
    """Leaves more than half a queue unread, then reads it in a trickle: values and books are conflated.

    How much lies on the way to it is not known, so it learns how much it must ask for.
    """

    def __init__(self, chance: random.Random, slowness: Callable[[], Slowness]) -> None:
        self._random = chance
        self._slowness = slowness
        self._before = slowness()
        self._bytes = GULP_BYTES
        self._next_at = _now() + chance.uniform(*FIRST_SECONDS)
        self._trickles_until = 0.0

    async def dawdle(self, send: Send, is_calm: Callable[[], bool]) -> None:
        if is_calm():
            return
        if _now() < self._trickles_until:
            await asyncio.sleep(TRICKLE_PAUSE_SECONDS)
        elif _now() >= self._next_at:
            self._learn()
            await _ask(send, self._bytes)
            await _look_away(self._random.uniform(*GULP_SECONDS), is_calm)
            self._trickles_until = _now() + TRICKLE_SECONDS
            self._next_at = self._trickles_until + self._random.uniform(*BETWEEN_SECONDS)

    def _learn(self) -> None:
        """From what came of the last time."""
        seen = self._slowness()
        came, self._before = seen - self._before, seen
        if self._trickles_until and not (came.closed or came.values_skipped or came.books_skipped):
            self._bytes = min(self._bytes + GULP_STEP_BYTES, GULP_LIMITS[1])
        elif came.closed:
            self._bytes = max(self._bytes - GULP_STEP_BYTES, GULP_LIMITS[0])


async def _ask(send: Send, total_bytes: int) -> None:
    """Ask for answers of so many bytes."""
    for number in range(-(-total_bytes // ANSWER_BYTES)):
        await send(QUESTION)
        if number >= QUESTIONS_AT_ONCE:
            await asyncio.sleep(QUESTION_PAUSE_SECONDS)


async def _look_away(seconds: float, is_calm: Callable[[], bool]) -> None:
    for _ in range(round(seconds / LOOK_SECONDS)):
        if is_calm():
            return
        await asyncio.sleep(LOOK_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()
