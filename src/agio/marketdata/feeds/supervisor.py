"""The feed of every native connector."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import aiohttp

from agio.marketdata.decoders.decoder import MAX_FRAME
from agio.marketdata.feeds.connection import Connection
from agio.marketdata.feeds.connector import Connector
from agio.marketdata.feeds.port import Sink
from agio.marketdata.feeds.requests import retry_after_seconds
from agio.marketdata.feeds.runner import ConnectionLost, FeedRunner
from agio.marketdata.feeds.settings import FeedSettings
from agio.platform.clock import Clock


class SupervisedFeed(FeedRunner):
    """A `Feed` of one native connector. `run` once; the HTTP session stays the caller's."""

    def __init__(
        self,
        connector: Connector,
        http: aiohttp.ClientSession,
        clock: Clock,
        settings: FeedSettings | None = None,
        *,
        random: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(connector.venue, connector.symbols, clock, settings, random=random, sleep=sleep)
        self._connector = connector
        self._http = http

    async def _connect(self, sink: Sink) -> None:
        socket = await self._open()
        try:
            connection = self._connection = Connection(
                self._connector,
                socket,
                self._http,
                self._clock,
                self._settings,
                self._counters,
                self._skew,
                lambda messages, judgements: self._tell(sink, messages, judgements),
            )
            await connection.run(self._stopping)
        finally:
            await socket.close()

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        """Raises ConnectionLost."""
        try:
            async with asyncio.timeout(self._settings.connect_seconds):
                return await self._http.ws_connect(
                    self._connector.stream_url,
                    max_msg_size=MAX_FRAME,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
        except aiohttp.WSServerHandshakeError as refusal:
            headers = refusal.headers
            wait = 0.0 if headers is None else retry_after_seconds(headers.get("Retry-After", ""))
            raise ConnectionLost(f"refused with status {refusal.status}", wait) from refusal
        except (aiohttp.ClientError, OSError) as fault:  # OSError: TimeoutError is one too
            raise ConnectionLost(f"can't connect: {type(fault).__name__}: {fault}") from fault
