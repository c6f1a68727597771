"""The source tree that verbs for developers work on."""

from pathlib import Path

import agio
from agio.app.cli.console import fail


def find_checkout() -> Path:
    """The root of the checkout that this program runs from; ends with a message in an installed wheel."""
    root = Path(agio.__file__).resolve().parents[2]
    if not (root / "pyproject.toml").is_file() or not (root / "tests").is_dir():
        fail("this verb works on a checkout of the source, and this agio was installed without one")
    return root
