"""`agio up` as a user runs it: ready, crashes of each process, a second start, every way to stop."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from tests.machine import allowed_seconds

from agio.app.run_state import RunFolder, RunState
from agio.platform.embedded.accounts import Account, can_run, server_account
from agio.platform.embedded.postgres import EmbeddedPostgres

CHILDREN = ("postgres", "nats", "engine", "api")
START_SECONDS = 120
BACK_IN_SERVICE_SECONDS = 10
T = TypeVar("T")


def clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGIO_")}
    return {**kept, "NO_COLOR": "1", "COLUMNS": "200"}


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


class Up:
    """One `agio up --json` on a data folder, and other verbs on the same one."""

    def __init__(
        self,
        data_dir: Path,
        *,
        python: str = sys.executable,
        account: Account | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.python = python
        self.account = account
        self.environment = environment or clean_environment()
        self.log = data_dir.with_name(f"{data_dir.name}.up.log")
        self.ready: dict[str, object] = {}

    def start(self, *arguments: str) -> "Up":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command("up"), "--json", "--port", "0", "--market", "none", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment,
                cwd="/",
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.said()
        self.ready = json.loads(line)
        return self

    def run(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(verb, *arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def state(self) -> RunState:
        state = RunFolder(self.data_dir).read()
        assert state is not None
        return state

    def pid(self, name: str) -> int:
        pid = next(service.pid for service in self.state().services if service.name == name)
        return pid or 0

    def is_serving(self, timeout_seconds: float = 30) -> bool:
        """Whether an authenticated request is answered."""
        parts = urlsplit(str(self.ready["url"]))
        context = ssl.create_default_context(cafile=str(self.ready["ca_file"]))
        connection = HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout_seconds, context=context
        )
        try:
            connection.request(
                "GET",
                f"/api/accounts/{self.ready['account_id']}/balances",
                headers={"Authorization": f"Bearer {self.ready['api_key']}"},
            )
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def processes(self) -> list[psutil.Process]:
        """Every process of any run on this data folder."""
        found = []
        for process in psutil.process_iter():
            try:
                words = " ".join((*process.cmdline(), *_own_variables(process)))
            except psutil.Error:
                continue
            if str(self.data_dir) in words and process.pid != os.getpid():
                found.append(process)
        return found

    def end(self) -> None:
        """Whatever the test left running."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()

    def _command(self, *arguments: str) -> list[str]:
        return [self.python, "-m", "agio", *arguments, "--data-dir", str(self.data_dir)]


def ask(processes: Iterable[psutil.Process], question: Callable[[psutil.Process], T]) -> Iterator[T]:
    """What each of them answers; one that has ended meanwhile says nothing."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            yield question(process)


def _own_variables(process: psutil.Process) -> list[str]:
    return [value for name, value in process.environ().items() if name == "AGIO_DATA_DIR"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="agio-up-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Up]:
    platform = Up(folder / "data").start()
    yield platform
    platform.end()


class TestRunning:
    def test_the_ready_line_says_what_a_client_needs(self, up: Up) -> None:
        assert up.ready.keys() == {
            "url",
            "ca_file",
            "api_key",
            "organisation_id",
            "account_id",
            "portfolio_id",
            "symbols",
        }
        assert up.is_serving()

    def test_status_names_every_process(self, up: Up) -> None:
        status = json.loads(up.run("status", "--json").stdout)
        assert status["status"] == "ready"
        assert [(process["name"], process["status"]) for process in status["processes"]] == [
            *((name, "ready") for name in CHILDREN),
            ("supervisor", "ready"),
        ]
        assert status["url"] == up.ready["url"]

    def test_a_second_up_says_where_the_first_runs(self, up: Up) -> None:
        second = up.run("up", "--json")
        assert second.returncode == 4
        assert second.stdout == ""
        assert str(up.ready["url"]) in second.stderr

    def test_the_state_holds_no_secrets(self, up: Up) -> None:
        secrets = [path.read_text(encoding="ascii") for path in (up.data_dir / "secrets").iterdir()]
        state = (up.data_dir / "run" / "state.json").read_text(encoding="utf-8")
        assert len(secrets) >= 3
        assert not any(secret in state for secret in secrets)

    def test_a_key_lives_from_creation_to_revocation(self, up: Up) -> None:
        created = json.loads(up.run("keys", "create", "bot", "--scope", "market:read", "--json").stdout)
        listed = json.loads(up.run("keys", "list", "--json").stdout)
        revoked = up.run("keys", "revoke", created["key_id"])
        left = json.loads(up.run("keys", "list", "--json").stdout)
        assert created["api_key"].startswith("agio_sandbox_")
        assert created["key_id"] in {key["key_id"] for key in listed}
        assert revoked.returncode == 0
        assert {key["key_id"] for key in left} == {key["key_id"] for key in listed} - {created["key_id"]}


class TestKill9:
    @pytest.mark.parametrize("name", CHILDREN)
    def test_a_killed_process_is_named_and_service_returns_in_time(self, up: Up, name: str) -> None:
        url, killed = up.ready["url"], up.pid(name)
        os.kill(killed, signal.SIGKILL)
        wait_for(
            lambda: up.pid(name) not in {0, killed} and up.is_serving(timeout_seconds=3),
            allowed_seconds(BACK_IN_SERVICE_SECONDS),
            f"{name} is back",
        )
        assert f"{name} was killed by signal 9 (SIGKILL); starting it again" in up.said()
        state = up.state()
        assert state.url == url
        service = next(service for service in state.services if service.name == name)
        assert service.restarts == 1
        assert service.last_failure == f"{name} was killed by signal 9 (SIGKILL)"


class TestSupervisorKilled:
    def test_nothing_lingers_and_a_new_up_finds_everything(self, up: Up) -> None:
        before = up.ready
        up.process.kill()
        up.process.wait()
        again = Up(up.data_dir).start()
        try:
            assert again.ready["organisation_id"] == before["organisation_id"]
            assert again.ready["account_id"] == before["account_id"]
            assert again.ready["api_key"] != before["api_key"]
            assert again.is_serving()
            running = {service.pid for service in again.state().services} | {again.process.pid}
            topmost = {1, again.process.pid}
            parents = ask(again.processes(), lambda process: (process.pid, process.ppid()))
            assert {pid for pid, parent in parents if parent in topmost} <= running
        finally:
            again.end()

    def test_children_end_by_themselves(self, up: Up) -> None:
        last = Up(up.data_dir).start()
        last.process.kill()
        last.process.wait()
        wait_for(lambda: not last.processes(), START_SECONDS, "all children are gone")
        assert last.run("status", "--json").returncode == 3


class TestStop:
    @pytest.mark.parametrize("way", ["down", "ctrl-c"])
    def test_everything_ends_in_order_and_leaves_nothing(self, folder: Path, way: str) -> None:
        platform = Up(folder / "stopping").start()
        if way == "down":
            assert platform.run("down").returncode == 0
        else:
            platform.process.send_signal(signal.SIGINT)
        assert platform.process.wait(60) == 0
        assert platform.processes() == []
        assert not (platform.data_dir / "run" / "state.json").exists()
        assert "database system was not properly shut down" not in (
            platform.data_dir / "logs" / "postgres.log"
        ).read_text(encoding="utf-8")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
class TestOtherUsers:
    def test_root_with_data_in_a_private_home(self, folder: Path) -> None:
        home = folder / "home"
        home.mkdir(mode=0o700)
        platform = Up(home / "data").start()
        try:
            assert "PostgreSQL's account cannot enter the data folder" in platform.said()
            assert platform.is_serving()
            assert home.stat().st_mode & 0o077 == 0
        finally:
            platform.end()
            moved = Path((home / "data" / "server-home").read_text(encoding="utf-8").strip())
            shutil.rmtree(moved)

    def test_an_ordinary_user(self, folder: Path) -> None:
        account = server_account()
        assert account is not None
        python = _python_for(account)
        home = folder / "ordinary"
        home.mkdir(mode=0o700)
        os.chown(home, account.uid, account.gid)
        source = _copy_of_the_source(folder)
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        environment = {
            **clean_environment(),
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join([str(source), packages]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        platform = Up(home / "data", python=python, account=account, environment=environment)
        platform.log = folder / "ordinary.log"
        platform.start()
        try:
            assert platform.is_serving()
            owners = ask(platform.processes(), lambda process: process.uids().real)
            assert set(owners) == {account.uid}
        finally:
            platform.end()


class TestExternalServers:
    def test_two_urls_replace_both_servers(
        self, folder: Path, embedded_postgres: EmbeddedPostgres, nats_url: str
    ) -> None:
        with psycopg.connect(embedded_postgres.url(), autocommit=True) as connection:
            connection.execute("create database external_servers")
        environment = {
            **clean_environment(),
            "AGIO_DATABASE_URL": embedded_postgres.url(database="external_servers"),
            "AGIO_NATS_URL": nats_url,
        }
        platform = Up(folder / "external", environment=environment).start()
        try:
            assert platform.is_serving()
            assert [service.name for service in platform.state().services] == ["engine", "api"]
            assert not (platform.data_dir / "postgres").exists()
        finally:
            platform.end()
            with psycopg.connect(
                embedded_postgres.url("postgres", "postgres"), autocommit=True
            ) as connection:
                connection.execute("drop database external_servers with (force)")


def _python_for(account: Account) -> str:
    """An interpreter like ours that the account can run; ours itself may be in root's private home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if can_run(account, Path(candidate)):
            return candidate
    pytest.skip(f"no {version} on this machine that the user {account.name} can run")


def _copy_of_the_source(folder: Path) -> Path:
    import agio  # noqa: PLC0415

    source = folder / "source"
    shutil.copytree(
        Path(agio.__file__).parent, source / "agio", ignore=shutil.ignore_patterns("__pycache__", "dashboard")
    )
    for path in (source, *source.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return source
