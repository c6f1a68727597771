"""RFC 6455 by Autobahn's cases, which kosoku runs: an echo behind our protocol class."""

from typing import ClassVar

import pytest
from tests.integration.streaming.conftest import serve

from agio.streaming.frames import BINARY, TEXT, frame
from agio.streaming.handshake import UpgradeRequest
from agio.streaming.ports import Wire
from agio.streaming.protocol import make_protocol
from agio.streaming.settings import StreamingSettings

kosoku = pytest.importorskip("kosoku", reason="kosoku is not installed: pip install kosoku")

KNOWN = {"7.1.5"}
"""A close frame inside a fragmented message: Autobahn wants 1000, `websockets` answers 1002."""
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]


class Echo:
    """Sends every message back."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def opened(self) -> None:
        self._wire.limit_messages(1024 * 1024)

    def received(self, payload: bytes, *, is_text: bool) -> None:
        self._wire.write(frame(TEXT if is_text else BINARY, payload))

    def writable(self) -> None:
        return None

    def lost(self) -> None:
        return None

    def finish(self, code: int, reason: str) -> None:
        self._wire.close(code, reason)


class EchoDoor:
    settings: ClassVar[StreamingSettings] = StreamingSettings()

    async def admit(self, request: UpgradeRequest, subprotocol: str | None, wire: Wire) -> Echo:
        return Echo(wire)

    def ended(self, code: int) -> None:
        return None


@pytest.mark.slow
async def test_autobahn_cases() -> None:
    async with serve(make_protocol(EchoDoor()), None) as port:
        try:
            results = await kosoku.run_fuzzingclient(
                f"ws://127.0.0.1:{port}/stream", cases=CASES, concurrency=8
            )
        except kosoku.FailureError as error:
            results = error.results

    failed = [
        f"{result.case_id}: {result.behavior.value}, {result.behavior_close.value}: {result.result}"
        for result in results
        if not result.passed and result.case_id not in KNOWN
    ]
    assert len(results) > 240
    assert not failed, "\n".join(failed)
