"""What a writer keeps on its own side: what it tried, and what it was told, on disk before it counts."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from agio.app.chaos.observed import KINDS
from agio.ledger.api import Command, PlaceHold, PostJournal
from agio.ledger.batch import ExpireHold, hold_fingerprint, journal_fingerprint


class Try(msgspec.Struct, tag="try", tag_field="line"):
    """A batch that is about to be sent; what has no answer must be sent again."""

    batch: int
    kinds: list[str]
    commands: list[msgspec.Raw]


class Answer(msgspec.Struct, array_like=True):
    """One command's result. `fingerprint` is of the body that was sent."""

    id: str
    kind: str
    code: str
    fingerprint: str


class Ack(msgspec.Struct, tag="ack", tag_field="line"):
    """The answers to a batch; `begun` is when it was first sent (CLOCK_MONOTONIC, one for all processes)."""

    batch: int
    begun: float
    at: float
    attempts: int
    is_replay: bool
    answers: list[Answer]


class Idle(msgspec.Struct, tag="idle", tag_field="line"):
    """The writer has paused, with nothing under way."""

    at: float


class Wrong(msgspec.Struct, tag="wrong", tag_field="line"):
    """A promise was broken towards the client."""

    what: str


Line = Try | Ack | Idle | Wrong
TRANSFER: Final = "T"
_encode: Final = msgspec.json.Encoder().encode
decode_line: Final = msgspec.json.Decoder(Line).decode


class ClientLog:
    """An append-only file. A line that was cut off by a kill is ended, so that it is seen as such."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        if self._file.tell():
            self._file.write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, line: Line) -> None:
        """Enough to survive the death of this process."""
        self._file.write(_encode(line) + b"\n")

    def acknowledge(self, ack: Ack) -> None:
        """On disk when this returns; only then has the client been told."""
        self.write(ack)
        os.fsync(self._file.fileno())


class LogReader:
    """Reads what was appended since the last time, whole lines only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read(self) -> Iterator[Line]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        end = content.rfind(b"\n") + 1
        self._offset += end
        for text in content[:end].splitlines():
            try:
                yield decode_line(text)
            except msgspec.DecodeError:
                # A kill cut it off: whatever it was, it did not count yet.
                continue


def pack(batch: int, commands: list[Command]) -> Try:
    kinds = {cls: kind for kind, cls in KINDS.items()}
    return Try(
        batch, [kinds[type(each)] for each in commands], [msgspec.Raw(_encode(each)) for each in commands]
    )


def unpack(tried: Try) -> list[Command]:
    commands: list[Command] = []
    for kind, raw in zip(tried.kinds, tried.commands, strict=True):
        command = msgspec.json.decode(raw, type=KINDS[kind])
        if isinstance(command, ExpireHold):
            raise TypeError("no client expires holds")
        commands.append(command)
    return commands


def answer(command: Command, code: str) -> Answer:
    match command:
        case PostJournal():
            return Answer(command.journal_id, "P", code, journal_fingerprint(command).hex())
        case PlaceHold():
            return Answer(command.hold_id, "H", code, hold_fingerprint(command).hex())
        case _:
            return Answer(command.hold_id, "V", code, "")


def find_unanswered(path: Path) -> tuple[list[Try], int]:
    """Batches of an earlier life that were never answered, and the last batch number used."""
    tries: dict[int, Try] = {}
    last = 0
    for line in LogReader(path).read():
        if isinstance(line, Try):
            tries[line.batch] = line
            last = max(last, line.batch)
        elif isinstance(line, Ack):
            tries.pop(line.batch, None)
    return list(tries.values()), last
