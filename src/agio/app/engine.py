"""The engine process: market, venues, settlement, relay, portfolio marks, each duty under its lease."""

import asyncio
import signal
from pathlib import Path

import uvloop

from agio.analytics.marker import PortfolioMarker
from agio.app.duties import Duty, run_duties
from agio.app.ending import end_for_sure
from agio.app.node import Node, open_node
from agio.app.readiness import announce_ready
from agio.kernel.ids import new_id
from agio.ledger.jobs import HoldExpiry
from agio.ledger.service import LedgerService
from agio.marketdata.api import SIM, Fence
from agio.marketdata.history import TradeTable
from agio.marketdata.instruments import InstrumentDirectory, InstrumentRegistry
from agio.marketdata.jobs import Sweeper
from agio.marketdata.live.duty import LiveDuty
from agio.marketdata.live.market import is_live, read_market
from agio.marketdata.market_view import MarketView
from agio.marketdata.publisher import Publisher
from agio.marketdata.recorder import Recorder
from agio.marketdata.replays.duty import ReplayDuty
from agio.marketdata.replays.players import Stage
from agio.marketdata.replays.pressure import PressureGate
from agio.marketdata.settings import (
    MarketDataSettings,
    live_settings,
    tick_reader_address,
    tick_store_settings,
    tick_writer_address,
)
from agio.marketdata.ticks.duck import DuckLimits
from agio.marketdata.ticks.duty import TickDuty
from agio.marketdata.ticks.reader import TickReader
from agio.platform.config import Settings
from agio.platform.leases import Lease
from agio.platform.relay import OutboxRelay
from agio.platform.telemetry import configure_logging
from agio.trading.jobs.closed import ClosedVenueRunner
from agio.trading.jobs.simulator import SimulatorRunner
from agio.trading.jobs.tape import TapeRunner

CONNECTIONS = 8


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    configure_logging("engine", settings.log_level)
    uvloop.run(_work(settings))


async def _work(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_node(settings, "engine", settings.engine_database_url, CONNECTIONS) as node:
        await node.bus.ensure_event_stream()
        engine = Engine(node)
        working = asyncio.create_task(
            run_duties(engine.duties(), node.database, node.clock, _node_name(settings.data_dir))
        )
        await engine.start()
        announce_ready()
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        end_for_sure()
        for task in (waiting, working):
            task.cancel()
        await asyncio.gather(waiting, working, return_exceptions=True)
        await engine.close()


class Engine:
    """Wires the duties. State that must survive is in the database; each start of a duty reads it anew."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._ledger = LedgerService(node.database, node.clock)
        self._instruments = InstrumentDirectory(node.database, node.clock)
        self._registry = InstrumentRegistry(node.database, self._ledger, self._instruments)
        self._view = MarketView(node.database, node.bus, node.clock)
        self._market_settings = MarketDataSettings(
            market=node.settings.market, replay_dirs=node.settings.replay_dirs
        )

        self._ticks = TickReader(tick_reader_address(node.settings), DuckLimits(memory_mb=64, threads=1))

    async def start(self) -> None:
        """Hear the market, for duties that look at prices."""
        await self._view.start()

    async def close(self) -> None:
        """Let go of what duties shared."""
        await self._ticks.close()

    def duties(self) -> list[Duty]:
        return [
            Duty("relay", self._relay),
            Duty("market", self._run_market),
            Duty("portfolios", self._mark_portfolios),
            Duty("ticks", self._store_ticks),
            Duty("upkeep", self._keep_up),
        ]

    async def _relay(self, _lease: Lease) -> None:
        await OutboxRelay(self._node.database, self._node.bus).run()

    async def _run_market(self, lease: Lease) -> None:
        """Venues, settlement and replays share one lease: together they decide what happens on the market."""
        node = self._node
        fence = Fence(lease.duty, lease.token)
        publisher = Publisher(node.bus, node.clock, self._instruments.cached)
        recorder = Recorder(node.database, node.bus, node.clock, publisher, fence)
        # Whoever was away for hours finds what was moved meanwhile.
        history = TradeTable(node.database, self._ticks)
        tape = TapeRunner(
            node.database,
            self._ledger,
            self._instruments,
            self._view,
            history,
            node.bus,
            node.clock,
            fence,
        )
        gate = PressureGate(node.bus, node.clock)
        limits = self._market_settings.limits
        stage = Stage(node.database, node.clock, recorder, publisher, gate, (tape,), limits, history)
        await self._registry.ensure_instruments()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publisher.run())
            tasks.create_task(tape.run())
            tasks.create_task(ReplayDuty(node.bus, stage, self._registry).run())
            if is_live(node.settings.market):
                tasks.create_task(self._follow_live(recorder, publisher, history))
            if node.settings.market == "sim":
                tasks.create_task(self._simulate(recorder, publisher, fence))
            else:
                tasks.create_task(self._close_simulator(fence))

    async def _follow_live(self, recorder: Recorder, publisher: Publisher, history: TradeTable) -> None:
        node = self._node
        await LiveDuty(
            read_market(node.settings.market),
            node.bus,
            node.clock,
            recorder,
            publisher,
            self._registry,
            history,
            live_settings(node.settings),
        ).run()

    async def _simulate(self, recorder: Recorder, publisher: Publisher, fence: Fence) -> None:
        node = self._node
        await SimulatorRunner(
            node.database,
            self._ledger,
            self._instruments,
            self._view,
            recorder,
            publisher,
            node.bus,
            node.clock,
            fence,
            node.settings.seed,
        ).run()

    async def _close_simulator(self, fence: Fence) -> None:
        """Orders for the exchange that is not running are answered: new ones refused, cancels done."""
        node = self._node
        await ClosedVenueRunner(
            node.database, self._ledger, self._instruments, node.bus, node.clock, fence, SIM
        ).run()

    async def _mark_portfolios(self, _lease: Lease) -> None:
        node = self._node
        await PortfolioMarker(
            node.database, node.bus, self._ledger, self._instruments, self._view, node.clock
        ).run()

    async def _store_ticks(self, lease: Lease) -> None:
        node = self._node
        await TickDuty(
            node.database,
            node.bus,
            node.clock,
            tick_writer_address(node.settings),
            tick_store_settings(node.settings),
            lease.token,
            self._ticks,
        ).run()

    async def _keep_up(self, _lease: Lease) -> None:
        node = self._node
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(HoldExpiry(self._ledger).run())
            tasks.create_task(Sweeper(node.database, node.clock, self._market_settings).run())


def _node_name(data_dir: Path) -> str:
    """Who we are to the leases: the same after a restart, so that we take our duties back at once."""
    file = data_dir / "run" / "node"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new_id("node"), encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
