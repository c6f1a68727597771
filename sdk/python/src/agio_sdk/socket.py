"""The one place that opens, reads and writes a WebSocket."""

import asyncio
import contextlib
from typing import Literal, Self

import aiohttp

from agio_sdk.errors import AgioError
from agio_sdk.verdicts import LOST, untrusted

Encoding = Literal["json", "msgpack"]

LARGEST_MESSAGE = 16 * 1024 * 1024
"""Bytes of a message, after decompression; more ends the connection with 1009."""
PROTOCOL_ERROR = 1002
COMPRESSION_WINDOW_BITS = 15


class HandshakeRefused(AgioError):
    """The server answered the upgrade with something else, or we asked for none; `reason` says why."""

    def __init__(self, status: int, retry_after_seconds: float = 0.0, reason: str = "") -> None:
        self.reason = reason or f"refused with HTTP {status}"
        super().__init__(f"no stream: {self.reason}")
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class CertificateRefused(HandshakeRefused):
    """The server's certificate cannot be verified; the upgrade was not asked for."""

    def __init__(self, fault: object) -> None:
        super().__init__(LOST, reason=untrusted(fault))


class SocketEnded(AgioError):
    """The connection is over; `code` is 1006 where no close frame said why."""

    def __init__(self, code: int = LOST, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Socket:
    """A WebSocket: RFC 6455 is aiohttp's part, pings are answered beneath.

    Everything that ends it, on either side or between, is a SocketEnded of `receive` and `send`.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @classmethod
    async def open(
        cls,
        session: aiohttp.ClientSession,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        protocols: tuple[str, ...] = (),
        compress: bool = False,
        connect_seconds: float = 10.0,
        close_seconds: float = 2.0,
    ) -> Self:
        """Shake hands; raises HandshakeRefused or SocketEnded.

        `compress` offers permessage-deflate (RFC 7692); the server decides.
        """
        try:
            async with asyncio.timeout(connect_seconds):
                socket = await session.ws_connect(
                    url,
                    headers=headers,
                    protocols=protocols,
                    # aiohttp refuses a message of exactly its limit.
                    max_msg_size=LARGEST_MESSAGE + 1,
                    autoclose=False,
                    compress=COMPRESSION_WINDOW_BITS if compress else 0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=close_seconds),
                )
        except aiohttp.WSServerHandshakeError as error:
            after = error.headers.get("Retry-After", "") if error.headers is not None else ""
            raise HandshakeRefused(error.status, float(after) if after.isdigit() else 0.0) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise CertificateRefused(error.certificate_error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SocketEnded(LOST, f"cannot connect: {type(error).__name__}") from error
        return cls(socket)

    @property
    def protocol(self) -> str | None:
        """The subprotocol that the server chose."""
        return self._socket.protocol

    @property
    def is_compressed(self) -> bool:
        """Whether the server took the offer to compress."""
        return bool(self._socket.compress)

    async def receive(self) -> str | bytes:
        """The next message, text or binary, without pings and pongs; raises SocketEnded."""
        try:
            message = await self._socket.receive()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SocketEnded(self._socket.close_code or LOST, str(error)) from error
        if message.type is aiohttp.WSMsgType.TEXT or message.type is aiohttp.WSMsgType.BINARY:
            data: str | bytes = message.data
            return data
        reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE else ""
        if message.type is aiohttp.WSMsgType.CLOSE:
            await self._answer_close(message.data)
        raise SocketEnded(self._socket.close_code or LOST, str(reason or ""))

    async def _answer_close(self, code: object) -> None:
        """aiohttp lets 1006 pass, which stands for an end without a close frame and never is in one."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._socket.close(code=PROTOCOL_ERROR if code == LOST else aiohttp.WSCloseCode.OK)

    async def send(self, message: str | bytes) -> None:
        """Send a text or a binary message; raises SocketEnded."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise SocketEnded(self._socket.close_code or LOST, str(error)) from error

    async def close(self, code: int = 1000) -> None:
        """Close it, waiting a short time for the server's answer.

        Safe to call twice, and while `receive` waits.
        """
        await self._socket.close(code=code)
