"""The instruments of a process: read once, read again when something unknown or old is asked for."""

import asyncio
from collections.abc import Sequence

import psycopg
import structlog

from agio.kernel.problem import Unavailable
from agio.ledger.api import Asset, AssetMismatch, Ledger
from agio.marketdata import store
from agio.marketdata.errors import InstrumentMismatch, UnknownInstrument
from agio.marketdata.model import SIM_INSTRUMENTS, SYMBOL, USD_SCALE, Calendar, Instrument
from agio.platform.clock import Clock
from agio.platform.db import Database

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 10.0
UNKNOWN_SECONDS = 0.02
"""The table is read for unknown symbols at most this often, whoever asks."""


class InstrumentDirectory:
    """Implements api.Instruments."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._by_symbol: dict[str, Instrument] = {}
        self._calendars: dict[str, Calendar] = {}
        self._read_at = float("-inf")
        self._look: asyncio.Task[None] | None = None

    def cached(self, symbol: str) -> Instrument | None:
        return self._by_symbol.get(symbol)

    async def instrument(self, symbol: str) -> Instrument:
        found = self._by_symbol.get(symbol)
        if found is not None:
            await self._refresh_quietly()
            return self._by_symbol.get(symbol, found)
        if SYMBOL.fullmatch(symbol) is not None:
            await self._look_again()
            found = self._by_symbol.get(symbol)
        if found is None:
            raise UnknownInstrument(
                "there is no such instrument; GET /api/instruments lists them", extra={"symbol": symbol[:24]}
            )
        return found

    async def instruments(self, venue: str | None = None) -> list[Instrument]:
        await self.refresh(older_than_seconds=UNKNOWN_SECONDS)
        return [one for one in self._by_symbol.values() if venue is None or one.venue == venue]

    async def calendar(self, name: str) -> Calendar:
        found = self._calendars.get(name)
        if found is None:
            async with self._database.transaction() as tx:
                found = await store.read_calendar(tx, name)
            if found is None:
                raise LookupError(f"no calendar {name}")
            self._calendars[name] = found
        return found

    async def refresh(self, older_than_seconds: float = 0.0) -> None:
        """Read the table again unless what is known is younger."""
        now = self._clock.monotonic()
        if now - self._read_at < older_than_seconds:
            return
        async with self._database.transaction() as tx:
            instruments = await store.read_instruments(tx)
        self._by_symbol = {instrument.symbol: instrument for instrument in instruments}
        self._read_at = now

    async def _look_again(self) -> None:
        """Read what was made a moment ago; all who ask meanwhile wait for the same look."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_when_due())
        await asyncio.shield(self._look)

    async def _look_when_due(self) -> None:
        await asyncio.sleep(max(0.0, self._read_at + UNKNOWN_SECONDS - self._clock.monotonic()))
        await self.refresh()

    async def _refresh_quietly(self) -> None:
        """Look for changes now and then; without a database what is known still holds."""
        try:
            await self.refresh(older_than_seconds=REFRESH_SECONDS)
        except (psycopg.Error, Unavailable, OSError) as error:
            log.warning("instruments_not_refreshed", error=repr(error))


class InstrumentRegistry:
    """Adds instruments together with their assets; only the engine does."""

    def __init__(self, database: Database, ledger: Ledger, directory: InstrumentDirectory) -> None:
        self._database = database
        self._ledger = ledger
        self._directory = directory

    async def ensure_instruments(self) -> None:
        """Seed calendars and the instruments of the simulated exchange; idempotent."""
        async with self._database.transaction() as tx:
            await self._ledger.define_assets(tx, _assets_of(*SIM_INSTRUMENTS))
            await store.save_calendars(tx)
            await store.save_instruments(tx, SIM_INSTRUMENTS)
        await self._directory.refresh()

    async def ensure_tape_instrument(self, wanted: Instrument) -> Instrument:
        """The instrument that a tape is played as: the one that exists if it fits, else the wanted one.

        Raises InstrumentMismatch.
        """
        await self._directory.refresh()
        existing = self._directory.cached(wanted.symbol)
        if existing is not None:
            return require_fit(existing, wanted)
        try:
            async with self._database.transaction() as tx:
                await self._ledger.define_assets(tx, _assets_of(wanted))
                await store.save_calendars(tx)
                await store.save_instruments(tx, [wanted])
        except AssetMismatch as error:
            raise InstrumentMismatch(f"the asset {wanted.base_asset} exists with another scale") from error
        await self._directory.refresh()
        return require_fit(await self._directory.instrument(wanted.symbol), wanted)

    def knows(self, symbol: str) -> bool:
        """Whether this process has read of it."""
        return self._directory.cached(symbol) is not None

    async def ensure_live_instruments(self, wanted: Sequence[Instrument]) -> list[Instrument]:
        """Instruments of a live venue as they are kept, made where they are new. No assets."""
        async with self._database.transaction() as tx:
            await store.save_calendars(tx)
            await store.save_live_instruments(tx, wanted)
        await self._directory.refresh()
        return [await self._directory.instrument(one.symbol) for one in wanted]


def require_fit(existing: Instrument, wanted: Instrument) -> Instrument:
    """Return the existing instrument if a tape of the wanted precision can be played on it."""
    if existing.venue != wanted.venue:
        raise InstrumentMismatch(f"{existing.symbol} is traded on {existing.venue}: give another symbol")
    if existing.price_scale < wanted.price_scale or existing.quantity_scale < wanted.quantity_scale:
        raise InstrumentMismatch(
            f"{existing.symbol} has {existing.price_scale} and {existing.quantity_scale} decimals in price"
            f" and size, the tape needs {wanted.price_scale} and {wanted.quantity_scale}: give another symbol"
        )
    return existing


def _assets_of(*instruments: Instrument) -> list[Asset]:
    assets = {"USD": Asset("USD", USD_SCALE, "US dollar", "currency")}
    for one in instruments:
        assets[one.base_asset] = Asset(one.base_asset, one.quantity_scale, one.name, one.asset_class)
    return list(assets.values())
