"""A gateway over fakes, and clients that talk to its sessions without any socket."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from prometheus_client import CollectorRegistry
from tests.unit.streaming.fakes import (
    FakeAuthenticator,
    FakeFeed,
    FakeRevocations,
    FakeWire,
    MemoryBook,
    MemoryLog,
    MemoryState,
    encode,
)

from agio.platform.channels import ChannelKind, Push
from agio.platform.clock import Clock, SystemClock
from agio.streaming.event_session import EventSession
from agio.streaming.gateway import Gateway
from agio.streaming.handshake import UpgradeRequest
from agio.streaming.routes import read_requests
from agio.streaming.session import Session
from agio.streaming.settings import StreamingSettings

GOOD = "good"
PATIENCE_SECONDS = 60.0
"""How long anything may take on a machine that others use."""
QUICK = StreamingSettings(
    tick_seconds=0.001,
    verify_seconds=0.02,
    authentication_seconds=PATIENCE_SECONDS,
    queue_seconds=PATIENCE_SECONDS,
    lag_seconds=PATIENCE_SECONDS,
)
"""Nobody is cut off because the test is slow: who is to be cut off says so."""


class Client:
    """One connection: says operations, reads what the wire got."""

    def __init__(self, session: Session, wire: FakeWire) -> None:
        self.session = session
        self.wire = wire
        self._ids = itertools.count(1_000)

    def say(self, **operation: object) -> None:
        self.session.received(msgspec.json.encode(operation), is_text=True)

    async def ask(self, **operation: object) -> dict[str, object]:
        """Say something and wait for the answer with its id."""
        number = next(self._ids)
        self.say(id=number, **operation)
        return await self.wait_for(lambda message: message.get("id") == number)

    async def wait_for(
        self, is_wanted: Callable[[dict[str, object]], bool], seconds: float = PATIENCE_SECONDS
    ) -> dict[str, object]:
        async with asyncio.timeout(seconds):
            while True:
                for message in reversed(self.wire.messages()):
                    if is_wanted(message):
                        return message
                await asyncio.sleep(0.002)

    async def wait_until(self, is_reached: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while not is_reached():
                await asyncio.sleep(0.002)

    def stall(self) -> None:
        self.wire.is_writable = False

    def resume(self) -> None:
        self.wire.is_writable = True
        self.session.writable()

    def pushes(self) -> list[dict[str, object]]:
        return [message for message in self.wire.messages() if "op" not in message and "id" not in message]

    def sequences(self) -> list[object]:
        return [push["q"] for push in self.pushes()]


class Edge:
    def __init__(
        self, settings: StreamingSettings, feed: FakeFeed | None = None, clock: Clock | None = None
    ) -> None:
        self.feed = feed or FakeFeed()
        self.trades = MemoryLog()
        self.orders = MemoryLog("orders", ("acc_1",), scope="orders:read")
        self.balances = MemoryState()
        self.book = MemoryBook()
        self.authenticator = FakeAuthenticator()
        self.revocations = FakeRevocations()
        self.pressure: list[bool] = []
        kinds: list[ChannelKind] = [self.trades, self.orders, self.balances, self.book]
        self.registry = CollectorRegistry()
        self.gateway = Gateway(
            self.feed,
            kinds,
            self.authenticator,
            clock or SystemClock(),
            revocations=self.revocations,
            settings=settings,
            registry=self.registry,
            sources=lambda: {"SIM": "live"},
            on_pressure=self.pressure.append,
        )

    async def connect(
        self, token: str | None = GOOD, *, symbol: str | None = None, subprotocol: str | None = None
    ) -> Client:
        wire = FakeWire()
        request = UpgradeRequest(
            symbol=symbol,
            token=token,
            ticket=None,
            origin=None,
            host="localhost",
            address="127.0.0.1",
            is_secure=True,
        )
        session = await self.gateway.admit(request, subprotocol, wire)
        session.opened()
        return Client(session, wire)

    async def read(
        self, *channels: str, last_event: str | None = None, token: str = GOOD
    ) -> tuple[EventSession, FakeWire]:
        """Open a stream of events."""
        wire = FakeWire()
        request = UpgradeRequest(None, None, None, None, "localhost", "127.0.0.1", True)
        principal = await self.authenticator.authenticate(token, "127.0.0.1")
        requests = read_requests(list(channels), last_event, 50)
        return await self.gateway.admit_reader(request, principal, requests, wire), wire

    async def publish(self, name: str, key: str, pushes: list[Push]) -> None:
        await self.feed.publish(f"test.{name}.{key}", encode(pushes))

    async def trade(self, count: int, batch: int = 1) -> None:
        """Commit trades and publish all of them."""
        for pushes in self.trades.trades(count, batch):
            await self.publish("trades", "ES", pushes)

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def running_edge(
    settings: StreamingSettings = QUICK, feed: FakeFeed | None = None, clock: Clock | None = None
) -> AsyncIterator[Edge]:
    """A gateway of its own, on a bus of its own or beside others."""
    edge = Edge(settings, feed, clock)
    await edge.gateway.start()
    try:
        yield edge
    finally:
        await edge.gateway.stop()
