"""Two other ways to move money, in the same run: what most applications do, and SQLite in process."""

import asyncio
import itertools
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from psycopg_pool import AsyncConnectionPool

from benchmarks.harness import Report, quantile

ACCOUNTS: Final = 2_000
CONNECTIONS: Final = 32

_SCHEMA: Final = """
create schema peer;
create table peer.account (
    account_id integer primary key, balance numeric(38,0) not null, version bigint not null
);
create table peer.transfer (
    transfer_id bigint primary key, debit integer not null, credit integer not null,
    amount numeric(38,0) not null, created_at timestamptz not null default now()
);
create table peer.entry (
    account_id integer not null, version bigint not null, transfer_id bigint not null,
    amount numeric(38,0) not null, balance numeric(38,0) not null, primary key (account_id, version)
);
insert into peer.account select n, 1000000000, 0 from generate_series(0, 1999) n;
create function peer.transfer(id bigint, debit integer, credit integer, amount numeric) returns boolean
    language plpgsql as $$
declare
    left_over numeric;
begin
    perform from peer.account a where a.account_id in (debit, credit) order by a.account_id for update;
    select a.balance - amount into left_over from peer.account a where a.account_id = debit;
    if left_over < 0 then
        return false;
    end if;
    insert into peer.transfer values (id, debit, credit, amount);
    with changed as (
        update peer.account a set version = a.version + 1,
            balance = a.balance + case when a.account_id = debit then -amount else amount end
        where a.account_id in (debit, credit) returning a.*
    )
    insert into peer.entry
    select c.account_id, c.version, id, case when c.account_id = debit then -amount else amount end, c.balance
    from changed c;
    return true;
end
$$;
"""


async def measure_one_by_one(report: Report, url: str, callers: int, seconds: float) -> float:
    """One call and one commit for each transfer: locks in order, limit, entries. No chain, no events.

    Answers the rate on uniform accounts.
    """
    rates = {}
    numbers = itertools.count()
    async with AsyncConnectionPool(
        url, min_size=CONNECTIONS, max_size=CONNECTIONS, open=False, kwargs={"autocommit": True}
    ) as pool:
        await pool.wait()
        async with pool.connection() as connection:
            await connection.execute(_SCHEMA)
        for spread in ("uniform", "hot"):
            started = time.perf_counter()
            clients = [_call(pool, numbers, spread, started + seconds) for _ in range(callers)]
            latencies = list(itertools.chain(*await asyncio.gather(*clients)))
            rates[spread] = len(latencies) / (time.perf_counter() - started)
            case = f"one by one, {callers} callers, {spread}"
            report.figure(case, "acknowledged", rates[spread], "transfers/s")
            report.figure(case, "answer p99", quantile(latencies, 0.99) * 1000, "ms")
    return rates["uniform"]


async def _call(
    pool: AsyncConnectionPool, numbers: Iterator[int], spread: str, deadline: float
) -> list[float]:
    latencies = []
    while (begun := time.perf_counter()) < deadline:
        number = next(numbers)
        draw = random.Random(number)
        first = 0 if spread == "hot" else draw.randrange(ACCOUNTS)
        second = (first + 1 + draw.randrange(ACCOUNTS - 1)) % ACCOUNTS
        async with pool.connection() as connection:
            await connection.execute("select peer.transfer(%s, %s, %s, 1)", (number, first, second))
        latencies.append(time.perf_counter() - begun)
    return latencies


def measure_sqlite(report: Report, folder: Path, seconds: float) -> None:
    """SQLite in this process, WAL, every commit synced: transfer, entries, balances. No chain, no events."""
    connection = sqlite3.connect(folder / "peer.sqlite", isolation_level=None)
    connection.executescript(
        "pragma journal_mode = wal; pragma synchronous = full;"
        "create table account (id integer primary key, balance integer not null, version integer not null);"
        "create table transfer (id text primary key, debit integer, credit integer, amount integer);"
        "create table entry (account integer, version integer, transfer text, amount integer,"
        " balance integer, primary key (account, version)) without rowid;"
    )
    connection.executemany("insert into account values (?, 1000000000, 0)", [(n,) for n in range(ACCOUNTS)])
    draw = random.Random(13)
    number = 0
    for size in (1, 1_000):
        done = 0
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            connection.execute("begin immediate")
            for _ in range(size):
                number += 1
                first = draw.randrange(ACCOUNTS)
                second = (first + 1 + draw.randrange(ACCOUNTS - 1)) % ACCOUNTS
                _transfer(connection, f"jnl_{number:020d}", first, second)
            connection.execute("commit")
            done += size
        rate = done / (time.perf_counter() - started)
        report.figure(f"SQLite in process, batches of {size:,}", "acknowledged", rate, "transfers/s")
    connection.close()


def _transfer(connection: sqlite3.Connection, transfer_id: str, debit: int, credit: int) -> None:
    connection.execute("insert into transfer values (?, ?, ?, 1)", (transfer_id, debit, credit))
    for account, amount in ((debit, -1), (credit, 1)):
        balance, version = connection.execute(
            "update account set balance = balance + ?, version = version + 1"
            " where id = ? and balance + ? >= 0 returning balance, version",
            (amount, account, amount),
        ).fetchone()
        connection.execute(
            "insert into entry values (?, ?, ?, ?, ?)", (account, version, transfer_id, amount, balance)
        )
