"""uvicorn's HTTP protocol with two bounds that it lacks: a request head's bytes and seconds."""

import asyncio
from typing import Any, Final, cast

import msgspec
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from agio.kernel.problem import Problem
from agio.platform.http.edge import new_request_id
from agio.platform.http.problems import PROBLEM_MEDIA_TYPE, RequestRefused, problem_members

TRANSPORT_EXTENSION: Final = "agio.transport"
"""In a scope's `extensions`: the asyncio transport, for answers that stream."""
MAX_HEAD_BYTES: Final = 32 * 1024
HEAD_SECONDS: Final = 15.0
_MAX_PACKET: Final = 256 * 1024
"""uvloop reads at most this much at once."""
_REASONS: Final = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class HeadTooLarge(Problem):
    """The request line and headers are longer than 32 KiB together."""

    status = 431
    code = "head_too_large"
    title = "Request head too large"


class HeadTooSlow(Problem):
    """The request line and headers did not arrive within 15 seconds."""

    status = 408
    code = "head_too_slow"
    title = "Request head too slow"


class BoundedHttpProtocol(HttpToolsProtocol):
    """Give it to uvicorn as `http=`; refuses with a problem and closes the connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_bytes = 0
        self._is_in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
            # A body may follow in the same packet: only what is certainly head is refused here.
            if self._head_bytes > MAX_HEAD_BYTES + _MAX_PACKET:
                self._refuse(HeadTooLarge("send shorter headers; a request's head may have 32 KiB"))
                return
        super().data_received(data)

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {TRANSPORT_EXTENSION: self.transport}
        self.scope["extensions"] = extensions
        self._is_in_head = True
        self._head_bytes = 0
        self._start_head_timer()

    @override
    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_head_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge("send shorter headers; a request's head may have 32 KiB"))
            return
        super().on_headers_complete()

    @override
    def _should_upgrade(self) -> bool:
        # While an earlier answer is due, an upgrade would overtake it: then this is a plain request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        is_free = cycle is None or cycle.response_complete
        return is_free and super()._should_upgrade()

    @override
    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # The parser and we hold each other: let go, or both live until the garbage collector looks.
        self.parser = None  # type: ignore[assignment]
        self.headers = []
        self.scope = None  # type: ignore[assignment]

    @override
    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._refuse(RequestRefused("this is not a request in HTTP/1.1"))

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_timed_out)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_timed_out(self) -> None:
        self._refuse(HeadTooSlow("send the whole head of the request at once"))

    def _refuse(self, problem: Problem) -> None:
        """Answer without the application and close."""
        if self.transport.is_closing():
            return
        body = msgspec.json.encode(problem_members(problem, "", new_request_id()))
        head = (
            f"HTTP/1.1 {problem.status} {_REASONS[problem.status]}\r\n"
            f"content-type: {PROBLEM_MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            "cache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
