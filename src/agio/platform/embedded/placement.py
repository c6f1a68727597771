"""Where a server keeps programs and data when its account cannot enter the folders that it was given.

Permissions of folders that are not ours are never changed. As root, what the server's account cannot reach
goes below `/var/lib/agio` instead.
"""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

from agio.platform.embedded.accounts import Account, can_enter, can_run, make_folder
from agio.platform.embedded.secret_files import write_private

SYSTEM_HOME = Path("/var/lib/agio")
_MARKER = "server-home"
_ORIGIN = "origin"


class DataOutOfReach(Exception):
    """The data exists, but the server's account can no longer enter the folder that holds it."""


def place_data(data_dir: Path, account: Account | None) -> Path:
    """The folder below which the account can keep data: `data_dir`, or a home of its own for good."""
    make_folder(data_dir)
    marker = data_dir / _MARKER
    if marker.exists():
        return Path(marker.read_text(encoding="utf-8").strip())
    if account is None or can_enter(account, data_dir):
        return data_dir
    if any(data_dir.glob("*/PG_VERSION")):
        raise DataOutOfReach(
            f"the database in {data_dir} belongs to the user {account.name}, who can no longer enter that"
            " folder: give it and the folders above it the permission o+x again"
        )
    homes = SYSTEM_HOME / "homes"
    make_folder(SYSTEM_HOME)
    make_folder(homes)
    forget_vanished_homes(homes)
    home = homes / secrets.token_hex(6)
    write_private(marker, f"{home}\n")
    make_folder(home)
    write_private(home / _ORIGIN, f"{data_dir.resolve()}\n")
    return home


def place_programs(root: Path, probe: str, version: str, account: Account | None) -> Path:
    """A folder from which the account can run `probe`: `root` itself, or a copy that everybody can read."""
    if account is None or can_run(account, root / probe):
        return root
    copy = SYSTEM_HOME / "programs" / version
    if not can_run(account, copy / probe):
        make_folder(SYSTEM_HOME)
        make_folder(copy.parent)
        _copy_readable(root, copy, Path(probe).parts[0])
    return copy


def forget_vanished_homes(homes: Path) -> None:
    """Remove data whose folder in the temporary directory is gone, and with it the passwords to read it."""
    volatile = Path(tempfile.gettempdir()).resolve()
    for home in homes.iterdir():
        try:
            origin = Path((home / _ORIGIN).read_text(encoding="utf-8").strip())
            marker = origin / _MARKER
            is_wanted = marker.exists() and marker.read_text(encoding="utf-8").strip() == str(home)
        except OSError:
            continue
        if origin.is_relative_to(volatile) and not is_wanted and not any(home.glob("*/postmaster.pid")):
            shutil.rmtree(home, ignore_errors=True)


def _copy_readable(source: Path, target: Path, package: str) -> None:
    """Copy a wheel's folder, and the libraries that its build put beside it."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    unneeded = shutil.ignore_patterns("include", "doc", "*.a", "__pycache__")
    for name in (package, f"{package}.libs"):
        if (source / name).is_dir():
            shutil.copytree(source / name, partial / name, symlinks=True, ignore=unneeded)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            is_entered_or_run = path.is_dir() or path.stat().st_mode & 0o111
            path.chmod(0o755 if is_entered_or_run else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
