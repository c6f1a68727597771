"""Opening a tape: only a regular file, only below an allowed folder, and never another one in between."""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self

from agio.marketdata.errors import TapeError, TapeNotAllowed

TapeKind = Literal["trades", "quotes"]

_PARQUET_MAGIC: Final = b"PAR1"
_SYMBOL_TOKEN: Final = re.compile(r"[A-Za-z0-9]{1,24}", re.ASCII)
_MAX_PATH: Final = 4096


class TapeFile:
    """An open tape. Readers go through its descriptor, so that a swapped path changes nothing."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._status = os.fstat(descriptor)
        self.kind: TapeKind = "quotes" if os.pread(descriptor, 4, 0) == _PARQUET_MAGIC else "trades"

    @property
    def size(self) -> int:
        return self._status.st_size

    @property
    def modified_ns(self) -> int:
        return self._status.st_mtime_ns

    @property
    def descriptor_path(self) -> str:
        """A path that always leads to this very file, for readers that want a name."""
        return f"/proc/self/fd/{self._descriptor}"

    def reader(self) -> BinaryIO:
        """A stream of its own from the first byte; the caller closes it."""
        return Path(self.descriptor_path).open("rb")

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_tape(path: str, allowed: Sequence[Path] | None = None) -> TapeFile:
    """Open a tape for reading, without blocking on pipes and without following a link out of `allowed`.

    `allowed` None is the local operator's privilege: any regular file that the process can read.
    Raises TapeNotAllowed; it does not tell what exists outside the allowed folders.
    """
    if not path or len(path) > _MAX_PATH or "\0" in path:
        raise TapeNotAllowed("path must name a file", extra={"field": "path"})
    if allowed is not None and not Path(path).is_absolute():
        raise TapeNotAllowed("path must be absolute", extra={"field": "path"})
    real = Path(os.path.realpath(path))
    _require_below(real, allowed)
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise TapeNotAllowed(f"{path}: {error.strerror}", extra={"field": "path"}) from error
    try:
        _require_regular(descriptor, path)
        _require_below(Path(os.path.realpath(f"/proc/self/fd/{descriptor}")), allowed)
        return TapeFile(real, descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def symbol_of(path: Path) -> str:
    """The symbol that a file's name suggests, `es_ticks_2013.csv.gz` being ES; raises TapeError."""
    found = _SYMBOL_TOKEN.match(path.name)
    if found is None:
        raise TapeError("the file's name begins with no symbol: give one")
    return found[0].upper()


def _require_regular(descriptor: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise TapeNotAllowed(f"{path} is no regular file", extra={"field": "path"})


def _require_below(real: Path, allowed: Sequence[Path] | None) -> None:
    if allowed is None:
        return
    if not any(real.is_relative_to(os.path.realpath(folder)) for folder in allowed):
        raise TapeNotAllowed(
            "the path is not below a folder that this server replays from (setting AGIO_REPLAY_DIRS)",
            extra={"field": "path"},
        )
