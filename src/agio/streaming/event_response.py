"""A stream of events as the body of an HTTP answer.

The session's queue stays the only buffer that grows: a write waits here until the server has taken the one
before it, and the server takes none while the socket is full.
"""

import asyncio
import contextlib
import socket
from typing import cast

import msgspec
from litestar.types import Receive, Scope, Send

from agio.platform.http.server import TRANSPORT_EXTENSION
from agio.streaming.errors import CloseCode
from agio.streaming.event_session import EventSession
from agio.streaming.settings import StreamingSettings

_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    # Whatever was set on the connection, or is still to cut it off, concerns this answer alone.
    (b"connection", b"close"),
]


class EventWire:
    """The port `Wire` over an answer's body."""

    takes_packed = False

    def __init__(self, settings: StreamingSettings, transport: asyncio.Transport | None) -> None:
        self.patience_seconds = settings.close_seconds
        self._transport = transport
        self._body = b""
        self._changed = asyncio.Event()
        self._is_sending = False
        self.is_ended = False
        self.is_aborted = False
        if transport is not None:
            transport.set_write_buffer_limits(high=settings.write_bytes, low=settings.write_bytes // 4)
            raw = transport.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, settings.write_bytes)

    @property
    def is_writable(self) -> bool:
        return not self.is_ended and not self._is_sending and not self._body

    def write(self, frames: bytes) -> None:
        if not self.is_ended:
            self._body += frames
            self._changed.set()

    def limit_messages(self, max_bytes: int) -> None:
        """A reader of events sends nothing."""

    def seconds_unheard(self) -> float:
        """TCP alone tells whether the reader is there: what it does not take grows old in the queue."""
        return 0.0

    def close(self, code: int, reason: str) -> None:
        """Tell why and end; after a slow reader's queue overflowed nothing more is sent."""
        if self.is_ended:
            return
        if code == CloseCode.SLOW_CONSUMER:
            self.is_aborted = True
            self.abort()
        else:
            message = {"op": "close", "code": int(code), "reason": reason}
            self._body += b"data: %b\n\n" % msgspec.json.encode(message)
            asyncio.get_running_loop().call_later(self.patience_seconds, self.abort)
        self.is_ended = True
        self._changed.set()

    def abort(self) -> None:
        """Cut off a reader that does not take the end. The connection may have ended long ago."""
        if self._transport is not None:
            self._transport.abort()

    async def take(self) -> bytes:
        """The next part of the body; empty at its end. `sent` must be called once it is on its way."""
        while not self._body and not self.is_ended:
            self._changed.clear()
            await self._changed.wait()
        body, self._body = self._body, b""
        self._is_sending = True
        return b"" if self.is_aborted else body

    def sent(self) -> None:
        self._is_sending = False


class EventResponse:
    """The ASGI application that answers with a session's events."""

    def __init__(self, session: EventSession, wire: EventWire, headers: dict[bytes, bytes]) -> None:
        self._session = session
        self._wire = wire
        self._headers = [*_HEADERS, *headers.items()]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_wait_for_end(receive))
        body = asyncio.create_task(self._send_body(send))
        try:
            await asyncio.wait((gone, body), return_when=asyncio.FIRST_COMPLETED)
            if self._wire.is_aborted:
                await asyncio.wait((gone,), timeout=self._wire.patience_seconds)
        finally:
            self._session.lost()
            gone.cancel()
            body.cancel()
            await asyncio.gather(gone, body, return_exceptions=True)

    async def _send_body(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        while part := await self._wire.take():
            await send({"type": "http.response.body", "body": part, "more_body": True})
            self._wire.sent()
            self._session.writable()
        if not self._wire.is_aborted:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def transport_of(scope: Scope) -> asyncio.Transport | None:
    """The connection under a request, where the server tells it."""
    extensions = scope.get("extensions") or {}
    return cast("asyncio.Transport | None", extensions.get(TRANSPORT_EXTENSION))
