"""Passwords of the embedded servers: random, made once, readable by their owner only."""

import os
import secrets
from pathlib import Path

from agio.platform.embedded.accounts import make_folder


def read_or_create(path: Path) -> str:
    """The secret in the file; a new random one is stored when there is none."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    make_folder(path.parent, 0o700)
    write_private(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii").strip()


def write_private(path: Path, text: str) -> None:
    """Replace a file at once with one that only its owner can read."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
