"""Which account of the operating system a server runs as, and where that account can reach its files.

PostgreSQL refuses to run as root. As root we therefore drop to an unprivileged account, which may not be
able to enter the folder that holds the checkout or the data (a private home). Permissions of folders that
are not ours are never changed; programs and data move below `/var/lib/agio` instead.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

FALLBACK_HOME = Path("/var/lib/agio")
PREFERRED_ACCOUNTS = ("postgres", "agio", "nobody", "daemon", "www-data")


class NoUsableAccount(Exception):
    """We are root and the machine has no other account to drop to."""


class Account(NamedTuple):
    """An account of the operating system, as in its password file."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The account to drop to when we are root; None when we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    entries = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    if not entries:
        raise NoUsableAccount(
            "PostgreSQL does not run as root and the password file names no other user: add one"
            " (useradd --system agio) or run agio as an ordinary user"
        )
    name = next((name for name in PREFERRED_ACCOUNTS if name in entries), next(iter(entries)))
    return Account(name, entries[name].pw_uid, entries[name].pw_gid)


def make_folder(folder: Path, mode: int = 0o711) -> None:
    """Create a folder with exactly this mode; one that exists keeps the mode that its owner gave it."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)


def can_enter(account: Account, folder: Path) -> bool:
    """Whether the account can go into the folder, asked of the kernel by trying."""
    return _succeeds_as(account, "/bin/sh", "-c", 'cd "$0"', str(folder))


def can_run(account: Account, program: Path) -> bool:
    """Whether the account can execute the program with the libraries that it needs."""
    return _succeeds_as(account, str(program), "--version")


def place_data(data_dir: Path, account: Account | None) -> Path:
    """The folder below which the account can keep data: `data_dir`, or a substitute below `/var/lib/agio`."""
    make_folder(data_dir)
    if account is None or can_enter(account, data_dir):
        return data_dir
    slug = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    substitute = FALLBACK_HOME / "homes" / slug
    for folder in (FALLBACK_HOME, substitute.parent, substitute):
        make_folder(folder)
    return substitute


def place_programs(root: Path, probe: str, version: str, account: Account | None) -> Path:
    """A folder from which the account can run `probe`: `root` itself, or a copy below `/var/lib/agio`."""
    if account is None or can_run(account, root / probe):
        return root
    copy = FALLBACK_HOME / "programs" / version
    if not can_run(account, copy / probe):
        for folder in (FALLBACK_HOME, copy.parent):
            make_folder(folder)
        _copy_readable(root, copy)
    return copy


def _copy_readable(source: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, symlinks=True, ignore=shutil.ignore_patterns("include", "doc", "*.a"))
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            is_program = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if is_program else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _succeeds_as(account: Account, *command: str) -> bool:
    try:
        finished = subprocess.run(  # noqa: S603
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except PermissionError:
        return False
    except FileNotFoundError:
        return False
    return finished.returncode == 0
