"""What benchmarks share: a platform of their own, the machine's description, figures and bars."""

import argparse
import json
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 120
STOP_SECONDS = 30


def real_data() -> Path:
    """The folder of recorded markets: AGIO_TEST_DATA, or `shared/data` beside the checkout."""
    return Path(os.environ.get("AGIO_TEST_DATA") or ROOT.parent / "shared" / "data")


def quantile(values: Sequence[float], q: float) -> float:
    """Linear-interpolated quantile of at least one value."""
    ordered = sorted(values)
    if len(ordered) == 1:
        return ordered[0]
    return statistics.quantiles(ordered, n=1000, method="inclusive")[min(998, max(0, round(q * 1000) - 1))]


@dataclass
class Report:
    """Figures and bars of one run; printed as a table, or as one JSON line."""

    benchmark: str
    results: list[dict[str, object]] = field(default_factory=list)
    bars: list[dict[str, object]] = field(default_factory=list)

    def figure(self, case: str, metric: str, value: float, unit: str) -> None:
        self.results.append({"case": case, "metric": metric, "value": round(value, 4), "unit": unit})

    def bar(self, bar: str, goal: str, value: float, *, is_held: bool) -> None:
        self.bars.append({"bar": bar, "goal": goal, "value": round(value, 4), "held": is_held})

    def print(self, *, as_json: bool) -> None:
        for result in self.results:
            print(f"{result['case']:34} {result['metric']:30} {result['value']:>14,} {result['unit']}")
        for bar in self.bars:
            verdict = "held" if bar["held"] else "MISSED"
            print(f"bar  {bar['bar']:50} goal {bar['goal']:>14}  {bar['value']:>12,}  {verdict}")
        if as_json:
            document = {
                "benchmark": self.benchmark,
                "machine": describe_machine(),
                "results": self.results,
                "bars": self.bars,
            }
            print(json.dumps(document))


def describe_machine() -> dict[str, object]:
    """Processor, cores, memory, kernel, Python: what the figures depend on. No names, no paths."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1m": os.getloadavg()[0],
    }


def parse_arguments(description: str | None, argv: Sequence[str]) -> argparse.Namespace:
    """The two options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller run, within 30 seconds")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    return parser.parse_args(argv)


def start_report(benchmark: str, argv: Sequence[str]) -> Report:
    machine = describe_machine()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    print("command:", shlex.join(["./agio", "bench", benchmark, *argv]), flush=True)
    return Report(benchmark)


@dataclass
class Platform:
    """A platform that was started for us, and what its `up --json` line said."""

    process: subprocess.Popen[bytes]
    url: str
    ca_file: str
    api_key: str
    organisation_id: str
    account_id: str
    portfolio_id: str
    symbols: list[str]
    data_dir: Path

    @classmethod
    def start(cls, data_dir: Path, *arguments: str, environment: dict[str, str] | None = None) -> Self:
        """Run `agio up --json` on a data folder and wait until it is ready."""
        command = [
            sys.executable,
            "-m",
            "agio",
            "up",
            "--json",
            "--data-dir",
            str(data_dir),
            "--port",
            "0",
            *arguments,
        ]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=(data_dir / "up.log").open("ab"),
            cwd=ROOT,
            env=environment,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait(STOP_SECONDS)
            raise RuntimeError(
                f"agio up ended with {process.returncode}: {(data_dir / 'up.log').read_text()[-4000:]}"
            )
        ready = json.loads(line)
        names = ("url", "ca_file", "api_key", "organisation_id", "account_id", "portfolio_id", "symbols")
        return cls(process=process, data_dir=data_dir, **{name: ready[name] for name in names})

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def processes(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def find(self, *words: str) -> psutil.Process:
        """The oldest process of the tree whose command line holds all the words."""
        for process in self.processes():
            try:
                if all(any(word in part for part in process.cmdline()) for word in words):
                    return process
            except psutil.NoSuchProcess:
                continue
        raise LookupError(f"no process of the platform has {words} in its command line")

    def memory_bytes(self) -> int:
        """Proportional set size of the whole tree: shared pages are counted once."""
        total = 0
        for process in self.processes():
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return total

    def cpu_seconds(self) -> float:
        total = 0.0
        for process in self.processes():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total


@contextmanager
def running_platform(*arguments: str, data_dir: Path | None = None) -> Iterator[Platform]:
    """A platform on a data folder of its own, stopped and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="agio-bench-") as folder:
        platform_ = Platform.start(data_dir or Path(folder), *arguments)
        try:
            yield platform_
        finally:
            platform_.stop()


def wait_until(condition: object, seconds: float, what: str) -> None:
    """Poll a callable until it is true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(0.05)
