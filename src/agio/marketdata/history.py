"""The durable trades of a symbol, for whoever has to see each of them."""

from agio.marketdata import store
from agio.marketdata.events import TradeBatch
from agio.platform.db import Database


class TradeTable:
    """Implements api.TradeHistory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def position(self, symbol: str) -> tuple[str, int]:
        async with self._database.transaction() as tx:
            return await store.position(tx, symbol)

    async def trades_after(self, symbol: str, seq: int, limit: int) -> list[TradeBatch]:
        async with self._database.transaction() as tx:
            return await store.read_batches(tx, symbol, seq, limit)
