"""Reading what servers push: frames are walked by their headers, and equal bytes are read only once."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

_CONTINUED, _TEXT, _BINARY, _CLOSE, _PING = 0, 1, 2, 8, 9
_CACHE_ENTRIES: Final = 1024
_CACHE_BYTES: Final = 32 * 1024 * 1024

Payload = Callable[[bytes], "list[Message] | None"]
"""Reads the payload of whole frames; None when a message goes on in the next frame."""


class Message(msgspec.Struct, gc=False):
    """What is looked at of a push or control message."""

    n: int = 0
    q: int = 0
    p: int | None = None
    t: int = 0
    op: str = ""


Messages = list[Message] | Message
_json = msgspec.json.Decoder(Messages).decode
_msgpack = msgspec.msgpack.Decoder(Messages).decode


@dataclass
class Chunk:
    """What one read held: consecutive pushes, control messages, and the begin of a frame that goes on."""

    rest: bytes = b""
    previous: int = 0
    """The sequence that the first push follows."""
    first: int = 0
    last: int = 0
    count: int = 0
    is_consecutive: bool = True
    has_snapshot: bool = False
    times: list[tuple[int, int]] = field(default_factory=list)
    """(sequence, microseconds) of each push."""
    controls: list[str] = field(default_factory=list)
    pings: int = 0
    close_code: int | None = None


def read_json(payload: bytes) -> list[Message] | None:
    found = _json(payload)
    return found if isinstance(found, list) else [found]


def read_msgpack(payload: bytes) -> list[Message] | None:
    found = _msgpack(payload)
    return found if isinstance(found, list) else [found]


_NATS_HEADER = re.compile(rb"MSG \S+ \S+ (\d+)\r\n")


def read_nats(payload: bytes) -> list[Message] | None:
    """Messages of the NATS protocol; lines of other kinds are skipped."""
    found, position = [], 0
    while position < len(payload):
        header = _NATS_HEADER.match(payload, position)
        if header is None:
            end = payload.find(b"\r\n", position)
            if end < 0:
                return None
            position = end + 2
            continue
        begin = header.end()
        end = begin + int(header[1])
        if end + 2 > len(payload):
            return None
        one = _json(payload[begin:end])
        assert isinstance(one, Message)
        found.append(one)
        position = end + 2
    return found


class Reader:
    """Reads the bytes of many connections that are sent the same; one for each encoding and channel."""

    def __init__(self, read: Payload) -> None:
        self._read = read
        self._chunks: dict[bytes, Chunk] = {}
        self._cached_bytes = 0

    def chunk(self, data: bytes) -> Chunk:
        found = self._chunks.get(data)
        if found is None:
            if len(self._chunks) >= _CACHE_ENTRIES or self._cached_bytes > _CACHE_BYTES:
                self._chunks.clear()
                self._cached_bytes = 0
            found = self._chunks[data] = self._walk(data)
            self._cached_bytes += len(data)
        return found

    def _walk(self, data: bytes) -> Chunk:
        chunk = Chunk()
        done = 0
        payload = b""
        for opcode, part, end in walk(data):
            if opcode == _CLOSE:
                chunk.close_code = int.from_bytes(part[:2], "big")
            elif opcode == _PING:
                chunk.pings += 1
            elif opcode in (_CONTINUED, _TEXT, _BINARY):
                payload += part
                messages = self._read(payload)
                if messages is None:
                    continue
                payload = b""
                for message in messages:
                    _take(chunk, message)
            done = end
        chunk.rest = data[done:]
        return chunk


def walk(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(opcode, payload, end) of each whole frame of a server."""
    position, length = 0, len(data)
    while length - position >= 2:
        opcode, size, begin = data[position] & 0x0F, data[position + 1], position + 2
        if size == 126:
            size, begin = int.from_bytes(data[position + 2 : position + 4], "big"), position + 4
        elif size == 127:
            size, begin = int.from_bytes(data[position + 2 : position + 10], "big"), position + 10
        position = begin + size
        if position > length:
            return
        yield opcode, data[begin:position], position


def payloads(data: bytes) -> Iterator[bytes]:
    """The payloads of whole data frames."""
    return (payload for opcode, payload, _ in walk(data) if opcode in (_TEXT, _BINARY))


def _take(chunk: Chunk, message: Message) -> None:
    if message.op == "snap":
        chunk.has_snapshot = True
        chunk.previous = chunk.previous or message.q
        chunk.last = message.q
    elif message.op or not message.q:
        chunk.controls.append(message.op)
    else:
        previous = message.q - 1 if message.p is None else message.p
        if not chunk.count and not chunk.has_snapshot:
            chunk.previous = previous
        elif previous != chunk.last:
            chunk.is_consecutive = False
        chunk.first = chunk.first or message.q
        chunk.last = message.q
        chunk.count += 1
        chunk.times.append((message.q, message.t))
