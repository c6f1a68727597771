"""The simulated exchange as a duty: agents act ten times a second, clients' orders at once."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
import structlog

from agio.kernel.time import from_nanos
from agio.ledger.api import Ledger
from agio.marketdata.api import (
    SIM,
    Calendar,
    Fence,
    Instrument,
    Instruments,
    Market,
    MarketPublisher,
    Recorded,
    Trade,
    TradeRecorder,
)
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction
from agio.platform.leases import LeaseLost
from agio.trading.dealing import COMMAND_LIMIT, DealingDesk
from agio.trading.jobs.waking import VenueNudge
from agio.trading.ports import Filled, Report
from agio.trading.providers.simulator import (
    MarketTrade,
    SimulatedExchange,
    SimulatedInstrument,
    SimulatedMarket,
)

SIMULATOR_DUTY: Final = "venue:SIM"
STEP_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 0.5
BOOK_LEVELS: Final = 25
TRADES_A_RECORD: Final = 1000
SIDES: Final = {"buy": 1, "sell": 2}

log = structlog.get_logger(__name__)


class Temper(msgspec.Struct, frozen=True):
    """How a simulated market behaves; the price is an integer at the instrument's scale."""

    start_price: int
    volatility: float
    depth_lots: int


DEFAULT_TEMPER: Final = Temper(10_000, 0.35, 50)
TEMPERS: Final = {
    "BTC-USD": Temper(64_000_00, 0.5, 25),
    "ETH-USD": Temper(3_400_00, 0.6, 25),
    "EUR-USD": Temper(1_0850, 0.08, 100),
    "ACME-USD": Temper(120_00, 0.3, 100),
}


class _MarketRecord:
    """Writes the exchange's trades in the transaction of the fills that they are."""

    def __init__(self, recorder: TradeRecorder) -> None:
        self._recorder = recorder
        self._market: SimulatedMarket | None = None
        self._recorded: list[Recorded] = []

    def note(self, market: SimulatedMarket) -> None:
        self._market = market
        self._recorded = []

    def take(self) -> tuple[SimulatedMarket | None, list[Recorded]]:
        """What may be told now that it is durable."""
        market, recorded = self._market, self._recorded
        self._market, self._recorded = None, []
        return market, recorded

    def has_work(self) -> bool:
        return self._market is not None and bool(self._market.trades)

    async def prepare(self, symbols: Iterable[str]) -> None:
        """Nothing: every instrument of the exchange is there from its start."""

    async def write(self, tx: Transaction, reports: list[Report]) -> list[Report]:
        """Record the trades; a fill learns the sequence of the trade that it is."""
        sequences: dict[str, int] = {}
        for symbol, trades in _by_symbol(self._market.trades if self._market else ()).items():
            for start in range(0, len(trades), TRADES_A_RECORD):
                part = trades[start : start + TRADES_A_RECORD]
                recorded = await self._recorder.record(tx, symbol, [_trade(trade) for trade in part])
                self._recorded.append(recorded)
                first = recorded.batch.first_seq
                sequences.update((trade.trade_id, first + place) for place, trade in enumerate(part))
        return [
            msgspec.structs.replace(report, trade_seq=sequences.get(report.trade_id))
            if isinstance(report, Filled)
            else report
            for report in reports
        ]


class SimulatorRunner:
    """Runs the exchange until cancelled or until the lease is lost; heals itself from the database."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        instruments: Instruments,
        market: Market,
        recorder: TradeRecorder,
        publisher: MarketPublisher,
        bus: Bus,
        clock: Clock,
        fence: Fence,
        seed: int,
    ) -> None:
        self._instruments = instruments
        self._market = market
        self._recorder = recorder
        self._publisher = publisher
        self._bus = bus
        self._clock = clock
        self._fence = fence
        self._seed = seed
        self._starts = 0
        self._record = _MarketRecord(recorder)
        self._calendars: dict[str, Calendar] = {}
        self._exchange: SimulatedExchange | None = None
        self._desk = DealingDesk(
            database, ledger, instruments, clock, fence, SIM, self._day_end, self._record
        )

    async def run(self) -> None:
        """Step, deal, tell; raises LeaseLost."""
        async with VenueNudge(self._bus) as nudge:
            next_step = self._clock.monotonic()
            while True:
                try:
                    exchange = self._exchange or await self._open()
                    is_step = self._clock.monotonic() >= next_step
                    if is_step:
                        next_step = max(next_step + STEP_SECONDS, self._clock.monotonic())
                    nudge.clear()
                    await self._turn(exchange, is_step=is_step)
                except LeaseLost:
                    raise
                except Exception as error:
                    log.warning("exchange_interrupted", error=repr(error))
                    self._exchange = None
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await nudge.wait(next_step - self._clock.monotonic())

    async def _open(self) -> SimulatedExchange:
        """A fresh exchange that goes on where the market stood, with every open order in its book."""
        instruments = await self._instruments.instruments(SIM)
        self._calendars = {
            instrument.symbol: await self._instruments.calendar(instrument.calendar)
            for instrument in instruments
        }
        last = [await self._market.latest_trade(instrument.symbol) for instrument in instruments]
        self._starts += 1
        exchange = SimulatedExchange(
            [_simulated(instrument) for instrument in instruments],
            self._seed + self._starts - 1,
            name=SIM,
            trade_prefix=f"{self._fence.token}-{self._starts}-",
            last_prices={trade.symbol: trade.price for trade in last if trade is not None},
        )
        self._record.take()
        await self._desk.open(exchange)
        # The agents quote before any command is heard: a market order shall not meet an empty book.
        await self._turn(exchange, is_step=True, commands_limit=0)
        self._exchange = exchange
        return exchange

    async def _turn(
        self, exchange: SimulatedExchange, *, is_step: bool, commands_limit: int = COMMAND_LIMIT
    ) -> None:
        now_ns = self._clock.now_micros() * 1000
        exchange.advance_to(now_ns)

        def happen() -> list[Report]:
            expired = self._expire_due(from_nanos(now_ns)) if is_step else []
            market = exchange.step(now_ns) if is_step else exchange.take_market()
            self._record.note(market)
            return [*expired, *market.reports]

        await self._desk.deal(happen, commands_limit=commands_limit)
        await self._tell(exchange)

    def _expire_due(self, now: datetime) -> list[Report]:
        return [report for symbol in self._calendars for report in self._desk.expire_due(symbol, now)]

    async def _tell(self, exchange: SimulatedExchange) -> None:
        """Everything here is durable: now, and not before, the market may show it."""
        market, recorded = self._record.take()
        for record in recorded:
            await self._recorder.announce(record)
        self._publisher.touch(SIM)
        if market is None:
            return
        for change in market.books:
            depth = exchange.depth(change.symbol, BOOK_LEVELS)
            self._publisher.publish_book(
                change.symbol, bids=depth.bids, asks=depth.asks, venue_time_ns=market.venue_time_ns
            )
        for quote in market.quotes:
            self._publisher.publish_quote(
                quote.symbol,
                bid=quote.bid,
                bid_size=quote.bid_size,
                ask=quote.ask,
                ask_size=quote.ask_size,
                venue_time_ns=market.venue_time_ns,
            )

    def _day_end(self, symbol: str) -> datetime:
        return self._calendars[symbol].day_end(self._clock.now())


def _simulated(instrument: Instrument) -> SimulatedInstrument:
    temper = TEMPERS.get(instrument.symbol, DEFAULT_TEMPER)
    return SimulatedInstrument(
        symbol=instrument.symbol,
        tick=instrument.tick_size,
        lot=instrument.lot_size,
        start_price=temper.start_price,
        volatility=temper.volatility,
        depth_lots=temper.depth_lots,
    )


def _trade(trade: MarketTrade) -> Trade:
    return Trade(trade.venue_time_ns, trade.price, trade.size, SIDES[trade.aggressor], trade.trade_id)


def _by_symbol(trades: Iterable[MarketTrade]) -> dict[str, list[MarketTrade]]:
    grouped: dict[str, list[MarketTrade]] = {}
    for trade in trades:
        grouped.setdefault(trade.symbol, []).append(trade)
    return grouped
