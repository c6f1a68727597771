"""The engine's part in live venues: runs their feeds, makes their market ours, tells how they are."""

import asyncio
import random

import aiohttp
import structlog

from agio.kernel.problem import Problem
from agio.marketdata.api import StaleWriter
from agio.marketdata.events import FEEDS_SUBJECT, FeedSources, encode
from agio.marketdata.feeds.ccxt_library import FeedUnavailable
from agio.marketdata.feeds.port import Feed, FeedStatus
from agio.marketdata.feeds.requests import RequestFailed, UnknownInstruments
from agio.marketdata.history import TradeTable
from agio.marketdata.instruments import InstrumentRegistry
from agio.marketdata.live.desk import VenueDesk
from agio.marketdata.live.instruments import LiveInstrument, live_instrument, wanted_instrument
from agio.marketdata.live.market import LiveVenue
from agio.marketdata.live.settings import LiveSettings
from agio.marketdata.live.trades import TradeIntake
from agio.marketdata.live.venues import open_feed
from agio.marketdata.live.watch import NOT_CONNECTED, SourceWatch
from agio.marketdata.publisher import STATUS_SECONDS, Publisher
from agio.marketdata.recorder import Recorder
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.leases import LeaseLost

log = structlog.get_logger(__name__)


class LiveDuty:
    """Runs under the lease of the market, with its recorder and its publisher."""

    def __init__(
        self,
        venues: tuple[LiveVenue, ...],
        bus: Bus,
        clock: Clock,
        recorder: Recorder,
        publisher: Publisher,
        registry: InstrumentRegistry,
        history: TradeTable,
        settings: LiveSettings,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._publisher = publisher
        self._registry = registry
        self._settings = settings
        self._intake = TradeIntake(recorder, history)
        self.sources = [Source(venue, clock) for venue in venues]

    async def run(self) -> None:
        """Until cancelled. A venue's trouble is its own; a lost lease is everybody's: raises StaleWriter."""
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._intake.run())
            tasks.create_task(self._tell())
            for source in self.sources:
                tasks.create_task(self._follow(source, http))

    async def _follow(self, source: "Source", http: aiohttp.ClientSession) -> None:
        """Run the venue's feed; when it can't begin, or ends by a fault of ours, again later."""
        wait = self._settings.first_retry_seconds
        self._withdraw(source, NOT_CONNECTED)
        while True:
            began = self._clock.monotonic()
            try:
                await self._run_feed(source, http)
            except (StaleWriter, LeaseLost):
                raise
            except (RequestFailed, UnknownInstruments, FeedUnavailable, Problem) as fault:
                log.warning("live_venue_not_followed", venue=source.wanted.venue, reason=str(fault))
                source.watch.fail(str(fault))
            except Exception as fault:
                log.exception("live_venue_failed", venue=source.wanted.venue)
                source.watch.fail(f"{type(fault).__name__}: {fault}")
            self._withdraw(source, NOT_CONNECTED)
            if self._clock.monotonic() - began > self._settings.last_retry_seconds:
                wait = self._settings.first_retry_seconds
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311
            wait = min(self._settings.last_retry_seconds, wait * 2)

    async def _run_feed(self, source: "Source", http: aiohttp.ClientSession) -> None:
        opened = await open_feed(source.wanted, http, self._clock, self._settings)
        ours = source.wanted.symbols
        stored = await self._registry.ensure_live_instruments(
            [wanted_instrument(ours[one.symbol], one) for one in opened.instruments]
        )
        instruments: dict[str, LiveInstrument] = {}
        for instrument, one in zip(stored, opened.instruments, strict=True):
            instruments[one.symbol] = live = live_instrument(instrument, one)
            await self._intake.open(live)
            source.watch.set_trading(one.symbol, one.state)
        source.instruments = {live.symbol: live for live in instruments.values()}
        source.feed = opened.feed
        await opened.feed.run(
            VenueDesk(opened.feed, instruments, source.watch, self._intake, self._publisher).take
        )

    def _withdraw(self, source: "Source", reason: str) -> None:
        """Nothing that was told of its books, perhaps by another engine, is proven now."""
        source.watch.lose(reason)
        self._publisher.set_venue(source.wanted.venue, source.watch.state)
        for symbol in source.wanted.symbols.values():
            if self._registry.knows(symbol):
                self._publisher.withdraw_book(symbol, reason)

    async def _tell(self) -> None:
        while True:
            sources = [source.watch.report(source.status(), self._intake.counts()) for source in self.sources]
            await self._bus.publish(FEEDS_SUBJECT, encode(FeedSources(self._clock.now_micros(), sources)))
            await asyncio.sleep(STATUS_SECONDS)


class Source:
    """One venue that is followed."""

    def __init__(self, wanted: LiveVenue, clock: Clock) -> None:
        self.wanted = wanted
        pairs = zip(wanted.symbols.items(), wanted.pairs, strict=True)
        self.watch = SourceWatch(
            wanted.venue, [(local, symbol, pair) for (local, symbol), pair in pairs], clock
        )
        self.feed: Feed | None = None
        self.instruments: dict[str, LiveInstrument] = {}
        """By our symbol."""

    def status(self) -> FeedStatus | None:
        return self.feed.status() if self.feed is not None else None
