"""A tick store in a test: the writer's and the reader's side, and trades that are easy to recognise."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import numpy as np
from tests.integration.marketdata.world import ApiNode, Engine

from agio.marketdata.api import Trade
from agio.marketdata.history import TradeTable
from agio.marketdata.routes import build_router
from agio.marketdata.service import MarketDataService
from agio.marketdata.ticks.batches import TradeTicks
from agio.marketdata.ticks.duck import DuckLimits
from agio.marketdata.ticks.duty import TickDuty
from agio.marketdata.ticks.lake import attach_store, open_for_reading, open_for_writing
from agio.marketdata.ticks.reader import TickReader
from agio.marketdata.ticks.settings import TickStoreAddress, TickStoreSettings
from agio.marketdata.ticks.writer import TickWriter
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.http import create_app
from agio.platform.leases import acquire
from agio.platform.migrations import role_url

SECOND = 1_000_000_000
START = 1_378_054_800 * SECOND  # 2013-09-01T17:00:00Z
SYMBOL = "BTC-USD"
LIMITS = DuckLimits(memory_mb=128, threads=1)


class TickWorld:
    """`engine` records and moves, `client` asks; each side with its own role."""

    def __init__(self, owner_url: str, engine: Engine, node: ApiNode, bus: Bus, folder: Path) -> None:
        self.folder = folder
        self.engine = engine
        self.writer_address = TickStoreAddress(url=role_url(owner_url, "agio_ticks"), folder=folder)
        self.reader_address = TickStoreAddress(url=role_url(owner_url, "agio_ticks_reader"), folder=folder)
        self.reader = TickReader(self.reader_address, LIMITS)
        self.history = TradeTable(node.database, self.reader)
        service = MarketDataService(
            node.database, node.directory, node.view, node.requests, node.settings, self.history
        )
        app = create_app([build_router(service, node.settings)], guards=[], dependencies={}, version="test")
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        self._bus = bus
        self._writers: list[TickWriter] = []
        self._reading: duckdb.DuckDBPyConnection | None = None

    @classmethod
    async def open(
        cls, owner_url: str, engine_database: Database, app_database: Database, bus: Bus, folder: Path
    ) -> "TickWorld":
        engine = Engine(engine_database, bus)
        await engine.__aenter__()
        return cls(owner_url, engine, ApiNode(app_database, bus), bus, folder)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        if self._reading is not None:
            self._reading.close()
        await self.client.aclose()
        await self.reader.close()
        await self.engine.__aexit__()

    async def lease(self) -> int:
        """The token of a newly taken lease: whoever had it before is stale."""
        lease = await acquire(self.engine.database, SystemClock(), "ticks", "engine-1")
        assert lease is not None
        return lease.token

    async def writer(self) -> TickWriter:
        token = await self.lease()
        writer = TickWriter(
            lambda: open_for_writing(self.writer_address, LIMITS, token), self.writer_address.data_folder
        )
        self._writers.append(writer)
        return writer

    async def duty(self, settings: TickStoreSettings | None = None) -> TickDuty:
        duty = TickDuty(
            self.engine.database,
            self._bus,
            SystemClock(),
            self.writer_address,
            settings or TickStoreSettings(),
            await self.lease(),
            self.reader,
        )
        self._writers.append(duty.writer)
        return duty

    async def move_all(self) -> int:
        """Move everything that is in PostgreSQL now."""
        duty = await self.duty()
        moved = await duty.move(datetime.now(UTC) + timedelta(hours=3), at_once=True)
        duty.writer.close()
        return moved

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What another DuckDB reads from the store."""
        if self._reading is None:
            self._reading = open_for_reading(self.reader_address, LIMITS)
            attach_store(self._reading, self.reader_address)
        return self._reading.execute(sql).fetchall()

    async def record(self, trades: Sequence[Trade], symbol: str = SYMBOL) -> None:
        for place in range(0, len(trades), 1000):
            await self.engine.recorder.append(symbol, trades[place : place + 1000])

    async def get(self, path: str, status: int = 200, **query: object) -> Any:
        response = await self.client.get(
            f"/api/market{path}", params={name: str(value) for name, value in query.items()}
        )
        assert response.status_code == status, response.text
        return response.json()

    async def pages(self, path: str, **query: object) -> list[dict[str, Any]]:
        """All items of a list, page by page."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, object] = {}
        for _ in range(200):
            page = await self.get(path, **query, **cursor)
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}
        raise AssertionError("the list has no end")


def some_trades(count: int, *, step_ns: int = SECOND // 2, first: int = 0) -> list[Trade]:
    """In order of time; every third an exact duplicate of the one before."""
    return [
        Trade(START + n * step_ns, 6_400_000 + n * 7 % 500, 1_000_000 * (1 + n % 9), 1 + n % 2, f"t{n}")
        for n in (number - (number % 3 == 2) for number in range(first, first + count))
    ]


def some_ticks(first_seq: int, count: int, symbol: str = SYMBOL, epoch: str = "e1") -> TradeTicks:
    """The same as columns."""
    place = np.arange(first_seq, first_seq + count, dtype=np.int64)
    return TradeTicks(
        symbol=symbol,
        epoch=epoch,
        first_seq=first_seq,
        price_scale=2,
        quantity_scale=8,
        venue_ns=START + place // 3 * SECOND,
        received_us=START // 1000 + place // 3,
        price=6_400_000 + place // 3 % 500,
        size=1_000_000 + place // 3 % 7,
        side=(place // 3 % 3).astype(np.uint8),
    )
