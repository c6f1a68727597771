"""`agio test`: the whole test suite, on embedded servers of its own."""

import os
import shutil
import sys

import typer

from agio.app.cli.checkout import find_checkout
from agio.app.cli.console import err, fail

SIDE_BY_SIDE = ("--numprocesses=auto", "--dist=loadfile", "--no-loadscope-reorder")
"""On all cores, file by file in their order: fast ones first."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def register(program: typer.Typer) -> None:
    program.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(test)


def test(context: typer.Context) -> None:
    """Run the tests on all cores; all arguments go to pytest, such as -k orders, -x or -n0 (one process).

    Tests that need recorded markets find them in AGIO_TEST_DATA; browser tests need Chromium. Both say so and
    are skipped when these are absent.
    """
    root = find_checkout()
    if not any(shutil.which(browser) for browser in BROWSERS):
        err.print(
            "[yellow]![/] Chromium is not installed: the browser tests will be skipped."
            " Debian, Ubuntu: apt-get install chromium"
        )
    try:
        import pytest  # noqa: F401, PLC0415
    except ImportError:
        fail("pytest is not installed here: run the tests with ./agio test, which installs it")
    sys.stdout.flush()
    os.chdir(root)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *SIDE_BY_SIDE, *context.args])  # noqa: S606
