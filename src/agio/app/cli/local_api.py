"""The running platform's own API, for verbs of the local operator."""

import importlib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec

from agio.app.cli.console import fail, require_running
from agio.app.run_state import RunFolder, RunState
from agio.platform.config import Settings
from agio.platform.tls import client_context

_TIMEOUT_SECONDS = 15.0

JsonObject = dict[str, object]


class ApiRefused(Exception):
    """The API answered with a problem; the message is its title and detail."""

    def __init__(self, status: int, problem: JsonObject) -> None:
        detail = problem.get("detail") or problem.get("title") or f"status {status}"
        super().__init__(f"{detail} ({problem.get('code', status)})")
        self.status = status
        self.problem = problem


class LocalApi:
    """Blocking calls with one key. Raises ApiRefused, or OSError when nothing answers."""

    key_id = ""
    """Of the key itself, once known."""

    def __init__(self, url: str, ca_file: Path | None, key: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "localhost", parts.port or 443
        self._context: ssl.SSLContext = client_context(ca_file)
        self._key = key

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """One request; the answer is a JSON object, empty when there is none."""
        connection = HTTPSConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=self._context)
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(
                method,
                f"{path}?{urlencode(query)}" if query else path,
                body=msgspec.json.encode(body) if body is not None else None,
                headers=headers,
            )
            response = connection.getresponse()
            content = response.read()
        except HTTPException as error:
            raise OSError(f"the API broke off its answer: {error!r}") from error
        finally:
            connection.close()
        document = _read_object(content)
        if response.status >= 400:
            raise ApiRefused(response.status, document)
        return document


@contextmanager
def operator_api(data_dir: Path) -> Iterator[tuple[LocalApi, RunState]]:
    """The API of the platform that runs on this data folder, with a key that is revoked at the end."""
    state = require_running(data_dir)
    settings = RunFolder(data_dir).read_settings()
    if settings is None:
        fail(f"agio is still starting on {data_dir}: try again when it is ready")
    api = LocalApi(state.url, Path(state.ca_file) if state.ca_file else None, mint_key(settings))
    api.key_id = str(api.call("GET", "/api/me")["key_id"])
    try:
        yield api, state
    finally:
        api.call("DELETE", f"/api/keys/{api.key_id}")


def mint_key(settings: Settings) -> str:
    """A new key of the local operator."""
    bootstrap = importlib.import_module("agio.app.bootstrap")
    return str(bootstrap.mint_operator_key(settings))


def _read_object(content: bytes) -> JsonObject:
    if not content:
        return {}
    try:
        return msgspec.json.decode(content, type=JsonObject)
    except msgspec.DecodeError:
        return {"detail": content[:200].decode(errors="replace")}
