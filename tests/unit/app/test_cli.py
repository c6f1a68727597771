"""The command line itself: verbs, help, refusals. Nothing is started."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agio.app.cli import VERBS
from agio.app.cli.bench import find_benchmarks
from agio.app.cli.program import build
from agio.app.examination import Verdict


def agio(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGIO_")}
    return subprocess.run(
        [sys.executable, "-m", "agio", *arguments],
        env={**clean, "NO_COLOR": "1", "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestHelp:
    def test_lists_the_verbs_that_users_need(self) -> None:
        shown = agio("--help").stdout
        for verb in VERBS.keys() - {"migrate"}:
            assert f" {verb} " in shown
        assert "migrate" not in shown

    @pytest.mark.parametrize("verb", sorted(VERBS))
    def test_each_verb_explains_itself(self, verb: str) -> None:
        shown = CliRunner().invoke(build(list(VERBS.values())), [verb, "--help"], prog_name="agio")
        assert shown.exit_code == 0
        assert f"agio {verb}" in shown.output

    def test_an_unknown_verb_is_refused(self) -> None:
        assert agio("fly").returncode == 2


class TestUp:
    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--market", "casino"), "it is sim, none, replay:PATH or live:"),
            (("--market", "live:kraken"), "kraken needs 1 to 200 symbols"),
            (("--market", "replay:absent.csv"), "does not exist or cannot be read"),
            (("--port", "70000"), "--port"),
            (("--speed", "-1"), "--speed"),
        ],
    )
    def test_a_bad_option_is_named_and_nothing_is_made(
        self, tmp_path: Path, arguments: tuple[str, ...], complaint: str
    ) -> None:
        finished = agio("up", "--data-dir", str(tmp_path / "data"), *arguments)
        assert finished.returncode != 0
        assert complaint in finished.stderr
        assert not (tmp_path / "data").exists()

    def test_a_bad_variable_is_named(self, tmp_path: Path) -> None:
        finished = agio("up", "--data-dir", str(tmp_path), AGIO_REPLAY_DIRS="", AGIO_SPEED="quick")
        assert finished.returncode != 0
        assert "AGIO_SPEED" in finished.stderr


class TestStatusAndDown:
    def test_status_of_nothing_has_its_own_exit_code(self, tmp_path: Path) -> None:
        finished = agio("status", "--json", "--data-dir", str(tmp_path))
        assert finished.returncode == 3
        assert json.loads(finished.stdout)["status"] == "stopped"

    def test_down_of_nothing_succeeds(self, tmp_path: Path) -> None:
        finished = agio("down", "--data-dir", str(tmp_path))
        assert finished.returncode == 0
        assert "does not run" in finished.stdout

    def test_restart_of_nothing_says_how_to_start(self, tmp_path: Path) -> None:
        finished = agio("restart", "--data-dir", str(tmp_path))
        assert finished.returncode == 3
        assert "agio up" in finished.stderr


class TestKeysAndReplay:
    def test_keys_need_a_running_platform(self, tmp_path: Path) -> None:
        finished = agio("keys", "list", "--data-dir", str(tmp_path))
        assert finished.returncode == 3
        assert "agio up" in finished.stderr

    def test_replay_of_an_absent_tape_is_refused(self, tmp_path: Path) -> None:
        finished = agio("replay", "absent.csv", "--data-dir", str(tmp_path))
        assert finished.returncode == 2
        assert "does not exist" in finished.stderr


class TestDoctor:
    def test_finds_every_part_and_says_what_to_do(self, tmp_path: Path) -> None:
        findings = json.loads(agio("doctor", "--json", "--data-dir", str(tmp_path)).stdout)
        subjects = {finding["subject"] for finding in findings}
        assert {"Python", "Account", "PostgreSQL", "NATS", "Data folder", "Disk speed", "Port"} <= subjects
        for finding in findings:
            assert finding["advice"] or finding["verdict"] == Verdict.GOOD


class TestBench:
    def test_finds_benchmarks_by_their_first_line_without_running_them(self, tmp_path: Path) -> None:
        (tmp_path / "orders.py").write_text(
            '"""How many orders.\n\nMore."""\ndef main(): ...\nraise SystemExit\n', "utf-8"
        )
        (tmp_path / "harness.py").write_text('"""What they share."""\ndef begin(): ...\n', "utf-8")
        assert find_benchmarks(tmp_path) == {"orders": "How many orders."}

    def test_an_unknown_name_is_refused_with_the_known_ones(self) -> None:
        finished = agio("bench", "nothing")
        assert finished.returncode == 1
        assert "orders" in finished.stderr
