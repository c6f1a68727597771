"""`agio ledger` against a real database."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Databases
from tests.integration.ledger.world import LedgerWorld, fund


def run(databases: Databases, folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {
        **os.environ,
        "AGIO_ENGINE_DATABASE_URL": databases.engine_url,
        "AGIO_DATA_DIR": str(folder),
    }
    command = [sys.executable, "-m", "agio", "ledger", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


async def test_verify_head_and_export_agree(world: LedgerWorld, databases: Databases, tmp_path: Path) -> None:
    await world.codes(fund("acc_1:USD", 5), fund("acc_2:USD", 7))
    file = tmp_path / "ledger.jsonl"

    head = json.loads(run(databases, tmp_path, "head", "--json").stdout)
    exported = json.loads(run(databases, tmp_path, "export", "--out", str(file), "--json").stdout)
    verdict = json.loads(run(databases, tmp_path, "verify", "--head", head["hash"], "--json").stdout)
    offline = run(databases, tmp_path, "verify", "--file", str(file), "--json")
    piped = run(databases, tmp_path, "export", "--format", "csv")

    assert head["journal_no"] == 2
    assert exported == head
    assert verdict == {"intact": True, "findings": [], "journals": 2, "links": 1, "head": head["hash"]}
    assert json.loads(offline.stdout) == verdict
    assert offline.returncode == 0
    assert len(piped.stdout.splitlines()) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.jsonl"]  # noqa: ASYNC240


async def test_a_changed_file_ends_with_code_1_and_a_name(
    world: LedgerWorld, databases: Databases, tmp_path: Path
) -> None:
    await world.codes(fund("acc_1:USD", 5))
    file = tmp_path / "ledger.jsonl"
    run(databases, tmp_path, "export", "--out", str(file))
    file.write_bytes(file.read_bytes().replace(b'"source":"test"', b'"source":"else"'))

    finished = run(databases, tmp_path, "verify", "--file", str(file))

    assert finished.returncode == 1
    assert b"journal fund-acc_1:USD-5 of link 1" in finished.stdout


async def test_an_unknown_head_is_missed(world: LedgerWorld, databases: Databases, tmp_path: Path) -> None:
    await world.codes(fund("acc_1:USD", 5))

    finished = run(databases, tmp_path, "verify", "--head", "ab" * 32)

    assert finished.returncode == 1
    assert b"does not contain the known head" in finished.stdout


def test_without_a_ledger_within_reach_it_says_so(tmp_path: Path) -> None:
    nowhere = Databases("", "", "", "")

    finished = run(nowhere, tmp_path, "head")

    assert finished.returncode == 3
    assert b"start the platform" in finished.stderr
