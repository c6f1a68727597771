"""What a room offers to the streaming edge: kinds of channels, and how to read one of them.

The edge (room `streaming`) knows nothing of orders or trades. It subscribes to a handle's bus subject,
decodes each bus message into pushes, and asks the handle for positions, history and snapshots.
Guarantee that every LOG handle gives: a message is committed before it is published, so whatever the
bus loses, `replay` has.
"""

from datetime import datetime
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from agio.kernel.problem import NotFound

if TYPE_CHECKING:
    from agio.platform.db import Scope


PayloadType = type[msgspec.Struct] | UnionType
"""The form of a channel's payloads: a struct, or several."""


class ChannelClass(Enum):
    """How a channel behaves towards slow and returning subscribers (design: streams, channel classes)."""

    LOG = "log"
    STATE = "state"
    BOOK = "book"


class Push(msgspec.Struct, frozen=True, gc=False):
    """One message of a channel, encoded once for all of its subscribers."""

    q: int
    """Sequence: +1 exactly on LOG channels, monotonic on the others."""
    t: int
    """Instant of the fact, microseconds since 1970."""
    d: bytes
    """The payload as JSON text."""
    p: int | None = None
    """BOOK deltas: the sequence this one follows."""
    crc: int | None = None
    snapshot: bool = False
    key: str = ""
    """STATE: the newest push of a key replaces the older ones."""


class UnknownChannel(NotFound):
    """No such channel, or not one of yours."""

    code = "unknown_channel"
    title = "Unknown channel"


class Subscriber(Protocol):
    """Who asks for a channel: the part of a principal that a channel needs."""

    @property
    def scope(self) -> "Scope": ...


class ChannelHandle(Protocol):
    """One open channel, already authorised."""

    @property
    def subject(self) -> str:
        """The core NATS subject that carries it; the edge shares one subscription per subject."""
        ...

    @property
    def history_url(self) -> str | None:
        """Where REST serves what is too old for the socket; None where REST has no such list."""
        ...

    def decode(self, payload: bytes) -> list[Push]: ...

    async def position(self) -> tuple[str, int]:
        """Epoch and top sequence (LOG); other classes answer ("", 0)."""
        ...

    async def replay(self, after: int, limit: int) -> list[Push]:
        """LOG: up to `limit` durable pushes after a sequence, ascending."""
        ...

    async def snapshot(self) -> list[Push]:
        """STATE and BOOK: the current values."""
        ...


@runtime_checkable
class TimedHistory(Protocol):
    """A LOG handle whose history can be entered at an instant."""

    async def locate(self, instant: datetime, after: int) -> int | None:
        """The first sequence behind `after` that is not older than the instant; None if there is none."""
        ...


@runtime_checkable
class DocumentedKind(Protocol):
    """A kind that says what its payloads are; the AsyncAPI document tells it."""

    @property
    def payload(self) -> PayloadType: ...


class ChannelKind(Protocol):
    """A family of channels, `name:key`."""

    @property
    def name(self) -> str: ...

    @property
    def channel_class(self) -> ChannelClass: ...

    @property
    def scope(self) -> str:
        """The permission a subscriber's key needs, such as `market:read`."""
        ...

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        """Authorise and open; raises UnknownChannel for a key that is unknown or somebody else's."""
        ...
