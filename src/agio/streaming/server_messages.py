"""What the server says, as types: the source of the AsyncAPI document, and the yardstick of the tests.

The edge writes pushes as prepared bytes and control messages as plain mappings; the tests hold everything
that any of them sees against these types, which accept no unknown member.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from agio.streaming.messages import MessageId

Sequence = Annotated[int, msgspec.Meta(ge=0)]
Checksum = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
Number = Annotated[int, msgspec.Meta(ge=1, description="The channel's number, told in the answer to sub")]
Micros = Annotated[int, msgspec.Meta(description="Microseconds since 1970")]
Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A message of the server."""


class Push(Message, frozen=True, kw_only=True):
    """One message of a LOG or STATE channel; several may come as an array."""

    n: Number
    q: Sequence
    t: Micros
    d: dict[str, Any]


class BookPush(Push, frozen=True, kw_only=True):
    """A change of a book: `p` is the sequence it follows, `crc` the checksum of the ten best levels."""

    p: Sequence
    crc: Checksum


class Snapshot(Push, frozen=True, kw_only=True):
    """A whole book; the changes follow it."""

    op: Literal["snap"]
    crc: Checksum


class Skipped(Message, frozen=True, kw_only=True):
    """STATE and BOOK: what a slow reader was not sent."""

    op: Literal["skipped"]
    n: Number
    from_: Sequence = msgspec.field(name="from")
    to: Sequence


class Limits(Message, frozen=True, kw_only=True):
    subscriptions: int
    message_bytes: int
    messages_per_second: float
    queue_bytes: int
    queue_seconds: float
    replay_messages: int


class Welcome(Message, frozen=True, kw_only=True):
    """The connection is authenticated."""

    op: Literal["welcome"]
    id: MessageId | UnsetType = UNSET
    conn: str
    server_time: Instant
    expires_at: Instant
    hb_ms: int
    limits: Limits
    resume_window_s: int


class SubscriptionEntry(Message, frozen=True, kw_only=True):
    """A channel that was opened. `recovered` and what follows: with `from` or `start` only."""

    ch: str
    n: Number
    epoch: str
    seq: Sequence
    tier: str | UnsetType = UNSET
    first: Sequence | UnsetType = UNSET
    recovered: bool | UnsetType = UNSET
    replay: Sequence | UnsetType = UNSET
    reason: Literal["epoch", "too_far", "trimmed"] | UnsetType = UNSET
    rest: str | UnsetType = UNSET


class Fault(Message, frozen=True, kw_only=True):
    """What every refusal says."""

    code: str
    detail: str
    retry: bool
    retry_after_ms: int | UnsetType = UNSET


class ChannelFault(Fault, frozen=True, kw_only=True):
    ch: str


class SubscribeAnswer(Message, frozen=True, kw_only=True):
    id: MessageId
    subs: list[SubscriptionEntry]
    errs: list[ChannelFault]


class UnsubscribeAnswer(Message, frozen=True, kw_only=True):
    id: MessageId
    unsubs: list[str]
    errs: list[ChannelFault]


class ResyncAnswer(Message, frozen=True, kw_only=True):
    id: MessageId
    resyncs: list[str]
    errs: list[ChannelFault]


class Pong(Message, frozen=True, kw_only=True):
    op: Literal["pong"]
    id: MessageId | UnsetType = UNSET
    server_time: Instant


class Renewed(Message, frozen=True, kw_only=True):
    """The answer to a second `auth`."""

    op: Literal["auth"]
    id: MessageId | UnsetType = UNSET
    expires_at: Instant


class Heartbeat(Message, frozen=True, kw_only=True):
    """After silence: what this connection was sent, top sequence by channel number (LOG), and sources."""

    op: Literal["hb"]
    server_time: Instant
    count: Sequence
    top: dict[str, Sequence]
    sources: dict[str, Literal["live", "stale", "closed"]]


class Reauthenticate(Message, frozen=True, kw_only=True):
    """The credential ends soon: send `auth`."""

    op: Literal["reauth"]
    expires_at: Instant


class Drain(Message, frozen=True, kw_only=True):
    """This node stops: open another connection after `slot` ms, resume there, then close this one."""

    op: Literal["drain"]
    within_ms: int
    slot: int


class Ended(Fault, frozen=True, kw_only=True):
    """The server ended a subscription."""

    op: Literal["unsub"]
    n: Number
    ch: str


class Error(Fault, frozen=True, kw_only=True):
    """An operation was refused."""

    op: Literal["error"]
    id: MessageId | UnsetType = UNSET


class Close(Message, frozen=True, kw_only=True):
    """Server-sent events only: the last event, with the code that closes a WebSocket."""

    op: Literal["close"]
    code: int
    reason: str


class SimpleTrade(Message, frozen=True, kw_only=True):
    """The only message of `/stream/{symbol}`."""

    symbol: str
    price: float
    volume: float
    timestamp: Instant


BY_OPERATION: dict[str, type[Message]] = {
    "auth": Renewed,
    "close": Close,
    "drain": Drain,
    "error": Error,
    "hb": Heartbeat,
    "pong": Pong,
    "reauth": Reauthenticate,
    "skipped": Skipped,
    "snap": Snapshot,
    "unsub": Ended,
    "welcome": Welcome,
}
BY_MEMBER: dict[str, type[Message]] = {
    "subs": SubscribeAnswer,
    "unsubs": UnsubscribeAnswer,
    "resyncs": ResyncAnswer,
    "symbol": SimpleTrade,
    "p": BookPush,
    "n": Push,
}
"""Messages without `op`, by the member that tells them; the first that is there decides."""

KINDS: tuple[type[Message], ...] = (*BY_OPERATION.values(), *BY_MEMBER.values())


def read_message(message: Mapping[str, object]) -> Message:
    """The typed form of a message; raises msgspec.ValidationError where it is not as documented."""
    operation = message.get("op")
    if isinstance(operation, str):
        kind = BY_OPERATION.get(operation)
    else:
        kind = next((found for member, found in BY_MEMBER.items() if member in message), None)
    if kind is None:
        raise msgspec.ValidationError(f"no such message: {str(message)[:200]}")
    return msgspec.convert(message, kind)
