"""`LedgerService.submit` when connections are cut and when the database refuses what nobody foresaw."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest
from tests.conftest import Databases
from tests.integration.ledger.world import LedgerWorld, fund, post

from agio.ledger.api import Result, ResultCode
from agio.ledger.batch import EncodedCommand, encode_command
from agio.ledger.submission import Submission
from agio.platform.embedded.postgres import EmbeddedPostgres


async def test_cut_connections_lose_and_double_nothing(
    world: LedgerWorld, databases: Databases, embedded_postgres: EmbeddedPostgres
) -> None:
    await world.codes(fund("acc_1:USD", 100_000))
    acknowledged: list[str] = []

    async def caller(number: int) -> None:
        for step in range(15):
            command = post(f"c{number}-{step}", ("acc_1:USD", -1), ("acc_2:USD", 1))
            result = await world.ledger.submit(command)
            assert result.is_applied
            acknowledged.append(command.journal_id)

    async def cut() -> None:
        with psycopg.connect(embedded_postgres.url("postgres", "postgres"), autocommit=True) as connection:
            for _ in range(3):
                await asyncio.sleep(0.1)
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where usename = 'agio_app' and datname = %s and pid <> pg_backend_pid()",
                    (databases.name,),
                )

    await asyncio.gather(cut(), *[caller(number) for number in range(20)])

    # Read as the engine: of the app's connections some are cut and nobody has found out yet.
    async with world.engine_database.transaction() as tx:
        numbers = await tx.fetch_tuples(
            "select (credits_posted - debits_posted)::text, version from ledger.account"
            " where address = 'acc_2:USD'"
        )
        assert numbers == [("300", 300)]
        rows = await tx.fetch_tuples("select journal_id from ledger.journal where journal_id like 'c%%'")
    assert sorted(row[0] for row in rows) == sorted(acknowledged)


async def test_what_the_database_refuses_takes_no_neighbour_down(world: LedgerWorld) -> None:
    async def apply(commands: Sequence[EncodedCommand]) -> list[Result]:
        if any(command.id == "poison" for command in commands):
            await world.database.run_alone("select 1 / 0")
        return [Result(ResultCode.CREATED)] * len(commands)

    submission = Submission(apply, max_batch=100, queue_limit=100)
    commands = [
        encode_command(post(name, ("acc_1:USD", -1), ("acc_2:USD", 1))) for name in ("a", "poison", "b", "c")
    ]

    outcomes = await asyncio.gather(*map(submission.submit, commands), return_exceptions=True)

    assert [isinstance(outcome, Result) for outcome in outcomes] == [True, False, True, True]
    with pytest.raises(psycopg.DataError):
        await submission.submit(commands[1])
