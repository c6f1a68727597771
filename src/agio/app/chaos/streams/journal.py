"""What a subscriber writes down: everything that it was told, in the order in which it was told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self
from zlib import crc32

import msgspec

LOG: Final = frozenset({"trades", "orders", "fills", "ledger"})
_KEYS: Final = {"balances": "asset", "positions": "symbol", "bars": "start"}


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="open"):
    """A connection began; channel numbers and counters of before mean nothing any more."""

    at: float
    keeps_books: bool = False
    """The SDK may still hand out what it had before."""
    line: str = ""
    """The gateway behind it; empty where others cannot say what this one should have been told."""


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="close"):
    """The connection ended; `is_ours`: the subscriber left by itself."""

    at: float
    code: int
    reason: str
    is_ours: bool = False


class Subscribed(msgspec.Struct, frozen=True, array_like=True, tag="sub"):
    """The answer for one channel. `after` is the position (epoch, sequence) that was asked for, if any."""

    channel: str
    epoch: str
    sequence: int
    after: tuple[str, int] | None = None
    recovered: bool | None = None
    reason: str = ""


class Logged(msgspec.Struct, frozen=True, array_like=True, tag="log"):
    """A message of a log channel."""

    channel: str
    epoch: str
    sequence: int
    digest: int


class Shown(msgspec.Struct, frozen=True, array_like=True, tag="state"):
    """A value of a state channel."""

    channel: str
    key: str
    sequence: int
    instant: int
    digest: int


class Booked(msgspec.Struct, frozen=True, array_like=True, tag="book"):
    """A snapshot (`previous` None) or delta, the told checksum, and what our own book came to by it."""

    channel: str
    sequence: int
    previous: int | None
    told: int
    own: int
    digest: int


class Skipped(msgspec.Struct, frozen=True, array_like=True, tag="skipped"):
    """The server said that it left something out."""

    channel: str
    first: int
    last: int


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """The server ended or refused a subscription."""

    channel: str
    code: str
    may_retry: bool


class Gap(msgspec.Struct, frozen=True, array_like=True, tag="gap"):
    """The SDK told its user of a gap."""

    channel: str
    first: int
    last: int


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """A heartbeat: pushes that the server has written on this connection, and those that came."""

    told: int
    own: int


Entry = Opened | Closed | Subscribed | Logged | Shown | Booked | Skipped | Ended | Gap | Beat

_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(Entry).decode


class Journal:
    """A subscriber's entries, in a file of its own; nothing is held back in memory for long."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = 0
        self._file = path.open("wb", buffering=1 << 16)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def write(self, entry: Entry) -> None:
        self.entries += 1
        self._file.write(_encode(entry) + b"\n")


def read_journal(path: Path) -> Iterator[Entry]:
    """The entries of a journal, oldest first."""
    with path.open("rb") as file:
        for line in file:
            yield _decode(line)


def digest_of(payload: object, instant: int) -> int:
    """The same for equal payloads, whatever encoding they came in."""
    return crc32(_encode_sorted([instant, payload]))


def key_of(channel: str, payload: object) -> str:
    """Which value of a state channel it is."""
    field = _KEYS.get(channel.partition(":")[0])
    return str(payload.get(field, "")) if field is not None and isinstance(payload, dict) else ""


def is_log(channel: str) -> bool:
    return channel.partition(":")[0] in LOG


def is_book(channel: str) -> bool:
    return channel.startswith("book:")
