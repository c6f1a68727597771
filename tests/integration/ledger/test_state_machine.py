"""Hypothesis drives model and database side by side, and shrinks what makes them differ."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from itertools import count
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.conftest import Databases
from tests.integration.ledger.conftest import START
from tests.integration.ledger.world import LIMITED_CREDIT, account, hold, post, release

from agio.ledger.api import AccountFlags, Command
from agio.ledger.model import LedgerModel
from agio.ledger.service import LedgerService
from agio.ledger.verify import verify
from agio.platform.clock import VirtualClock
from agio.platform.db import Database

T = TypeVar("T")
_examples = count(1)

places = st.integers(0, 3)
amounts = st.sampled_from([1, 2, 5, 30, 100])
ids = st.integers(1, 6)


class Machine(RuleBasedStateMachine):
    """One example: four accounts of its own in a shared database; few ids, so that they collide."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self._runner = runner
        self._database = database
        self._clock = VirtualClock(START)
        self._ledger = LedgerService(database, self._clock)
        self._model = LedgerModel()
        self._name = f"x{next(_examples)}"
        self._pending: list[Command] = []
        accounts = [
            account(f"org_a:{self._name}:USD", flags=AccountFlags.NONE),
            account(f"org_a:{self._name}-loan:USD", flags=LIMITED_CREDIT),
            account(f"acc_{self._name}a:USD"),
            account(f"acc_{self._name}b:USD", minimum=20),
        ]
        self._addresses = [each.address for each in accounts]
        for each in accounts:
            self._model.open_account(each)

        async def open_accounts() -> None:
            async with database.transaction() as tx:
                await self._ledger.open_accounts(tx, accounts)
                # The ledger's time outlives an example; expiries count from it.
                at = await tx.value("select at from ledger.head")
            self._clock.advance(max(at - self._clock.now(), timedelta(0)) + timedelta(seconds=1))

        self._run(open_accounts())

    @rule(number=ids, payer=places, payee=places, amount=amounts)
    def transfer(self, number: int, payer: int, payee: int, amount: int) -> None:
        legs = [(self._addresses[payer], -amount), (self._addresses[payee], amount)]
        self._pending.append(post(f"{self._name}-j{number}", *legs))

    @rule(number=ids, place=places, amount=amounts, seconds=st.sampled_from([None, 0, 3]))
    def hold(self, number: int, place: int, amount: int, seconds: int | None) -> None:
        expires_at = None if seconds is None else self._clock.now() + timedelta(seconds=seconds)
        self._pending.append(hold(f"{self._name}-h{number}", self._addresses[place], amount, expires_at))

    @rule(number=ids, held=ids, payer=places, payee=places, amount=amounts, ends=st.booleans())
    def capture(self, number: int, held: int, payer: int, payee: int, amount: int, ends: bool) -> None:
        hold_id = f"{self._name}-h{held}"
        legs = [(self._addresses[payer], -amount, hold_id), (self._addresses[payee], amount)]
        self._pending.append(post(f"{self._name}-j{number}", *legs, releases=[hold_id] if ends else []))

    @rule(held=ids)
    def release(self, held: int) -> None:
        self._pending.append(release(f"{self._name}-h{held}"))

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.send()
        self._clock.advance(timedelta(seconds=seconds))

    @rule()
    def send(self) -> None:
        """One batch of everything that has gathered: its size is part of what is explored."""
        batch, self._pending = self._pending, []
        if not batch:
            return
        # Cuts within a batch are a microsecond apart, expiries whole seconds.
        expected = [self._model.apply(command, self._clock.now()) for command in batch]
        results = self._run(self._apply(batch))
        assert [result.code for result in results] == [result.code for result in expected]

    @invariant()
    def balances_are_the_models(self) -> None:
        if self._pending:
            return
        rows = self._run(self._read())
        for address, state in self._model.accounts.items():
            assert rows[address] == (state.balance, state.held, state.version)

    def teardown(self) -> None:
        self.send()
        self.balances_are_the_models()

    async def _apply(self, batch: list[Command]) -> list[object]:
        async with self._database.transaction() as tx:
            return list(await self._ledger.apply(tx, batch))

    async def _read(self) -> dict[str, tuple[int, int, int]]:
        async with self._database.transaction() as tx:
            balances = await self._ledger.balances_of(tx, self._addresses)
        return {each.account: (each.total, each.held, each.version) for each in balances}

    def _run(self, work: Coroutine[object, object, T]) -> T:
        return self._runner.run(work)


def test_model_and_database_agree_whatever_is_sent(databases: Databases) -> None:
    database = Database(databases.engine_url, min_size=1, max_size=2, name="test-machine")
    with asyncio.Runner() as runner:
        runner.run(database.open())
        try:
            run_state_machine_as_test(
                lambda: Machine(runner, database),
                settings=settings(
                    max_examples=25,
                    stateful_step_count=25,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )

            async def check() -> list[object]:
                async with database.transaction() as tx:
                    return list(await verify(tx))

            assert runner.run(check()) == []
        finally:
            runner.run(database.close())
