"""Two nodes on one database and one bus: either serves everything, one engine works, the other stands by."""

import asyncio
import os
import signal
from collections.abc import Iterator
from decimal import Decimal

import pytest

from agio.app.run_state import RunFolder
from agio_sdk import Agio, Subscription
from agio_sdk.models import Execution
from benchmarks.harness import Platform

PATIENCE_SECONDS = 60

Nodes = tuple[Platform, Platform]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """The second node uses the first one's servers, as it would use anybody's."""
    first = Platform.start(tmp_path_factory.mktemp("node-a"))
    settings = RunFolder(first.data_dir).read_settings()
    assert settings is not None
    servers = {
        "AGIO_DATABASE_URL": settings.owner_database_url,
        "AGIO_NATS_URL": settings.nats_url,
        "AGIO_MASTER_KEY_FILE": str(first.data_dir / "secrets" / "master.key"),
    }
    second = Platform.start(tmp_path_factory.mktemp("node-b"), environment={**os.environ, **servers})
    yield first, second
    second.stop()
    first.stop()


def client(node: Platform, key: str) -> Agio:
    return Agio(node.url, key, ca_file=node.ca_file)


async def test_an_order_at_one_node_is_told_by_both(nodes: Nodes) -> None:
    first, second = nodes
    key, account_id = second.api_key, second.account_id
    async with client(first, key) as here, client(second, key) as there, asyncio.timeout(PATIENCE_SECONDS):
        fills = [await each.subscribe(f"fills:{account_id}") for each in (here, there)]
        order = await there.place_order(account_id, "ACME-USD", "buy", Decimal(5))
        told = [(await anext(each)).decode(Execution) for each in fills]
        assert told[0] == told[1]
        assert told[0].order_id == order.order_id
        assert (await here.order(order.order_id)).account_id == account_id


async def test_a_stalled_engine_is_replaced_and_cannot_write_when_it_wakes(nodes: Nodes) -> None:
    first, second = nodes
    engine = first.find("agio", "engine")
    async with client(second, second.api_key) as agio, asyncio.timeout(4 * PATIENCE_SECONDS):
        trades = await agio.subscribe("trades:BTC-USD")
        last = (await anext(trades)).q
        engine.send_signal(signal.SIGSTOP)
        try:
            # What was on its way still comes; then the other engine carries the sequence on.
            async with asyncio.timeout(PATIENCE_SECONDS):
                for _ in range(60):
                    last = await expect_next(trades, last)
        finally:
            engine.send_signal(signal.SIGCONT)
        for _ in range(60):
            last = await expect_next(trades, last)
        order = await agio.place_order(second.account_id, "ACME-USD", "sell", Decimal(1))
        while not (await agio.order(order.order_id)).is_closed:
            await asyncio.sleep(0.1)
        assert len((await agio.executions(second.account_id)).items) >= 2
        stored = await agio.market_trades("BTC-USD", after_seq=last - 100, limit=100)
        assert [trade.seq for trade in stored.items] == list(range(last - 99, last + 1))


async def expect_next(trades: Subscription, last: int) -> int:
    message = await anext(trades)
    assert message.q == last + 1
    return last + 1
