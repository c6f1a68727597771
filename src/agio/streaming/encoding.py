"""The encodings of a connection, and what each makes of pushes and control messages."""

from collections.abc import Sequence
from enum import Enum
from struct import Struct

import msgspec

from agio.platform.channels import Push
from agio.streaming.frames import BINARY, TEXT, frame
from agio.streaming.packing import pack_frame

JSON_SUBPROTOCOL = "agio.v1.json"
MSGPACK_SUBPROTOCOL = "agio.v1.msgpack"

_ARRAY_16 = Struct("!BH").pack
_ARRAY_32 = Struct("!BI").pack


class Encoding(Enum):
    """How a connection is spoken to, for all of its life."""

    JSON = JSON_SUBPROTOCOL
    MSGPACK = MSGPACK_SUBPROTOCOL
    SIMPLE = "simple"
    """One `{"symbol","price","volume","timestamp"}` object per message."""
    SSE = "sse"
    """The JSON messages as server-sent events."""

    __hash__ = object.__hash__


class Form:
    """How a connection gets its frames: each encoding has a plain and a compressed one."""

    __slots__ = ("encoding", "is_packed")

    def __init__(self, encoding: Encoding, *, is_packed: bool) -> None:
        self.encoding = encoding
        self.is_packed = is_packed


_PLAIN = {encoding: Form(encoding, is_packed=False) for encoding in Encoding}
_PACKED = {encoding: Form(encoding, is_packed=True) for encoding in Encoding}


def form_of(encoding: Encoding, *, is_packed: bool) -> Form:
    """The one form of its kind."""
    return (_PACKED if is_packed else _PLAIN)[encoding]


class _Trade(msgspec.Struct, gc=False):
    price: str
    size: str
    venue_time: str


_decode_trade = msgspec.json.Decoder(_Trade).decode


def encode_pushes(encoding: Encoding, number: int, label: bytes, pushes: Sequence[Push]) -> bytes:
    """The body of some pushes of one channel: JSON objects with commas between, or msgpack maps in a row.

    In the simple form each trade is a frame of its own, because a naive client reads one object a message.
    `label` is the JSON text of the channel's key.
    """
    if encoding is Encoding.JSON or encoding is Encoding.SSE:
        return _encode_json(number, pushes)
    if encoding is Encoding.MSGPACK:
        return b"".join([_encode_msgpack(number, push) for push in pushes])
    return b"".join([_encode_simple(label, push) for push in pushes])


def _encode_json(number: int, pushes: Sequence[Push]) -> bytes:
    first = pushes[0]
    if first.p is None and first.crc is None:
        form = b'{"n":%d,"q":%%d,"t":%%d,"d":%%b}' % number
        return b",".join([form % (push.q, push.t, push.d) for push in pushes])
    form = b'{"n":%d,"q":%%d,"p":%%d,"t":%%d,"d":%%b,"crc":%%d}' % number
    return b",".join([form % (push.q, push.p or 0, push.t, push.d, push.crc or 0) for push in pushes])


def _encode_msgpack(number: int, push: Push) -> bytes:
    message: dict[str, object] = {"n": number, "q": push.q}
    if push.p is not None or push.crc is not None:
        message["p"] = push.p or 0
    message["t"] = push.t
    message["d"] = msgspec.json.decode(push.d)
    if push.p is not None or push.crc is not None:
        message["crc"] = push.crc or 0
    return msgspec.msgpack.encode(message)


def _encode_simple(label: bytes, push: Push) -> bytes:
    trade = _decode_trade(push.d)
    text = (
        f'{{"symbol":{label.decode()},"price":{trade.price},"volume":{trade.size},'
        f'"timestamp":"{trade.venue_time}"}}'
    )
    return frame(TEXT, text.encode())


def frame_bodies(encoding: Encoding, bodies: Sequence[bytes], count: int) -> bytes:
    """One frame with `count` pushes: the object itself, or an array of them."""
    if encoding is Encoding.SIMPLE:
        return b"".join(bodies)
    if encoding is not Encoding.MSGPACK:
        text = b",".join(bodies)
        return _envelop(encoding, text if count == 1 else b"[%b]" % text)
    return frame(BINARY, _array(bodies, count))


def pack_body(encoding: Encoding, body: bytes, count: int) -> bytes | None:
    """The compressed frame of `count` pushes; None where plain frames are better or the only ones."""
    if encoding is Encoding.JSON:
        return pack_frame(TEXT, body if count == 1 else b"[%b]" % body)
    return pack_frame(BINARY, _array((body,), count)) if encoding is Encoding.MSGPACK else None


def _array(bodies: Sequence[bytes], count: int) -> bytes:
    joined = b"".join(bodies)
    return joined if count == 1 else _array_header(count) + joined


def _array_header(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    if count < 65_536:
        return _ARRAY_16(0xDC, count)
    return _ARRAY_32(0xDD, count)


def encode_snapshot(encoding: Encoding, number: int, push: Push) -> bytes:
    """The frame of a book snapshot."""
    if encoding is not Encoding.MSGPACK:
        text = b'{"op":"snap","n":%d,"q":%d,"t":%d,"d":%b,"crc":%d}' % (
            number,
            push.q,
            push.t,
            push.d,
            push.crc or 0,
        )
        return _envelop(encoding, text)
    message = {"op": "snap", "n": number, "q": push.q, "t": push.t, "d": msgspec.json.decode(push.d)}
    return encode_message(encoding, {**message, "crc": push.crc or 0})


def encode_message(encoding: Encoding, message: object) -> bytes:
    """The frame of a control message."""
    if encoding is Encoding.MSGPACK:
        return frame(BINARY, msgspec.msgpack.encode(message))
    return _envelop(encoding, msgspec.json.encode(message))


def _envelop(encoding: Encoding, text: bytes) -> bytes:
    """A text frame, or the event of a stream that has no frames (HTML, server-sent events, 9.2.5)."""
    if encoding is not Encoding.SSE:
        return frame(TEXT, text)
    if b"\n" in text or b"\r" in text:
        # Only as white space between tokens: JSON text has none inside its strings.
        text = text.replace(b"\r", b" ").replace(b"\n", b" ")
    return b"data: %b\n\n" % text
