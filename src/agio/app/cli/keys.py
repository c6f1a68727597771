"""`agio keys`: API keys of the local operator's organisation, on the running platform."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from agio.app.cli.console import AsJson, DataDir, fail, out, resolve_data_dir
from agio.app.cli.local_api import ApiRefused, JsonObject, LocalApi, operator_api
from agio.app.cli.master_key import rotate_master

DEFAULT_SCOPES = (
    "market:read",
    "accounts:read",
    "orders:read",
    "orders:write",
    "portfolios:read",
    "portfolios:write",
    "ledger:read",
)
MAX_PAGES = 50

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="As `agio keys list` shows it: key_...")]


def register(program: typer.Typer) -> None:
    keys = typer.Typer(
        help="API keys of the running platform, and the master key of its encryption at rest.",
        no_args_is_help=True,
    )
    for verb in (create, list_keys, rotate, revoke):
        keys.command("list" if verb is list_keys else verb.__name__)(verb)
    keys.command("rotate-master")(rotate_master)
    program.add_typer(keys, name="keys")


def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="A permission, such as orders:write; repeat for more.", show_default="a trader's"),
    ] = None,
    days: Annotated[int, typer.Option(help="Days until it expires.", min=1, max=90)] = 30,
    cidr: Annotated[
        list[str] | None, typer.Option(help="Network that may use it; repeat for more. Default: any.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it, once."""
    body: JsonObject = {"name": name, "scopes": scope or list(DEFAULT_SCOPES), "expires_in_days": days}
    if cidr:
        body["allowed_cidrs"] = cidr
    _print_key(_call(data_dir, "POST", "/api/keys", body), as_json=as_json)


def list_keys(
    everything: Annotated[bool, typer.Option("--all", help="Also keys that are revoked.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List keys: their ids, names, scopes and ends; never the keys themselves."""
    with _reporting_failures(), operator_api(resolve_data_dir(data_dir)) as (api, _):
        keys = [
            key
            for key in _read_all(api)
            # This command's own key is revoked as soon as it ends.
            if key["key_id"] != api.key_id and (everything or not key.get("revoked_at"))
        ]
    if as_json:
        print(msgspec.json.encode(keys).decode())
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("name")
    table.add_column("expires", no_wrap=True)
    if everything:
        table.add_column("revoked", no_wrap=True)
    table.add_column("scopes", overflow="fold")
    for key in keys:
        ends = [str(key.get(name) or "")[:10] for name in ("expires_at", "revoked_at")]
        scopes = ", ".join(msgspec.convert(key["scopes"], list[str]))
        table.add_row(str(key["key_id"]), str(key["name"]), *ends[: 2 if everything else 1], scopes)
    out.print(table)


def _read_all(api: LocalApi) -> list[JsonObject]:
    keys: list[JsonObject] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = api.call("GET", "/api/keys", query={"cursor": cursor} if cursor else None)
        keys += msgspec.convert(page.get("items", []), list[JsonObject])
        cursor = msgspec.convert(page.get("next_cursor"), str | None)
        if cursor is None:
            break
    return keys


def rotate(
    key_id: KeyId,
    overlap: Annotated[int, typer.Option(help="Seconds for which the old key stays valid.", min=0)] = 3600,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one with the same permissions, and print it, once."""
    body: JsonObject = {"overlap_seconds": overlap}
    _print_key(_call(data_dir, "POST", f"/api/keys/{key_id}/rotate", body), as_json=as_json)


def revoke(key_id: KeyId, data_dir: DataDir = None) -> None:
    """Revoke a key at once; streams that use it are closed within a second."""
    _call(data_dir, "DELETE", f"/api/keys/{key_id}")
    out.print(f"[green]✓[/] revoked {key_id}")


def _call(data_dir: Path | None, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
    with _reporting_failures(), operator_api(resolve_data_dir(data_dir)) as (api, _):
        return api.call(method, path, body)


@contextmanager
def _reporting_failures() -> Iterator[None]:
    try:
        yield
    except ApiRefused as refusal:
        fail(str(refusal))
    except OSError as error:
        fail(f"the API does not answer: {error}")


def _print_key(answer: JsonObject, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(answer).decode())
        return
    out.print(f"[bold green]{answer.get('api_key') or answer.get('key')}[/]  shown only now", soft_wrap=True)
    out.print(f"id {answer.get('key_id')}, valid until {answer.get('expires_at')}")
