"""Files of history: downloaded as they arrive, whole or not there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import aiohttp
import msgspec

from agio_sdk.backoff import Backoff
from agio_sdk.errors import AgioError, ApiError
from agio_sdk.states import tell
from agio_sdk.transport import ATTEMPTS, TRY_AGAIN, Transport

FileForm = Literal["csv", "parquet"]

MEDIA_TYPES: dict[FileForm, str] = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
NEXT_CURSOR = "Agio-Next-Cursor"
CHUNK_BYTES = 256 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=120)


class Progress(msgspec.Struct, frozen=True):
    """How far an export is. `total_bytes` is of the present file, None while it is not known."""

    path: Path
    file_bytes: int
    total_bytes: int | None
    files: int
    """The number of the present file, from 1."""


OnProgress = Callable[[Progress], None]


class Exported(msgspec.Struct, frozen=True):
    """The files of an export, in order, and their size together."""

    paths: list[Path]
    size_bytes: int


def form_of(path: Path) -> FileForm:
    """The form that a file's name asks for; raises ValueError."""
    match path.suffix.lower():
        case ".csv":
            return "csv"
        case ".parquet" | ".pq":
            return "parquet"
        case _:
            raise ValueError(f"{path.name}: name the file .csv or .parquet, or give form=")


class Exporter:
    """Writes one list to a file; what one answer cannot hold is asked for by its cursor.

    CSV goes on in the same file. Parquet goes on in further files, `name-2.parquet` and so on, which readers
    of Parquet take together. A file appears under its name when it is complete.
    """

    def __init__(self, rest: Transport, path: Path, form: FileForm, on_progress: OnProgress | None) -> None:
        self._rest = rest
        self._path = path
        self._form = form
        self._on_progress = on_progress
        self._files = 0

    async def run(self, url: str, query: Mapping[str, str | int | None]) -> Exported:
        """Download until there is no cursor any more; raises ApiError, or AgioError when it breaks off."""
        parameters = {name: str(value) for name, value in query.items() if value is not None}
        partial, more = _beside(self._path, ".part"), _beside(self._path, ".more")
        done: list[Path] = []
        size = 0
        try:
            cursor: str | None = ""
            while cursor is not None:
                self._files += 1
                is_appended = self._form == "csv" and self._files > 1
                target = more if is_appended else partial
                written, cursor = await self._download(url, parameters, target)
                parameters["cursor"] = cursor or ""
                size += _append_without_header(more, partial) if is_appended else written
                if self._form == "parquet" or cursor is None:
                    done.append(partial.replace(self._next_name(len(done))))
        finally:
            partial.unlink(missing_ok=True)
            more.unlink(missing_ok=True)
        return Exported(done, size)

    def _next_name(self, count: int) -> Path:
        return self._path if count == 0 else self._path.with_stem(f"{self._path.stem}-{count + 1}")

    async def _download(self, url: str, parameters: dict[str, str], target: Path) -> tuple[int, str | None]:
        """One answer: its size and the cursor of the next. It is repeated whole when it breaks off."""
        backoff = Backoff(self._rest.pace)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(url, parameters, target)
            except (aiohttp.ClientError, TimeoutError, _Busy) as error:
                if attempt == ATTEMPTS:
                    raise AgioError(f"{self._path.name} broke off {ATTEMPTS} times: {error!r}") from error
                least = error.retry_after_seconds if isinstance(error, _Busy) else 0.0
                await self._rest.pace.sleep(backoff.next_delay(least))
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, url: str, parameters: dict[str, str], partial: Path) -> tuple[int, str | None]:
        headers = {**await self._rest.authorization(), "Accept": MEDIA_TYPES[self._form]}
        async with self._rest.session().get(
            self._rest.url + url, params=parameters, headers=headers, timeout=TIMEOUT
        ) as response:
            if response.status in TRY_AGAIN:
                raise _Busy(response.headers.get("Retry-After"))
            if response.status >= 400:
                raise ApiError(response.status, await response.json(content_type=None))
            with partial.open("wb") as target:
                size = await self._write(response, target)
            return size, response.headers.get(NEXT_CURSOR)

    async def _write(self, response: aiohttp.ClientResponse, target: BinaryIO) -> int:
        done = 0
        async for piece in response.content.iter_chunked(CHUNK_BYTES):
            done += target.write(piece)
            if self._on_progress is not None:
                progress = Progress(self._path, done, response.content_length, self._files)
                tell(self._on_progress, progress)
        return done


class _Busy(Exception):
    """The server asks to come back."""

    def __init__(self, after: str | None) -> None:
        super().__init__("the server is busy")
        self.retry_after_seconds = float(after) if after and after.isdigit() else 0.0


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _append_without_header(source: Path, target: Path) -> int:
    size = 0
    with source.open("rb") as rows, target.open("ab") as file:
        rows.readline()
        while piece := rows.read(CHUNK_BYTES):
            size += file.write(piece)
    source.unlink()
    return size
