"""Tapes that cannot be played: refused with the line, and not one trade of them is published."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.e2e.tenants import Refused, Unchanged

from benchmarks.harness import Platform

HEADER = "DateTime,Price,Volume"
GOOD = "2026-01-02 10:00:00.5,10.25,3"
FRESH_START_SECONDS = 120


@pytest.fixture
def folder(sim_platform: Platform) -> Path:
    return sim_platform.data_dir / "replays"


@pytest.fixture
def nothing_played(http: httpx.Client) -> Callable[[str], None]:
    """Says that no instrument of a symbol came into being."""

    def check(symbol: str) -> None:
        assert http.get(f"/api/instruments/{symbol}").status_code == 404
        assert symbol not in http.get("/api/market/status").text

    return check


class TestBrokenLines:
    @pytest.mark.parametrize(
        ("line", "text"),
        [
            (3, "2026-01-02 10:00:01,abc,1"),
            (3, "2026-01-02 10:00:01,10.25"),
            (3, "2026-01-02 10:00:01,10.25,1,1"),
            (3, "2026-01-02 10:00:01,-10.25,1"),
            (3, "2026-01-02 10:00:01,0,1"),
            (3, "2026-01-02 10:00:01,10.25,0"),
            (3, "2026-01-02 10:00:01,NaN,1"),
            (3, "2026-01-02 10:00:01,1e3,1"),
            (3, "2026-01-02 10:00:01,10.25," + "9" * 40),
            (3, "2026-01-02 09:00:00,10.25,1"),
            (3, "2026-02-30 10:00:00,10.25,1"),
            (3, "yesterday,10.25,1"),
            (3, ""),
            (3, "x" * 5000),
            (3, "2026-01-02 10:00:01,10.25,1\x00"),
            (1, None),
        ],
    )
    def test_the_line_is_named(
        self,
        http: httpx.Client,
        refused: Refused,
        unchanged: Unchanged,
        folder: Path,
        nothing_played: Callable[[str], None],
        line: int,
        text: str | None,
    ) -> None:
        tape = folder / "broken.csv"
        rows = [HEADER, GOOD, text, GOOD] if text is not None else ["a,b,c", GOOD]
        tape.write_text("\n".join(rows) + "\n")
        with unchanged():
            problem = refused(self._play(http, tape), 422, "invalid_tape")
        assert problem["line"] == line
        assert f"line {line}" in str(problem["detail"])
        nothing_played("BROKEN")

    def test_the_line_of_a_packed_tape_is_named_and_a_damaged_one_refused(
        self, http: httpx.Client, refused: Refused, unchanged: Unchanged, folder: Path
    ) -> None:
        packed = folder / "packed.csv.gz"
        whole = gzip.compress("\n".join([HEADER, *[GOOD] * 5000, "2026-01-02 10:00:01,,1", ""]).encode())
        with unchanged():
            packed.write_bytes(whole)
            assert refused(self._play(http, packed), 422, "invalid_tape")["line"] == 5002
            packed.write_bytes(whole[: len(whole) // 2])
            refused(self._play(http, packed), 422, "invalid_tape")
            packed.write_bytes(b"PAR1" + os.urandom(100) + b"PAR1")
            refused(self._play(http, packed), 422, "invalid_tape")

    def test_other_wishes_that_cannot_be_fulfilled(
        self, http: httpx.Client, refused: Refused, unchanged: Unchanged, folder: Path
    ) -> None:
        tape = folder / "wishes.csv"
        tape.write_text(f"{HEADER}\n{GOOD}\n")
        with unchanged():
            for wish in (
                {"speed": -1},
                {"speed": 1e300},
                {"speed": "fast"},
                {"time_zone": "Mars/Olympus"},
                {"symbol": "lower"},
                {"symbol": "A" * 25},
                {"colour": "red"},
            ):
                refused(self._play(http, tape, **wish), 422, "invalid_request")
            refused(self._play(http, tape, symbol="ACME-USD"), 409, "instrument_mismatch")

    @staticmethod
    def _play(http: httpx.Client, tape: Path, **wishes: object) -> httpx.Response:
        return http.post("/api/market/replays", json={"path": str(tape), **wishes})


class TestPaths:
    def test_only_regular_files_below_the_allowed_folders(
        self,
        sim_platform: Platform,
        http: httpx.Client,
        refused: Refused,
        unchanged: Unchanged,
        folder: Path,
        tmp_path: Path,
    ) -> None:
        outside = tmp_path / "outside.csv"
        outside.write_text(f"{HEADER}\n{GOOD}\n")
        link = folder / "link.csv"
        link.unlink(missing_ok=True)
        link.symlink_to(outside)
        pipe = folder / "pipe.csv"
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        (folder / "sub.csv").mkdir(exist_ok=True)
        secrets = next((sim_platform.data_dir / "secrets").iterdir())
        with unchanged():
            for path in (
                outside,
                link,
                pipe,
                folder,
                folder / "sub.csv",
                folder / "missing.csv",
                f"{folder}/../secrets/{secrets.name}",
                secrets,
                "/dev/zero",
                "/proc/self/environ",
                "replays/x.csv",
                "",
                "x" * 5000,
            ):
                refused(self._play(http, path), 422, "tape_not_allowed")
            there = refused(self._play(http, "/etc/passwd"), 422, "tape_not_allowed")
            not_there = refused(self._play(http, "/etc/nobody"), 422, "tape_not_allowed")
            assert there["detail"] == not_there["detail"]

    @staticmethod
    def _play(http: httpx.Client, path: object) -> httpx.Response:
        return http.post("/api/market/replays", json={"path": str(path)})


class TestCommands:
    def test_replay_names_the_line_and_leaves_no_copy(
        self, sim_platform: Platform, unchanged: Unchanged, folder: Path, tmp_path: Path
    ) -> None:
        tape = self._broken(tmp_path)
        with unchanged():
            ended = _agio("replay", str(tape), "--data-dir", str(sim_platform.data_dir))
        assert ended.returncode == 1
        assert ended.stderr.startswith("agio: line 3: price")
        assert not (folder / tape.name).exists()

    def test_up_names_the_line_and_does_not_start(self, tmp_path: Path) -> None:
        tape = self._broken(tmp_path)
        data = tmp_path / "data"
        ended = _agio("up", "--json", "--port", "0", "--data-dir", str(data), "--market", f"replay:{tape}")
        assert ended.returncode == 1
        assert ended.stdout == ""
        assert f"{tape} cannot be played, and nothing was: line 3: price" in ended.stderr
        assert not (data / "run" / "state.json").exists()

    def test_up_without_the_tape_says_so_at_once(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing.csv"
        ended = _agio("up", "--json", "--data-dir", str(tmp_path / "data"), "--market", f"replay:{missing}")
        assert ended.returncode == 1
        assert f"the tape {missing} does not exist" in ended.stderr
        assert not (tmp_path / "data").exists()

    @staticmethod
    def _broken(folder: Path) -> Path:
        tape = folder / "verybroken.csv"
        tape.write_text(f"{HEADER}\n{GOOD}\n2026-01-02 10:00:01,ten,1\n{GOOD}\n")
        return tape


def _agio(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGIO_")}
    return subprocess.run(
        [sys.executable, "-m", "agio", *arguments],
        env={**environment, "NO_COLOR": "1", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=FRESH_START_SECONDS,
        check=False,
    )
