"""Autobahn's cases for RFC 6455 and 7692, which kosoku runs: what to run, and what came out."""

import importlib
import os
from collections.abc import Collection, Iterable
from typing import Any

import pytest

kosoku = pytest.importorskip("kosoku", reason="kosoku is not installed: pip install kosoku")

FRAMING = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
LIMITS = ("9.*",)
"""Messages up to 16 MiB, in frames from 64 bytes up."""
IS_EVERYTHING_RUN = os.environ.get("AGIO_AUTOBAHN") == "all"
DEFLATE = (
    ("12.*", "13.*")
    if IS_EVERYTHING_RUN
    else tuple(f"{group}.1.{case}" for group in (12, 13) for case in (1, 11))
)
"""A thousand messages a case: all 216 of them take minutes, so that they run with AGIO_AUTOBAHN=all only."""
NOT_OFFERED = (
    {f"13.{group}.{case}" for group in (2, 5, 6) for case in range(1, 19)}
    if IS_EVERYTHING_RUN
    else set[str]()
)
"""The other side wants a client without context, which neither aiohttp nor Node offers: they go on without
compression (RFC 7692, section 5.1), which Autobahn calls unimplemented."""
LARGEST_MESSAGE = 16 * 1024 * 1024


def failures(results: Iterable[Any], known: Collection[str] = ()) -> list[str]:
    """Cases that did not pass, each with what went wrong; those that are known must fail."""
    failed = {
        result.case_id: f"{result.behavior.value}, {result.behavior_close.value}: {result.result}"
        for result in results
        if not result.passed
    }
    return [
        *(f"{case}: {text}" for case, text in failed.items() if case not in known),
        *(f"{case} passes now: take it out of the known ones" for case in known if case not in failed),
    ]


async def run_against_server(url: str, cases: Collection[str]) -> list[Any]:
    """One connection to the server for each case.

    Cases give the other side a second here and there, which a busy machine may not have: what fails is run
    once more, on its own.
    """
    _repair_deflate_cases()
    results = await _run(url, cases, 4)
    again = [result.case_id for result in results if not result.passed]
    second = {result.case_id: result for result in await _run(url, again, 1)} if again else {}
    return [second.get(result.case_id, result) for result in results]


async def _run(url: str, cases: Collection[str], at_once: int) -> list[Any]:
    try:
        return await kosoku.run_fuzzingclient(url, cases=list(cases), concurrency=at_once)  # type: ignore[no-any-return]
    except kosoku.FailureError as error:
        return error.results  # type: ignore[no-any-return]


def serve_cases(cases: Collection[str]) -> Any:
    """A server that runs a case on each connection."""
    _repair_deflate_cases()
    return kosoku.run_fuzzingserver(list(cases), port=0)


async def results_of(server: Any) -> list[Any]:
    try:
        return await server.get_result()  # type: ignore[no-any-return]
    except kosoku.FailureError as error:
        return error.results  # type: ignore[no-any-return]


def _repair_deflate_cases() -> None:
    """kosoku 0.1.0 hands over text, binary payloads as code points 0 to 255; groups 12 and 13 hash bytes."""
    index = importlib.import_module("kosoku._caseindex")
    index.initialize_shims()
    cases = importlib.import_module("case12_x_x")
    for case in (*cases.Case12_X_X, *cases.Case13_X_X):
        if not hasattr(case, "is_repaired"):
            case.is_repaired = True
            case.onMessage = _taking_text(case.onMessage)


def _taking_text(take: Any) -> Any:
    def take_message(self: Any, message: str | bytes, binary: bool) -> None:
        encoding = "latin-1" if binary else "utf-8"
        take(self, message.encode(encoding) if isinstance(message, str) else message, binary)

    return take_message
