"""What is told when continuity is not proven."""

from collections.abc import Callable
from typing import Literal

import msgspec

GapReason = Literal["skipped", "epoch", "too_far", "trimmed", "queue", "gap", "checksum", "reconnected", ""]

OnGap = Callable[[str, int, int, bool], None]
"""`on_gap(channel, first, last, recovered)`."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A hole in a channel: the sequences `first` to `last` are not, or may not be, among its messages.

    `is_recovered`: they come all the same, from REST (`backfill`), before anything later. Reasons:

    - `skipped`: the server left out messages of a state or book channel, as it could not send them in time
    - `epoch`: the log began to count anew; `first` is of the old count, `last` and `epoch` are of the new one
    - `too_far`, `trimmed`: the log goes on, but the server does not replay as much, or has it no more
    - `queue`: this client's own queue was full (`drop_oldest`, `latest`)
    - `gap`, `checksum`: a book's chain or CRC32 did not hold; a new snapshot follows
    - `reconnected`: a book's updates between two connections; a new snapshot follows
    """

    channel: str
    first: int
    last: int
    is_recovered: bool = False
    reason: GapReason = ""
    epoch: str = ""
    rest: str | None = None
    """Where REST has what is missing."""

    def joined(self, other: "Gap") -> "Gap":
        """This gap and the one that follows it, as one."""
        return msgspec.structs.replace(
            self,
            last=other.last,
            is_recovered=self.is_recovered and other.is_recovered,
            reason=self.reason if self.reason == other.reason else other.reason,
            epoch=other.epoch,
            rest=self.rest or other.rest,
        )
