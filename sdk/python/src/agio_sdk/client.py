"""The REST side: one method per verb of the API, and the door to the streams."""

import asyncio
import os
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import aiohttp
import msgspec

from agio_sdk.backoff import Backoff
from agio_sdk.errors import AgioError, ApiError, OutcomeUnknown
from agio_sdk.models import (
    Account,
    Balance,
    Bar,
    Execution,
    Instrument,
    Me,
    Order,
    OrderType,
    Page,
    Portfolio,
    Position,
    Quote,
    Side,
    TimeInForce,
    Trade,
    Transfer,
)
from agio_sdk.stream import Stream, StreamState
from agio_sdk.subscription import Subscription

T = TypeVar("T")

ATTEMPTS = 4
TRY_AGAIN = frozenset({429, 502, 503})
TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)

Query = Mapping[str, str | int | None]


class Agio:
    """An asynchronous client of one server with one key.

    Use it as `async with Agio(url, api_key, ca_file=...) as agio:`. What is not given is read from
    `AGIO_URL`, `AGIO_API_KEY` and `AGIO_CA_FILE`. Requests that can be repeated safely are repeated up to
    three times with full jitter: reads, and writes that carry an idempotency key (the client makes one
    where you give none).
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        ca_file: str | Path | None = None,
        encoding: Literal["json", "msgpack"] = "json",
    ) -> None:
        self.url = (url or os.environ.get("AGIO_URL", "https://localhost:8443")).rstrip("/")
        key = api_key or os.environ.get("AGIO_API_KEY")
        if not key:
            raise AgioError("no API key: pass api_key or set AGIO_API_KEY (`agio keys create` makes one)")
        self._api_key = key
        self._ca_file = ca_file or os.environ.get("AGIO_CA_FILE")
        self._encoding = encoding
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
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {self._api_key}", "User-Agent": "agio-sdk-python/0.1.0"},
                connector=aiohttp.TCPConnector(ssl=context, limit=64),
                timeout=TIMEOUT,
            )
        return self._session

    # Streams

    def stream(self, on_state: Callable[[StreamState], None] | None = None) -> Stream:
        """The multiplexed stream of this client, opened at its first subscription.

        `on_state` is called with every new state from then on.
        """
        if self._stream is None:
            self._stream = Stream(
                self.session, f"{self.url}/stream".replace("http", "ws", 1), self._api_key, self._encoding
            )
        if on_state is not None:
            self._stream.on_state = on_state
        return self._stream

    async def subscribe(self, channel: str, **options: Any) -> Subscription:
        """Subscribe to any channel, such as `trades:BTC-USD` or `orders:acc_...`; see `Stream.subscribe`."""
        return await self.stream().subscribe(channel, **options)

    async def trades(self, symbol: str) -> AsyncIterator[Trade]:
        """Trades of a symbol as they happen, without loss across reconnections."""
        async with await self.subscribe(f"trades:{symbol}") as subscription:
            async for message in subscription:
                yield msgspec.structs.replace(message.decode(Trade), seq=message.q)

    # Market data

    async def instruments(self) -> list[Instrument]:
        return (await self.get("/api/instruments", Page[Instrument])).items

    async def market_trades(
        self, symbol: str, *, after_seq: int | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[Trade]:
        """Stored trades in ascending sequence."""
        query: Query = {"after_seq": after_seq, "limit": limit, "cursor": cursor}
        return await self.get(f"/api/market/{symbol}/trades", Page[Trade], query)

    async def latest_trade(self, symbol: str) -> Trade:
        return await self.get(f"/api/market/{symbol}/trades/latest", Trade)

    async def quote(self, symbol: str) -> Quote:
        return await self.get(f"/api/market/{symbol}/quote", Quote)

    async def bars(
        self,
        symbol: str,
        interval: Literal["1s", "1m"] = "1m",
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Bar]:
        query: Query = {
            "interval": interval,
            "start": start.isoformat() if start else None,
            "end": end.isoformat() if end else None,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.get(f"/api/market/{symbol}/bars", Page[Bar], query)

    # Accounts

    async def me(self) -> Me:
        return await self.get("/api/me", Me)

    async def accounts(self) -> list[Account]:
        return await self.collect(lambda cursor: self.get("/api/accounts", Page[Account], {"cursor": cursor}))

    async def open_account(self, name: str, base_currency: str = "USD") -> Account:
        return await self.post("/api/accounts", Account, {"name": name, "base_currency": base_currency})

    async def balances(self, account_id: str) -> list[Balance]:
        return (await self.get(f"/api/accounts/{account_id}/balances", Page[Balance])).items

    async def deposit(
        self,
        account_id: str,
        asset: str,
        amount: Decimal,
        *,
        reference: str | None = None,
        key: str | None = None,
    ) -> Transfer:
        """Move money in from the sandbox rail; `key` makes a repetition harmless."""
        return await self._transfer("deposit", account_id, asset, amount, reference, key)

    async def withdraw(
        self,
        account_id: str,
        asset: str,
        amount: Decimal,
        *,
        reference: str | None = None,
        key: str | None = None,
    ) -> Transfer:
        """Move money out to the sandbox rail; `key` makes a repetition harmless."""
        return await self._transfer("withdrawal", account_id, asset, amount, reference, key)

    async def _transfer(
        self,
        direction: str,
        account_id: str,
        asset: str,
        amount: Decimal,
        reference: str | None,
        key: str | None,
    ) -> Transfer:
        body = {"account_id": account_id, "direction": direction, "asset": asset, "amount": str(amount)}
        if reference is not None:
            body["reference"] = reference
        return await self.post("/api/transfers", Transfer, body, idempotency_key=key or uuid.uuid4().hex)

    # Orders

    async def place_order(
        self,
        account_id: str,
        symbol: str,
        side: Side,
        quantity: Decimal,
        *,
        type: OrderType = "market",  # noqa: A002 - the field's word
        limit_price: Decimal | None = None,
        time_in_force: TimeInForce | None = None,
        client_order_id: str | None = None,
    ) -> Order:
        """Place an order; returns once it is durable and its money or securities are held.

        Repeating a call with the same `client_order_id` and body returns the same order.
        """
        body = {
            "account_id": account_id,
            "symbol": symbol,
            "side": side,
            "type": type,
            "quantity": str(quantity),
            "client_order_id": client_order_id or uuid.uuid4().hex,
        }
        if limit_price is not None:
            body["limit_price"] = str(limit_price)
        if time_in_force is not None:
            body["time_in_force"] = time_in_force
        return await self.request("POST", "/api/orders", Order, body=body, is_repeatable=True)

    async def order(self, order_id: str) -> Order:
        return await self.get(f"/api/orders/{order_id}", Order)

    async def orders(
        self,
        account_id: str,
        *,
        status: Literal["open", "closed", "all"] = "open",
        symbol: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Order]:
        query: Query = {
            "account_id": account_id,
            "status": status,
            "symbol": symbol,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.get("/api/orders", Page[Order], query)

    async def cancel_order(self, order_id: str) -> Order:
        """Ask for cancellation; the stream tells when the venue has confirmed it."""
        return await self.request("DELETE", f"/api/orders/{order_id}", Order, is_repeatable=True)

    async def executions(
        self, account_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> Page[Execution]:
        query: Query = {"account_id": account_id, "limit": limit, "cursor": cursor}
        return await self.get("/api/executions", Page[Execution], query)

    # Portfolios

    async def portfolios(self) -> list[Portfolio]:
        return (await self.get("/api/portfolios", Page[Portfolio])).items

    async def positions(self, portfolio_id: str) -> list[Position]:
        return (await self.get(f"/api/portfolios/{portfolio_id}/positions", Page[Position])).items

    async def portfolio_analytics(self, portfolio_id: str, **query: str | int) -> dict[str, Any]:
        """Every metric with value, unit, convention, n and null_reason.

        `explain="true"` adds inputs and formulas.
        """
        return await self.get(f"/api/portfolios/{portfolio_id}/analytics", dict[str, Any], query)

    # The request itself

    async def get(self, path: str, kind: type[T], query: Query | None = None) -> T:
        """GET a path as `kind`."""
        return await self.request("GET", path, kind, query=query, is_repeatable=True)

    async def post(
        self, path: str, kind: type[T], body: Mapping[str, object], *, idempotency_key: str | None = None
    ) -> T:
        """POST a body; with an idempotency key it is repeated when the outcome is unknown."""
        return await self.request(
            "POST",
            path,
            kind,
            body=body,
            idempotency_key=idempotency_key,
            is_repeatable=idempotency_key is not None,
        )

    async def collect(self, page: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
        """All items of a list, page by page."""
        items: list[T] = []
        cursor: str | None = None
        while True:
            answer = await page(cursor)
            items += answer.items
            cursor = answer.next_cursor
            if cursor is None:
                return items

    async def request(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
        is_repeatable: bool = False,
    ) -> T:
        """Send a request and decode its answer.

        Raises ApiError for a refusal, OutcomeUnknown when nobody can tell whether it took effect.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
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
            except (TimeoutError, aiohttp.ClientConnectionError) as error:
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


def _problem(content: bytes) -> Mapping[str, object]:
    try:
        return msgspec.json.decode(content, type=dict[str, object])
    except msgspec.MsgspecError:
        return {"code": "unreadable_answer", "detail": content[:200].decode(errors="replace")}


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdigit() else 0.0
