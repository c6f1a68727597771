"""A tape as a queue of rows: read ahead in a thread, in pieces of bounded size."""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final, Generic, TypeVar

Row = TypeVar("Row")

PIECE_ROWS: Final = 2000


class RowQueue(Generic[Row]):
    """At most one piece ahead in memory."""

    def __init__(self, rows: Iterator[Row], skip: int) -> None:
        self._rows = rows
        self._skip = skip
        self._piece: deque[Row] = deque()
        self._is_finished = False

    async def peek(self) -> Row | None:
        """The next row without taking it; None at the end. Raises TapeError where the tape is broken."""
        if not self._piece and not self._is_finished:
            self._piece.extend(await asyncio.to_thread(self._read))
            self._is_finished = not self._piece
        return self._piece[0] if self._piece else None

    def take(self) -> Row:
        return self._piece.popleft()

    def take_all(self) -> list[Row]:
        """Everything that is in memory."""
        rows = list(self._piece)
        self._piece.clear()
        return rows

    @property
    def head(self) -> Row | None:
        """The next row if it is in memory already."""
        return self._piece[0] if self._piece else None

    def _read(self) -> list[Row]:
        if self._skip:
            for _ in islice(self._rows, self._skip):
                pass
            self._skip = 0
        return list(islice(self._rows, PIECE_ROWS))
