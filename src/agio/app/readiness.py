"""What a supervised process and its supervisor say to each other, over a socket that the process inherits."""

import os
import socket
import sys

VARIABLE = "AGIO_SUPERVISOR_FD"
GO_LINE = b"go\n"
READY_LINE = b"ready\n"


def await_go() -> None:
    """Wait until the supervisor says that the servers and the schema are there; at once without one.

    What takes long and needs neither, such as importing, is done before.
    """
    channel = _supervisor()
    if channel is None:
        return
    with channel:
        if channel.recv(len(GO_LINE)) != GO_LINE:
            sys.exit("the supervisor is gone")
        channel.detach()


def announce_ready() -> None:
    """Tell the supervisor, once, that this process does its work; does nothing when nobody supervises it."""
    channel = _supervisor()
    os.environ.pop(VARIABLE, None)
    if channel is None:
        return
    with channel:
        try:
            channel.sendall(READY_LINE)
        except OSError:
            # The supervisor went away in the meantime; its end reaches us in other ways.
            return


def _supervisor() -> socket.socket | None:
    descriptor = os.environ.get(VARIABLE, "")
    return socket.socket(fileno=int(descriptor)) if descriptor.isdigit() else None
