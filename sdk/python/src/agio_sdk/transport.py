"""The way to one server with one key: requests, repeated where that is safe, and the stream."""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import aiohttp
import msgspec

from agio_sdk.backoff import Backoff
from agio_sdk.buffer import WhenFull
from agio_sdk.errors import AgioError, ApiError, OutcomeUnknown, QueueFull
from agio_sdk.events import EventReader
from agio_sdk.gaps import OnGap
from agio_sdk.listing import Listing
from agio_sdk.message import Message
from agio_sdk.models import Page
from agio_sdk.pace import Pace
from agio_sdk.sequencer import ChannelClass
from agio_sdk.socket import Encoding
from agio_sdk.states import OnState
from agio_sdk.stream import Stream, Token
from agio_sdk.subscription import Subscription

T = TypeVar("T")

ATTEMPTS = 4
TRY_AGAIN = frozenset({429, 502, 503})
TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)


class SubscribeOptions(TypedDict, total=False):
    """The options of `Stream.subscribe`."""

    position: tuple[str, int] | None
    start: int | datetime | None
    depth: int | None
    tier: str | None
    limit: int | None
    when_full: WhenFull | None
    on_gap: OnGap | None
    backfill: bool


Query = Mapping[str, str | int | None]
Body = Mapping[str, object]
Amount = Decimal | str | int
Instant = date | datetime


class Transport:
    """The connections of a client, and what goes over them."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        token: Token | None = None,
        ca_file: str | Path | None = None,
        encoding: Encoding = "json",
        compress: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self.url = (url or os.environ.get("AGIO_URL", "https://localhost:8443")).rstrip("/")
        key = api_key or (os.environ.get("AGIO_API_KEY") if token is None else None)
        if not key and token is None:
            raise AgioError("no API key: pass api_key or set AGIO_API_KEY (`agio keys create` makes one)")
        self._token: str | Token = key or token or ""
        self._ca_file = ca_file or os.environ.get("AGIO_CA_FILE")
        self._encoding: Encoding = encoding
        self._compress = compress
        self.pace = pace or Pace()
        """How fast streams of this client reconnect; for tests."""
        self._session: aiohttp.ClientSession | None = None
        self._stream: Stream | None = None

    async def __aenter__(self) -> Self:
        self.session()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the stream and the connections; safe to call twice."""
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    def session(self) -> aiohttp.ClientSession:
        """The HTTP session, made at the first use inside the running event loop."""
        if self._session is None:
            context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
            headers = {"User-Agent": "agio-sdk-python/0.1.0"}
            if isinstance(self._token, str):
                headers["Authorization"] = f"Bearer {self._token}"
            self._session = aiohttp.ClientSession(
                headers=headers,
                connector=aiohttp.TCPConnector(ssl=context, limit=64),
                timeout=TIMEOUT,
            )
        return self._session

    async def authorization(self) -> dict[str, str]:
        """The header that speaks for us, with a token of now."""
        token = self._token if isinstance(self._token, str) else await self._token()
        return {"Authorization": f"Bearer {token}"}

    def stream(self, on_state: OnState | None = None) -> Stream:
        """The multiplexed stream of this client, opened at its first subscription.

        `on_state` is called with every new state from then on; `Stream.changes()` tells the reasons too.
        """
        if self._stream is None:
            self._stream = Stream(
                self.session,
                f"{self.url}/stream".replace("http", "ws", 1),
                self._token,
                self._encoding,
                compress=self._compress,
                fetch=self._fetch_page,
                pace=self.pace,
            )
        if on_state is not None:
            self._stream.on_state = on_state
        return self._stream

    async def subscribe(self, channel: str, **options: Unpack[SubscribeOptions]) -> Subscription:
        """Subscribe to any channel, such as `trades:BTC-USD` or `orders:acc_...`; see `Stream.subscribe`."""
        return await self.stream().subscribe(channel, **options)

    async def follow(
        self, channel: str, kind: type[T], **options: Unpack[SubscribeOptions]
    ) -> AsyncGenerator[T, None]:
        """The messages of any channel as `kind`, without loss across reconnections on log channels.

        Options are those of `Stream.subscribe`; `position` begins after an earlier message. A log whose
        messages are taken too slowly is left for a while and resumed where it was.
        """
        async for message in self.messages(channel, **options):
            yield message.decode(kind)

    async def messages(
        self, channel: str, **options: Unpack[SubscribeOptions]
    ) -> AsyncGenerator[Message, None]:
        """The same as messages, with their sequences."""
        is_wanted = True
        while is_wanted:
            try:
                async with await self.subscribe(channel, **options) as subscription:
                    async for message in subscription:
                        yield message
                is_wanted = False
            except QueueFull as full:
                if ChannelClass.of(channel) is not ChannelClass.LOG:
                    raise
                options["position"] = full.position
                options.pop("start", None)

    def events(
        self, *channels: str, on_gap: OnGap | None = None, last_event_id: str | None = None
    ) -> EventReader:
        """Channels as server-sent events, for places through which no WebSocket gets."""
        return EventReader(self, channels, on_gap=on_gap, last_event_id=last_event_id)

    async def _fetch_page(self, path: str, query: Query) -> Page[msgspec.Raw]:
        return await self.get(path, Page[msgspec.Raw], query)

    async def get(self, path: str, kind: type[T], query: Query | None = None) -> T:
        """GET a path as `kind`."""
        return await self.request("GET", path, kind, query=query, is_repeatable=True)

    async def post(self, path: str, kind: type[T], body: Body, *, idempotency_key: str | None = None) -> T:
        """POST a body; with an idempotency key it is repeated when the outcome is unknown."""
        return await self.request(
            "POST",
            path,
            kind,
            body=body,
            idempotency_key=idempotency_key,
            is_repeatable=idempotency_key is not None,
        )

    def listing(self, path: str, kind: type[T], query: Query | None = None) -> Listing[T]:
        """A list of the interface, read page by page."""

        async def read(cursor: str | None) -> Page[T]:
            return await self.get(path, Page[kind], {**(query or {}), "cursor": cursor})  # type: ignore[valid-type]

        return Listing(read)

    async def collect(self, page: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
        """All items of a list, page by page."""
        return await Listing(page).all()

    async def request(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Query | None = None,
        body: Body | None = None,
        idempotency_key: str | None = None,
        is_repeatable: bool = False,
    ) -> T:
        """Send a request and decode its answer.

        Raises ApiError for a refusal, OutcomeUnknown when nobody can tell whether it took effect.
        """
        headers = await self.authorization()
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        if body is not None:
            headers["Content-Type"] = "application/json"
        parameters = {name: str(value) for name, value in (query or {}).items() if value is not None}
        data = msgspec.json.encode(body) if body is not None else None
        backoff = Backoff()
        for attempt in range(1, ATTEMPTS + 1):
            is_last = attempt == ATTEMPTS or not is_repeatable
            try:
                async with self.session().request(
                    method, self.url + path, params=parameters, data=data, headers=headers
                ) as response:
                    content = await response.read()
                    status = response.status
                    retry_after = _seconds(response.headers.get("Retry-After"))
            except (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
                if is_last:
                    raise OutcomeUnknown(f"{method} {path}: {error!r}") from error
                await asyncio.sleep(backoff.next_delay())
                continue
            if status < 400:
                return msgspec.json.decode(content or b"null", type=kind)
            if status not in TRY_AGAIN or is_last:
                raise ApiError(status, _problem(content))
            await asyncio.sleep(backoff.next_delay(retry_after))
        raise AssertionError("the last attempt returns or raises")


class Verbs:
    """A group of verbs of a client, such as `agio.ledger.holds`."""

    def __init__(self, rest: Transport) -> None:
        self._rest = rest


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe=":")


def amount_text(amount: Amount) -> str:
    """An amount as the interface reads it: plain decimal text, never an exponent; floats are refused."""
    if isinstance(amount, str):
        return amount
    if isinstance(amount, bool | float):
        raise TypeError("an amount is a Decimal, decimal text or a whole number, never a float")
    return format(Decimal(amount), "f")


def instant_text(instant: Instant) -> str:
    """A date, or an instant with its zone, as text."""
    if isinstance(instant, datetime):
        if instant.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return instant.isoformat().replace("+00:00", "Z")
    return instant.isoformat()


def given(**members: object) -> dict[str, object]:
    """The members of a body that were given at all."""
    return {name: value for name, value in members.items() if value is not None}


def _problem(content: bytes) -> Mapping[str, object]:
    try:
        return msgspec.json.decode(content, type=dict[str, object])
    except msgspec.MsgspecError:
        return {"code": "unreadable_answer", "detail": content[:200].decode(errors="replace")}


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdigit() else 0.0
