"""RFC 6455 and 7692 by Autobahn's cases: an echo behind our protocol class."""

from typing import ClassVar

import pytest
from tests.conformance.autobahn import (
    DEFLATE,
    FRAMING,
    LARGEST_MESSAGE,
    LIMITS,
    failures,
    run_against_server,
)
from tests.integration.streaming.conftest import serve

from agio.streaming.frames import BINARY, TEXT, frame
from agio.streaming.handshake import UpgradeRequest
from agio.streaming.ports import Wire
from agio.streaming.protocol import make_protocol
from agio.streaming.settings import StreamingSettings


class Echo:
    """Sends every message back."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def opened(self) -> None:
        self._wire.limit_messages(LARGEST_MESSAGE)

    def received(self, payload: bytes, *, is_text: bool) -> None:
        self._wire.write(frame(TEXT if is_text else BINARY, payload))

    def writable(self) -> None:
        return None

    def lost(self) -> None:
        return None

    def finish(self, code: int, reason: str) -> None:
        self._wire.close(code, reason)


class EchoDoor:
    settings: ClassVar[StreamingSettings] = StreamingSettings(may_compress=True)

    async def admit(self, request: UpgradeRequest, subprotocol: str | None, wire: Wire) -> Echo:
        return Echo(wire)

    def ended(self, code: int) -> None:
        return None


async def run(*cases: str) -> list[object]:
    async with serve(make_protocol(EchoDoor()), None) as port:
        return await run_against_server(f"ws://127.0.0.1:{port}/stream", cases)


@pytest.mark.slow
async def test_framing() -> None:
    results = await run(*FRAMING)

    assert len(results) > 240
    assert failures(results) == []


@pytest.mark.slow
async def test_large_messages_and_many_fragments() -> None:
    results = await run(*LIMITS)

    assert len(results) == 54
    assert failures(results) == []


@pytest.mark.slow
async def test_compression() -> None:
    assert failures(await run(*DEFLATE)) == []
