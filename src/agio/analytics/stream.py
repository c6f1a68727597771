"""The channels `positions:{portfolio}` and `analytics:{portfolio}`."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

import msgspec

from agio.analytics.api import Analytics
from agio.analytics.events import analytics_subject, decode_state, positions_subject
from agio.analytics.schemas import LiveAnalytics, Position
from agio.kernel.ids import PortfolioId
from agio.kernel.problem import NotFound
from agio.platform.channels import (
    ChannelClass,
    ChannelHandle,
    PayloadType,
    Push,
    Subscriber,
    UnknownChannel,
)
from agio.platform.clock import Clock
from agio.platform.db import Scope

_encode = msgspec.json.Encoder().encode

Snapshot = Callable[[], Awaitable[list[tuple[str, bytes]]]]


class StateHandle:
    """One open channel of a portfolio."""

    history_url: str | None = None

    def __init__(self, subject: str, clock: Clock, read: Snapshot) -> None:
        self.subject = subject
        self._clock = clock
        self._read = read

    def decode(self, payload: bytes) -> list[Push]:
        message = decode_state(payload)
        return [Push(q=message.q, t=message.told_us, d=item.body, key=item.key) for item in message.items]

    async def position(self) -> tuple[str, int]:
        return "", 0

    async def replay(self, after: int, limit: int) -> list[Push]:  # noqa: ARG002 - a state has no history
        return []

    async def snapshot(self) -> list[Push]:
        values = await self._read()
        now = self._clock.now_micros()
        return [Push(q=now, t=now, d=body, snapshot=True, key=key) for key, body in values]


class PositionsChannel:
    """`positions:{portfolio}`: the newest value of each position, keyed by symbol."""

    name = "positions"
    payload: ClassVar[PayloadType] = Position
    channel_class = ChannelClass.STATE
    scope = "portfolios:read"

    def __init__(self, analytics: Analytics, clock: Clock) -> None:
        self._analytics = analytics
        self._clock = clock

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        """Raises UnknownChannel for a portfolio that is unknown or somebody else's."""
        scope = subscriber.scope
        portfolio_id = await require_portfolio(self._analytics, scope, key)

        async def read() -> list[tuple[str, bytes]]:
            page = await self._analytics.positions(scope, portfolio_id)
            return [(position.symbol, _encode(position)) for position in page.items]

        return StateHandle(positions_subject(portfolio_id), self._clock, read)


class AnalyticsChannel:
    """`analytics:{portfolio}`: equity, profit and the day's return."""

    name = "analytics"
    payload: ClassVar[PayloadType] = LiveAnalytics
    channel_class = ChannelClass.STATE
    scope = "portfolios:read"

    def __init__(self, analytics: Analytics, clock: Clock) -> None:
        self._analytics = analytics
        self._clock = clock

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        """Raises UnknownChannel for a portfolio that is unknown or somebody else's."""
        scope = subscriber.scope
        portfolio_id = await require_portfolio(self._analytics, scope, key)

        async def read() -> list[tuple[str, bytes]]:
            return [("", _encode(await self._analytics.live(scope, portfolio_id)))]

        return StateHandle(analytics_subject(portfolio_id), self._clock, read)


async def require_portfolio(analytics: Analytics, scope: Scope, key: str) -> PortfolioId:
    """The portfolio that a channel key names; raises UnknownChannel."""
    try:
        return (await analytics.portfolio(scope, PortfolioId(key))).portfolio_id
    except NotFound as error:
        raise UnknownChannel(f"no portfolio {key[:40]!r}; GET /api/portfolios lists yours") from error
