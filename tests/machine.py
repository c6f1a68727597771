"""What the machine allows: limits that hold while nobody else wants its cores, and memory for files."""

import os
import shutil
from pathlib import Path


def allowed_seconds(calm_seconds: float) -> float:
    """How long something may take that takes `calm_seconds` at most on an idle machine."""
    # The average is slow to rise: how many want a core at this moment counts as well (proc_loadavg(5)).
    last_minute, _, _, now, _ = Path("/proc/loadavg").read_text(encoding="ascii").split()
    wanted = max(float(last_minute), float(now.partition("/")[0]))
    return calm_seconds * max(1.0, wanted / len(os.sched_getaffinity(0)))


def folder_in_memory() -> Path | None:
    """Where files that end with the tests cost the least; None where memory has no room for them.

    A fresh database is some 350 files: copying it takes 20 ms here and 400 ms on a disk.
    """
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes the folder in it
    if not memory.is_dir() or shutil.disk_usage(memory).free < 4 * 2**30:
        return None
    return memory
