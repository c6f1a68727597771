"""Recorded sessions: what went over the wire between a client and a venue, in the order in which it went.

One JSON object a line, compressed with Zstandard: `t` (header, http, connect, send, recv), `conn`, `ts` in
seconds since 1970, `data`. Lines of several connections may follow each other connection by connection.
"""

import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import msgspec
import zstandard

MAX_LINE: Final = 64 * 1024 * 1024
"""Longest line, in characters."""
MAX_EVENTS: Final = 10_000_000
MAX_CHARACTERS: Final = 1024**3
"""Of a whole recording, uncompressed; it is kept in memory."""

_SECOND_NS: Final = 10**9
_LAST_SECOND: Final = 2**33
"""In the year 2242; nanoseconds of it fit 64 bits."""

EventKind = Literal["http", "connect", "send", "recv"]


class BadRecording(ValueError):
    """A file that is no recording, or breaks off; names the line."""


class Event(msgspec.Struct, frozen=True):
    """One thing that happened on a connection."""

    kind: EventKind
    connection: str
    at_ns: int
    data: str = ""
    """The frame or the body, as it was."""
    address: str = ""
    """Where to: of `http`, `connect` and `send`."""


class Recording(msgspec.Struct, frozen=True):
    """A whole session."""

    venue: str
    events: tuple[Event, ...]
    """In the order in which they happened; the events of one connection stay in the file's order."""

    def received(self) -> Iterator[Event]:
        """The frames that the venue sent."""
        return (event for event in self.events if event.kind == "recv")

    def answers(self, part_of_url: str) -> Iterator[Event]:
        """REST bodies whose URL contains this."""
        return (event for event in self.events if event.kind == "http" and part_of_url in event.address)


class _Line(msgspec.Struct):
    t: str
    ts: Decimal = Decimal(0)
    conn: str = ""
    data: str = ""
    addr: str = ""
    url: str = ""
    exchange: str = ""


_KINDS: Final[dict[str, EventKind]] = {
    "http": "http",
    "connect": "connect",
    "send": "send",
    "recv": "recv",
}


def read_recording(path: Path) -> Recording:
    """Read and check a whole file. Raises BadRecording naming the line, or OSError."""
    venue = ""
    events: list[tuple[int, int, Event]] = []
    newest: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if number == 1:
            if line.t != "header":
                raise BadRecording(f"{path.name} line 1: a recording begins with its header")
            venue = line.exchange
            continue
        kind = _KINDS.get(line.t)
        if kind is None or number > MAX_EVENTS:
            raise BadRecording(f"{path.name} line {number}: unexpected {line.t!r}")
        if not (line.ts.is_finite() and 0 <= line.ts <= _LAST_SECOND):
            raise BadRecording(f"{path.name} line {number}: no time")
        at_ns = int(line.ts * _SECOND_NS)
        order = newest[line.conn] = max(at_ns, newest.get(line.conn, at_ns))
        events.append((order, number, Event(kind, line.conn, at_ns, line.data, line.addr or line.url)))
    if not venue:
        raise BadRecording(f"{path.name}: no header")
    events.sort(key=lambda entry: entry[:2])
    return Recording(venue, tuple(event for _, _, event in events))


def _lines(path: Path) -> Iterator[_Line]:
    decode = msgspec.json.Decoder(_Line).decode
    number, total = 0, 0
    try:
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain,
            io.TextIOWrapper(plain, encoding="utf-8", newline="\n") as text,
        ):
            while line := text.readline(MAX_LINE):
                number, total = number + 1, total + len(line)
                if total > MAX_CHARACTERS:
                    raise BadRecording(f"{path.name} line {number}: the recording is too long")
                if not line.endswith("\n") and len(line) >= MAX_LINE:
                    raise BadRecording(f"{path.name} line {number}: longer than {MAX_LINE}")
                yield decode(line)
    except (zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise BadRecording(f"{path.name} line {number}: {fault}") from fault
