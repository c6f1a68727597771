"""What identity needs filled."""

from typing import Protocol


class Announcer(Protocol):
    """Tells other nodes, best effort; `agio.platform.bus.Bus` is one."""

    async def publish(self, subject: str, payload: bytes = b"") -> None: ...


class Unannounced:
    """Tells nobody: for the operator's commands, which may run while the bus is down."""

    async def publish(self, subject: str, payload: bytes = b"") -> None:  # noqa: ARG002 - a null implementation
        return None
