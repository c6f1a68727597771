"""Log channels over `platform.event_log`: the handle that rooms give to the streaming edge."""

from datetime import datetime

import msgspec

from agio.kernel.time import to_micros
from agio.platform.channels import Push
from agio.platform.db import Database, Scope
from agio.platform.relay import decode_event, event_subject


class _LogRow(msgspec.Struct):
    seq: int
    body: str
    occurred_at: datetime


class EventLogHandle:
    """One log channel such as `orders:acc_x`, read as the tenant that it was opened for."""

    def __init__(
        self, database: Database, scope: Scope, channel: str, history_url: str | None = None
    ) -> None:
        self._database = database
        self._scope = scope
        self._channel = channel
        self.subject = event_subject(channel)
        self.history_url = history_url

    def decode(self, payload: bytes) -> list[Push]:
        event = decode_event(payload)
        return [Push(q=event.seq, t=event.occurred_at_us, d=event.body.encode())]

    async def position(self) -> tuple[str, int]:
        """Epoch and top sequence; a channel that is still empty is created, so that it has an epoch."""
        async with self._database.transaction(self._scope) as tx:
            row = await tx.fetch_tuples("select * from platform.open_channel(%s)", (self._channel,))
        return row[0][0], row[0][1]

    async def replay(self, after: int, limit: int) -> list[Push]:
        async with self._database.transaction(self._scope) as tx:
            rows = await tx.fetch(
                _LogRow,
                "select seq, body, occurred_at from platform.event_log"
                " where channel = %s and seq > %s order by seq limit %s",
                (self._channel, after, limit),
            )
        return [Push(q=row.seq, t=to_micros(row.occurred_at), d=row.body.encode()) for row in rows]

    async def locate(self, instant: datetime, after: int) -> int | None:
        """By the instant at which things happened (see `TimedHistory`)."""
        async with self._database.transaction(self._scope) as tx:
            rows = await tx.fetch_tuples(
                "select seq from platform.event_log where channel = %s and seq > %s and occurred_at >= %s"
                " order by seq limit 1",
                (self._channel, after, instant),
            )
        return rows[0][0] if rows else None

    async def snapshot(self) -> list[Push]:
        return []
