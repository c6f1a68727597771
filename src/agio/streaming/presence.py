"""Who is connected to this process, for the operators of an organisation."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from agio.identity.api import Principal
from agio.kernel.ids import KeyId
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.platform.db import Scope
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


def read_page(limit: int, cursor: str | None) -> str:
    """The connection after which a page begins; raises InvalidRequest."""
    check_limit(limit)
    return read_id_cursor(cursor, "after", "con") or ""


def describe(sessions: Collection[Session], scope: Scope, after: str, limit: int) -> list[Connection]:
    """The first `limit` connections of an organisation and environment behind one, oldest first."""
    found = sorted(
        (session for session in sessions if _is_theirs(session, scope) and session.connection_id > after),
        key=lambda session: session.connection_id,
    )
    return [_describe(session, session.principal) for session in found[:limit] if session.principal]


def merge(connections: Collection[Connection], limit: int) -> Page[Connection]:
    """A page of what several processes found."""
    found = sorted(connections, key=lambda connection: connection.connection_id)
    items = found[:limit]
    has_more = len(found) > limit
    return Page(items, encode_cursor({"after": items[-1].connection_id}) if has_more else None)


def disconnect(sessions: Collection[Session], scope: Scope, connection_id: str) -> bool:
    """Close one connection of an organisation and environment; False when it is not here."""
    for session in list(sessions):
        if session.connection_id == connection_id and _is_theirs(session, scope):
            session.finish(CloseCode.DISCONNECTED, "disconnected by an operator")
            return True
    return False


def _is_theirs(session: Session, scope: Scope) -> bool:
    return session.principal is not None and session.principal.scope == scope


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
