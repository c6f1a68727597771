"""What a data folder needs once: instruments, the operator's account and portfolio, a tape to play."""

import os

from agio.analytics.api import CreatePortfolio
from agio.analytics.service import AnalyticsService
from agio.app.bootstrap import REPLAY_PREFIX, TapeRefused, open_database
from agio.custody.service import CustodyService
from agio.kernel.ids import AccountId, PortfolioId
from agio.kernel.problem import Problem
from agio.ledger.service import LedgerService
from agio.marketdata.instruments import InstrumentDirectory, InstrumentRegistry
from agio.marketdata.market_view import MarketView
from agio.marketdata.replays.requests import ReplayRequests
from agio.marketdata.settings import MarketDataSettings
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.config import Settings
from agio.platform.db import Database, Scope

CURRENCY = "USD"
OPENING_DEPOSIT = "1000000.00"


async def ensure_instruments(settings: Settings) -> None:
    """The instruments of the simulated exchange, and their assets in the ledger."""
    clock = SystemClock()
    async with open_database(settings, settings.engine_database_url) as database:
        directory = InstrumentDirectory(database, clock)
        await InstrumentRegistry(database, LedgerService(database, clock), directory).ensure_instruments()


async def ensure_replay(settings: Settings) -> None:
    """`--market replay:PATH`: play it once for this data folder; a restart goes on where it was.

    The whole tape is checked here, so that a broken one ends the start. Raises TapeRefused.
    """
    clock, bus = SystemClock(), Bus(settings.nats_url, name="agio bootstrap")
    path = _tape_path(settings.market)
    async with open_database(settings, settings.engine_database_url) as database:
        directory = InstrumentDirectory(database, clock)
        requests = ReplayRequests(database, bus, clock, directory, MarketDataSettings(market=settings.market))
        newest = await requests.newest()
        if newest is not None and newest.path == path:
            return
        await bus.open()
        try:
            await requests.start(path, speed=settings.speed, allowed=None)
        except Problem as problem:
            raise TapeRefused(f"{path} cannot be played, and nothing was: {problem.detail}") from problem
        finally:
            await bus.close()


async def ensure_account(database: Database, scope: Scope) -> AccountId:
    """The operator's first account, with sandbox money in it."""
    clock = SystemClock()
    custody = CustodyService(database, LedgerService(database, clock), clock)
    async with database.transaction(scope) as tx:
        accounts = await custody.accounts(tx, 1, None)
        if accounts.items:
            return accounts.items[0].account_id
        account = await custody.open_account(tx, "Main", CURRENCY)
        await custody.transfer(
            tx, account.account_id, "deposit", CURRENCY, OPENING_DEPOSIT, "opening balance"
        )
        return account.account_id


async def ensure_portfolio(database: Database, scope: Scope, account_id: AccountId) -> PortfolioId:
    """The operator's first portfolio, over that account."""
    clock = SystemClock()
    ledger = LedgerService(database, clock)
    analytics = AnalyticsService(
        database,
        ledger,
        InstrumentDirectory(database, clock),
        MarketView(database, Bus(""), clock),
        CustodyService(database, ledger, clock),
        clock,
        _tell_nobody,
    )
    portfolios = await analytics.portfolios(scope, 1, None)
    if portfolios.items:
        return portfolios.items[0].portfolio_id
    async with database.transaction(scope) as tx:
        portfolio = await analytics.create_portfolio(tx, CreatePortfolio("Main", [account_id], CURRENCY))
    return portfolio.portfolio_id


def _tape_path(market: str) -> str:
    return os.path.realpath(market.removeprefix(REPLAY_PREFIX))


async def _tell_nobody(_subject: str, _payload: bytes) -> None:
    """Nothing listens yet: the engine and the API start after us."""
