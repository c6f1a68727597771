"""The processes of a run: the platform, the measured API process, the market."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final, Self

import msgspec
import psutil
from typing_extensions import override

from agio.app.run_state import RunFolder
from agio.app.services import child_environment
from agio.platform.config import Settings
from agio.platform.embedded.ports import free_port
from agio.platform.tls import client_context
from agio_sdk import Agio
from benchmarks.fanout.frames import Reader, read_json, read_msgpack
from benchmarks.fanout.orders import Order, Told
from benchmarks.fanout.placement import Placement, cpu_seconds, rss_bytes, stop
from benchmarks.fanout.swarm import Door, Swarm
from benchmarks.harness import ROOT, Platform

KEY_CONNECTIONS: Final = 200
"""Connections that one key may have (`max_connections_per_key`)."""
MOST_SUBSCRIBERS: Final = 1_000
_START_SECONDS: Final = 30.0
SUBPROTOCOLS: Final = {"json": "agio.v1.json", "msgpack": "agio.v1.msgpack"}
_READERS: Final = {"json": read_json, "msgpack": read_msgpack}


class Node:
    """The API process that is measured, alone on its core."""

    def __init__(self, stand: "Stand", settings: Settings, pid: int, *, is_tls: bool) -> None:
        self.is_tls = is_tls
        self.settings = settings
        self.pid = pid
        self._stand = stand

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        return rss_bytes(self.pid)

    def door(self, channel: str, encoding: str, **position: object) -> Door:
        """How a subscriber of a channel connects; `position` resumes."""
        entry = {"ch": channel, **({"from": position} if position else {})}
        subscribe = {"op": "sub", "id": 1, "ch": [entry]}
        pack = msgspec.msgpack.encode if encoding == "msgpack" else msgspec.json.encode
        return Door(
            self.settings.port,
            "/stream",
            SUBPROTOCOLS[encoding],
            client_context(self.settings.ca_file) if self.is_tls else None,
            self._stand.keys,
            pack(subscribe),
            _is_subscribed,
        )

    def swarm(self, channel: str, encoding: str) -> Swarm:
        return Swarm(self.door(channel, encoding), Reader(_READERS[encoding]))

    def metrics(self) -> dict[str, float]:
        """What the process says of itself: samples of `/metrics` by name and labels."""
        lines = self._get("/metrics").decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
        }

    def wait(self) -> None:
        """Return when it answers, with the server's core to itself."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline or self._has_ended():
                raise RuntimeError(f"the API process did not start: {self.said()}")
            time.sleep(0.05)
        self._stand.placement.move_to_the_server(self.pid)

    def said(self) -> str:
        """The end of its log."""
        return (self._stand.folder / "logs" / "api.log").read_text()[-4000:]

    def stop(self) -> None:
        """The platform ends its own."""

    def _has_ended(self) -> bool:
        return not psutil.pid_exists(self.pid)

    def _is_ready(self) -> bool:
        try:
            self._get("/readyz")
        except (OSError, HTTPException):
            return False
        return True

    def _get(self, path: str) -> bytes:
        port = self.settings.port
        if self.is_tls:
            context = client_context(self.settings.ca_file)
            connection: HTTPConnection = HTTPSConnection("localhost", port, timeout=5, context=context)
        else:
            connection = HTTPConnection("localhost", port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status != 200:
                raise ConnectionError(f"{path} answered {response.status}")
            return response.read()
        finally:
            connection.close()


class LoadedNode:
    """A plain API process that loads its code, and begins when it is told its settings."""

    def __init__(self, placement: Placement, folder: Path) -> None:
        self.log = folder / "plain.log"
        command = [sys.executable, "-m", "benchmarks.fanout.node"]
        with self.log.open("ab") as file:
            self.process = placement.start_server(command, os.environ, file, ROOT, subprocess.PIPE)

    def begin(self, settings: Settings) -> None:
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            stdin.write(msgspec.json.encode(child_environment(settings)) + b"\n")


class FreshNode(Node):
    """One that is started to be measured: what was loaded, or `agio api` with TLS."""

    def __init__(self, stand: "Stand", loaded: LoadedNode | None) -> None:
        settings = msgspec.structs.replace(stand.settings, port=free_port())
        if loaded is None:
            self._log = stand.folder / f"node-{settings.port}.log"
            command = [sys.executable, "-m", "agio", "api"]
            with self._log.open("ab") as file:
                self._process = stand.placement.start_server(command, child_environment(settings), file, ROOT)
        else:
            self._log, self._process = loaded.log, loaded.process
            loaded.begin(settings)
        super().__init__(stand, settings, self._process.pid, is_tls=loaded is None)

    @override
    def said(self) -> str:
        return self._log.read_text()[-4000:]

    @override
    def stop(self) -> None:
        stop(self._process)

    @override
    def _has_ended(self) -> bool:
        return self._process.poll() is not None


class Market:
    """The process that records and tells (see feeder)."""

    def __init__(self, stand: "Stand") -> None:
        self._log = stand.folder / "market.log"
        with self._log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fanout.feeder"],
                env=child_environment(stand.settings),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=ROOT,
            )

    def begin(self, order: Order) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()

    def end(self) -> Told:
        """What was told; waits until all of it was."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the market ended: {self._log.read_text()[-4000:]}")
        return msgspec.json.decode(line, type=Told)

    def fileno(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def stop(self) -> None:
        stop(self._process)


class Stand:
    """A platform of its own, keys for its subscribers, and its market."""

    def __init__(self, placement: Placement, platform: Platform, loaded: LoadedNode) -> None:
        self.placement = placement
        self.platform = platform
        self._loaded: LoadedNode | None = loaded
        self.folder = platform.data_dir
        settings = RunFolder(platform.data_dir).read_settings()
        assert settings is not None, "a platform that is ready has written its settings"
        self.settings: Settings = settings
        self.keys = asyncio.run(self._make_keys(-(-MOST_SUBSCRIBERS // KEY_CONNECTIONS) + 1))
        self.market = Market(self)
        self._nodes: list[Node] = []

    @classmethod
    @contextmanager
    def running(cls, placement: Placement) -> "Iterator[Self]":
        """Everything but the measured process, off its core."""
        with tempfile.TemporaryDirectory(prefix="agio-bench-") as folder, ExitStack() as ending:
            data = Path(folder) / "data"
            data.mkdir()
            # Loading takes seconds, which pass beside the platform's own start.
            loaded = LoadedNode(placement, Path(folder))
            ending.callback(stop, loaded.process)
            platform = Platform.start(data, "--market", "none")
            ending.callback(placement.leave)
            ending.callback(platform.stop)
            placement.stay_off_the_server()
            for process in platform.processes():
                placement.move_off_the_server(process.pid)
            stand = cls(placement, platform, loaded)
            ending.callback(stand.stop)
            yield stand

    def start_node(self, *, is_tls: bool) -> Node:
        """Start an API process without waiting for it."""
        loaded = None
        if not is_tls:
            loaded, self._loaded = self._loaded or LoadedNode(self.placement, self.folder), None
        node = FreshNode(self, loaded)
        self._nodes.append(node)
        return node

    def own_node(self) -> Node:
        """The platform's own API process, which has served little but the keys."""
        state = RunFolder(self.platform.data_dir).read()
        assert state is not None, "a platform that is ready has written its state"
        (pid,) = [service.pid for service in state.services if service.is_api]
        assert pid is not None
        return Node(self, self.settings, pid, is_tls=True)

    def stop(self) -> None:
        self.market.stop()
        for node in self._nodes:
            node.stop()

    async def _make_keys(self, count: int) -> list[str]:
        body = {"name": "bench", "scopes": ["market:read"]}
        async with Agio(self.platform.url, self.platform.api_key, ca_file=self.platform.ca_file) as agio:
            made = [await agio.post("/api/keys", dict[str, object], body) for _ in range(count)]
        return [str(each["api_key"]) for each in made]


def _is_subscribed(received: bytes) -> bool:
    if b"errs" not in received:
        return False
    if b'"errs":[]' not in received and b"errs\x90" not in received:
        raise ConnectionError(f"the subscription was refused: {received[-500:]!r}")
    return True
