"""How a supervised process tells its supervisor that it is at work."""

import os

VARIABLE = "AGIO_READY_FD"
READY_LINE = b"ready\n"


def announce_ready() -> None:
    """Tell the supervisor, once, that this process does its work; does nothing when nobody supervises it."""
    descriptor = os.environ.pop(VARIABLE, "")
    if not descriptor.isdigit():
        return
    try:
        os.write(int(descriptor), READY_LINE)
        os.close(int(descriptor))
    except OSError:
        # The supervisor went away in the meantime; its end reaches us in other ways.
        return
