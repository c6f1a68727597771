"""Who is connected to this process, for the operators of an organisation."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from agio.identity.api import Principal
from agio.kernel.ids import KeyId
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.kernel.problem import NotFound
from agio.streaming.errors import CloseCode
from agio.streaming.log_hub import LogHub
from agio.streaming.session import Session


class Presence(msgspec.Struct, frozen=True):
    """A channel of a connection."""

    channel: str
    position: int | None
    """LOG: the sequence up to which everything was handed to the connection."""
    lag: int | None
    """LOG: how many messages it is behind the newest."""


class Connection(msgspec.Struct, frozen=True):
    """An authenticated stream, as it is at this moment."""

    connection_id: str
    door: str
    encoding: str
    key_id: KeyId
    address: str
    connected_at: datetime
    expires_at: datetime
    channels: list[Presence]
    queued_bytes: int
    oldest_seconds: float
    """How long the oldest message has waited to be written."""
    written: int
    """Pushes written so far."""
    dropped: int
    """Pushes left out because the reader is slow; always announced to it."""


def list_connections(
    sessions: Collection[Session], principal: Principal, limit: int, cursor: str | None
) -> Page[Connection]:
    """The connections of the caller's organisation and environment, oldest first."""
    wanted = check_limit(limit)
    after = read_id_cursor(cursor, "after", "con") or ""
    found = sorted(
        (session for session in sessions if _is_theirs(session, principal) and session.connection_id > after),
        key=lambda session: session.connection_id,
    )
    items = [_describe(session, session.principal) for session in found[:wanted] if session.principal]
    has_more = len(found) > wanted
    return Page(items, encode_cursor({"after": items[-1].connection_id}) if has_more else None)


def disconnect(sessions: Collection[Session], principal: Principal, connection_id: str) -> None:
    """Close one connection of the caller's organisation and environment; raises NotFound."""
    for session in list(sessions):
        if session.connection_id == connection_id and _is_theirs(session, principal):
            session.finish(CloseCode.DISCONNECTED, "disconnected by an operator")
            return
    raise NotFound("this node has no such connection of yours")


def _is_theirs(session: Session, principal: Principal) -> bool:
    return session.principal is not None and session.principal.scope == principal.scope


def _describe(session: Session, reader: Principal) -> Connection:
    channels = []
    for channel, subscription in session.subscriptions.items():
        position = lag = None
        if subscription is not None and isinstance(subscription.hub, LogHub):
            position = subscription.position
            lag = None if position is None else max(0, subscription.hub.top - position)
        channels.append(Presence(channel, position, lag))
    queue = session.queue
    return Connection(
        session.connection_id,
        session.door,
        queue.encoding.value,
        reader.key_id,
        session.address,
        session.connected_at,
        reader.expires_at,
        channels,
        queue.size_bytes,
        round(queue.age_seconds(), 3),
        queue.written_pushes,
        queue.dropped_pushes,
    )
