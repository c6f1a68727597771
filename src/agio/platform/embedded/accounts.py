"""Which account of the operating system a server runs as: PostgreSQL refuses to run as root."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import NamedTuple

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


def make_folder(folder: Path, mode: int | None = None) -> None:
    """Create a folder with exactly this mode; one that exists keeps the mode that its owner gave it.

    The default is private, except that root's folders can be passed through by the servers' account.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    folder.chmod(mode if mode is not None else 0o711 if os.geteuid() == 0 else 0o700)


def can_enter(account: Account, folder: Path) -> bool:
    """Whether the account can go into the folder, asked of the kernel by trying."""
    return _succeeds_as(account, "/bin/sh", "-c", 'cd "$0"', str(folder))


def can_run(account: Account, program: Path) -> bool:
    """Whether the account can execute the program with the libraries that it needs."""
    return _succeeds_as(account, str(program), "--version")


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
