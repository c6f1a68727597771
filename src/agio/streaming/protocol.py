"""The WebSocket protocol class that uvicorn hands an upgrade to.

Handshake and everything inbound go through the sans-I/O `websockets` server protocol, which is strict;
outbound frames arrive ready-made and go straight to the transport. One TLS port serves REST and streams.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import ClassVar, Protocol, cast

import structlog
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN

from agio.kernel.problem import Problem, Unavailable
from agio.streaming.errors import CloseCode, InvalidHandshake
from agio.streaming.handshake import UpgradeRequest, read_request, refusal
from agio.streaming.inbound import FrameParser
from agio.streaming.ports import Wire
from agio.streaming.rates import TokenBucket
from agio.streaming.settings import StreamingSettings

log = structlog.get_logger(__name__)

_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
_RECORD_BYTES = 16 * 1024
"""What a TLS record holds."""
_BYTES_PER_FRAGMENT = 16
"""A message may have as many fragments as if each had so many bytes: empty ones come to an end, too."""
_MESSAGE_SECONDS = 10.0
_CONTROL_FRAMES_PER_SECOND = 50
_CONTROL_FRAME_BURST = 200
_HANDSHAKE_SECONDS = 10.0
_MAX_REASON_BYTES = 120
_OUR_VERSION = {"Sec-WebSocket-Version": "13"}


class ProtocolSession(Protocol):
    """What a connection talks to once the handshake is done."""

    def opened(self) -> None: ...

    def received(self, payload: bytes, *, is_text: bool) -> None: ...

    def writable(self) -> None: ...

    def lost(self) -> None: ...

    def finish(self, code: int, reason: str) -> None: ...


class Door(Protocol):
    """Lets connections in."""

    @property
    def settings(self) -> StreamingSettings: ...

    async def admit(self, request: UpgradeRequest, subprotocol: str | None, wire: Wire) -> ProtocolSession:
        """Make the session of a handshake; raises the Problem that refuses it."""
        ...

    def ended(self, code: int) -> None:
        """A connection ended with this close code."""
        ...


class StreamProtocol(asyncio.Protocol):
    """One connection after its upgrade."""

    door: ClassVar[Door]

    def __init__(
        self,
        config: Config,  # noqa: ARG002 - uvicorn's signature
        server_state: ServerState,
        app_state: dict[str, object],  # noqa: ARG002 - uvicorn's signature
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._loop = _loop or asyncio.get_running_loop()
        self._connections = server_state.connections
        self._settings = self.door.settings
        self._frames = FrameParser(
            self._settings.max_message_bytes_before_authentication,
            may_compress=self._settings.may_compress,
        )
        self._transport: asyncio.Transport | None = None
        self._session: ProtocolSession | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._parts: list[bytes] = []
        self._is_text = False
        self._is_closing = False
        self._is_secure = False
        self.write: Callable[[bytes], None] = _write_nothing
        """Straight to the transport between handshake and end, where it is what a delivery mostly costs."""
        self.is_writable = False
        """The handshake is done, the end has not begun, and the transport is below its high-water mark."""
        self._deadline: asyncio.TimerHandle | None = None
        self._message_deadline: asyncio.TimerHandle | None = None
        self._heard_at = time.monotonic()
        self._control = TokenBucket(_CONTROL_FRAMES_PER_SECOND, _CONTROL_FRAME_BURST, time.monotonic)

    # What asyncio calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = connected = cast(asyncio.Transport, transport)
        self._connections.add(self)  # type: ignore[arg-type]
        self._is_secure = transport.get_extra_info("ssl_object") is not None
        limit = self._settings.write_bytes
        high = min(limit, _RECORD_BYTES) if self._is_secure else limit
        connected.set_write_buffer_limits(high=high, low=high // 4)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, limit)

    @override
    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        if self._is_closing and self._frames.state is not OPEN and self._frames.eof_sent:
            return
        self._frames.receive_data(data)
        if self._frames.handshake_exc is not None and not self._is_closing:
            self._refuse_head(self._frames.handshake_exc)
            return
        if not self._frames.eof_sent:
            # A pong goes out before the answer to what came behind its ping.
            self._write_answers()
        for event in self._frames.events_received():
            if isinstance(event, Request):
                self._begin_handshake(event)
            elif isinstance(event, Frame):
                self._take_frame(event)
        self._write_answers()

    @override
    def eof_received(self) -> None:
        self._frames.receive_eof()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        for timer in (self._deadline, self._message_deadline):
            if timer is not None:
                timer.cancel()
        if self._handshake is not None:
            self._handshake.cancel()
        if self._session is not None:
            close = self._frames.close_sent or self._frames.close_rcvd
            self.door.ended(close.code if close is not None else 1006)
            self._session.lost()
        self._transport = None
        self.write = _write_nothing
        self.is_writable = False

    @override
    def pause_writing(self) -> None:
        self.is_writable = False

    @override
    def resume_writing(self) -> None:
        if self._session is not None and not self._is_closing:
            self.is_writable = True
            self._session.writable()

    def shutdown(self) -> None:
        """Uvicorn stops."""
        if self._session is not None:
            self._session.finish(CloseCode.SERVICE_RESTART, "restart")
        elif self._transport is not None:
            self._transport.close()

    # What the session calls (the port `Wire`)

    def _write_records(self, frames: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        if len(frames) <= _RECORD_BYTES:
            transport.write(frames)
            return
        # The TLS layer keeps a buffer as large as the largest write for the life of the connection.
        view = memoryview(frames)
        for start in range(0, len(frames), _RECORD_BYTES):
            transport.write(view[start : start + _RECORD_BYTES])

    @property
    def takes_packed(self) -> bool:
        return self._frames.takes_packed

    def limit_messages(self, max_bytes: int) -> None:
        self._frames.max_message_size = max_bytes

    def seconds_unheard(self) -> float:
        return time.monotonic() - self._heard_at

    def close(self, code: int, reason: str) -> None:
        if self._is_closing or self._transport is None:
            return
        if self._frames.state is OPEN:
            self._frames.send_close(code, reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"))
        self._write_answers()
        self._expect_end()

    # Handshake

    def _begin_handshake(self, request: Request) -> None:
        self._frames.path = request.path
        response = self._frames.accept(request)
        if response.status_code != 101:
            reason = self._frames.handshake_exc
            problem = InvalidHandshake(str(reason or "send a handshake of RFC 6455"), headers=_OUR_VERSION)
            self._refuse(problem, request)
            return
        if self._transport is not None:
            # A peer that sends more before the answer can wait.
            self._transport.pause_reading()
        self._handshake = self._loop.create_task(self._admit(request, response))

    async def _admit(self, request: Request, response: Response) -> None:
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                asked = self._read_request(request)
                session = await self.door.admit(asked, self._frames.subprotocol, self)
        except Problem as problem:
            self._refuse(problem, request)
            return
        except Exception:
            log.exception("stream_handshake_failed")
            self._refuse(Unavailable("try again in a few seconds"), request)
            return
        finally:
            self._handshake = None
        if self._transport is None:
            session.lost()
            return
        self._session = session
        self._frames.send_response(response)
        self._write_answers()
        self._transport.resume_reading()
        self.write = self._write_records if self._is_secure else self._transport.write
        self.is_writable = True
        session.opened()

    def _read_request(self, request: Request) -> UpgradeRequest:
        if self._transport is None:
            raise Unavailable("the connection is gone")
        peer = self._transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else ""
        return read_request(request, address, is_secure=self._is_secure)

    def _refuse(self, problem: Problem, request: Request) -> None:
        if self._transport is None:
            return
        self._frames.send_response(refusal(problem, request))
        self._write_answers()
        self._expect_end()

    def _refuse_head(self, fault: Exception) -> None:
        """The HTTP server took it as a request, but it opens no WebSocket: it has a body, for example."""
        if self._transport is None:
            return
        self._frames.data_to_send()
        problem = InvalidHandshake(str(fault.__cause__ or fault), headers=_OUR_VERSION)
        self._transport.write(refusal(problem, Request("", Headers())).serialize())
        self._expect_end()
        self._transport.close()

    # Inbound frames

    def _take_frame(self, frame: Frame) -> None:
        if self._is_closing:
            return
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._is_text = frame.opcode is Opcode.TEXT
            self._take_part(frame)
        elif frame.opcode is Opcode.CONT:
            self._take_part(frame)
        elif frame.opcode is not Opcode.CLOSE and not self._control.take():
            self._end(CloseCode.TOO_MANY_MESSAGES, "too many control frames")

    def _take_part(self, frame: Frame) -> None:
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            if len(self._parts) > (self._frames.max_message_size or 0) // _BYTES_PER_FRAGMENT:
                self._end(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            elif self._message_deadline is None:
                self._message_deadline = self._loop.call_later(_MESSAGE_SECONDS, self._give_up_message)
            return
        if self._message_deadline is not None:
            self._message_deadline.cancel()
            self._message_deadline = None
        payload = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        if self._is_text and not _is_utf8(payload):
            self._end(CloseCode.INVALID_TEXT, "text is UTF-8")
        elif self._session is not None:
            self._session.received(payload, is_text=self._is_text)

    def _give_up_message(self) -> None:
        self._message_deadline = None
        self._end(CloseCode.MALFORMED, "the message took too long")

    def _end(self, code: int, reason: str) -> None:
        self.close(code, reason)

    # Outbound control frames and the end

    def _write_answers(self) -> None:
        """Write pongs, close frames and handshake answers; an empty one ends the connection."""
        answers = self._frames.data_to_send()
        if not answers or self._transport is None:
            return
        frames = b"".join(answers)
        if frames:
            if self._transport.get_write_buffer_size() > self._settings.queue_bytes:
                self._transport.abort()
                return
            self._transport.write(frames)
        if b"" in answers:
            self._expect_end()
            self._transport.close()

    def _expect_end(self) -> None:
        """Nothing is written from now on; a peer that does not end the connection is cut off."""
        self._is_closing = True
        self.write = _write_nothing
        self.is_writable = False
        if self._deadline is None and self._transport is not None:
            self._deadline = self._loop.call_later(self._settings.close_seconds, self._transport.abort)


def make_protocol(door: Door) -> type[StreamProtocol]:
    """The class for uvicorn's `ws=`, bound to a gateway."""
    return type("BoundStreamProtocol", (StreamProtocol,), {"door": door})


def _write_nothing(_frames: bytes) -> None:
    return None


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
