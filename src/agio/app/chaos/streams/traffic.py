"""Orders that keep a venue busy: small ones at once, resting ones that are cancelled again."""

import asyncio
import random
from contextlib import suppress
from decimal import Decimal
from typing import Final

import aiohttp
import msgspec

from agio.app.chaos.streams.journal import digest_of
from agio.app.chaos.streams.proof import StateMark
from agio.app.chaos.streams.subscriber import Door

REQUEST_SECONDS: Final = 8.0
LOSSES: Final = (aiohttp.ClientError, OSError, TimeoutError)
LOTS: Final = {"BTC-USD": "0.01", "ETH-USD": "0.1", "EUR-USD": "100", "ACME-USD": "1"}
RESTING: Final = {"BTC-USD": "30000.00", "ETH-USD": "1500.00", "EUR-USD": "0.5000", "ACME-USD": "50.00"}


class Trader:
    """A client whose orders may fail: all that counts is that many do not."""

    def __init__(self, door: Door, account_id: str, seed: int, pause_seconds: float) -> None:
        self.placed = 0
        self.failed = 0
        self._door = door
        self._account_id = account_id
        self._random = random.Random(seed)  # noqa: S311
        self._pause_seconds = pause_seconds

    async def run(self) -> None:
        async with self._session() as session:
            while True:
                await asyncio.sleep(self._random.uniform(0, 2 * self._pause_seconds))
                try:
                    if self._random.random() < 0.05:
                        await self._send(session, "DELETE", f"/api/orders?account_id={self._account_id}")
                    else:
                        await self._send(session, "POST", "/api/orders", self._draw())
                        self.placed += 1
                except LOSSES:
                    self.failed += 1
                    await asyncio.sleep(0.2)

    async def rest(self) -> bool:
        """Cancel what is open and wait for the venue; whether nothing is open any more."""
        async with self._session() as session:
            for _ in range(100):
                with suppress(*LOSSES):
                    await self._send(session, "DELETE", f"/api/orders?account_id={self._account_id}")
                    path = f"/api/orders?account_id={self._account_id}&status=open"
                    if not (await self._send(session, "GET", path))["items"]:
                        return True
                await asyncio.sleep(0.3)
        return False

    async def read_balances(self) -> list[StateMark]:
        """What the newest balances must be; read twice, so that nothing is under way."""
        path = f"/api/accounts/{self._account_id}/balances"
        async with self._session() as session:
            for _ in range(100):
                with suppress(*LOSSES):
                    before = await self._send(session, "GET", path)
                    await asyncio.sleep(0.5)
                    if before == await self._send(session, "GET", path):
                        return [self._mark(balance) for balance in before["items"]]
                await asyncio.sleep(0.3)
        return []

    def _mark(self, balance: dict[str, object]) -> StateMark:
        channel = f"balances:{self._account_id}"
        return StateMark(channel, str(balance["asset"]), digest=digest_of(balance, 0))

    def _draw(self) -> dict[str, object]:
        symbol = self._random.choice(list(LOTS))
        lots = self._random.choice((1, 1, 2, 5))
        order: dict[str, object] = {
            "account_id": self._account_id,
            "symbol": symbol,
            "side": self._random.choice(("buy", "buy", "sell")),
            "type": "market",
            "quantity": str(Decimal(LOTS[symbol]) * lots),
            "time_in_force": "day",
        }
        if self._random.random() < 0.4:
            order |= {"side": "buy", "type": "limit", "limit_price": RESTING[symbol]}
        return order

    async def _send(
        self, session: aiohttp.ClientSession, verb: str, path: str, body: object = None
    ) -> dict[str, list[dict[str, object]]]:
        content = msgspec.json.encode(body) if body is not None else None
        async with session.request(verb, f"{self._door.url}{path}", data=content) as response:
            answer = await response.read()
            if response.status >= 500:
                raise OSError(f"{verb} {path}: {response.status}")
            return msgspec.json.decode(answer)  # type: ignore[no-any-return]

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._door.trust),
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            headers={"Authorization": f"Bearer {self._door.api_key}", "Content-Type": "application/json"},
        )
