"""One subscriber that stops reading among many that read: who notices, and what becomes of it."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from agio.streaming.errors import CloseCode
from agio.streaming.settings import KIB, StreamingSettings
from benchmarks.fanout.cases import Measured, measure
from benchmarks.fanout.doors import CHANNEL
from benchmarks.fanout.frames import Chunk, Reader, payloads, read_json
from benchmarks.fanout.orders import TellTrades
from benchmarks.fanout.stand import Node, Stand
from benchmarks.fanout.swarm import Swarm, await_greeting, connect
from benchmarks.harness import Report

_RECEIVE_BYTES: Final = 4_096
_LOOK_SECONDS: Final = 0.25
_RETURN_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 10.0
"""How long after the load the stalled one may still be connected."""
_CONNECTIONS: Final = 'agio_stream_connections{door="stream"}'
_LIMITS: Final = StreamingSettings()
QUEUE_KIB: Final = (_LIMITS.queue_bytes + 2 * _LIMITS.write_bytes) / KIB
"""What the room's page promises for a reader: its queue, a write in the transport, one in the kernel."""


class _Subscribed(msgspec.Struct):
    epoch: str
    seq: int
    recovered: bool = True


class _Reply(msgspec.Struct):
    subs: list[_Subscribed] = []


@dataclass
class Watched:
    """What was seen of the server while one subscriber stalled."""

    queued_kib: float = 0.0
    grown_kib: float = 0.0
    closed_after: float | None = None
    received: bytes = b""
    """What the stalled one finds once it reads again."""


class Watch(threading.Thread):
    """Looks at the server beside the subscribers; when the stalled one was given up, it reads again."""

    def __init__(self, node: Node, sock: socket.socket) -> None:
        super().__init__(daemon=True)
        self.seen = Watched()
        self._node = node
        self._sock = sock
        self._has_time = threading.Event()
        self._connections = node.metrics()[_CONNECTIONS]

    def end(self) -> Watched:
        """Wait until the stalled one was given up; in vain when that takes too long."""
        self.join(_PATIENCE_SECONDS)
        self._has_time.set()
        self.join()
        return self.seen

    def run(self) -> None:
        begun, rss = time.monotonic(), self._node.rss_bytes()
        while self.seen.closed_after is None and not self._has_time.wait(_LOOK_SECONDS):
            told = self._node.metrics()
            self.seen.queued_kib = max(self.seen.queued_kib, told["agio_stream_queued_bytes"] / KIB)
            self.seen.grown_kib = max(self.seen.grown_kib, (self._node.rss_bytes() - rss) / KIB)
            if told[_CONNECTIONS] < self._connections:
                self.seen.closed_after = time.monotonic() - begun
        self.seen.received = _read_all(self._sock)


def measure_stalled(
    report: Report,
    stand: Stand,
    node: Node,
    swarm: Swarm,
    alone: Measured,
    order: TellTrades,
    meanwhile: Callable[[], object],
) -> None:
    """The load of `alone` beside a subscriber that stops reading; then that one returns with its position.

    `meanwhile` is done between the load and the return, while a short load's stalled one still waits.
    """
    count = len(swarm.subscribers)
    door = node.door(CHANNEL, "json")
    sock, received = connect(door, door.keys[-1], receive_bytes=_RECEIVE_BYTES)
    received = await_greeting(door, sock, received)
    watch = Watch(node, sock)
    watch.start()
    beside = measure(node, swarm, stand.market, order)
    meanwhile()
    seen = watch.end()
    sock.close()

    case = f"one stalled among {count}, {order.rate:g}/s"
    beside.report(report, case)
    report.figure(case, "queued in the server, most", seen.queued_kib, "KiB")
    report.figure(case, "server memory growth, most", seen.grown_kib, "KiB")
    report.figure(case, "closed after", seen.closed_after or float("nan"), "s")
    whole = Reader(read_json).chunk(received + seen.received)
    subscribed = _find_reply(received)
    position = whole.last or subscribed.seq
    returned = _return(node, subscribed.epoch, position, swarm.subscribers[0].last)
    report.figure(case, "had when it was closed", whole.count, "messages")
    report.figure(case, "replayed on return", returned.count, "messages")

    noise = max(1.5 * alone.p99, alone.p99 + 5)
    report.bar(
        "the others' p99 with one stalled", f"<= {noise:.1f} ms", beside.p99, is_held=beside.p99 <= noise
    )
    is_bounded = seen.queued_kib <= QUEUE_KIB
    report.bar("queued for the stalled one", f"<= {QUEUE_KIB:.0f} KiB", seen.queued_kib, is_held=is_bounded)
    code = whole.close_code or 0
    report.bar("the stalled one is closed with", "= 4008", code, is_held=code == CloseCode.SLOW_CONSUMER)
    told = swarm.subscribers[0].last - subscribed.seq
    got = whole.count + returned.count
    is_whole = whole.is_consecutive and returned.is_consecutive and returned.previous == position
    report.bar(
        "on return, exactly once from where it was", f"= {told}", got, is_held=is_whole and got == told
    )


def _return(node: Node, epoch: str, position: int, last: int) -> Chunk:
    """Connect again with the position and read to the newest message."""
    door = node.door(CHANNEL, "json", epoch=epoch, seq=position)
    sock, received = connect(door, door.keys[-1])
    received = await_greeting(door, sock, received)
    reader = Reader(read_json)
    deadline = time.monotonic() + _RETURN_SECONDS
    while (chunk := reader.chunk(received)).last < last and time.monotonic() < deadline:
        received += sock.recv(65_536)
    sock.close()
    return chunk


def _find_reply(received: bytes) -> _Subscribed:
    for payload in payloads(received):
        if b'"subs"' in payload:
            return msgspec.json.decode(payload, type=_Reply).subs[0]
    raise ConnectionError("no answer to the subscription")


def _read_all(sock: socket.socket) -> bytes:
    """What waits in the socket: to its end, or until nothing more comes."""
    parts = []
    sock.settimeout(_SILENCE_SECONDS)
    with suppress(OSError):
        while part := sock.recv(65_536):
            parts.append(part)
    return b"".join(parts)
