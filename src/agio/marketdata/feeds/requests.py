"""REST requests to venues: bounded in time and size, and slower when the venue asks for it."""

from collections.abc import Iterable
from typing import Final

import aiohttp
import msgspec

from agio.marketdata.feeds.connector import Connector
from agio.marketdata.normalised import Instrument

MAX_BODY: Final = 64 * 1024 * 1024
MAX_RETRY_AFTER_SECONDS: Final = 120.0
_CHUNK: Final = 64 * 1024


class RequestFailed(Exception):
    """No usable answer. `retry_after_seconds` is the venue's wish, 0 where it told none."""

    def __init__(self, reason: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class UnknownInstruments(LookupError):
    """The venue does not trade these symbols, or not in a way that we can count."""


async def get(http: aiohttp.ClientSession, url: str, timeout_seconds: float) -> bytes:
    """The body of an answer with status 200. Raises RequestFailed."""
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with http.get(url, timeout=timeout, allow_redirects=False) as answer:
            if answer.status != 200:
                wait = retry_after_seconds(answer.headers.get("Retry-After", ""))
                raise RequestFailed(f"status {answer.status}", wait)
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > MAX_BODY:
                    raise RequestFailed(f"an answer of more than {MAX_BODY} bytes")
            return bytes(body)
    except (aiohttp.ClientError, OSError) as fault:  # OSError: TimeoutError is one too
        raise RequestFailed(f"{type(fault).__name__}: {fault}") from fault


async def fetch_instruments(
    http: aiohttp.ClientSession,
    connector: type[Connector],
    symbols: Iterable[str],
    *,
    rest: str | None = None,
    timeout_seconds: float = 30.0,
) -> list[Instrument]:
    """The venue's own ticks and lots of these symbols. Raises RequestFailed, UnknownInstruments."""
    found: dict[str, Instrument] = {}
    for path in connector.instrument_paths:
        body = await get(http, f"{rest or connector.public.rest}{path}", timeout_seconds)
        try:
            found |= {one.symbol: one for one in connector.read_instruments(body)}
        except msgspec.DecodeError as fault:
            raise RequestFailed(f"instruments can't be read: {fault}") from fault
    wanted = list(dict.fromkeys(symbols))
    missing = [symbol for symbol in wanted if symbol not in found]
    if missing:
        raise UnknownInstruments(f"{connector.venue} has no {', '.join(missing)}")
    return [found[symbol] for symbol in wanted]


def retry_after_seconds(text: str) -> float:
    """Seconds; the form with a date is not used by venues and counts as nothing told."""
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else 0.0
