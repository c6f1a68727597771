"""The ledger's batch endpoint as a client sees it: TLS, keys, scopes, and the whole platform beside it."""

import asyncio
import itertools
import json
import random
import ssl
import time
from typing import Any, Final

import aiohttp
import psutil

from benchmarks.harness import Platform, Report, quantile, running_platform

ACCOUNTS: Final = 20
SIZE: Final = 1_000
CLIENTS: Final = 4
_MEBIBYTE: Final = 2**20


async def measure_http(report: Report, seconds: float) -> None:
    with running_platform("--market", "none") as platform:
        context = ssl.create_default_context(cafile=platform.ca_file)
        connector = aiohttp.TCPConnector(ssl=context, limit=CLIENTS)
        headers = {"Authorization": f"Bearer {platform.api_key}"}
        async with aiohttp.ClientSession(platform.url, connector=connector, headers=headers) as session:
            addresses = [await _open(session, f"bench {number}") for number in range(ACCOUNTS)]
            await _measure(report, platform, session, addresses, seconds)


async def _open(session: aiohttp.ClientSession, name: str) -> str:
    """A customer's account with money on it; its ledger address."""
    account = await _post(session, "/api/accounts", {"name": name})
    deposit = {
        "account_id": account["account_id"],
        "direction": "deposit",
        "asset": "USD",
        "amount": "1000000",
    }
    await _post(session, "/api/transfers", deposit)
    return f"{account['account_id']}:USD"


async def _measure(
    report: Report,
    platform: Platform,
    session: aiohttp.ClientSession,
    addresses: list[str],
    seconds: float,
) -> None:
    draw = random.Random(17)
    numbers = itertools.count()
    run = f"bench-{time.time_ns()}"
    bodies = [
        json.dumps(
            {
                "mode": "each",
                "journals": [_transfer(draw, addresses, f"{run}-{next(numbers)}") for _ in range(SIZE)],
            }
        ).encode()
        for _ in range(int(seconds * 30) + CLIENTS)
    ]
    process = platform.find("agio", "api")
    stock = iter(bodies)
    latencies: list[float] = []
    applied = 0
    memory = 0
    started = time.perf_counter()

    async def client() -> None:
        nonlocal applied, memory
        while (begun := time.perf_counter()) < started + seconds:
            body = next(stock, None)
            if body is None:
                return
            answer = await _post(session, "/api/journals/batch", body)
            applied += int(answer["applied"])
            latencies.append(time.perf_counter() - begun)
            memory = max(memory, _resident(process))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    case = f"HTTP batches of {SIZE:,}"
    report.figure(case, "acknowledged", applied / (time.perf_counter() - started), "transfers/s")
    report.figure(case, "batch p50", quantile(latencies, 0.5) * 1000, "ms")
    report.figure(case, "batch p99", quantile(latencies, 0.99) * 1000, "ms")
    report.figure(case, "API process, largest", memory / _MEBIBYTE, "MB")


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _transfer(draw: random.Random, addresses: list[str], journal_id: str) -> dict[str, Any]:
    debit, credit = draw.sample(addresses, 2)
    legs = [{"account": debit, "amount": "-0.01"}, {"account": credit, "amount": "0.01"}]
    return {"journal_id": journal_id, "legs": legs}


async def _post(session: aiohttp.ClientSession, path: str, body: object) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with session.post(path, data=content, headers={"Content-Type": "application/json"}) as answer:
        document: dict[str, Any] = await answer.json()
        if answer.status >= 400:
            raise RuntimeError(f"{path}: {answer.status} {document}")
        return document
