"""The feed of every venue without a connector of its own, by ccxt's WebSocket classes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from agio.marketdata.feeds.ccxt_connection import CcxtConnection
from agio.marketdata.feeds.ccxt_library import (
    Exchange,
    FeedUnavailable,
    load_library,
    make_exchange,
    read_instrument,
)
from agio.marketdata.feeds.connector import MAX_SYMBOLS, Endpoints
from agio.marketdata.feeds.port import Sink
from agio.marketdata.feeds.requests import RequestFailed, UnknownInstruments
from agio.marketdata.feeds.runner import ConnectionLost, FeedRunner
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.normalised import Instrument
from agio.platform.clock import Clock

CLOSE_SECONDS: Final = 5.0


class CcxtFeed(FeedRunner):
    """A `Feed` by ccxt: a new exchange object for each connection. `run` once."""

    def __init__(
        self,
        name: str,
        library: Any,
        instruments: Iterable[Instrument],
        clock: Clock,
        settings: FeedSettings | None = None,
        endpoints: Endpoints | None = None,
        *,
        random: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._instruments = {one.symbol: one for one in instruments}
        if not 0 < len(self._instruments) <= MAX_SYMBOLS:
            raise ValueError(f"a feed has 1 to {MAX_SYMBOLS} symbols, not {len(self._instruments)}")
        super().__init__(name.upper(), list(self._instruments), clock, settings, random=random, sleep=sleep)
        self._name = name
        self._library = library
        self._endpoints = endpoints

    async def _connect(self, sink: Sink) -> None:
        exchange = make_exchange(self._library, self._name, self._endpoints)
        try:
            await _load_markets(exchange, self._settings.connect_seconds)
            connection = self._connection = CcxtConnection(
                exchange,
                self._instruments,
                self._clock,
                self._settings,
                self._counters,
                self._skew,
                lambda messages, judgements: self._tell(sink, messages, judgements),
            )
            await connection.run(self._stopping)
        finally:
            await _close(exchange)


async def open_ccxt_feed(
    name: str, pairs: Mapping[str, str], clock: Clock, endpoints: Endpoints | None
) -> tuple[CcxtFeed, Sequence[Instrument]]:
    """A feed and its instruments, by symbol the pair as the operator wrote it.

    Raises FeedUnavailable without ccxt or the venue in it, UnknownInstruments, RequestFailed.
    """
    library = await asyncio.to_thread(load_library)
    exchange = make_exchange(library, name, endpoints)
    try:
        markets = await _load_markets(exchange, FeedSettings().connect_seconds)
        by_symbol = {_local(unified): market for unified, market in markets.items()}
        missing = [pair for symbol, pair in pairs.items() if symbol not in by_symbol]
        if missing:
            raise UnknownInstruments(f"{name.upper()} has no {', '.join(missing)}")
        instruments = [
            read_instrument(name.upper(), symbol, by_symbol[symbol], exchange.precisionMode)
            for symbol in pairs
        ]
    except ConnectionLost as lost:
        raise RequestFailed(str(lost)) from lost
    finally:
        await _close(exchange)
    return CcxtFeed(name, library, instruments, clock, endpoints=endpoints), instruments


def _local(unified: str) -> str:
    return unified.replace("/", "-").replace(":", "-").upper()


async def _load_markets(exchange: Exchange, seconds: float) -> Mapping[str, Any]:
    """Raises ConnectionLost."""
    try:
        async with asyncio.timeout(3 * seconds):
            return await exchange.load_markets()
    except FeedUnavailable:
        raise
    except Exception as fault:
        raise ConnectionLost(f"markets can't be read: {type(fault).__name__}: {fault}"[:200]) from fault


async def _close(exchange: Exchange) -> None:
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await exchange.close()
