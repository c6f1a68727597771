"""What a client may say, and the control messages of the server."""

from typing import Annotated

import msgspec

from agio.streaming.encoding import Encoding
from agio.streaming.errors import InvalidOperation
from agio.streaming.log_subscription import Position

MAX_CHANNEL_LENGTH = 160

MAX_INTEGER = 2**53 - 1
"""The largest whole number that every reader of JSON can hold."""

MessageId = (
    Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
    | Annotated[str, msgspec.Meta(max_length=64)]
    | None
)
"""The client's own number or word for a message; the answer names it."""


class ChannelRequest(msgspec.Struct, frozen=True):
    """One channel of a `sub`."""

    ch: str
    tier: str = "raw"
    depth: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    """Book levels that the client shows. More may be sent: the client cuts."""
    position: Position | None = msgspec.field(default=None, name="from")
    start: int | str | None = None
    """LOG: history first, from this sequence or RFC 3339 time on, then live."""


class Subscribe(msgspec.Struct, frozen=True, tag_field="op", tag="sub"):
    ch: list[ChannelRequest | str]
    id: MessageId = None


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="op", tag="unsub"):
    ch: list[str]
    id: MessageId = None


class Authenticate(msgspec.Struct, frozen=True, tag_field="op", tag="auth"):
    """A key or a ticket: the first one on this connection, or a renewal before expiry."""

    token: str | None = None
    ticket: str | None = None
    id: MessageId = None


class Ping(msgspec.Struct, frozen=True, tag_field="op", tag="ping"):
    id: MessageId = None


class Resync(msgspec.Struct, frozen=True, tag_field="op", tag="resync"):
    """Send current values or a new book snapshot for channels whose continuity is not proven."""

    ch: list[str]
    id: MessageId = None


Operation = Subscribe | Unsubscribe | Authenticate | Ping | Resync

_decode_json = msgspec.json.Decoder(Operation).decode
_decode_msgpack = msgspec.msgpack.Decoder(Operation).decode


def decode_operation(encoding: Encoding, payload: bytes) -> Operation:
    """Read a client's message; raises InvalidOperation saying what does not fit."""
    decode = _decode_msgpack if encoding is Encoding.MSGPACK else _decode_json
    try:
        operation: Operation = decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidOperation(str(error)[:200]) from error
    return operation
