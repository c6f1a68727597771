"""Channels, bus, wire and identities in memory, for tests of the streaming edge."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from agio.identity.api import KeyRevoked, Principal, Unauthorized
from agio.kernel.ids import KeyId, OrganisationId
from agio.kernel.time import to_micros
from agio.platform.channels import ChannelClass, ChannelHandle, Push, Subscriber, UnknownChannel
from agio.streaming.server_messages import Message, read_message

Handler = Callable[[str, bytes], Awaitable[None]]


class FakeSubscription:
    def __init__(self, feed: "FakeFeed", subject: str, handler: Handler) -> None:
        self._feed, self._subject, self._handler = feed, subject, handler

    async def unsubscribe(self) -> None:
        self._feed.handlers[self._subject].remove(self._handler)


class FakeFeed:
    """A bus that delivers at once."""

    def __init__(self) -> None:
        self.handlers: dict[str, list[Handler]] = {}
        self.reconnected: list[Callable[[], Awaitable[None]]] = []

    async def subscribe(self, subject: str, handler: Handler) -> FakeSubscription:
        self.handlers.setdefault(subject, []).append(handler)
        return FakeSubscription(self, subject, handler)

    async def flush(self) -> None:
        await asyncio.sleep(0)

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        self.reconnected.append(callback)

    async def publish(self, subject: str, payload: bytes) -> None:
        for handler in list(self.handlers.get(subject, ())):
            await handler(subject, payload)


def encode(pushes: list[Push]) -> bytes:
    return msgspec.msgpack.encode([(p.q, p.t, p.d, p.p, p.crc, p.snapshot, p.key) for p in pushes])


def decode(payload: bytes) -> list[Push]:
    return [Push(*fields) for fields in msgspec.msgpack.decode(payload)]


class MemoryLog:
    """A log channel whose history is a list; `position` and `replay` may be made to fail."""

    channel_class = ChannelClass.LOG

    def __init__(
        self, name: str = "trades", keys: tuple[str, ...] = ("ES",), scope: str = "market:read"
    ) -> None:
        self.name = name
        self.scope = scope
        self.keys = keys
        self.epoch = "e1"
        self.history: list[Push] = []
        self.trimmed = 0
        self.failures = 0
        self.replays = 0

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        if key not in self.keys:
            raise UnknownChannel(f"no {key}")
        return MemoryLogHandle(self, key)

    def commit(self, payloads: list[object], t: int = 1_790_000_000_000_000) -> list[Push]:
        """Make messages durable; the caller publishes them, or not."""
        first = len(self.history) + 1
        pushes = [
            Push(q=first + index, t=t + index, d=msgspec.json.encode(payload))
            for index, payload in enumerate(payloads)
        ]
        self.history.extend(pushes)
        return pushes

    def trades(self, count: int, batch: int = 1) -> list[list[Push]]:
        start = len(self.history)
        pushes = self.commit([trade(start + index + 1) for index in range(count)])
        return [pushes[index : index + batch] for index in range(0, count, batch)]


def trade(number: int) -> dict[str, object]:
    return {
        "price": f"{1600 + number % 100}.25",
        "size": str(1 + number % 7),
        "side": None,
        "venue_time": "2013-09-01T17:00:00.083000Z",
        "id": None,
    }


class MemoryLogHandle:
    def __init__(self, kind: MemoryLog, key: str) -> None:
        self._kind = kind
        self.subject = f"test.{kind.name}.{key}"
        self.history_url: str | None = f"/api/market/{key}/trades"

    def decode(self, payload: bytes) -> list[Push]:
        return decode(payload)

    def _maybe_fail(self) -> None:
        if self._kind.failures > 0:
            self._kind.failures -= 1
            raise ConnectionResetError("the database is away")

    async def position(self) -> tuple[str, int]:
        await asyncio.sleep(0)
        self._maybe_fail()
        return self._kind.epoch, len(self._kind.history)

    async def replay(self, after: int, limit: int) -> list[Push]:
        await asyncio.sleep(0)
        self._maybe_fail()
        self._kind.replays += 1
        start = max(after, self._kind.trimmed)
        return self._kind.history[start : start + limit]

    async def locate(self, instant: datetime, after: int) -> int | None:
        await asyncio.sleep(0)
        micros = to_micros(instant)
        first = max(after, self._kind.trimmed)
        return next((push.q for push in self._kind.history[first:] if push.t >= micros), None)

    async def snapshot(self) -> list[Push]:
        return []


class MemoryState:
    channel_class = ChannelClass.STATE
    scope = "accounts:read"

    def __init__(self, name: str = "balances") -> None:
        self.name = name
        self.values: dict[str, Push] = {}
        self.asked = 0

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        return MemoryStateHandle(self, key)

    def put(self, key: str, q: int, value: object) -> Push:
        push = Push(q=q, t=q, d=msgspec.json.encode(value), key=key)
        self.values[key] = push
        return push


class MemoryStateHandle:
    history_url: str | None = None

    def __init__(self, kind: MemoryState, key: str) -> None:
        self._kind = kind
        self.subject = f"test.{kind.name}.{key}"

    def decode(self, payload: bytes) -> list[Push]:
        return decode(payload)

    async def position(self) -> tuple[str, int]:
        return "", 0

    async def replay(self, after: int, limit: int) -> list[Push]:
        return []

    async def snapshot(self) -> list[Push]:
        self._kind.asked += 1
        await asyncio.sleep(0)
        return list(self._kind.values.values())


class MemoryBook:
    """A book of integer levels with deltas that name their predecessor."""

    name = "book"
    channel_class = ChannelClass.BOOK
    scope = "market:read"

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.q = 0

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        return MemoryBookHandle(self, key)

    def change(self, side: str, price: str, size: str) -> Push:
        levels = self.bids if side == "bids" else self.asks
        if size == "0":
            levels.pop(price, None)
        else:
            levels[price] = size
        previous, self.q = self.q, self.q + 1
        d = {"bids": [], "asks": [], side: [[price, size]]}
        return Push(q=self.q, t=self.q, d=msgspec.json.encode(d), p=previous, crc=self.crc())

    def crc(self) -> int:
        return crc_of(self.bids, self.asks)

    def whole(self) -> Push:
        d = {"bids": list(self.bids.items()), "asks": list(self.asks.items())}
        return Push(q=self.q, t=self.q, d=msgspec.json.encode(d), crc=self.crc(), snapshot=True)


def crc_of(bids: dict[str, str], asks: dict[str, str]) -> int:
    """Of the ten best levels; any checksum will do between a fake and its test."""
    best = best_levels(bids, asks, 10)
    return hash((frozenset(best["bids"].items()), frozenset(best["asks"].items()))) & 0xFFFFFFFF


def best_levels(bids: dict[str, str], asks: dict[str, str], depth: int) -> dict[str, dict[str, str]]:
    highest = sorted(bids, key=Decimal, reverse=True)[:depth]
    lowest = sorted(asks, key=Decimal)[:depth]
    return {
        "bids": {price: bids[price] for price in highest},
        "asks": {price: asks[price] for price in lowest},
    }


class MemoryBookHandle:
    history_url: str | None = None

    def __init__(self, kind: MemoryBook, key: str) -> None:
        self._kind = kind
        self.subject = f"test.book.{key}"

    def decode(self, payload: bytes) -> list[Push]:
        return decode(payload)

    async def position(self) -> tuple[str, int]:
        return "", 0

    async def replay(self, after: int, limit: int) -> list[Push]:
        return []

    async def snapshot(self) -> list[Push]:
        await asyncio.sleep(0)
        return [self._kind.whole()]


class FakeAuthenticator:
    """Tokens by name: `good`, `twin`, `blind` (no scopes), `other` (organisation), `soon` (for 3 s)."""

    def __init__(self) -> None:
        far = datetime.now(UTC) + timedelta(days=1)
        self.principals = {
            "good": principal("key_good", expires_at=far),
            "twin": principal("key_twin", expires_at=far),
            "blind": principal("key_blind", scopes=frozenset(), expires_at=far),
            "other": principal("key_other", organisation="org_other", expires_at=far),
            "soon": principal("key_soon", expires_at=datetime.now(UTC) + timedelta(seconds=3)),
        }
        self.tickets = {"tkt_good": "good"}

    async def authenticate(self, token: str, client_ip: str) -> Principal:
        await asyncio.sleep(0)
        if token == "revoked":
            raise KeyRevoked("revoked")
        if token not in self.principals:
            raise Unauthorized("unknown key")
        return self.principals[token]

    async def redeem_ticket(self, ticket: str, client_ip: str) -> Principal:
        return await self.authenticate(self.tickets.pop(ticket, ""), client_ip)


def principal(
    key_id: str,
    *,
    organisation: str = "org_one",
    scopes: frozenset[str] = frozenset({"market:read", "accounts:read", "orders:read"}),
    expires_at: datetime,
) -> Principal:
    return Principal(KeyId(key_id), OrganisationId(organisation), "sandbox", scopes, expires_at)


class FakeRevocations:
    def __init__(self) -> None:
        self.ended: list[Callable[[KeyId], None]] = []

    def watch(self, ended: Callable[[KeyId], None]) -> Callable[[], None]:
        self.ended.append(ended)
        return lambda: self.ended.remove(ended)


class FakeWire:
    """Keeps what is written; `is_writable` is the test's to set."""

    def __init__(self, *, takes_packed: bool = False) -> None:
        self.is_writable = True
        self.takes_packed = takes_packed
        self.written: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.limit = 0
        self.unheard = 0.0
        self.checked = 0
        self.kinds: set[type[Message]] = set()

    def write(self, frames: bytes) -> None:
        self.written.append(frames)

    def limit_messages(self, max_bytes: int) -> None:
        self.limit = max_bytes

    def seconds_unheard(self) -> float:
        return self.unheard

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)

    def frames(self) -> list[tuple[int, bytes]]:
        """Opcode and payload of every frame written so far."""
        data, found, at = b"".join(self.written), [], 0
        while at < len(data):
            length, head = data[at + 1] & 0x7F, 2
            if length == 126:
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            found.append((data[at] & 0x0F, data[at + head : at + head + length]))
            at += head + length
        return found

    def events(self) -> list[tuple[str | None, list[dict[str, object]]]]:
        """Id and messages of every server-sent event that has data."""
        events = read_events(b"".join(self.written))
        self._check([message for _, messages in events for message in messages])
        return events

    def messages(self) -> list[dict[str, object]]:
        """Every message in order, arrays of pushes taken apart."""
        found: list[dict[str, object]] = []
        for opcode, payload in self.frames():
            if opcode == 1:
                content = msgspec.json.decode(payload)
            elif opcode == 2:
                content = msgspec.msgpack.decode(payload)
            else:
                continue
            found.extend(content if isinstance(content, list) else [content])
        self._check(found)
        return found

    def _check(self, messages: list[dict[str, object]]) -> None:
        """Everything that any test sees is as documented."""
        for message in messages[self.checked :]:
            self.kinds.add(type(read_message(message)))
        self.checked = len(messages)


def read_events(text: bytes) -> list[tuple[str | None, list[dict[str, object]]]]:
    """Take whole server-sent events apart; what is not ended by an empty line is no event yet."""
    found = []
    for event in text.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in event.split("\n"))
        if "data" in fields:
            content = msgspec.json.decode(fields["data"])
            found.append((fields.get("id"), content if isinstance(content, list) else [content]))
    return found
