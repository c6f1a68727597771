"""What agio needs of a machine, looked at one by one, each with advice."""

import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec
import psutil

from agio.app.installation import PortTaken, choose_port
from agio.app.run_state import RunFolder
from agio.platform.config import Settings
from agio.platform.embedded.accounts import NoUsableAccount, can_enter, server_account
from agio.platform.embedded.nats import NatsFailed, find_binary
from agio.platform.embedded.postgres import PostgresFailed, find_programs

MEGABYTE = 2**20
WANTED_MEMORY_MB = 1_024
WANTED_DISK_MB = 2_048
SLOW_SYNC_MS = 10.0
SYNCS_MEASURED = 20


class Verdict(StrEnum):
    """What a finding means."""

    GOOD = "good"
    NOTICE = "notice"
    BAD = "bad"


class Finding(msgspec.Struct):
    """One thing that was looked at."""

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything; a look that fails is a finding too."""
    looks: tuple[Callable[[Settings], Finding], ...] = (
        _look_at_python,
        _look_at_machine,
        _look_at_memory,
        _look_at_account,
        _look_at_postgres,
        _look_at_nats,
        _look_at_data_folder,
        _look_at_disk,
        _look_at_sync,
        _look_at_port,
        _look_at_browser,
    )
    for look in looks:
        try:
            yield look(settings)
        except Exception as error:
            yield Finding(
                look.__name__.removeprefix("_look_at_"), Verdict.BAD, f"{type(error).__name__}: {error}"
            )


def _look_at_python(_: Settings) -> Finding:
    found = f"{platform.python_version()}, {ssl.OPENSSL_VERSION}"
    if not ssl.HAS_TLSv1_3:
        return Finding("Python", Verdict.BAD, found, "this OpenSSL lacks TLS 1.3: use another Python")
    return Finding("Python", Verdict.GOOD, found)


def _look_at_machine(_: Settings) -> Finding:
    system = (
        f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}, {os.cpu_count()} cores"
    )
    if not sys.platform.startswith("linux"):
        return Finding(
            "Machine", Verdict.BAD, system, "agio runs on Linux: use a virtual machine or container"
        )
    if "glibc" not in platform.libc_ver():
        return Finding(
            "Machine", Verdict.NOTICE, system, "the packaged servers are built for glibc (manylinux)"
        )
    return Finding("Machine", Verdict.GOOD, system)


def _look_at_memory(_: Settings) -> Finding:
    memory = psutil.virtual_memory()
    found = f"{memory.available // MEGABYTE:,} of {memory.total // MEGABYTE:,} MB free"
    if memory.available < WANTED_MEMORY_MB * MEGABYTE:
        return Finding("Memory", Verdict.NOTICE, found, "agio takes about 600 MB: close something")
    return Finding("Memory", Verdict.GOOD, found)


def _look_at_account(_: Settings) -> Finding:
    try:
        account = server_account()
    except NoUsableAccount as error:
        return Finding("Account", Verdict.BAD, "root, alone on this machine", str(error))
    if account is None:
        return Finding("Account", Verdict.GOOD, f"ordinary user {os.geteuid()}")
    if can_enter(account, Path("/")):
        return Finding("Account", Verdict.GOOD, f"root; PostgreSQL will run as {account.name}")
    return Finding(
        "Account",
        Verdict.BAD,
        f"root, but this environment does not let it become {account.name}",
        "PostgreSQL refuses to run as root: run agio as an ordinary user, or allow SETUID and SETGID",
    )


def _look_at_postgres(settings: Settings) -> Finding:
    url = settings.owner_database_url or settings.database_url
    if url:
        return _look_at_external_database(url)
    try:
        version = _version_of(find_programs() / "postgres")
    except PostgresFailed as error:
        return Finding("PostgreSQL", Verdict.BAD, str(error), "install agio's packages again")
    return Finding("PostgreSQL", Verdict.GOOD, f"embedded, {version}")


def _look_at_external_database(url: str) -> Finding:
    import psycopg  # noqa: PLC0415

    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(
                "select current_setting('server_version_num')::int, rolcreaterole or rolsuper"
                " from pg_roles where rolname = current_user"
            ).fetchone()
    except psycopg.Error as error:
        return Finding(
            "PostgreSQL", Verdict.BAD, str(error).strip(), "check AGIO_DATABASE_URL and the server"
        )
    version, can_create_roles = row or (0, False)
    found = f"external, version {version // 10_000}"
    if version < 180_000:
        return Finding("PostgreSQL", Verdict.NOTICE, found, "agio is tested on PostgreSQL 18")
    if not can_create_roles:
        return Finding("PostgreSQL", Verdict.NOTICE, found, "its role may not create agio's roles")
    return Finding("PostgreSQL", Verdict.GOOD, found)


def _look_at_nats(settings: Settings) -> Finding:
    if settings.nats_url:
        return Finding("NATS", Verdict.GOOD, "external")
    try:
        return Finding("NATS", Verdict.GOOD, f"embedded, {_version_of(find_binary())}")
    except NatsFailed as error:
        return Finding("NATS", Verdict.BAD, str(error), "install agio's packages again")


def _look_at_data_folder(settings: Settings) -> Finding:
    folder = settings.data_dir
    state = RunFolder(folder).running()
    if state is not None:
        return Finding("Data folder", Verdict.GOOD, f"{folder}, agio runs on it at {state.url}")
    existing = _nearest_existing(folder)
    if not os.access(existing, os.W_OK | os.X_OK):
        advice = f"make it writable, or choose another with --data-dir (you are user {os.geteuid()})"
        return Finding("Data folder", Verdict.BAD, f"cannot write below {existing}", advice)
    account = server_account()
    if account is not None and existing != folder and not can_enter(account, existing):
        found = f"{folder} is in a folder that {account.name} cannot enter"
        return Finding(
            "Data folder", Verdict.NOTICE, found, "the database itself will be below /var/lib/agio"
        )
    return Finding("Data folder", Verdict.GOOD, str(folder))


def _look_at_disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_nearest_existing(settings.data_dir)).free // MEGABYTE
    if free < WANTED_DISK_MB:
        return Finding(
            "Disk", Verdict.NOTICE, f"{free:,} MB free", "market data and logs need a few gigabytes"
        )
    return Finding("Disk", Verdict.GOOD, f"{free:,} MB free")


def _look_at_sync(settings: Settings) -> Finding:
    """How long the disk takes to make a write durable: every order waits for that."""
    existing = _nearest_existing(settings.data_dir)
    folder = existing if os.access(existing, os.W_OK) else Path(tempfile.gettempdir())
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS_MEASURED):
            file.write(bytes(8192))
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(1000 * (time.perf_counter() - started))
    median = sorted(times)[len(times) // 2]
    found = f"{median:.2f} ms to make a write durable"
    if median > SLOW_SYNC_MS:
        return Finding(
            "Disk speed", Verdict.NOTICE, found, "orders will be slow: use a local solid-state disk"
        )
    return Finding("Disk speed", Verdict.GOOD, found)


def _look_at_port(settings: Settings) -> Finding:
    if RunFolder(settings.data_dir).is_claimed():
        return Finding("Port", Verdict.GOOD, "in use by agio itself")
    try:
        choose_port(settings)
    except PortTaken as error:
        return Finding("Port", Verdict.NOTICE, f"{settings.port} is taken", str(error))
    return Finding("Port", Verdict.GOOD, f"{settings.port} is free")


def _look_at_browser(_: Settings) -> Finding:
    if shutil.which("chromium") or shutil.which("chromium-browser"):
        return Finding("Browser", Verdict.GOOD, "Chromium, for the browser tests")
    return Finding(
        "Browser",
        Verdict.NOTICE,
        "no Chromium",
        "only for ./agio test: apt-get install chromium, or skip those",
    )


def _version_of(program: Path) -> str:
    finished = subprocess.run(
        [str(program), "--version"], capture_output=True, text=True, timeout=20, check=True
    )
    return finished.stdout.strip()


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
