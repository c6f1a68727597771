"""A customer who keeps placing orders whatever happens to the platform."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial

from agio.app.run_state import RunFolder, ServiceState
from agio_sdk import Agio, ApiError, OutcomeUnknown
from benchmarks.harness import Platform


def service_of(platform: Platform, name: str) -> ServiceState:
    """What the supervisor says about one of its processes."""
    state = RunFolder(platform.data_dir).running()
    assert state is not None
    return next(service for service in state.services if service.name == name)


class Trader:
    """Keeps placing and cancelling orders; remembers what was acknowledged."""

    def __init__(self, agio: Agio, account_id: str, name: str) -> None:
        self._agio = agio
        self._account_id = account_id
        self._name = name
        self.acknowledged: list[str] = []
        self.cancel_acknowledged: list[str] = []
        self._is_stopping = False

    @asynccontextmanager
    async def trading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._trade())
        while not self.acknowledged:
            await asyncio.sleep(0.01)
        yield
        self._is_stopping = True
        await task

    async def _trade(self) -> None:
        number = 0
        while not self._is_stopping:
            number += 1
            order_id = await self._until_answered(partial(self._place, number))
            self.acknowledged.append(order_id)
            if number % 2:
                await self._until_answered(partial(self._cancel, order_id))
                self.cancel_acknowledged.append(order_id)
            await asyncio.sleep(0.05)

    async def _place(self, number: int) -> str:
        order = await self._agio.place_order(
            self._account_id,
            "ACME-USD",
            "buy",
            Decimal(1),
            type="limit",
            limit_price=Decimal("1.00"),
            time_in_force="gtc",
            client_order_id=f"{self._name}-{number}",
        )
        return order.order_id

    async def _cancel(self, order_id: str) -> str:
        try:
            await self._agio.cancel_order(order_id)
        except ApiError as refusal:
            # The answer to an earlier attempt was lost, and the venue has done it since.
            if refusal.code != "order_already_closed":
                raise
        return order_id

    async def _until_answered(self, action: Callable[[], Awaitable[str]]) -> str:
        """Repeat until the server has said yes."""
        while True:
            try:
                return await action()
            except OutcomeUnknown:
                await asyncio.sleep(0.1)
            except ApiError as refusal:
                assert refusal.status == 503, refusal
                await asyncio.sleep(0.1)
