"""Starts the platform's processes in order, keeps them running, and stops them in order.

PostgreSQL and NATS first, then the database is brought up to date, then `agio engine` and `agio api` begin.
Each child is told by the kernel to end when this process dies, so that even `kill -9` leaves nothing behind.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from agio.app.installation import Installation, choose_port, public_url, renew_certificates
from agio.app.preparation import Preparation, Ready, Report
from agio.app.run_state import RunFolder, RunState, own_identity
from agio.app.services import AgioProcess, Service, api_processes
from agio.app.signals import SignalInbox, reap_strangers
from agio.app.watched import Status, WatchedService
from agio.platform.config import Settings
from agio.platform.embedded.nats import EmbeddedNats
from agio.platform.embedded.postgres import STOP_STEPS

TICK_SECONDS = 0.1
IDLE_TICK_SECONDS = 0.5
TROUBLED_SECONDS = 5.0
FAILURES_BEFORE_GIVING_UP = 5
UPKEEP_SECONDS = 3600.0
LOG_CHECK_SECONDS = 5.0
LOG_LIMIT_BYTES = 64 * 1024 * 1024


class StartFailed(Exception):
    """The platform cannot start; the message says which part and why."""


class Stopped(Exception):
    """A signal asked us to stop before everything was ready."""


class Reporter(Protocol):
    """Tells a person what happens."""

    def waiting(self, text: str) -> None:
        """What is being waited for now."""

    def done(self, text: str) -> None:
        """Something was reached."""

    def trouble(self, text: str) -> None:
        """Something went wrong, and what is done about it."""


class Supervisor:
    """The parent of all processes of one data folder. Use from the main thread only."""

    def __init__(self, wanted: Settings, reporter: Reporter, inbox: SignalInbox) -> None:
        self._wanted = wanted
        self._reporter = reporter
        self._inbox = inbox
        self._run_folder = RunFolder(wanted.data_dir)
        self._watched: list[WatchedService] = []
        self._settings: Settings | None = None
        self._status = "starting"
        self._identity = own_identity()
        self._next_upkeep = time.monotonic() + UPKEEP_SECONDS
        self._next_log_check = 0.0
        self._rolling: list[WatchedService] = []
        """API processes that are still to be restarted."""
        self._rolled: WatchedService | None = None

    @property
    def settings(self) -> Settings:
        """The settings of the running processes; known once the servers run."""
        if self._settings is None:
            raise RuntimeError("the platform has not been started")
        return self._settings

    @property
    def url(self) -> str:
        return public_url(self._settings or self._wanted)

    def start(self) -> Ready:
        """Start everything and wait until all of it is ready.

        Raises AlreadyRunning, PortTaken, InvalidSetting, StartFailed, or Stopped when a signal came first.
        """
        self._run_folder.acquire()
        for name in self._run_folder.end_leftovers(STOP_STEPS):
            self._reporter.trouble(f"ended {name}, left over from an earlier run")
        self._wanted = choose_port(self._wanted)
        installation = Installation(self._wanted)
        self._settings = settings = installation.settings()
        self._run_folder.write_settings(settings)
        servers = [self._watch_over(server) for server in installation.servers()]
        processes = [AgioProcess("engine", settings), *api_processes(settings)]
        # The processes load their code while the servers come up.
        for watched in [self._watch_over(process) for process in processes]:
            watched.start(time.monotonic())
        preparation = Preparation(settings)
        try:
            self._start_servers(servers, installation)
            ready = self._prepare_and_release(preparation, processes)
        finally:
            preparation.stop()
        self._status = "ready"
        self._save_state()
        return ready

    def watch(self) -> None:
        """Keep everything running until a signal asks to stop."""
        while not self._inbox.is_stop_requested:
            try:
                self._tick()
            except OSError as error:
                # A full disk, say: what runs must go on running.
                self._reporter.trouble(f"looking after the processes failed: {error}")
                self._inbox.wait(TROUBLED_SECONDS)
            is_calm = all(watched.status is Status.READY for watched in self._watched)
            self._inbox.wait(IDLE_TICK_SECONDS if is_calm else TICK_SECONDS)

    def stop(self) -> None:
        """Stop everything, last started first, and give the data folder back."""
        self._status = "stopping"
        for watched in reversed(self._watched):
            self._reporter.waiting(f"stopping {watched.name}")
            watched.stop()
            self._save_state()
        self._run_folder.release()

    def _watch_over(self, service: Service) -> WatchedService:
        begun = time.monotonic()

        def tell_ready(name: str) -> None:
            seconds = f" after {time.monotonic() - begun:.1f} s" if self._status == "starting" else " again"
            self._reporter.done(f"{name} is ready{seconds}")

        watched = WatchedService(service, on_ready=tell_ready, on_trouble=self._reporter.trouble)
        self._watched.append(watched)
        return watched

    def _start_servers(self, servers: list[WatchedService], installation: Installation) -> None:
        if servers:
            self._reporter.waiting(f"starting {' and '.join(server.name for server in servers)}")
        for server in servers:
            server.start(time.monotonic())
            self._save_state()
        self._wait(lambda: all(server.status is Status.READY for server in servers))
        if installation.postgres is not None and installation.postgres.is_relocated:
            folder = installation.postgres.folder
            self._reporter.done(f"PostgreSQL's account cannot enter the data folder: its data is in {folder}")

    def _prepare_and_release(self, preparation: Preparation, processes: Sequence[AgioProcess]) -> Ready:
        """Bring the schema up to date, then let the processes begin while the first key is made."""
        self._reporter.waiting("bringing the database up to date")
        preparation.go()
        results: list[Ready] = []

        def is_prepared() -> bool:
            for report in preparation.reports():
                self._tell(report)
                if report.event == "failed":
                    raise StartFailed(f"the database could not be brought up to date: {report.detail}")
                if report.event == "refused":
                    raise StartFailed(report.detail)
                if report.event == "migrated":
                    for process in processes:
                        process.release()
                if report.ready is not None:
                    results.append(report.ready)
            failure = preparation.failure()
            if failure is not None:
                raise StartFailed(failure)
            return bool(results) and all(watched.status is Status.READY for watched in self._watched)

        self._wait(is_prepared)
        return results[-1]

    def _tell(self, report: Report) -> None:
        if report.event == "applied":
            self._reporter.waiting(f"applying {report.detail}")
        elif report.event == "migrated":
            suffix = f", {report.count} migrations applied" if report.count else ""
            self._reporter.done(f"database up to date{suffix}")
            self._reporter.waiting("starting engine and api")

    def _wait(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            if self._inbox.is_stop_requested:
                raise Stopped
            self._tick()
            for watched in self._watched:
                if watched.failures_in_a_row >= FAILURES_BEFORE_GIVING_UP:
                    raise StartFailed(watched.service.explain())
            self._inbox.wait(TICK_SECONDS / 2)

    def _tick(self) -> None:
        now = time.monotonic()
        changed = [watched.tick(now) for watched in self._watched]
        if any(changed):
            self._save_state()
        reap_strangers({watched.state().pid or 0 for watched in self._watched})
        if now >= self._next_log_check:
            self._next_log_check = now + LOG_CHECK_SECONDS
            _limit_logs(self._wanted)
            self._restart_damaged_bus(now)
        if now >= self._next_upkeep and self._settings is not None:
            self._next_upkeep = now + UPKEEP_SECONDS
            self._renew_certificates(self._settings)
        if self._inbox.take_roll() and self._status == "ready":
            self._reporter.done("restarting the API processes one after the other")
            self._roll()
        self._roll_on(now)

    def _restart_damaged_bus(self, now: float) -> None:
        for watched in self._watched:
            if isinstance(watched.service, EmbeddedNats) and watched.service.is_in_need_of_restart():
                self._reporter.trouble("nats could not store events while the disk was full: restarting it")
                watched.restart(now)

    def _renew_certificates(self, settings: Settings) -> None:
        if not renew_certificates(settings):
            return
        self._reporter.done("the server certificate was renewed: restarting api with it")
        self._roll()

    def _roll(self) -> None:
        """Have the API processes restarted one after the other."""
        self._rolling = [watched for watched in self._watched if watched.state().is_api]

    def _roll_on(self, now: float) -> None:
        """Restart the next one; each must serve again before the next one drains."""
        is_waiting = self._rolled is not None and self._rolled.status is not Status.READY
        if is_waiting or not self._rolling:
            return
        self._rolled = self._rolling.pop(0)
        self._rolled.restart(now)
        self._save_state()

    def _save_state(self) -> None:
        settings = self._settings or self._wanted
        state = RunState(
            status=self._status,
            pid=self._identity.pid,
            started_at=self._identity.started_at,
            url=public_url(settings),
            data_dir=str(settings.data_dir),
            ca_file=str(settings.ca_file) if settings.ca_file else None,
            market=settings.market,
            services=[watched.state() for watched in self._watched],
        )
        self._run_folder.write(state)


def _limit_logs(settings: Settings) -> None:
    """Keep one earlier part of a log that has grown large. Writers append, so that emptying it is safe."""
    for log in (settings.data_dir / "logs").glob("*.log"):
        if log.stat().st_size > LOG_LIMIT_BYTES:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
