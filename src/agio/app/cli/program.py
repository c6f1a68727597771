"""Puts verbs together to one command-line program."""

import importlib
from collections.abc import Sequence

import typer

from agio import __version__


def build(modules: Sequence[str]) -> typer.Typer:
    """A program with the verbs of these modules."""
    program = typer.Typer(
        name="agio",
        help="A self-hosted financial API: markets, orders, ledger and analytics behind one key.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    program.callback()(_global_options)
    for module in modules:
        importlib.import_module(f"agio.app.cli.{module}").register(program)
    return program


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"agio {__version__}")
        raise typer.Exit


def _global_options(
    version: bool = typer.Option(  # noqa: ARG001
        False, "--version", help="Print the version and exit.", callback=_show_version, is_eager=True
    ),
) -> None:
    return
