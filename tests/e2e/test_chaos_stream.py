"""The continuity run, short: `agio chaos stream` as a user would run it."""

import json
import subprocess
import sys


def test_subscribers_of_every_kind_miss_nothing_in_silence() -> None:
    command = [sys.executable, "-m", "agio", "chaos", "stream", "--rounds", "1", "--seed", "5", "--json"]

    finished = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)

    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    report = json.loads(finished.stdout)
    assert report["is_clean"]
    assert len(report["rounds"][0]["faults"]) == 3
    assert report["subscribers"] == 20
    assert report["totals"]["resumed"] > 0
    assert report["bus"]["lost"] > 0
    # Slow readers met their cases, and came out of them.
    assert report["rounds"][0]["unmet"] == []
    assert all(report["rounds"][0]["slow"].values()), report["rounds"][0]["slow"]
    # Each of them was told something, so that there was something to prove.
    for name, count in report["per_subscriber"].items():
        assert count["messages"] or count["books"], name
