"""One service under watch: started, found ready, found dead, started again with growing patience."""

from collections.abc import Callable
from enum import StrEnum

from agio.app.run_state import ServiceState
from agio.app.services import Service

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
HEALTHY_SECONDS = 30.0
START_TIMEOUT_SECONDS = 120.0

Tell = Callable[[str], None]


class Status(StrEnum):
    """Where a service is in its life."""

    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"


class WatchedService:
    """A service and what has happened to it. `tick` does the work; nothing here waits."""

    def __init__(self, service: Service, *, on_ready: Tell, on_trouble: Tell) -> None:
        self.service = service
        self.status = Status.IDLE
        self.restarts = 0
        self.failures_in_a_row = 0
        self.last_failure: str | None = None
        self._on_ready = on_ready
        self._on_trouble = on_trouble
        self._delay_seconds = FIRST_DELAY_SECONDS
        self._since = 0.0
        self._start_again_at = 0.0

    @property
    def name(self) -> str:
        return self.service.name

    def start(self, now: float) -> None:
        """Start it for the first time; preparing it may take seconds."""
        self.service.prepare()
        self._spawn(now)

    def tick(self, now: float) -> bool:
        """Look once and do what is due; returns whether the status changed. `now` is monotonic seconds."""
        before = self.status
        if self.status is Status.BACKING_OFF:
            if now >= self._start_again_at:
                self.restarts += 1
                self._spawn(now)
        elif self.status in {Status.STARTING, Status.READY} and not self.service.is_running():
            self._fail(self.service.exit_reason() or "ended", now)
        elif self.status is Status.STARTING:
            self._look_whether_ready(now)
        elif self.status is Status.READY and now - self._since > HEALTHY_SECONDS:
            self._delay_seconds = FIRST_DELAY_SECONDS
            self.failures_in_a_row = 0
        return self.status is not before

    def restart(self, now: float) -> None:
        """Stop it and start it at once, for a reason that is not its fault."""
        self.service.stop()
        self._spawn(now)

    def stop(self) -> None:
        """Stop it for good."""
        self.service.stop()
        self.status = Status.STOPPED

    def state(self) -> ServiceState:
        identity = self.service.identity
        is_alive = self.status in {Status.STARTING, Status.READY} and identity is not None
        return ServiceState(
            name=self.name,
            status=self.status.value,
            pid=identity.pid if is_alive and identity else None,
            started_at=identity.started_at if is_alive and identity else 0.0,
            port=self.service.port or None,
            restarts=self.restarts,
            last_failure=self.last_failure,
        )

    def _spawn(self, now: float) -> None:
        self._since = now
        self.status = Status.STARTING
        try:
            self.service.spawn()
        except Exception as error:
            self._fail(f"could not be started: {error}", now)

    def _look_whether_ready(self, now: float) -> None:
        if self.service.is_ready():
            self.status = Status.READY
            self._since = now
            self._on_ready(self.name)
        elif now - self._since > START_TIMEOUT_SECONDS:
            self.service.stop()
            self._fail(f"was not ready after {START_TIMEOUT_SECONDS:.0f} s", now)

    def _fail(self, reason: str, now: float) -> None:
        self.last_failure = f"{self.name} {reason}"
        self.failures_in_a_row += 1
        self.status = Status.BACKING_OFF
        self._start_again_at = now + self._delay_seconds
        self._on_trouble(f"{self.last_failure}; starting it again in {self._delay_seconds:.1f} s")
        self._delay_seconds = min(LONGEST_DELAY_SECONDS, self._delay_seconds * 2)
