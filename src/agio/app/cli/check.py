"""`agio check`: what a change must pass before anybody reads it."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from agio.app.cli.checkout import find_checkout
from agio.app.cli.console import err


class Check(NamedTuple):
    """One tool and how it is called."""

    name: str
    command: tuple[str, ...]


def register(program: typer.Typer) -> None:
    program.command("check")(check)


def check(
    fix: Annotated[
        bool, typer.Option("--fix", help="Let formatter and linter correct what they can.")
    ] = False,
) -> None:
    """Run formatter, linter, type checker and import contracts over the checkout."""
    root = find_checkout()
    failed = [step.name for step in _checks(is_fixing=fix) if not _run(step, root)]
    if failed:
        err.print(f"[bold red]failed:[/] {', '.join(failed)}")
        raise typer.Exit(1)
    err.print("[bold green]all checks passed[/]")


def _checks(*, is_fixing: bool) -> tuple[Check, ...]:
    ruff = (sys.executable, "-m", "ruff")
    lint_imports = str(Path(sys.executable).parent / "lint-imports")
    return (
        Check("format", (*ruff, "format", ".", *(() if is_fixing else ("--check",)))),
        Check("lint", (*ruff, "check", ".", *(("--fix",) if is_fixing else ()))),
        Check("types", (sys.executable, "-m", "mypy")),
        Check("imports", (lint_imports,)),
    )


def _run(step: Check, root: Path) -> bool:
    started = time.monotonic()
    with err.status(step.name):
        finished = subprocess.run(step.command, cwd=root, capture_output=True, text=True, check=False)
    mark = "[red]✗[/]" if finished.returncode else "[green]✓[/]"
    err.print(f"{mark} {step.name} [dim]{time.monotonic() - started:.1f} s[/]")
    if finished.returncode:
        err.print((finished.stdout + finished.stderr).rstrip(), markup=False, soft_wrap=True)
    return finished.returncode == 0
