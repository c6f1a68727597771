"""The messages of a stream, and how they are read."""

from collections.abc import Callable

import msgspec

DEFAULT_HEARTBEAT_MS = 15_000


class Confirmed(msgspec.Struct):
    """A subscription that the server granted."""

    ch: str
    n: int
    epoch: str = ""
    seq: int = 0
    recovered: bool = True
    replay: int = 0
    first: int | None = None
    reason: str = ""
    rest: str | None = None


class Refused(msgspec.Struct):
    """A subscription that the server did not grant; `retry` says that it may at another time."""

    ch: str
    code: str
    detail: str = ""
    retry: bool = False
    retry_after_ms: int = 0


class Frame(msgspec.Struct, gc=False):
    """Any message from the server; which fields are set depends on `op`, and a push has none."""

    op: str = ""
    id: int | None = None
    n: int = -1
    q: int = 0
    t: int = 0
    d: msgspec.Raw = msgspec.Raw(b"")
    p: int | None = None
    crc: int | None = None
    subs: list[Confirmed] | None = None
    errs: list[Refused] | None = None
    first: int = msgspec.field(default=0, name="from")
    to: int = 0
    code: str | int = ""
    reason: str = ""
    detail: str = ""
    retry: bool = False
    retry_after_ms: int = 0
    slot: int = 0
    hb_ms: int = DEFAULT_HEARTBEAT_MS
    top: dict[str, int] = {}
    sources: dict[str, str] = {}

    @property
    def is_push(self) -> bool:
        """Whether it belongs to a channel's messages: `d` at `q`, or a book's snapshot."""
        return (self.op == "" and self.id is None and self.subs is None) or self.op == "snap"


Decode = Callable[[str | bytes], list[Frame]]


def decoder(encoding: str) -> Decode:
    """How to read a WebSocket message: one frame, or an array of them. Raises msgspec.MsgspecError."""
    if encoding == "json":
        return _reader(msgspec.json.Decoder(Frame).decode, msgspec.json.Decoder(list[Frame]).decode)
    one = msgspec.msgpack.Decoder(Frame, strict=False)
    many = msgspec.msgpack.Decoder(list[Frame], strict=False)
    return _reader(lambda data: one.decode(_as_bytes(data)), lambda data: many.decode(_as_bytes(data)))


def _reader(one: Callable[[str | bytes], Frame], many: Callable[[str | bytes], list[Frame]]) -> Decode:
    return lambda data: many(data) if _is_batch(data) else [one(data)]


def _is_batch(data: str | bytes) -> bool:
    if isinstance(data, str):
        return data.startswith("[")
    first = data[0] if data else 0
    return 0x90 <= first <= 0x9F or first in {0xDC, 0xDD}


def _as_bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
