"""A small file system of our own, so that a full disk hurts nobody else."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SIZE_BYTES: Final = 1_600 * 2**20
_BALLAST: Final = "ballast"
_CHUNK: Final = 8 * 2**20


class DiskRefused(Exception):
    """The machine does not let us mount; the message says why."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount an ext4 image, or a tmpfs where there are no loop devices; needs root. Raises DiskRefused."""
    if os.geteuid() != 0:
        raise DiskRefused("only root may mount a file system")
    mount_point = folder / "disk"
    mount_point.mkdir()
    _mount(folder / "disk.img", mount_point)
    try:
        mount_point.chmod(0o711)
        yield mount_point
    finally:
        _unmount(mount_point)


def fill(disk: Path) -> int:
    """Take all the space that is left; returns how many bytes that was."""
    taken = 0
    with (disk / _BALLAST).open("ab") as ballast:
        size = _CHUNK
        while size >= 4096:
            try:
                os.posix_fallocate(ballast.fileno(), taken, size)
            except OSError:
                size //= 2
            else:
                taken += size
    return taken


def empty(disk: Path) -> None:
    (disk / _BALLAST).unlink(missing_ok=True)


def _mount(image: Path, mount_point: Path) -> None:
    attempts = []
    if shutil.which("mkfs.ext4"):
        with image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        attempts.append(
            [["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop", str(image), str(mount_point)]]
        )
    attempts.append([["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "agio-chaos", str(mount_point)]])
    said = ""
    for commands in attempts:
        for command in commands:
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            if finished.returncode != 0:
                said = finished.stderr.strip()
                break
        else:
            return
    raise DiskRefused(f"mounting failed: {said}")


def _unmount(mount_point: Path) -> None:
    for patience in (0.1, 0.5, 2.0):
        if subprocess.run(["umount", str(mount_point)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(patience)
    subprocess.run(["umount", "-l", str(mount_point)], capture_output=True, check=False)
