"""The platform under test: `agio up`, its bus at the end of a pipe, a second node now and then, backups."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import psutil
import psycopg

from agio.app.chaos.stand import Stand, StandFailed, send, wait_until_dead
from agio.app.chaos.streams.history import RENEW_EPOCHS
from agio.app.services import AgioProcess, probe_readiness
from agio.platform.config import Settings
from agio.platform.embedded import ports
from agio.platform.embedded.nats import EmbeddedNats
from agio.platform.embedded.postgres import SUPERUSER, EmbeddedPostgres

READY_SECONDS: Final = 90.0
DEATH_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.1
COPY: Final = ("cp", "--archive", "--reflink=auto")


class StreamStand:
    """Use from the main thread only: children end with the thread that made them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.data_dir = folder / "data"
        self.data_dir.mkdir()
        self._folder = folder
        self._seed = seed
        self._backup = folder / "backup"
        self._second: AgioProcess | None = None
        self._pipe_port = 0
        self._stand: Stand | None = None
        self.bus = EmbeddedNats(folder / "bus")
        self.bus.start()

    def start(self, pipe_port: int) -> None:
        """Start the platform, its bus at the end of a pipe; raises StandFailed."""
        self._pipe_port = pipe_port
        environment = {"AGIO_NATS_URL": self.bus.url().replace(f":{self.bus.port}", f":{pipe_port}")}
        self._stand = Stand(
            self.data_dir,
            self._folder / "up.log",
            market="sim",
            seed=self._seed,
            environment=environment,
        )

    @property
    def stand(self) -> Stand:
        if self._stand is None:
            raise StandFailed("the platform has not been started")
        return self._stand

    @property
    def settings(self) -> Settings:
        return self.stand.settings

    def stop(self) -> None:
        self.end_second()
        if self._stand is not None:
            self._stand.stop()
        self.bus.stop()

    def wait_ready(self) -> bool:
        """Whether the node answers that it is ready, in time."""
        return wait_for(self.stand.is_ready, READY_SECONDS)

    # What hurts

    def kill(self, service: str) -> str:
        process = self._find(service)
        if process is None:
            return f"{service} stayed down"
        send(process, signal.SIGKILL)
        wait_until_dead(process, DEATH_SECONDS)
        return f"kill -9 {service}"

    def stall(self, service: str, seconds: float) -> str:
        process = self._find(service)
        if process is None:
            return f"{service} stayed down"
        send(process, signal.SIGSTOP)
        time.sleep(seconds)
        send(process, signal.SIGCONT)
        return f"SIGSTOP {service} {seconds:.1f} s"

    def kill_bus(self, away_seconds: float) -> str:
        identity = self.bus.identity
        if identity is not None:
            process = psutil.Process(identity.pid)
            send(process, signal.SIGKILL)
            wait_until_dead(process, DEATH_SECONDS)
        time.sleep(away_seconds)
        self.bus.start()
        return f"kill -9 nats {away_seconds:.1f} s"

    def roll(self, switch: Callable[[int], None]) -> str:
        """Restart the node while a second one takes its clients over, as behind a load balancer."""
        first = self._find("api")
        if first is None or not self.wait_ready():
            return "api stayed down"
        settings = msgspec.structs.replace(self.settings, port=ports.free_port())
        self._second = AgioProcess("api", settings, port=settings.port, probe=probe_readiness)
        self._second.spawn()
        self._second.release()
        if not wait_for(self._second.is_ready, READY_SECONDS):
            raise StandFailed(self._second.explain())
        switch(settings.port)
        send(first, signal.SIGTERM)
        wait_until_dead(first, READY_SECONDS)
        if not wait_for(lambda: self._is_another(first) and self.stand.is_ready(), READY_SECONDS):
            raise StandFailed("the first node did not come back")
        switch(self.settings.port)
        self.end_second()
        return "rolling restart"

    def end_second(self) -> None:
        """SIGTERM: it drains, and its clients go back to the first node."""
        if self._second is not None:
            self._second.stop()
            self._second = None

    # Backup and restore, as an operator does it

    def back_up(self) -> None:
        """A copy of the database's files while it works (PostgreSQL, "Low-Level API" of base backups)."""
        server = self._server()
        shutil.rmtree(self._backup, ignore_errors=True)
        with psycopg.connect(server.url(SUPERUSER), autocommit=True) as connection:
            connection.execute("select pg_backup_start('chaos', fast => true)")
            # Files may go while they are copied: the log brings them back.
            subprocess.run([*COPY, str(server.folder), str(self._backup)], check=False, capture_output=True)
            found = connection.execute(
                "select labelfile from pg_backup_stop(wait_for_archive => false)"
            ).fetchone()
            log = self._backup / "pg_wal"
            shutil.rmtree(log)
            subprocess.run([*COPY, str(server.folder / "pg_wal"), str(log)], check=True)
        (self._backup / "postmaster.pid").unlink(missing_ok=True)
        label = self._backup / "backup_label"
        label.write_text(found[0] if found is not None else "", encoding="ascii")
        owner = (self._backup / "PG_VERSION").stat()
        os.chown(label, owner.st_uid, owner.st_gid)

    def restore(self, read_before: Callable[[str], None]) -> str:
        """Stop, look at the end of what was, put the backup in its place, name the counts anew, start."""
        self.stand.stop()
        self._with_database(read_before)
        server = EmbeddedPostgres(self.data_dir)
        server.prepare()
        lost = server.folder.with_name("lost")
        server.folder.rename(lost)
        subprocess.run([*COPY, str(self._backup), str(server.folder)], check=True)
        shutil.rmtree(lost)
        self._with_database(_renew_epochs)
        self.start(self._pipe_port)
        return "restore from backup"

    def _with_database(self, use: Callable[[str], None]) -> None:
        server = EmbeddedPostgres(self.data_dir)
        server.start()
        try:
            use(server.url())
        finally:
            server.stop()

    def _server(self) -> EmbeddedPostgres:
        """The running server's place and address."""
        port = psycopg.conninfo.conninfo_to_dict(self.settings.owner_database_url)["port"]
        server = EmbeddedPostgres(self.data_dir, int(str(port)))
        server.prepare()
        return server

    def _find(self, service: str) -> psutil.Process | None:
        deadline = time.monotonic() + READY_SECONDS
        while (process := self.stand.find(service)) is None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return process

    def _is_another(self, before: psutil.Process) -> bool:
        process = self.stand.find("api")
        return process is not None and process.pid != before.pid


def wait_for(is_so: Callable[[], bool], seconds: float) -> bool:
    """Look until it is so; False when the time is up."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _renew_epochs(url: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in RENEW_EPOCHS:
            connection.execute(statement)
