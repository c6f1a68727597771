"""Acceptance on a real database: one batch, once, all or nothing."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from tests.conftest import Databases
from tests.integration.trading.world import (
    CLOCK,
    CutDatabase,
    Cuts,
    available,
    count,
    open_customer,
    order_of,
)

from agio.custody.freezes.service import Freezes
from agio.custody.service import CustodyService
from agio.kernel.ids import KeyId, new_id
from agio.ledger.service import LedgerService
from agio.platform.db import Database
from agio.trading import store
from agio.trading.acceptance import Acceptance, Accepted, Foreign, Outcome, Refused, Stopped, Stored
from agio.trading.errors import OutcomeUnknown
from agio.trading.model import Order


async def no_nudge() -> None:
    return None


def build_acceptance(database: Database, deadline_seconds: float = 20.0) -> Acceptance:
    ledger = LedgerService(database, CLOCK)
    custody = CustodyService(database, ledger, CLOCK)
    return Acceptance(database, ledger, custody, CLOCK, no_nudge, deadline_seconds)


@pytest.fixture
def acceptance(app_database: Database) -> Acceptance:
    return build_acceptance(app_database)


@pytest.fixture
async def other_node(databases: Databases) -> AsyncIterator[Acceptance]:
    """A second API process on the same database."""
    database = Database(databases.app_url, name="test-other-node")
    await database.open()
    yield build_acceptance(database)
    await database.close()


class TestAccept:
    async def test_order_hold_command_and_event_stand_together(
        self, acceptance: Acceptance, app_database: Database, engine_database: Database
    ) -> None:
        customer = await open_customer(app_database)
        order = order_of(customer)
        assert await acceptance.accept(order) == Accepted(order)
        assert await available(engine_database, f"{customer.account_id}:USD") == (
            100_000_000,
            1_640_250 + 821,
        )
        assert await count(engine_database, "trading.venue_command", f"order_id = '{order.order_id}'") == 1
        async with engine_database.transaction() as tx:
            events = await tx.fetch_tuples(
                "select channel, kind from platform.outbox where channel not like 'ledger:%%'"
            )
            stored = await store.find_order(tx, order.order_id)
        assert events == [(f"orders:{customer.account_id}", "order_accepted")]
        assert stored == order

    async def test_refused_order_leaves_nothing_and_its_neighbours_stand(
        self, acceptance: Acceptance, app_database: Database, engine_database: Database
    ) -> None:
        poor, rich = await open_customer(app_database, cash=5_000), await open_customer(app_database)
        orders = [order_of(rich), order_of(poor), order_of(rich)]
        outcomes = await asyncio.gather(*(acceptance.accept(order) for order in orders))
        assert [type(outcome) for outcome in outcomes] == [Accepted, Refused, Accepted]
        assert await count(engine_database, "trading.orders") == 2
        assert await count(engine_database, "trading.venue_command") == 2
        assert await available(engine_database, f"{poor.account_id}:USD") == (5_000, 0)

    async def test_a_frozen_account_stops_its_own_orders_of_a_batch_only(
        self, acceptance: Acceptance, app_database: Database, engine_database: Database
    ) -> None:
        frozen, free = await open_customer(app_database), await open_customer(app_database)
        freezes = Freezes(CLOCK)
        async with app_database.transaction(frozen.scope) as tx:
            by = KeyId(new_id("key"))
            freeze = await freezes.place(tx, "account", frozen.account_id, "a look", by)
        async with app_database.transaction(free.scope) as tx:
            # Somebody else's freeze of an id that is not theirs stops nothing.
            await freezes.place(tx, "account", frozen.account_id, "mischief", by)
        orders = [order_of(free), order_of(frozen), order_of(free)]

        outcomes = await asyncio.gather(*(acceptance.accept(order) for order in orders))

        assert [type(outcome) for outcome in outcomes] == [Accepted, Stopped, Accepted]
        assert outcomes[1] == Stopped((freeze.freeze_id,))
        assert await count(engine_database, "trading.orders") == 2
        assert await available(engine_database, f"{frozen.account_id}:USD") == (100_000_000, 0)

    async def test_holds_of_one_batch_count_against_each_other(
        self, acceptance: Acceptance, app_database: Database, engine_database: Database
    ) -> None:
        customer = await open_customer(app_database, cash=5_000_000)
        outcomes = await asyncio.gather(*(acceptance.accept(order_of(customer)) for _ in range(5)))
        assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 3
        assert await count(engine_database, "trading.orders") == 3

    async def test_sale_without_securities_is_refused(
        self, acceptance: Acceptance, app_database: Database
    ) -> None:
        customer = await open_customer(app_database)
        assert isinstance(await acceptance.accept(order_of(customer, side="sell")), Refused)

    async def test_same_client_order_id_answers_the_stored_order(
        self, acceptance: Acceptance, app_database: Database, engine_database: Database
    ) -> None:
        customer = await open_customer(app_database)
        first, second = (order_of(customer, client_order_id="mine") for _ in range(2))
        await acceptance.accept(first)
        assert await acceptance.accept(second) == Stored(first)
        assert await count(engine_database, "trading.orders") == 1

    async def test_same_client_order_id_within_a_batch_is_taken_once(
        self, acceptance: Acceptance, app_database: Database, engine_database: Database
    ) -> None:
        customer = await open_customer(app_database)
        orders = [order_of(customer, client_order_id="mine") for _ in range(10)]
        outcomes = await asyncio.gather(*(acceptance.accept(order) for order in orders))
        assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 1
        assert {outcome.order.order_id for outcome in outcomes if isinstance(outcome, Stored)} <= {
            outcome.order.order_id for outcome in outcomes if isinstance(outcome, Accepted)
        }
        assert (await available(engine_database, f"{customer.account_id}:USD"))[1] == 1_641_071

    async def test_duplicate_of_a_refused_neighbour_is_refused_too(
        self, acceptance: Acceptance, app_database: Database
    ) -> None:
        customer = await open_customer(app_database, cash=1)
        orders = [order_of(customer, client_order_id="mine") for _ in range(3)]
        outcomes = await asyncio.gather(*(acceptance.accept(order) for order in orders))
        assert [type(outcome) for outcome in outcomes] == [Refused] * 3

    async def test_same_client_order_ids_at_two_nodes_at_once_are_taken_once_each(
        self,
        acceptance: Acceptance,
        other_node: Acceptance,
        app_database: Database,
        engine_database: Database,
    ) -> None:
        customer = await open_customer(app_database, cash=10**12)
        names = [f"mine-{number}" for number in range(40)]
        outcomes: list[Outcome] = await asyncio.gather(
            *(
                node.accept(order_of(customer, client_order_id=name))
                for node, order_of_names in ((acceptance, names), (other_node, names[::-1]))
                for name in order_of_names
            )
        )
        assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == len(names)
        assert await count(engine_database, "trading.orders") == len(names)
        assert (await available(engine_database, f"{customer.account_id}:USD"))[1] == 1_641_071 * len(names)


class TestDatabaseFunction:
    async def test_account_of_another_organisation_is_refused(
        self, acceptance: Acceptance, app_database: Database, engine_database: Database
    ) -> None:
        owner, stranger = await open_customer(app_database), await open_customer(app_database)
        theft = order_of(owner, organisation_id=stranger.organisation_id)
        outcomes = await asyncio.gather(acceptance.accept(theft), acceptance.accept(order_of(owner)))
        assert [type(outcome) for outcome in outcomes] == [Foreign, Accepted]
        assert await count(engine_database, "trading.orders") == 1

    async def test_another_environment_is_another_organisation(
        self, acceptance: Acceptance, app_database: Database
    ) -> None:
        customer = await open_customer(app_database)
        assert await acceptance.accept(order_of(customer, environment="live")) == Foreign()

    async def test_only_orders_claimed_by_the_same_transaction_are_confirmed_or_removed(
        self, acceptance: Acceptance, app_database: Database, engine_database: Database
    ) -> None:
        customer = await open_customer(app_database)
        order = order_of(customer)
        await acceptance.accept(order)
        async with app_database.transaction() as tx:
            await store.confirm_orders(tx, [order.order_id], [])
        with pytest.raises(psycopg.Error, match="did not claim"):
            async with app_database.transaction() as tx:
                await store.confirm_orders(tx, [], [order])
        assert await count(engine_database, "trading.orders") == 1

    async def test_tenant_may_only_cancel(self, acceptance: Acceptance, app_database: Database) -> None:
        customer = await open_customer(app_database)
        order = order_of(customer)
        await acceptance.accept(order)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with app_database.transaction(customer.scope) as tx:
                await tx.execute("update trading.orders set status = 'filled'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with app_database.transaction(customer.scope) as tx:
                await tx.execute("update trading.orders set quantity = 1")

    async def test_rows_of_others_are_invisible(self, acceptance: Acceptance, app_database: Database) -> None:
        owner, stranger = await open_customer(app_database), await open_customer(app_database)
        order = order_of(owner)
        await acceptance.accept(order)
        async with app_database.transaction(stranger.scope) as tx:
            assert await store.find_order(tx, order.order_id) is None
            assert await store.lock_order(tx, order.order_id) is None


class TestCutConnection:
    @pytest.mark.parametrize("seed", range(4))
    async def test_acknowledged_orders_exist_once_and_refused_ones_never(
        self, seed: int, databases: Databases, app_database: Database, engine_database: Database
    ) -> None:
        customer = await open_customer(app_database, cash=1_641_071 * 30)
        cut = CutDatabase(databases.app_url, Cuts(seed, 0.4))
        await cut.open()
        acceptance = build_acceptance(cut)
        orders = [order_of(customer) for _ in range(40)]

        async def place(order: Order) -> Outcome:
            await asyncio.sleep(orders.index(order) % 7 * 0.01)
            return await acceptance.accept(order)

        outcomes = await asyncio.gather(*(place(order) for order in orders))
        await cut.close()
        acknowledged = {item.order.order_id for item in outcomes if isinstance(item, Accepted)}
        async with engine_database.transaction() as tx:
            stored = [row[0] for row in await tx.fetch_tuples("select order_id from trading.orders")]
        assert len(acknowledged) == 30
        assert sorted(stored) == sorted(acknowledged)
        assert await count(engine_database, "trading.venue_command") == 30
        assert await count(engine_database, "platform.outbox", "kind = 'order_accepted'") == 30
        assert (await available(engine_database, f"{customer.account_id}:USD"))[1] == 1_641_071 * 30

    async def test_without_any_answer_the_outcome_is_unknown_and_says_what_to_do(
        self, databases: Databases, app_database: Database
    ) -> None:
        customer = await open_customer(app_database)
        cut = CutDatabase(databases.app_url, Cuts(1, 1.0))
        await cut.open()
        with pytest.raises(OutcomeUnknown) as refusal:
            await build_acceptance(cut, deadline_seconds=0.3).accept(
                order_of(customer, client_order_id="mine")
            )
        await cut.close()
        assert refusal.value.headers["Retry-After"]
        assert refusal.value.extra == {"client_order_id": "mine"}
