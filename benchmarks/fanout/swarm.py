"""Subscribers by the hundred in one process: non-blocking sockets behind one epoll."""

import base64
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from benchmarks.fanout.frames import Chunk, Reader

SAMPLE: Final = 20
"""One in so many subscribers times every message."""
_BUFFER_BYTES: Final = 512 * 1024
_TIMEOUT_SECONDS: Final = 20.0
_REST_SECONDS: Final = 0.002
"""Between two looks. Waking us for each message would cost the server's core, as no client elsewhere does."""
_SO_TIMESTAMPNS: Final = 35
"""Of Linux; Python has no name for it."""
_NOTE_BYTES: Final = socket.CMSG_SPACE(16)
_timespec: Final = Struct("@qq").unpack


@dataclass(frozen=True)
class Door:
    """Where and how to connect."""

    port: int
    path: str
    subprotocol: str | None = None
    trust: ssl.SSLContext | None = None
    keys: Sequence[str] = ()
    """Credentials, taken in turns."""
    greeting: bytes = b""
    """Sent in a frame once the connection stands."""
    is_greeted: Callable[[bytes], bool] = lambda _: True
    """Whether what has come says that the subscription stands."""


@dataclass
class Timing:
    """Arrival of messages at one subscriber of the sample."""

    chunks: list[tuple[int, Chunk]] = field(default_factory=list)
    """(nanoseconds since 1970, what came)"""


class Subscriber:
    """One connection and what it has been sent."""

    __slots__ = ("close_code", "count", "faults", "first", "is_open", "last", "raw", "rest", "sock", "timing")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.rest = b""
        self.first = self.last = self.count = self.faults = 0
        self.timing: Timing | None = None
        self.raw: list[bytes] | None = None
        """Every byte, where a check needs them."""
        self.is_open = True
        self.close_code: int | None = None

    def reset(self) -> None:
        """Forget counts; the last sequence stays, so that the next push must follow it."""
        self.first = self.count = self.faults = 0
        if self.timing is not None:
            self.timing = Timing()

    def begin_timing(self) -> None:
        """Note when each message arrived; the kernel says it, so that our own queue does not count."""
        self.timing = Timing()
        self.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def arrival_ns(self, space: memoryview) -> int:
        """When the newest of what waits in the socket arrived, nanoseconds since 1970."""
        try:
            # Looking at what is encrypted is allowed to nobody but the plain socket underneath.
            _, notes, _, _ = socket.socket.recvmsg_into(
                self.sock, [space], _NOTE_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT
            )
        except OSError:
            return time.time_ns()
        for level, kind, data in notes:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = _timespec(data)
                return int(seconds) * 1_000_000_000 + int(nanoseconds)
        return time.time_ns()

    def take(self, chunk: Chunk, now_ns: int) -> None:
        if chunk.count:
            if not chunk.is_consecutive or (
                self.last and chunk.previous != self.last and not chunk.has_snapshot
            ):
                self.faults += 1
            self.first = self.first or chunk.first
            self.count += chunk.count
            if self.timing is not None:
                self.timing.chunks.append((now_ns, chunk))
        if chunk.last:
            self.last = chunk.last
        if chunk.pings:
            self.send(frame(b"", 0xA))
        if chunk.close_code is not None:
            self.close_code = chunk.close_code

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            self.sock.sendall(data)


class Swarm:
    """Opens subscribers and reads what they are sent, as fast as one process can."""

    def __init__(self, door: Door, reader: Reader) -> None:
        self.subscribers: list[Subscriber] = []
        self._door = door
        self._reader = reader
        self._poll = select.epoll()
        self._by_descriptor: dict[int, Subscriber] = {}
        self._view = memoryview(bytearray(_BUFFER_BYTES))

    def grow(self, count: int) -> None:
        """Open subscribers until there are so many; all ask before the first is waited for."""
        numbers = range(len(self.subscribers), count)
        keys = self._door.keys or ("",)
        opened = [connect(self._door, keys[number % len(keys)]) for number in numbers]
        for number, (sock, received) in zip(numbers, opened, strict=True):
            subscriber = self.add(sock, await_greeting(self._door, sock, received))
            if number % SAMPLE == SAMPLE // 2:
                subscriber.begin_timing()

    def shrink(self, count: int) -> None:
        """Close the newest subscribers until there are so many."""
        while len(self.subscribers) > count:
            subscriber = self.subscribers.pop()
            if subscriber.is_open:
                self._lose(subscriber.sock.fileno(), subscriber)

    def add(self, sock: socket.socket, received: bytes, *, has_raw: bool = False) -> Subscriber:
        """Read a connection that stands, of which something was received already."""
        subscriber = Subscriber(sock)
        subscriber.raw = [received] if has_raw else None
        chunk = self._reader.chunk(received)
        subscriber.rest = chunk.rest
        subscriber.take(chunk, time.time_ns())
        self.subscribers.append(subscriber)
        subscriber.sock.setblocking(False)
        self._by_descriptor[subscriber.sock.fileno()] = subscriber
        self._poll.register(subscriber.sock.fileno(), select.EPOLLIN)
        return subscriber

    def reset(self) -> None:
        for subscriber in self.subscribers:
            subscriber.reset()

    def run(self, is_over: Callable[[], bool], look_seconds: float = 0.02) -> None:
        """Read until it is over; asked about every `look_seconds`."""
        look_at = time.monotonic()
        while True:
            for descriptor, _ in self._poll.poll(look_seconds):
                self._receive(descriptor)
            time.sleep(_REST_SECONDS)
            now = time.monotonic()
            if now >= look_at:
                look_at = now + look_seconds
                if is_over():
                    return

    def run_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.run(lambda: time.monotonic() >= until)

    def close(self) -> None:
        for subscriber in self.subscribers:
            subscriber.sock.close()
        self.subscribers.clear()
        self._by_descriptor.clear()
        self._poll.close()

    def _receive(self, descriptor: int) -> None:
        subscriber = self._by_descriptor.get(descriptor)
        if subscriber is None:
            return
        while True:
            now_ns = subscriber.arrival_ns(self._view) if subscriber.timing is not None else 0
            try:
                size = subscriber.sock.recv_into(self._view)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except OSError:
                size = 0
            if not size:
                self._lose(descriptor, subscriber)
                return
            data = bytes(self._view[:size])
            if subscriber.raw is not None:
                subscriber.raw.append(data)
            chunk = self._reader.chunk(subscriber.rest + data if subscriber.rest else data)
            subscriber.rest = chunk.rest
            subscriber.take(chunk, now_ns)
            if not isinstance(subscriber.sock, ssl.SSLSocket) or not subscriber.sock.pending():
                return

    def _lose(self, descriptor: int, subscriber: Subscriber) -> None:
        self._poll.unregister(descriptor)
        del self._by_descriptor[descriptor]
        subscriber.is_open = False
        subscriber.sock.close()


def connect(door: Door, key: str, receive_bytes: int | None = None) -> tuple[socket.socket, bytes]:
    """Open a connection, shake hands, send the greeting; the socket and what came behind the handshake."""
    sock = socket.socket()
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(_TIMEOUT_SECONDS)
    sock.connect(("127.0.0.1", door.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if door.trust is not None:
        sock = door.trust.wrap_socket(sock, server_hostname="localhost")
    lines = [
        f"GET {door.path} HTTP/1.1",
        f"Host: localhost:{door.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    if door.subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {door.subprotocol}")
    if key:
        lines.append(f"Authorization: Bearer {key}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _receive_some(sock)
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise ConnectionError(answer.decode(errors="replace")[-500:])
    if door.greeting:
        sock.sendall(frame(door.greeting, 2 if door.subprotocol == "agio.v1.msgpack" else 1))
    return sock, rest


def await_greeting(door: Door, sock: socket.socket, received: bytes) -> bytes:
    """Everything received, at least until the greeting was answered."""
    while door.greeting and not door.is_greeted(received):
        received += _receive_some(sock)
    return received


def _receive_some(sock: socket.socket) -> bytes:
    data = sock.recv(65_536)
    if not data:
        raise ConnectionError("the server ended the connection during the handshake")
    return data


def frame(payload: bytes, opcode: int) -> bytes:
    """A client's frame; the mask of zeros leaves the payload as it is."""
    size = len(payload)
    head = bytes((0x80 | opcode,))
    length = bytes((0x80 | size,)) if size < 126 else bytes((0xFE,)) + size.to_bytes(2, "big")
    return head + length + b"\0\0\0\0" + payload
