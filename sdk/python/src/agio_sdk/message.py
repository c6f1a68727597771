"""A message of a channel."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message of a channel: sequence `q`, instant `t` in microseconds since 1970, payload to be decoded.

    `p` and `crc` are a book's: the sequence it follows, the checksum after it. `is_late` marks what came
    from REST to fill a hole; its `t` is the venue time.
    """

    channel: str
    q: int
    t: int
    payload: bytes
    is_snapshot: bool = False
    p: int | None = None
    crc: int | None = None
    encoding: str = "json"
    is_late: bool = False
    epoch: str = ""
    """Of which count `q` is: (epoch, q) is a position to begin after."""

    def decode(self, kind: type[T]) -> T:
        """The payload as `kind`, for example `message.decode(Trade)`."""
        if self.encoding == "msgpack":
            return msgspec.msgpack.decode(self.payload, type=kind, strict=False)
        return msgspec.json.decode(self.payload, type=kind)
