"""The engine's live valuation over a real bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import psycopg
import pytest
from tests.integration.analytics.world import World
from tests.nodes import end

from agio.analytics.events import analytics_subject, decode_state, positions_subject
from agio.analytics.marker import PortfolioMarker
from agio.analytics.schemas import CreatePortfolio, LiveAnalytics, Position
from agio.analytics.store import Portfolio
from agio.analytics.stream import AnalyticsChannel, PositionsChannel
from agio.kernel.ids import OrganisationId, new_id
from agio.kernel.page import Page
from agio.ledger.api import Entry
from agio.ledger.service import LedgerService
from agio.marketdata.events import encode, last_subject
from agio.platform.bus import Bus
from agio.platform.channels import UnknownChannel
from agio.platform.db import Scope


class Subscriber:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    bus = Bus(nats_url)
    await bus.open()
    yield bus
    await bus.close()


class EngineLedger(LedgerService):
    """The engine's ledger; `meanwhile` happens once, when entries have been read and not yet looked at."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def entries(self, *arguments: Any, **options: Any) -> Page[Entry]:
        page = await super().entries(*arguments, **options)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return page


@pytest.fixture
def engine_ledger(world: World) -> EngineLedger:
    return EngineLedger(world.engine, world.clock)


@pytest.fixture
async def marker(world: World, bus: Bus, engine_ledger: EngineLedger) -> AsyncIterator[PortfolioMarker]:
    marker = PortfolioMarker(world.engine, bus, engine_ledger, world.instruments, world.market, world.clock)
    task = asyncio.create_task(marker.run())
    yield marker
    await end([task])


async def portfolio_of(world: World) -> tuple[Portfolio, str]:
    account = await world.open_account()
    await world.fill(account, 10, 10_000)
    async with world.app.transaction(world.scope) as tx:
        portfolio = await world.analytics.create_portfolio(tx, CreatePortfolio("Live", [account.account_id]))
    return portfolio, account.account_id


class Heard:
    """Pushes of a channel, newest value per key."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.sequences: list[int] = []
        self._more = asyncio.Event()

    async def take(self, _: str, payload: bytes) -> None:
        message = decode_state(payload)
        self.sequences.append(message.q)
        self.values.update((item.key, item.body) for item in message.items)
        self._more.set()

    async def until(self, key: str, text: str) -> bytes:
        async with asyncio.timeout(30):
            while text not in self.values.get(key, b"").decode():
                self._more.clear()
                await self._more.wait()
        return self.values[key]


async def follow(world: World, bus: Bus, portfolio: Portfolio) -> Heard:
    """The totals of a portfolio at a price of 100, of which the marker is told now."""
    world.market.trade(10_000)
    totals = Heard()
    await bus.subscribe(analytics_subject(portfolio.portfolio_id), totals.take)
    await bus.publish("an.portfolio_created")
    return totals


async def deposit(world: World, bus: Bus, account_id: str) -> None:
    """Five dollars, and the event of the ledger."""
    account = await world.custody.account(Subscriber(world.scope), account_id)  # type: ignore[arg-type]
    await world.transfer(account, "deposit", "5.00")
    await bus.publish(f"ev.ledger.{account_id}")


async def test_a_price_moves_positions_and_totals(world: World, bus: Bus, marker: PortfolioMarker) -> None:
    portfolio, _ = await portfolio_of(world)
    positions, totals = Heard(), Heard()
    await bus.subscribe(positions_subject(portfolio.portfolio_id), positions.take)
    await bus.subscribe(analytics_subject(portfolio.portfolio_id), totals.take)
    await bus.publish("an.portfolio_created")
    await positions.until("ACME-USD", '"quantity":"10"')
    await bus.publish(last_subject("ACME-USD"), encode(world.market.trade(10_500)))
    position = msgspec.json.decode(await positions.until("ACME-USD", '"105.00"'), type=Position)
    assert position.market_value == "1050.00"
    live = msgspec.json.decode(await totals.until("", '"100050.00"'), type=LiveAnalytics)
    assert live.unrealized_pnl == "50.00"
    assert live.day_return == pytest.approx(0.0005, rel=1e-9)
    assert totals.sequences == sorted(set(totals.sequences))
    page = await world.analytics.positions(world.scope, portfolio.portfolio_id)
    assert page.items == [position]
    assert await world.analytics.live(world.scope, portfolio.portfolio_id) == live


async def test_a_ledger_event_moves_the_totals(world: World, bus: Bus, marker: PortfolioMarker) -> None:
    portfolio, account_id = await portfolio_of(world)
    totals = await follow(world, bus, portfolio)
    await totals.until("", '"100000.00"')
    await deposit(world, bus, account_id)
    await totals.until("", '"100005.00"')


async def test_a_ledger_event_that_comes_while_the_ledger_is_read_is_not_lost(
    world: World, bus: Bus, marker: PortfolioMarker, engine_ledger: EngineLedger
) -> None:
    portfolio, account_id = await portfolio_of(world)
    totals = await follow(world, bus, portfolio)
    await totals.until("", '"100000.00"')

    async def move() -> None:
        await deposit(world, bus, account_id)
        while portfolio.portfolio_id not in marker._changed:
            await asyncio.sleep(0.01)

    engine_ledger.meanwhile = move
    await bus.publish(f"ev.ledger.{account_id}")
    await totals.until("", '"100005.00"')


async def test_a_change_waits_for_a_database_that_is_away(
    world: World, bus: Bus, marker: PortfolioMarker, engine_ledger: EngineLedger
) -> None:
    portfolio, _ = await portfolio_of(world)

    async def go_away() -> None:
        raise psycopg.OperationalError("the server closed the connection unexpectedly")

    engine_ledger.meanwhile = go_away
    totals = await follow(world, bus, portfolio)
    await totals.until("", '"100000.00"')
    assert engine_ledger.meanwhile is None


async def test_an_unchanged_portfolio_is_silent(world: World, bus: Bus, marker: PortfolioMarker) -> None:
    portfolio, _ = await portfolio_of(world)
    totals = await follow(world, bus, portfolio)
    await totals.until("", "equity")
    trade = world.market.last
    assert trade is not None
    heard = len(totals.sequences)
    for _ in range(3):
        await bus.publish(last_subject("ACME-USD"), encode(trade))
        await asyncio.sleep(0.4)
    assert len(totals.sequences) == heard


async def test_channels_open_for_their_owner_only(world: World) -> None:
    portfolio, _ = await portfolio_of(world)
    world.market.trade(10_000)
    for kind in (PositionsChannel, AnalyticsChannel):
        channel = kind(world.analytics, world.clock)
        handle = await channel.open(Subscriber(world.scope), portfolio.portfolio_id)
        (push,) = await handle.snapshot()
        assert push.snapshot
        assert msgspec.json.decode(push.d)
        stranger = Subscriber(Scope(OrganisationId(new_id("org")), "sandbox"))
        with pytest.raises(UnknownChannel):
            await channel.open(stranger, portfolio.portfolio_id)
        with pytest.raises(UnknownChannel):
            await channel.open(Subscriber(world.scope), "pft_nonsense")
