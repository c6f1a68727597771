"""Opening a tape: only a regular file, only below an allowed folder, and never another one in between."""

import os
import re
import stat
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self

from agio.marketdata.errors import TapeError, TapeNotAllowed

TapeKind = Literal["trades", "quotes"]
TapeFormat = Literal["csv", "parquet", "tardis_trades", "tardis_quotes", "lobster", "dbn"]

_PARQUET_MAGIC: Final = b"PAR1"
_DBN_MAGICS: Final = (b"DBN", b"\x28\xb5\x2f\xfd")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_SNIFFED: Final = 512
_TARDIS_HEADER: Final = b"exchange,symbol,timestamp,local_timestamp,"
_LOBSTER_LINE: Final = re.compile(rb"[0-9]{1,5}\.[0-9]+,[1-7],[0-9]+,[0-9]+,-?[0-9]+,-?1?[0-9]?\r?\n")
_QUOTE_FORMATS: Final = ("parquet", "tardis_quotes")
_SYMBOL_TOKEN: Final = re.compile(r"[A-Za-z0-9]{1,24}", re.ASCII)
_TARDIS_NAME: Final = re.compile(
    r"[a-z0-9-]+_(?:(?:trades|quotes)_[0-9-]{10}_)?([A-Z0-9]{1,24})(?=[_.])", re.ASCII
)
"""`binance-futures_trades_2020-02-22_BTCUSDT.csv.gz`: the venue's name stands before the symbol."""
_MAX_PATH: Final = 4096


class TapeFile:
    """An open tape. Readers go through its descriptor, so that a swapped path changes nothing."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._status = os.fstat(descriptor)
        self.format: TapeFormat = _format_of(os.pread(descriptor, _SNIFFED, 0))
        self.kind: TapeKind = "quotes" if self.format in _QUOTE_FORMATS else "trades"

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
    vendor = _TARDIS_NAME.match(path.name)
    if vendor is not None:
        return vendor[1]
    found = _SYMBOL_TOKEN.match(path.name)
    if found is None:
        raise TapeError("the file's name begins with no symbol: give one")
    return found[0].upper()


def _format_of(start: bytes) -> TapeFormat:
    """What a file is, by its first bytes; what is nothing else is read as CSV and refused there."""
    if start.startswith(_PARQUET_MAGIC):
        return "parquet"
    if start.startswith(_DBN_MAGICS):
        return "dbn"
    if start.startswith(_GZIP_MAGIC):
        try:
            start = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(start, _SNIFFED)
        except zlib.error:
            return "csv"
    if start.startswith(_TARDIS_HEADER):
        return "tardis_quotes" if b"ask_price" in start.partition(b"\n")[0] else "tardis_trades"
    return "lobster" if _LOBSTER_LINE.match(start) else "csv"


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
