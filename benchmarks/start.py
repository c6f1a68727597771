"""How long `agio up` takes, cold and warm, and what the idle platform with its simulated market costs."""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Platform, Report, parse_arguments, start_report

COLD_GOAL_SECONDS = 60
WARM_GOAL_SECONDS = 5
MEMORY_GOAL_MB = 600
CPU_GOAL_PERCENT = 30


def main(argv: Sequence[str]) -> None:
    options = parse_arguments(__doc__, argv)
    report = start_report("start", argv)
    with tempfile.TemporaryDirectory(prefix="agio-bench-") as folder:
        data_dir = Path(folder)
        cold, platform = _timed_start(report, "first start", data_dir)
        platform.stop()
        report.figure("first start, new data folder", "seconds to ready", cold, "s")
        report.bar(
            "ready on a new data folder, packages installed",
            f"<= {COLD_GOAL_SECONDS} s",
            cold,
            is_held=cold <= COLD_GOAL_SECONDS,
        )

        warm = []
        for _ in range(1 if options.quick else 3):
            seconds, platform = _timed_start(report, "next start", data_dir)
            warm.append(seconds)
            if len(warm) < (1 if options.quick else 3):
                platform.stop()
        try:
            _measure_idle(report, platform, seconds=8 if options.quick else 60)
        finally:
            platform.stop()
        report.figure("next start, same data folder", "seconds to ready, worst", max(warm), "s")
        report.bar(
            "ready on a used data folder",
            f"<= {WARM_GOAL_SECONDS} s",
            max(warm),
            is_held=max(warm) <= WARM_GOAL_SECONDS,
        )
    report.print(as_json=options.json)


def _timed_start(report: Report, case: str, data_dir: Path) -> tuple[float, Platform]:
    started = time.monotonic()
    platform = Platform.start(data_dir)
    seconds = time.monotonic() - started
    report.figure(case, "CPU spent until ready", platform.cpu_seconds(), "s")
    return seconds, platform


def _measure_idle(report: Report, platform: Platform, seconds: float) -> None:
    time.sleep(2)
    cpu, started = platform.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    share = 100 * (platform.cpu_seconds() - cpu) / (time.monotonic() - started)
    memory = platform.memory_bytes() / 2**20
    report.figure("default simulated market, no users", "CPU, all processes", share, "% of a core")
    report.figure("default simulated market, no users", "memory, all processes (PSS)", memory, "MiB")
    for process in platform.processes():
        name = " ".join(Path(part).name for part in process.cmdline()[:4])[:40]
        report.figure(f"  {name}", "memory (PSS)", process.memory_full_info().pss / 2**20, "MiB")
    report.bar(
        "memory of the process tree", f"< {MEMORY_GOAL_MB} MB", memory, is_held=memory < MEMORY_GOAL_MB
    )
    report.bar("CPU of the process tree", f"< {CPU_GOAL_PERCENT} %", share, is_held=share < CPU_GOAL_PERCENT)


if __name__ == "__main__":
    main(sys.argv[1:])
