"""The composition root of an API process: every room built once, plainly, in the order of their layers."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from litestar import Litestar

import agio
from agio.analytics import routes as analytics_routes
from agio.analytics.service import AnalyticsService
from agio.analytics.stream import AnalyticsChannel, PositionsChannel
from agio.app.dashboard_files import build_router as build_dashboard
from agio.app.node import Node
from agio.custody import routes as custody_routes
from agio.custody.api import is_guarded
from agio.custody.controls import build_controls
from agio.custody.controls import build_routers as control_routers
from agio.custody.reconciliation import routes as reconciliation_routes
from agio.custody.reconciliation.holdings import TransferHoldings
from agio.custody.reconciliation.service import ReconciliationService
from agio.custody.service import CustodyService
from agio.custody.settings import open_signer
from agio.custody.statements import routes as statement_routes
from agio.custody.statements.service import StatementService
from agio.custody.stream import build_channels as custody_channels
from agio.custody.vaults import statements as vault_statements
from agio.custody.vaults.statements import SubAccountStatements
from agio.identity import routes as identity_routes
from agio.identity.access import AccessGuard, provide_principal
from agio.identity.api import Policy
from agio.identity.authentication import KeyAuthenticator
from agio.identity.revocations import KeyWatch
from agio.identity.service import IdentityService
from agio.ledger import routes as ledger_routes
from agio.ledger.reading import LedgerReading
from agio.ledger.service import LedgerService
from agio.ledger.stream import build_channels as ledger_channels
from agio.marketdata import routes as marketdata_routes
from agio.marketdata.history import TradeTable
from agio.marketdata.instruments import InstrumentDirectory
from agio.marketdata.live.metrics import FeedCollector
from agio.marketdata.market_view import MarketView
from agio.marketdata.pressure import PressureSignal
from agio.marketdata.replays.requests import ReplayRequests
from agio.marketdata.service import MarketDataService
from agio.marketdata.settings import MarketDataSettings, tick_reader_address
from agio.marketdata.stream import channel_kinds as marketdata_channels
from agio.marketdata.ticks.reader import TickReader
from agio.ops import routes as ops_routes
from agio.ops.health import Check, ReadinessChecks, bus_check, database_check, lease_check
from agio.ops.metrics import Metrics
from agio.platform.channels import ChannelKind
from agio.platform.http.app import create_app
from agio.platform.http.idempotency import IdempotentReplies
from agio.streaming import routes as streaming_routes
from agio.streaming.gateway import Gateway
from agio.streaming.settings import StreamingSettings
from agio.trading import routes as trading_routes
from agio.trading.events import NUDGE_VENUE
from agio.trading.holdings import ExecutionHoldings
from agio.trading.service import TradingService
from agio.trading.stream import build_channels as trading_channels

DUTIES = ("relay", "market", "portfolios")
"""What some engine must be doing for this node to be ready."""


class Api(NamedTuple):
    """A wired API process."""

    app: Litestar
    gateway: Gateway
    channels: list[ChannelKind]
    identity: IdentityService
    background: list[Callable[[], Awaitable[None]]]
    """Runs beside the requests until cancelled."""
    prepare: list[Callable[[], Awaitable[None]]]
    """Runs once before the first request."""
    finish: list[Callable[[], Awaitable[None]]]
    """Runs once after the last request: whatever was accepted is answered."""


def build_api(node: Node) -> Api:
    """Wire everything that answers requests and streams. Opens nothing."""
    settings, clock, database, bus = node

    watch = KeyWatch(database, bus, clock)
    authenticator = KeyAuthenticator(database, clock, watch)
    policy = Policy()
    identity = IdentityService(database, clock, bus)

    ledger = LedgerService(database, clock)
    custody = CustodyService(database, ledger, clock)
    controls = build_controls(ledger, clock, open_signer(settings))

    market_settings = MarketDataSettings(market=settings.market, replay_dirs=settings.replay_dirs)
    instruments = InstrumentDirectory(database, clock)
    view = MarketView(database, bus, clock)
    replays = ReplayRequests(database, bus, clock, instruments, market_settings)
    ticks = TickReader(tick_reader_address(settings))
    history = TradeTable(database, ticks)
    market = MarketDataService(database, instruments, view, replays, market_settings, history)

    reconciliation = ReconciliationService(
        custody, ledger, LedgerReading(), (TransferHoldings(), ExecutionHoldings()), clock
    )

    async def nudge_venue() -> None:
        await bus.publish(NUDGE_VENUE)

    trading = TradingService(database, ledger, custody, instruments, view, clock, nudge_venue)
    analytics = AnalyticsService(database, ledger, instruments, view, custody, clock, bus.publish)

    channels = [
        *marketdata_channels(database, instruments, view, history),
        *ledger_channels(database, ledger, clock),
        *custody_channels(database),
        *trading_channels(database, custody),
        PositionsChannel(analytics, clock),
        AnalyticsChannel(analytics, clock),
    ]
    metrics = Metrics("api", agio.__version__)
    metrics.registry.register(FeedCollector(view.feeds))
    pressure = PressureSignal(bus, clock, node=secrets.token_hex(4))
    gateway = Gateway(
        bus,
        channels,
        authenticator,
        clock,
        policy=policy,
        revocations=watch,
        settings=StreamingSettings(
            allowed_origins=settings.allowed_origins, may_compress=settings.stream_compression
        ),
        registry=metrics.registry,
        sources=view.source_states,
        on_pressure=pressure,
    )
    routers = [
        identity_routes.build_router(identity),
        ledger_routes.build_router(ledger, database, clock, is_managed=is_guarded),
        custody_routes.build_router(custody, database, IdempotentReplies(database)),
        *control_routers(controls, database, IdempotentReplies(database)),
        statement_routes.build_router(StatementService(database, custody, LedgerReading(), clock)),
        vault_statements.build_router(
            SubAccountStatements(database, controls.vaults, LedgerReading(), clock)
        ),
        reconciliation_routes.build_router(reconciliation, database),
        marketdata_routes.build_router(market, market_settings),
        trading_routes.build_router(trading),
        analytics_routes.build_router(analytics, database),
        streaming_routes.build_router(gateway),
        ops_routes.build_router(ReadinessChecks(_checks(node, gateway)), metrics),
        build_dashboard(),
    ]
    app = create_app(
        routers,
        guards=[AccessGuard(authenticator, policy)],
        dependencies={"principal": provide_principal()},
        version=agio.__version__,
        observer=metrics,
    )
    return Api(
        app,
        gateway,
        channels,
        identity,
        background=[watch.run, authenticator.run, pressure.run],
        prepare=[view.start, gateway.start],
        finish=[gateway.stop, trading.drain, ledger.drain, ticks.close],
    )


def _checks(node: Node, gateway: Gateway) -> Mapping[str, Check]:
    async def accepts_streams() -> str | None:
        return "this node is draining" if gateway.is_draining else None

    return {
        "database": database_check(node.database),
        "bus": bus_check(node.bus),
        "engine": lease_check(node.database, DUTIES),
        "streams": accepts_streams,
    }
