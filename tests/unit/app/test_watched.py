"""The restart rule, on a service that does as it is told and a clock that does not move by itself."""

from agio.app.watched import (
    FIRST_DELAY_SECONDS,
    HEALTHY_SECONDS,
    LONGEST_DELAY_SECONDS,
    Status,
    WatchedService,
)
from agio.platform.embedded.child import Identity


class FakeService:
    """A service whose life the test decides."""

    name = "engine"
    port = 0

    def __init__(self) -> None:
        self.spawned = 0
        self.alive = self.ready = False
        self.refusal: Exception | None = None

    @property
    def identity(self) -> Identity | None:
        return Identity(42, 1.0) if self.spawned else None

    def prepare(self) -> None:
        return

    def spawn(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.spawned += 1
        self.alive, self.ready = True, False

    def is_running(self) -> bool:
        return self.alive

    def is_ready(self) -> bool:
        return self.ready

    def exit_reason(self) -> str | None:
        return None if self.alive else "was killed by signal 9 (SIGKILL)"

    def explain(self) -> str:
        return "engine was killed"

    def stop(self) -> None:
        self.alive = False


class World:
    """A watched service that became ready at second 0, and what was told about it."""

    def __init__(self) -> None:
        self.service = FakeService()
        self.told: list[str] = []
        self.troubles: list[str] = []
        self.watched = WatchedService(
            self.service, on_ready=self.told.append, on_trouble=self.troubles.append
        )
        self.watched.start(0.0)
        self.service.ready = True
        self.watched.tick(0.0)

    def crash(self, now: float) -> None:
        self.service.alive = False
        self.watched.tick(now)


def test_a_ready_service_is_announced_once() -> None:
    world = World()
    world.watched.tick(1.0)
    assert world.told == ["engine"]
    assert world.watched.status is Status.READY


def test_a_crash_is_named_and_the_service_starts_again_after_the_delay() -> None:
    world = World()
    world.crash(1.0)
    assert world.troubles == [
        "engine was killed by signal 9 (SIGKILL); starting it again in 0.2 s",
    ]
    world.watched.tick(1.0 + FIRST_DELAY_SECONDS / 2)
    assert world.service.spawned == 1
    world.watched.tick(1.0 + FIRST_DELAY_SECONDS)
    assert world.service.spawned == 2
    assert world.watched.restarts == 1


def test_repeated_crashes_wait_longer_up_to_a_limit() -> None:
    world = World()
    now, delays = 1.0, []
    for _ in range(10):
        world.crash(now)
        crashed_at = now
        while not world.service.alive:
            now += 0.05
            world.watched.tick(now)
        delays.append(now - crashed_at)
    assert [round(delay, 1) for delay in delays[:4]] == [0.2, 0.4, 0.8, 1.6]
    assert max(delays) < LONGEST_DELAY_SECONDS + 0.1
    assert world.watched.failures_in_a_row == 10


def test_a_healthy_while_forgives_earlier_crashes() -> None:
    world = World()
    world.crash(1.0)
    world.watched.tick(2.0)
    world.service.ready = True
    world.watched.tick(2.0)
    world.watched.tick(2.0 + HEALTHY_SECONDS + 1)
    world.crash(40.0)
    assert world.troubles[-1].endswith("in 0.2 s")
    assert world.watched.failures_in_a_row == 1


def test_a_service_that_cannot_even_be_started_is_tried_again() -> None:
    world = World()
    world.service.refusal = OSError("no memory")
    world.crash(1.0)
    world.watched.tick(1.3)
    assert world.watched.last_failure == "engine could not be started: no memory"
    world.service.refusal = None
    world.watched.tick(2.0)
    assert world.watched.status is Status.STARTING


def test_a_stopped_service_stays_stopped() -> None:
    world = World()
    world.watched.stop()
    world.watched.tick(100.0)
    assert world.service.spawned == 1
    assert world.watched.state().pid is None
