"""`agio engine` and `agio api`, as the supervisor or an operator's own service manager runs them."""

import gc
import importlib
import os
import sys

from agio.app.readiness import await_go
from agio.platform.config import InvalidSetting, Settings


def run(verb: str) -> None:
    """Run one process of the platform until it is stopped; settings come from AGIO_ variables."""
    # Files that a process makes are its owner's business only.
    os.umask(0o077)
    try:
        settings = Settings.from_environment()
    except InvalidSetting as error:
        sys.exit(f"agio {verb}: {error}")
    # Little that imports make becomes garbage; looking for it costs a fifth of the start, and pauses later.
    gc.disable()
    module = importlib.import_module(f"agio.app.{verb}")
    gc.freeze()
    gc.enable()
    await_go()
    module.run(settings)
