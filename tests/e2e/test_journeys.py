"""The journeys of ARCHITECTURE.md, walked over the public doors."""

import asyncio
import ssl
import time
from decimal import Decimal

import aiohttp
import pytest
from tests.machine import allowed_seconds

from agio_sdk import Agio, ApiError
from agio_sdk.models import Balance, Execution, Order, Page, Trade
from benchmarks.harness import Platform

PATIENCE_SECONDS = 60
"""How long anything may take on a machine that others use."""


class TestAnOrder:
    async def test_from_the_deposit_to_the_analytics(self, agio: Agio) -> None:
        account = await agio.open_account("journey")
        orders = await agio.subscribe(f"orders:{account.account_id}")
        fills = await agio.subscribe(f"fills:{account.account_id}")
        balances = await agio.subscribe(f"balances:{account.account_id}")

        # Money comes in, once, however often it is asked for.
        deposit = await agio.deposit(account.account_id, "USD", Decimal("50000.00"), key="salary-november")
        again = await agio.deposit(account.account_id, "USD", Decimal("50000.00"), key="salary-november")
        assert again.transfer_id == deposit.transfer_id
        assert (await agio.balances(account.account_id))[0].total == Decimal("50000.00")

        portfolio = await agio.post(
            "/api/portfolios", dict[str, object], {"name": "journey", "account_ids": [account.account_id]}
        )

        # An order is accepted: durable, its money held.
        placed = await agio.place_order(
            account.account_id, "ACME-USD", "buy", Decimal(20), client_order_id="j-1"
        )
        assert placed.status == "pending_new"

        # The venue takes it, fills it, and the socket tells.
        seen: list[Order] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for message in orders:
                seen.append(message.decode(Order))
                if seen[-1].is_closed:
                    break
        assert [update.version for update in seen] == sorted({update.version for update in seen})
        assert seen[-1].status == "filled"
        assert seen[-1] == await agio.order(placed.order_id)

        executions: list[Execution] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(fill.quantity for fill in executions) < 20:
                executions.append((await anext(fills)).decode(Execution))
        assert executions == list(reversed((await agio.executions(account.account_id)).items))

        # Every fill is a trade that the whole market saw.
        for fill in executions:
            assert fill.trade_seq is not None
            market = (await agio.market_trades("ACME-USD", after_seq=fill.trade_seq - 1, limit=1)).items[0]
            assert (market.price, market.seq) == (fill.price, fill.trade_seq)
            assert market.size >= fill.quantity

        # Money and securities moved by what the executions say, and by nothing else.
        cost = sum((fill.price * fill.quantity + fill.fee for fill in executions), Decimal(0))
        held = {balance.asset: balance for balance in await agio.balances(account.account_id)}
        assert held["USD"].total == Decimal("50000.00") - cost
        assert held["USD"].held == 0
        assert held["ACME"].total == 20
        told: dict[str, Balance] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while told.get("USD") != held["USD"] or told.get("ACME") != held["ACME"]:
                balance = (await anext(balances)).decode(Balance)
                told[balance.asset] = balance

        # The execution names its journal, and each asset of the journal sums to zero.
        journal = await agio.get(f"/api/journals/{executions[0].journal_id}", dict[str, object])
        legs = journal["legs"]
        assert isinstance(legs, list)
        sums: dict[str, Decimal] = {}
        for leg in legs:
            sums[leg["asset"]] = sums.get(leg["asset"], Decimal(0)) + Decimal(leg["amount"])
        assert sums == {"USD": 0, "ACME": 0}

        # The portfolio shows the position and says how it values it; a poll that changes nothing is a 304.
        positions = await agio.positions(str(portfolio["portfolio_id"]))
        assert [(position.symbol, position.quantity) for position in positions] == [("ACME-USD", 20)]
        analytics = await agio.portfolio_analytics(str(portfolio["portfolio_id"]))
        assert analytics["basis"]["currency"] == "USD"
        assert analytics["returns"]["twr"]["null_reason"] is None

    async def test_money_that_is_held_cannot_be_spent_twice(self, agio: Agio) -> None:
        account = await agio.open_account("held")
        await agio.deposit(account.account_id, "USD", Decimal("100.00"))
        order = await agio.place_order(
            account.account_id,
            "ACME-USD",
            "buy",
            Decimal(1),
            type="limit",
            limit_price=Decimal("90.00"),
            time_in_force="gtc",
        )
        with pytest.raises(ApiError) as second:
            await agio.place_order(
                account.account_id, "ACME-USD", "buy", Decimal(1), type="limit", limit_price=Decimal("90.00")
            )
        assert second.value.code == "insufficient_funds"
        with pytest.raises(ApiError) as withdrawal:
            await agio.withdraw(account.account_id, "USD", Decimal("50.00"))
        assert withdrawal.value.code == "insufficient_funds"

        await agio.cancel_order(order.order_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await agio.order(order.order_id)).is_closed:
                await asyncio.sleep(0.02)
        balance = (await agio.balances(account.account_id))[0]
        assert (balance.total, balance.held) == (Decimal("100.00"), 0)
        assert (await agio.withdraw(account.account_id, "USD", Decimal("100.00"))).status == "settled"


class TestATick:
    async def test_from_the_venue_to_every_door(self, agio: Agio, sim_platform: Platform) -> None:
        subscription = await agio.subscribe("trades:EUR-USD")
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await anext(subscription)
        told = message.decode(Trade)
        stored = (await agio.market_trades("EUR-USD", after_seq=message.q - 1, limit=1)).items[0]
        assert (stored.seq, stored.price, stored.size, stored.venue_time) == (
            message.q,
            told.price,
            told.size,
            told.venue_time,
        )
        quote = await agio.quote("EUR-USD")
        assert quote.bid is not None
        assert quote.ask is not None
        assert quote.bid < quote.ask
        assert (await agio.bars("EUR-USD", "1s")).items

    async def test_the_simple_door(self, sim_platform: Platform) -> None:
        context = ssl.create_default_context(cafile=sim_platform.ca_file)
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {sim_platform.api_key}"}) as session,
            session.ws_connect(f"{sim_platform.url}/stream/BTC-USD", ssl=context) as socket,
        ):
            message = await socket.receive_json(timeout=PATIENCE_SECONDS)
        assert set(message) == {"symbol", "price", "volume", "timestamp"}
        assert message["symbol"] == "BTC-USD"
        assert isinstance(message["price"], int | float)
        assert isinstance(message["volume"], int | float)

    async def test_books_hold_their_checksum_through_a_hundred_changes(self, agio: Agio) -> None:
        subscription = await agio.subscribe("book:BTC-USD")
        assert subscription.book is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(100):
                await anext(subscription)
                assert subscription.book.is_valid
        assert subscription.book.bids(1)[0][0] < subscription.book.asks(1)[0][0]


class TestAKey:
    async def test_a_revoked_key_loses_its_open_socket_within_a_second(
        self, agio: Agio, sim_platform: Platform
    ) -> None:
        created = await agio.post(
            "/api/keys",
            dict[str, object],
            {"name": "short-lived", "scopes": ["market:read"], "expires_in_days": 1},
        )
        secret = str(created.get("secret") or created.get("api_key") or created.get("key"))
        context = ssl.create_default_context(cafile=sim_platform.ca_file)
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"}) as session,
            session.ws_connect(f"{sim_platform.url}/stream", ssl=context) as socket,
        ):
            assert (await socket.receive_json(timeout=PATIENCE_SECONDS))["op"] == "welcome"
            await agio.request("DELETE", f"/api/keys/{created['key_id']}", dict[str, object] | None)
            started = time.perf_counter()
            while not socket.closed:
                await socket.receive(PATIENCE_SECONDS)
            assert time.perf_counter() - started < allowed_seconds(1.0)
            assert socket.close_code == 4502
            async with session.get(f"{sim_platform.url}/api/instruments", ssl=context) as response:
                assert response.status == 401

    async def test_lists_page_without_repeating(self, agio: Agio) -> None:
        seqs: list[int] = []
        cursor: str | None = None
        for _ in range(4):
            page: Page[Trade] = await agio.market_trades("BTC-USD", limit=5, cursor=cursor)
            seqs += [trade.seq for trade in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
