"""Portfolios over the real ledger: numbers, entity tags, isolation."""

import math

import msgspec
import pytest
from tests.integration.analytics.world import World

from agio.analytics.api import InvalidPortfolio
from agio.analytics.errors import CurrencyNotAvailable
from agio.analytics.model.query import AnalyticsQuery, parse_query
from agio.analytics.schemas import CreatePortfolio
from agio.analytics.store import Portfolio
from agio.custody.api import Account, UnknownAccount
from agio.kernel.ids import PortfolioId, new_id
from agio.kernel.problem import NotFound
from agio.platform.db import Database, Scope


async def create(world: World, *accounts: Account, base_currency: str | None = None) -> Portfolio:
    request = CreatePortfolio("Main", [account.account_id for account in accounts], base_currency)
    async with world.app.transaction(world.scope) as tx:
        return await world.analytics.create_portfolio(tx, request)


class TestCreatePortfolio:
    async def test_an_account_of_somebody_else_is_unknown(
        self, world: World, app_database: Database, engine_database: Database
    ) -> None:
        stranger = World(app_database, engine_database)
        foreign = await stranger.open_account()
        with pytest.raises(UnknownAccount):
            await create(world, foreign)

    @pytest.mark.parametrize(
        "request_",
        [
            CreatePortfolio("", ["acc_x"]),
            CreatePortfolio("x" * 101, ["acc_x"]),
            CreatePortfolio("line\nbreak", ["acc_x"]),
            CreatePortfolio("Main", []),
            CreatePortfolio("Main", ["acc_x", "acc_x"]),
            CreatePortfolio("Main", [f"acc_{i}" for i in range(33)]),
        ],
    )
    async def test_nonsense_is_refused_before_anything_is_read(
        self, world: World, request_: CreatePortfolio
    ) -> None:
        async with world.app.transaction(world.scope) as tx:
            with pytest.raises(InvalidPortfolio):
                await world.analytics.create_portfolio(tx, request_)

    async def test_another_base_currency_is_refused(self, world: World) -> None:
        with pytest.raises(InvalidPortfolio, match="kept in USD"):
            await create(world, await world.open_account(), base_currency="EUR")


class TestIsolation:
    async def test_another_tenant_finds_nothing(self, world: World) -> None:
        portfolio = await create(world, await world.open_account())
        for scope in (Scope(new_id("org"), "sandbox"), Scope(world.scope.organisation_id, "live")):
            with pytest.raises(NotFound):
                await world.analytics.portfolio(scope, portfolio.portfolio_id)
            with pytest.raises(NotFound):
                await world.analytics.positions(scope, portfolio.portfolio_id)
            with pytest.raises(NotFound):
                await world.analytics.prepare(scope, portfolio.portfolio_id, AnalyticsQuery())

    async def test_the_database_itself_shows_no_rows_of_others(self, world: World) -> None:
        await create(world, await world.open_account())
        async with world.app.transaction(Scope(new_id("org"), "sandbox")) as tx:
            assert await tx.value("select count(*) from analytics.portfolio") == 0
        async with world.app.transaction() as tx:
            assert await tx.value("select count(*) from analytics.portfolio") == 0

    @pytest.mark.parametrize("portfolio_id", ["", "pft_1", "acc_" + "0" * 20, "x" * 500, "pft_'; --"])
    async def test_garbage_ids_are_not_found(self, world: World, portfolio_id: str) -> None:
        with pytest.raises(NotFound):
            await world.analytics.portfolio(world.scope, PortfolioId(portfolio_id))


class TestPositions:
    async def test_quantity_cost_and_profit_of_fills(self, world: World) -> None:
        account = await world.open_account()
        portfolio = await create(world, account)
        await world.fill(account, 10, 10_000, fee=50)
        await world.fill(account, 10, 11_000, fee=55)
        await world.fill(account, -5, 12_000, fee=30)
        world.market.trade(11_500)
        page = await world.analytics.positions(world.scope, portfolio.portfolio_id)
        (position,) = page.items
        assert position.quantity == "15"
        assert position.average_cost == "105.000000"
        assert position.market_value == "1725.00"
        assert position.unrealized_pnl == "150.00"
        assert position.realized_pnl == "73.65"  # 5 x (120 - 105) less 1.35 of fees
        assert position.fees == "1.35"
        assert position.price_time == "2013-09-01T17:00:01.000000Z"
        assert page.totals.equity == "100223.65"
        assert page.totals.cash == "98498.65"

    async def test_a_closed_position_keeps_its_profit(self, world: World) -> None:
        account = await world.open_account()
        portfolio = await create(world, account)
        await world.fill(account, 3, 10_000)
        await world.fill(account, -3, 10_100)
        (position,) = (await world.analytics.positions(world.scope, portfolio.portfolio_id)).items
        assert (position.quantity, position.realized_pnl, position.average_cost) == ("0", "3.00", None)

    async def test_a_holding_nobody_traded_yet_has_no_value(self, world: World) -> None:
        account = await world.open_account()
        portfolio = await create(world, account)
        await world.fill(account, 3, 10_000)
        page = await world.analytics.positions(world.scope, portfolio.portfolio_id)
        assert page.items[0].market_value is None
        assert page.totals.equity is None

    async def test_a_new_process_finds_the_same(self, world: World) -> None:
        account = await world.open_account()
        portfolio = await create(world, account)
        for _ in range(5):
            await world.fill(account, 2, 10_050, fee=7)
            await world.analytics.positions(world.scope, portfolio.portfolio_id)
        world.market.trade(10_100)
        warm = await world.analytics.positions(world.scope, portfolio.portfolio_id)
        cold = await world.new_service().positions(world.scope, portfolio.portfolio_id)
        assert warm == cold
        assert warm.items[0].quantity == "10"

    async def test_histories_longer_than_a_page_are_read_whole(self, world: World) -> None:
        account = await world.open_account()
        portfolio = await create(world, account)
        for _ in range(70):
            await world.fill(account, 1, 10_000, fee=1)
        await world.analytics.positions(world.scope, portfolio.portfolio_id)
        for _ in range(30):
            await world.fill(account, 1, 10_000, fee=1)
        page = await world.analytics.positions(world.scope, portfolio.portfolio_id)
        assert page.items[0].quantity == "100"
        assert page.items[0].fees == "1.00"
        assert page.ledger_seq == 1 + 100 * 3


class TestAnalytics:
    async def test_a_first_day_in_seconds_equals_hand_arithmetic(self, world: World) -> None:
        account = await world.open_account("10000.00")
        portfolio = await create(world, account)
        await world.fill(account, 50, 10_000)
        start = world.clock.now_micros() // 1_000_000 + 1
        path = [10_000, 10_100, 10_050, 10_200]
        for second, price in enumerate(path):
            world.recorder.take(world.market.trade(price, (start + second) * 1_000_000))
        await world.recorder.flush()
        query = parse_query([("frequency", "1s"), ("explain", "true")])
        prepared = await world.analytics.prepare(world.scope, portfolio.portfolio_id, query)
        view = await prepared.compute()
        series = view.basis.series
        assert isinstance(series, msgspec.Struct)
        assert series.values[-3:] == [10_050.0, 10_025.0, 10_100.0]
        assert view.returns.twr.value == pytest.approx(0.01, rel=1e-12)  # type: ignore[union-attr]
        assert view.risk.max_drawdown.value == pytest.approx(10_025 / 10_050 - 1, rel=1e-12)  # type: ignore[union-attr]
        assert math.isfinite(view.risk.volatility.value)  # type: ignore[union-attr,arg-type]

    async def test_the_tag_stands_still_until_ledger_price_or_query_move(self, world: World) -> None:
        account = await world.open_account()
        portfolio = await create(world, account)
        await world.fill(account, 1, 10_000)
        world.market.trade(10_000)
        world.settle()

        async def tag(**changes: object) -> str:
            query = msgspec.structs.replace(AnalyticsQuery(), **changes)
            return (await world.analytics.prepare(world.scope, portfolio.portfolio_id, query)).tag

        first = await tag()
        assert await tag() == first
        assert await tag(rf=0.01) != first
        world.market.trade(10_100)
        priced = await tag()
        assert priced != first
        await world.transfer(account, "deposit", "1.00")
        assert await tag() != priced

    async def test_another_currency_is_refused_clearly(self, world: World) -> None:
        portfolio = await create(world, await world.open_account())
        with pytest.raises(CurrencyNotAvailable, match="USD only"):
            await world.analytics.prepare(world.scope, portfolio.portfolio_id, AnalyticsQuery(currency="EUR"))

    async def test_withdrawals_are_flows_not_losses(self, world: World) -> None:
        account = await world.open_account("1000.00")
        portfolio = await create(world, account)
        await world.transfer(account, "withdrawal", "400.00")
        prepared = await world.analytics.prepare(world.scope, portfolio.portfolio_id, AnalyticsQuery())
        view = await prepared.compute()
        assert (view.basis.inflows, view.basis.outflows) == (1000.0, 400.0)
        assert view.returns.twr.value == 0.0  # type: ignore[union-attr]

    async def test_old_marks_are_thinned_to_one_a_minute(self, world: World) -> None:
        minute = 1_600_000_000_000_000 // 60_000_000 * 60_000_000
        for second in range(90):
            world.recorder.take(world.market.trade(10_000 + second, minute + second * 1_000_000))
        await world.recorder.flush()
        await world.recorder.thin()
        async with world.engine.transaction() as tx:
            kept = await tx.fetch_tuples("select received_us, price from analytics.mark order by 1")
        assert kept == [(minute + 59_000_000, 10_059), (minute + 89_000_000, 10_089)]
