"""`agio bench`: benchmarks that print the machine, the command and the raw figures."""

import ast
import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from agio.app.cli.checkout import find_checkout
from agio.app.cli.console import fail, out


def register(program: typer.Typer) -> None:
    program.command("bench", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        bench
    )


def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Which one; without it they are listed.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A short run, for a first look.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Also print the figures as JSON.")] = False,
) -> None:
    """Run a benchmark, or list them. Arguments that are not known here go to the benchmark."""
    root = find_checkout()
    benchmarks = find_benchmarks(root / "benchmarks")
    if name is None:
        _list(benchmarks)
        return
    if name not in benchmarks:
        fail(f"there is no benchmark {name}: it is one of {', '.join(benchmarks)}")
    # Benchmarks import one another as `benchmarks.x`; they are part of the checkout, not of the package.
    sys.path.insert(0, str(root))
    flags = [*(["--quick"] if quick else []), *(["--json"] if as_json else [])]
    importlib.import_module(f"benchmarks.{name}").main([*flags, *context.args])


def find_benchmarks(folder: Path) -> dict[str, str]:
    """Names of benchmarks and the first line that each says about itself, without running any.

    What has no `main` is a part of others.
    """
    found = {}
    for file in sorted(folder.glob("*.py")):
        module = ast.parse(file.read_text(encoding="utf-8"))
        if any(isinstance(part, ast.FunctionDef) and part.name == "main" for part in module.body):
            found[file.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return found


def _list(benchmarks: dict[str, str]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name, line in benchmarks.items():
        table.add_row(f"[bold]{name}[/]", line)
    out.print(table)
    out.print("[dim]Run one: agio bench NAME [--quick] [--json][/]")
