"""Compressed frames (RFC 7692), made once and shared by all connections that agreed to them."""

import zlib
from typing import Final

from agio.streaming.frames import frame

WINDOW_BITS: Final = 15
SMALLEST_BYTES: Final = 512
"""Smaller payloads are sent as they are: unpacking them costs a reader more than the bytes."""
_LEVEL: Final = 4
_PACKED: Final = 0x40
"""RSV1: the payload is compressed."""
_TAIL: Final = b"\x00\x00\xff\xff"


def pack_frame(first_byte: int, payload: bytes) -> bytes | None:
    """A frame with the payload compressed on its own; None when that is not worth it."""
    if len(payload) < SMALLEST_BYTES:
        return None
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -WINDOW_BITS)
    packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    packed = packed.removesuffix(_TAIL)
    return frame(first_byte | _PACKED, packed) if len(packed) < len(payload) else None
