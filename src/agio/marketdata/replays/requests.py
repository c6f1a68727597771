"""Asking for a replay: the whole tape is checked first, in a thread, then the engine is told."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg

from agio.kernel.ids import new_id
from agio.kernel.problem import Conflict, InvalidRequest
from agio.marketdata.errors import UnknownReplay
from agio.marketdata.events import REPLAY_NUDGE
from agio.marketdata.instruments import InstrumentDirectory, require_fit
from agio.marketdata.model import SYMBOL, tape_instrument
from agio.marketdata.replays import store
from agio.marketdata.replays.model import Replay, check_speed
from agio.marketdata.settings import MarketDataSettings
from agio.marketdata.tape.files import TapeFile, open_tape, symbol_of
from agio.marketdata.tape.quotes import survey_quotes
from agio.marketdata.tape.survey import Survey, TapeLimits
from agio.marketdata.tape.trades import survey_trades
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database

CONCURRENT_SURVEYS = 2


class ReplayRunning(Conflict):
    """A replay of this symbol is under way. Wait for its end, cancel it, or give another `symbol`."""

    code = "replay_running"
    title = "Replay running"


class ReplayRequests:
    """Starts, shows and cancels replays, from any process."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        clock: Clock,
        instruments: InstrumentDirectory,
        settings: MarketDataSettings,
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._instruments = instruments
        self._limits = settings.limits
        self._surveys = asyncio.Semaphore(CONCURRENT_SURVEYS)

    async def start(
        self,
        path: str,
        *,
        speed: float,
        symbol: str | None = None,
        time_zone: str = "UTC",
        allowed: Sequence[Path] | None = None,
    ) -> Replay:
        """Check the tape and hand it to the engine.

        `allowed` None is for the local operator only (see `open_tape`). Raises TapeNotAllowed, TapeError
        (nothing is played), InstrumentMismatch, ReplayRunning, InvalidRequest.
        """
        check_speed(speed)
        zone = read_zone(time_zone)
        tape = await asyncio.to_thread(open_tape, path, allowed)
        with tape:
            symbol = check_symbol(symbol) if symbol is not None else symbol_of(tape.path)
            async with self._surveys:
                survey = await asyncio.to_thread(survey_tape, tape, zone, self._limits)
            replay = self._replay(tape, survey, symbol, speed, time_zone)
        await self._instruments.refresh()
        existing = self._instruments.cached(symbol)
        if existing is not None:
            require_fit(existing, tape_instrument(symbol, survey.price_scale, survey.quantity_scale))
        try:
            async with self._database.transaction() as tx:
                await store.insert_replay(tx, replay)
        except psycopg.errors.UniqueViolation as error:
            raise ReplayRunning(f"a replay of {symbol} is under way") from error
        await self.nudge()
        return replay

    async def get(self, replay_id: str) -> Replay:
        async with self._database.transaction() as tx:
            replay = await store.read_replay(tx, replay_id)
        if replay is None:
            raise UnknownReplay("there is no such replay")
        return replay

    async def newest(self) -> Replay | None:
        async with self._database.transaction() as tx:
            return await store.read_newest(tx)

    async def cancel(self, replay_id: str) -> Replay:
        """Stop a replay; what was played stays. A replay that is over is left as it is."""
        async with self._database.transaction() as tx:
            await store.cancel_replay(tx, replay_id)
        await self.nudge()
        return await self.get(replay_id)

    async def nudge(self) -> None:
        await self._bus.publish(REPLAY_NUDGE)

    def _replay(self, tape: TapeFile, survey: Survey, symbol: str, speed: float, time_zone: str) -> Replay:
        return Replay(
            replay_id=new_id("rpl"),
            path=str(tape.path),
            kind=tape.kind,
            symbol=symbol,
            speed=speed,
            time_zone=time_zone,
            state="pending",
            total=survey.rows,
            done=0,
            heard=0,
            first_seq=None,
            first_ns=survey.first_ns,
            last_ns=survey.last_ns,
            venue_time_ns=None,
            price_scale=survey.price_scale,
            quantity_scale=survey.quantity_scale,
            file_size=tape.size,
            file_modified_ns=tape.modified_ns,
            problem=None,
            problem_line=None,
            created_at=self._clock.now(),
            started_at=None,
            finished_at=None,
        )


def survey_tape(tape: TapeFile, zone: ZoneInfo, limits: TapeLimits) -> Survey:
    """Check every row; blocking."""
    if tape.kind == "quotes":
        return survey_quotes(tape, limits)
    return survey_trades(tape, zone, limits)


def check_symbol(symbol: str) -> str:
    if SYMBOL.fullmatch(symbol) is None:
        raise InvalidRequest("symbol has A-Z, 0-9 and -, at most 24 characters", extra={"field": "symbol"})
    return symbol


def read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidRequest(
            "time_zone must be a name such as UTC or America/Chicago", extra={"field": "time_zone"}
        ) from error
