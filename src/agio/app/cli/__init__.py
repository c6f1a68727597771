"""The command `agio`: one module per verb, of which only the one that is wanted is loaded."""

import importlib
import sys

# Long-lived processes of the platform: they start without the command-line machinery.
PROCESSES = ("engine", "api")

VERBS = {
    "up": "up",
    "down": "down",
    "restart": "restart",
    "status": "status",
    "replay": "replay",
    "keys": "keys",
    "ledger": "ledger",
    "ticks": "ticks",
    "chaos": "chaos",
    "doctor": "doctor",
    "bench": "bench",
    "test": "test",
    "check": "check",
    "migrate": "migrate",
}


def main() -> None:
    """Run the verb that the command line names."""
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb in PROCESSES and sys.argv[2:] == []:
        importlib.import_module("agio.app.cli.processes").run(verb)
        return
    program = importlib.import_module("agio.app.cli.program")
    program.build([VERBS[verb]] if verb in VERBS else list(VERBS.values()))(prog_name="agio")
