"""A concurrent history against the model: the short form of `agio chaos ledger --history`."""

from pathlib import Path

from tests.conftest import Databases

from agio.app.chaos.history import run_history

OPERATIONS = 6_000


async def test_every_answer_of_a_concurrent_history_equals_the_models(
    databases: Databases, tmp_path: Path
) -> None:
    report = await run_history(
        databases.engine_url, databases.owner_url, tmp_path, operations=OPERATIONS, seed=7
    )

    assert report.differences == []
    assert report.findings == []
    assert report.operations >= OPERATIONS
    assert set(report.codes) >= {
        "created",
        "exists",
        "conflict",
        "insufficient_funds",
        "hold_closed",
        "hold_exceeded",
        "hold_expired",
        "hold_mismatch",
        "unknown_hold",
        "unknown_account",
        "unbalanced",
        "limit_exceeded",
        "version_conflict",
        "unknown_journal",
        "not_reversible",
    }
