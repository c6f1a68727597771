"""`/api/instruments`, `/api/market`."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from agio.kernel.page import DEFAULT_LIMIT, Page
from agio.marketdata.past_routes import build_past_routes
from agio.marketdata.schemas import (
    BookView,
    CreateReplay,
    InstrumentView,
    MarketStatusView,
    ReplayView,
    SymbolQuote,
    TradeView,
)
from agio.marketdata.service import MarketDataService
from agio.marketdata.settings import MarketDataSettings
from agio.platform.http.conditional import conditional_responses, entity_tag, not_modified, tagged

_READ = {"scope": "market:read"}
_ADMIN = {"scope": "market:admin"}

AnyRequest = Request[Any, Any, Any]
Cursor = Annotated[str | None, Parameter(description="next_cursor of the page before")]


def build_router(market: MarketDataService, settings: MarketDataSettings) -> Router:
    """The room's routes."""

    @get("/market/{symbol:str}/trades/latest", opt=_READ)
    async def show_latest_trade(symbol: str) -> TradeView:
        """The newest durable trade."""
        return await market.latest_trade(symbol)

    @get("/market/{symbol:str}/quote", opt=_READ)
    async def show_quote(symbol: str) -> SymbolQuote:
        """Best bid and offer."""
        return await market.quote(symbol)

    @get("/market/{symbol:str}/book", opt=_READ)
    async def show_book(symbol: str, depth: int = 25) -> BookView:
        """The top levels of the order book."""
        return await market.book(symbol, depth)

    return Router(
        "/api",
        route_handlers=[
            *_instruments(market),
            *build_past_routes(market.past),
            show_latest_trade,
            show_quote,
            show_book,
            *_status_and_replays(market, settings),
        ],
        tags=["Market data"],
    )


def _instruments(market: MarketDataService) -> list[HTTPRouteHandler]:
    @get("/instruments", opt=_READ, responses=conditional_responses(Page[InstrumentView]))
    async def list_instruments(
        request: AnyRequest, venue: str | None = None, limit: int = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response[Page[InstrumentView]] | Response[None]:
        """Everything that is traded, in order of symbol."""
        page = await market.list_instruments(venue, limit, cursor)
        tag = entity_tag(msgspec.json.encode(page))
        return not_modified(request, tag) or tagged(page, tag)

    @get("/instruments/{symbol:str}", opt=_READ, responses=conditional_responses(InstrumentView))
    async def show_instrument(request: AnyRequest, symbol: str) -> Response[InstrumentView] | Response[None]:
        """One instrument."""
        instrument = await market.instrument(symbol)
        tag = entity_tag(msgspec.json.encode(instrument))
        return not_modified(request, tag) or tagged(instrument, tag)

    return [list_instruments, show_instrument]


def _status_and_replays(market: MarketDataService, settings: MarketDataSettings) -> list[HTTPRouteHandler]:
    @get("/market/status", opt=_READ)
    async def show_status() -> MarketStatusView:
        """Which venues are live, and how far the newest replay is."""
        return await market.status()

    @post("/market/replays", opt=_ADMIN)
    async def create_replay(data: CreateReplay) -> ReplayView:
        """Play a recorded market. The whole tape is checked first; a broken line is named by number."""
        replay = await market.replays.start(
            data.path,
            speed=data.speed,
            symbol=data.symbol,
            time_zone=data.time_zone,
            allowed=settings.replay_dirs,
        )
        return ReplayView.of(replay)

    @get("/market/replays/{replay_id:str}", opt=_ADMIN)
    async def show_replay(replay_id: str) -> ReplayView:
        """One replay and its progress."""
        return ReplayView.of(await market.replays.get(replay_id))

    @delete("/market/replays/{replay_id:str}", opt=_ADMIN, status_code=200)
    async def cancel_replay(replay_id: str) -> ReplayView:
        """Stop a replay; what it has played stays."""
        return ReplayView.of(await market.replays.cancel(replay_id))

    return [show_status, create_replay, show_replay, cancel_replay]
