"""Positions on several log channels as one opaque text: the `id` of a server-sent event."""

import base64
import binascii
from collections.abc import Mapping

import msgspec

from agio.kernel.problem import InvalidRequest
from agio.streaming.log_subscription import Position

MAX_TEXT = 16 * 1024

_decode = msgspec.msgpack.Decoder(list[tuple[str, str, int]]).decode


def encode_positions(positions: Mapping[str, Position]) -> str:
    """Channel names, epochs and sequences: nothing of it belongs to a node or a connection."""
    entries = [(channel, position.epoch or "", position.seq) for channel, position in positions.items()]
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(entries)).decode().rstrip("=")


def decode_positions(text: str) -> dict[str, Position]:
    """The positions of an event's id; raises InvalidRequest for anything else."""
    padded = text[:MAX_TEXT] + "=" * (-len(text) % 4)
    try:
        packed = base64.b64decode(padded, altchars=b"-_", validate=True)
        entries = _decode(packed)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise InvalidRequest(
            "Last-Event-ID is the id of an event of this stream, or absent", extra={"field": "Last-Event-ID"}
        ) from error
    return {channel: Position(max(0, seq), epoch or None) for channel, epoch, seq in entries}
