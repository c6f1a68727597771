"""Cancellations that libraries lose.

`asyncio.wait_for` of Python 3.11 returns its result when it is cancelled in the turn of the loop in which
that comes, and nats-py's flush suppresses CancelledError. A task that goes on after it was cancelled is a
duty that does not end. So whoever awaits such a library counts before and looks after.
"""

import asyncio


def cancellations() -> int:
    """How often the current task was asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def end_if_cancelled(earlier: int, error: Exception | None = None) -> None:
    """Raise CancelledError when the task was asked to end since `earlier`, whatever was made of it."""
    if cancellations() > earlier:
        raise asyncio.CancelledError from error
