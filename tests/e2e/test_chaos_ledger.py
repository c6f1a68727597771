"""The crash run, short: `agio chaos ledger` as a user would run it."""

import json
import subprocess
import sys


def test_three_rounds_of_crashes_lose_double_and_tear_nothing() -> None:
    command = [sys.executable, "-m", "agio", "chaos", "ledger", "--rounds", "3", "--seed", "11", "--json"]

    finished = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)

    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    report = json.loads(finished.stdout)
    assert report["is_clean"]
    assert len(report["rounds"]) == 3
    assert all(each["acknowledged"] > 0 and each["recovery_seconds"] is not None for each in report["rounds"])
    assert all(each["faults"] for each in report["rounds"])
