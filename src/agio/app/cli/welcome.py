"""What `agio up` says once everything is ready: where it is, with which key, and how to begin."""

import json
import os
import shlex
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table

from agio.app.cli.console import err, out
from agio.app.preparation import Ready

_FRAME_WIDTH = 4
_UNBOUNDED_WIDTH = 10_000


def ready_line(url: str, ca_file: Path | None, ready: Ready) -> str:
    """One line of JSON for programs."""
    document = {
        "url": url,
        "ca_file": str(ca_file) if ca_file else None,
        **msgspec.to_builtins(ready),
    }
    return json.dumps(document)


def show_ready(url: str, ca_file: Path | None, ready: Ready) -> None:
    """For people: addresses, the key, and lines to paste."""
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]Dashboard and API[/]", f"[link={url}]{url}[/]")
    table.add_row("[bold]API key[/]", f"[bold green]{ready.api_key}[/]")
    table.add_row("", "sandbox, valid for 7 days, shown only now")
    if ca_file is not None:
        table.add_row("[bold]CA file[/]", str(ca_file))
    table.add_row("[bold]Account[/]", ready.account_id)
    table.add_row("[bold]Portfolio[/]", ready.portfolio_id)
    table.add_row("[bold]Symbols[/]", ", ".join(ready.symbols) or "none yet")
    _print_whole(table)
    for title, line in _lines_to_paste(url, ca_file, ready):
        out.print(f"[bold]{title}[/]")
        out.print(line, markup=False, soft_wrap=True)
    err.print("[dim]Ctrl-C stops everything.[/]")


def _print_whole(table: Table) -> None:
    """In a frame where that fits; a key that is cut off or broken over lines would be of no use."""
    width = Measurement.get(out, out.options.update(width=_UNBOUNDED_WIDTH), table).maximum
    if width + _FRAME_WIDTH <= out.width:
        out.print(Panel(table, title="agio is ready", border_style="green", expand=False))
    else:
        out.print("[bold green]agio is ready[/]")
        wide = Console(width=width, highlight=False, file=out.file, force_terminal=out.is_terminal)
        wide.print(table)


def _lines_to_paste(url: str, ca_file: Path | None, ready: Ready) -> list[tuple[str, str]]:
    """One line each for curl and the Python SDK, which work from any folder."""
    trust = f"--cacert {shlex.quote(str(ca_file))} " if ca_file else ""
    analytics = f"{url}/api/portfolios/{ready.portfolio_id}/analytics"
    curl = f"curl -sS {trust}-H 'Authorization: Bearer {ready.api_key}' {analytics}"
    keyword = f", ca_file={json.dumps(str(ca_file))}" if ca_file else ""
    client = f"SyncAgio({json.dumps(url)}, {json.dumps(ready.api_key)}{keyword})"
    call = f"agio.portfolio_analytics({json.dumps(ready.portfolio_id)})"
    code = f"from agio_sdk import SyncAgio; agio = {client}; print({call}); agio.close()"
    # The interpreter as it was called: its path inside the virtual environment, not the one behind it.
    python = os.path.abspath(sys.executable)  # noqa: PTH100
    return [("curl", curl), ("Python", f"{shlex.quote(python)} -c {shlex.quote(code)}")]
