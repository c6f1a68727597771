"""WebSocket frames as bytes, server side: unmasked, never fragmented (RFC 6455 5.2)."""

from struct import Struct

TEXT = 0x81
BINARY = 0x82
PING = 0x89

_MEDIUM = Struct("!BBH").pack
_LARGE = Struct("!BBQ").pack
_MAX_SHORT = 125
_MAX_MEDIUM = 0xFFFF


def frame_header(first_byte: int, length: int) -> bytes:
    """The header of a final, unmasked frame; `first_byte` is FIN with the opcode."""
    if length <= _MAX_SHORT:
        return bytes((first_byte, length))
    if length <= _MAX_MEDIUM:
        return _MEDIUM(first_byte, 126, length)
    return _LARGE(first_byte, 127, length)


def frame(first_byte: int, payload: bytes) -> bytes:
    return frame_header(first_byte, len(payload)) + payload
