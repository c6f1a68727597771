"""`LedgerService.apply` against PostgreSQL: each rule once, by name."""

import asyncio
from datetime import timedelta

import msgspec
import psycopg
import pytest
from tests.conftest import Databases
from tests.integration.ledger.world import (
    ACCOUNTS,
    SCOPE_B,
    B,
    LedgerWorld,
    account,
    fund,
    hold,
    post,
    release,
)

from agio.ledger.api import AssetMismatch, ResultCode
from agio.ledger.service import LedgerService
from agio.platform.clock import SystemClock
from agio.platform.db import Database


class TestPost:
    async def test_legs_move_both_balances_and_leave_entries(self, world: LedgerWorld) -> None:
        codes = await world.codes(
            fund("acc_1:USD", 1000), post("j1", ("acc_1:USD", -300), ("acc_2:USD", 300))
        )

        assert codes == ["created", "created"]
        assert await world.numbers("acc_1:USD") == (700, 0, 700)
        assert await world.numbers("acc_2:USD") == (300, 0, 300)

    async def test_a_credit_earlier_in_the_batch_covers_a_later_debit(self, world: LedgerWorld) -> None:
        codes = await world.codes(
            post("early", ("acc_1:USD", -100), ("acc_2:USD", 100)),
            fund("acc_1:USD", 100),
            post("late", ("acc_1:USD", -100), ("acc_2:USD", 100)),
        )

        assert codes == ["insufficient_funds", "created", "created"]

    async def test_two_assets_must_each_balance(self, world: LedgerWorld) -> None:
        legs = [("acc_1:USD", -100), ("org_a:bank:USD", 100), ("acc_1:EUR", 90), ("org_a:bank:EUR", -89)]

        codes = await world.codes(fund("acc_1:USD", 100), post("fx", *legs))

        assert codes == ["created", "unbalanced"]
        assert await world.numbers("acc_1:USD") == (100, 0, 100)

    async def test_minimum_balance_stays(self, world: LedgerWorld) -> None:
        codes = await world.codes(
            fund("acc_3:USD", 100),
            post("too-much", ("acc_3:USD", -51), ("acc_1:USD", 51)),
            post("just", ("acc_3:USD", -50), ("acc_1:USD", 50)),
        )

        assert codes == ["created", "insufficient_funds", "created"]

    async def test_credits_may_be_limited_to_debits(self, world: LedgerWorld) -> None:
        codes = await world.codes(
            post("lend", ("org_a:loan:USD", -100), ("acc_1:USD", 100)),
            post("repay-too-much", ("acc_1:USD", -101), ("org_a:loan:USD", 101)),
            post("overfill", ("org_a:bank:USD", -101), ("org_a:loan:USD", 101)),
            post("repay", ("acc_1:USD", -100), ("org_a:loan:USD", 100)),
        )

        assert codes == ["created", "insufficient_funds", "limit_exceeded", "created"]

    @pytest.mark.parametrize("flag", ["is_frozen", "is_closed"])
    async def test_a_stopped_account_takes_nothing(
        self, world: LedgerWorld, databases: Databases, flag: str
    ) -> None:
        with psycopg.connect(databases.owner_url) as connection:
            connection.execute(f"update ledger.account set {flag} = true where address = 'acc_2:USD'")

        codes = await world.codes(
            fund("acc_1:USD", 10),
            post("in", ("acc_1:USD", -1), ("acc_2:USD", 1)),
            hold("h1", "acc_2:USD", 1),
        )

        code = "account_frozen" if flag == "is_frozen" else "account_closed"
        assert codes == ["created", code, code]

    async def test_another_organisations_account_is_unknown(self, world: LedgerWorld) -> None:
        codes = await world.codes(
            fund("acc_9:USD", 10),
            post("steal", ("acc_9:USD", -5), ("acc_1:USD", 5), organisation=B),
        )

        assert codes == ["unknown_account", "unknown_account"]
        assert (await world.balance("acc_9:USD", SCOPE_B)).version == 0

    async def test_a_tenants_transaction_cannot_post_for_another(self, world: LedgerWorld) -> None:
        with pytest.raises(psycopg.Error, match="acts for one organisation"):
            async with world.database.transaction(SCOPE_B) as tx:
                await world.ledger.apply(tx, [fund("acc_1:USD", 10)])

    @pytest.mark.parametrize(
        "legs", [[], [("acc_1:USD", 0), ("acc_2:USD", 0)], [("acc_1:USD", -(10**30)), ("acc_2:USD", 10**30)]]
    )
    async def test_malformed_legs_are_refused_before_the_database(
        self, world: LedgerWorld, legs: list[tuple[str, int]]
    ) -> None:
        assert await world.codes(post("bad", *legs)) == ["invalid_command"]

    async def test_a_refused_command_leaves_its_neighbours_alone(self, world: LedgerWorld) -> None:
        codes = await world.codes(
            fund("acc_1:USD", 100),
            post("unknown", ("acc_1:USD", -1), ("acc_404:USD", 1)),
            post('quote"-id', ("acc_1:USD", -1), ("acc_2:USD", 1)),
            post("poor", ("acc_2:USD", -1), ("acc_1:USD", 1)),
            post("fine", ("acc_1:USD", -1), ("acc_2:USD", 1), reference='say "hi" \\ NULL, {x}'),
        )

        assert codes == ["created", "unknown_account", "invalid_command", "insufficient_funds", "created"]
        event = msgspec.json.decode((await world.events())[-1].body)
        assert event["reference"] == 'say "hi" \\ NULL, {x}'


class TestRepeat:
    async def test_same_id_and_body_exists(self, world: LedgerWorld) -> None:
        assert await world.codes(fund("acc_1:USD", 5), fund("acc_1:USD", 5)) == ["created", "exists"]
        assert await world.codes(fund("acc_1:USD", 5)) == ["exists"]
        assert await world.numbers("acc_1:USD") == (5, 0, 5)

    @pytest.mark.parametrize(
        ("changed", "differs"),
        [
            (post("j", ("org_a:bank:USD", -2), ("acc_1:USD", 2)), "legs"),
            (post("j", ("org_a:bank:USD", -1), ("acc_1:USD", 1), reference="r"), "reference"),
            (post("j", ("org_a:bank:USD", -1), ("acc_1:USD", 1), organisation=B), "organisation_id"),
            (post("j", ("org_a:bank:USD", -1), ("acc_1:USD", 1), releases=["h"]), "releases"),
        ],
    )
    async def test_same_id_other_body_is_a_conflict_that_names_the_field(
        self, world: LedgerWorld, changed: object, differs: str
    ) -> None:
        original = post("j", ("org_a:bank:USD", -1), ("acc_1:USD", 1))

        first, second = await world.apply(original, changed)  # type: ignore[arg-type]

        assert first.code is ResultCode.CREATED
        assert (second.code, second.detail) == (ResultCode.CONFLICT, differs)
        assert (await world.balance("acc_1:USD")).total == 1

    async def test_fifty_clients_with_one_id_post_once(self, world: LedgerWorld) -> None:
        results = await asyncio.gather(*[world.ledger.submit(fund("acc_1:USD", 7)) for _ in range(50)])

        assert sorted(result.code for result in results) == ["created"] + ["exists"] * 49
        assert await world.numbers("acc_1:USD") == (7, 0, 7)

    async def test_a_refused_id_may_be_used_again(self, world: LedgerWorld) -> None:
        spend = post("j", ("acc_1:USD", -5), ("acc_2:USD", 5))

        assert await world.codes(spend, fund("acc_1:USD", 5), spend) == [
            "insufficient_funds",
            "created",
            "created",
        ]


class TestHold:
    async def test_a_hold_counts_at_once(self, world: LedgerWorld) -> None:
        codes = await world.codes(
            fund("acc_1:USD", 100),
            hold("h1", "acc_1:USD", 70),
            hold("h2", "acc_1:USD", 31),
            post("j", ("acc_1:USD", -31), ("acc_2:USD", 31)),
        )

        assert codes == ["created", "created", "insufficient_funds", "insufficient_funds"]
        assert await world.numbers("acc_1:USD") == (100, 70, 30)

    async def test_partial_captures_then_the_rest_is_released(self, world: LedgerWorld) -> None:
        await world.codes(fund("acc_1:USD", 100), hold("h1", "acc_1:USD", 70))

        codes = await world.codes(
            post("c1", ("acc_1:USD", -20, "h1"), ("acc_2:USD", 20)),
            post("c2", ("acc_1:USD", -30, "h1"), ("acc_2:USD", 30), releases=["h1"]),
            post("c3", ("acc_1:USD", -1, "h1"), ("acc_2:USD", 1)),
        )

        assert codes == ["created", "created", "hold_closed"]
        assert await world.numbers("acc_1:USD") == (50, 0, 50)

    async def test_never_more_than_held(self, world: LedgerWorld) -> None:
        await world.codes(fund("acc_1:USD", 100), hold("h1", "acc_1:USD", 10))

        codes = await world.codes(
            post("c1", ("acc_1:USD", -8, "h1"), ("acc_2:USD", 8)),
            post("c2", ("acc_1:USD", -3, "h1"), ("acc_2:USD", 3)),
            post("c3", ("acc_1:USD", -2, "h1"), ("acc_2:USD", 2)),
        )

        assert codes == ["created", "hold_exceeded", "created"]

    async def test_a_hold_of_another_account_is_a_mismatch(self, world: LedgerWorld) -> None:
        codes = await world.codes(
            fund("acc_1:USD", 100),
            fund("acc_2:USD", 100),
            hold("h1", "acc_1:USD", 10),
            post("c1", ("acc_2:USD", -8, "h1"), ("acc_1:USD", 8)),
        )

        assert codes[-1] == "hold_mismatch"

    async def test_release_is_idempotent_and_final(self, world: LedgerWorld) -> None:
        await world.codes(fund("acc_1:USD", 100), hold("h1", "acc_1:USD", 10))

        codes = await world.codes(release("h1"), release("h1"), release("h2"), release("h1", B))

        assert codes == ["created", "exists", "unknown_hold", "unknown_hold"]
        assert await world.numbers("acc_1:USD") == (100, 0, 100)

    async def test_after_its_expiry_nothing_is_captured_and_the_sweep_frees_it(
        self, world: LedgerWorld
    ) -> None:
        expires_at = world.clock.now() + timedelta(minutes=1)
        await world.codes(fund("acc_1:USD", 100), hold("h1", "acc_1:USD", 10, expires_at))
        engine_ledger = LedgerService(world.engine_database, world.clock)
        assert await engine_ledger.expire_holds() == 0
        world.clock.advance(timedelta(minutes=1))

        codes = await world.codes(post("c1", ("acc_1:USD", -8, "h1"), ("acc_2:USD", 8)))
        freed = await engine_ledger.expire_holds(), await engine_ledger.expire_holds()

        assert codes == ["hold_expired"]
        assert freed == (1, 0)
        assert await world.numbers("acc_1:USD") == (100, 0, 100)
        assert (await world.events())[-1].kind == "hold_released"


class TestEvents:
    async def test_each_customer_is_told_of_what_touched_it(self, world: LedgerWorld) -> None:
        await world.codes(
            fund("acc_1:USD", 1000),
            post("j1", ("acc_1:USD", -300), ("acc_2:USD", 300)),
            post("no", ("acc_1:USD", -30000), ("acc_2:USD", 30000)),
            hold("h1", "acc_1:USD", 250),
        )

        events = await world.events()

        assert [(event.channel, event.kind) for event in events] == [
            ("ledger:acc_1", "journal_posted"),
            ("ledger:acc_1", "journal_posted"),
            ("ledger:acc_2", "journal_posted"),
            ("ledger:acc_1", "hold_placed"),
        ]
        leg = {"account": "acc_1:USD", "asset": "USD", "amount": "-3.00", "balance": "7.00", "held": "0.00"}
        assert msgspec.json.decode(events[1].body)["legs"][0] == {**leg, "version": 2}
        held = msgspec.json.decode(events[3].body)
        assert (held["hold_id"], held["amount"], held["legs"][0]["held"]) == ("h1", "2.50", "2.50")


class TestOpen:
    async def test_opening_again_changes_nothing(self, world: LedgerWorld) -> None:
        await world.codes(fund("acc_1:USD", 5))

        async with world.database.transaction() as tx:
            await world.ledger.open_accounts(tx, ACCOUNTS)

        assert (await world.balance("acc_1:USD")).total == 5

    async def test_other_content_is_refused(self, world: LedgerWorld) -> None:
        with pytest.raises(AssetMismatch):
            async with world.database.transaction() as tx:
                await world.ledger.open_accounts(tx, [account("acc_1:USD", B)])


class TestTwoNodes:
    async def test_hammering_the_same_accounts_neither_deadlocks_nor_loses(
        self, databases: Databases, world: LedgerWorld
    ) -> None:
        await world.codes(fund("acc_1:USD", 10_000), fund("acc_2:USD", 10_000))
        other_database = Database(databases.app_url, name="other-node")
        await other_database.open()
        nodes = [world.ledger, LedgerService(other_database, SystemClock(), max_batch=7)]

        async def hammer(node: int, caller: int) -> None:
            for number in range(12):
                there, back = ("acc_1:USD", "acc_2:USD")[:: 1 if (node + number) % 2 else -1]
                command = post(f"n{node}-{caller}-{number}", (there, -3), (back, 3))
                assert (await nodes[node].submit(command)).code is ResultCode.CREATED

        await asyncio.wait_for(
            asyncio.gather(*[hammer(node, caller) for node in (0, 1) for caller in range(20)]), 60
        )
        await other_database.close()

        one, two = await world.balance("acc_1:USD"), await world.balance("acc_2:USD")
        assert one.total + two.total == 20_000
        assert one.version == two.version == 1 + 2 * 20 * 12
