"""`python -m agio`: the same command as `agio`."""

from agio.app.cli import main

main()
