"""What is done to the platform while everybody listens: each fault is over when its call returns."""

import random
import time
from collections.abc import Callable
from typing import Final

from agio.app.chaos.streams.pipes import Balancer, BusPipe
from agio.app.chaos.streams.platform import StreamStand, wait_for

BETWEEN_SECONDS: Final = (0.3, 2.0)
LOSSY_SECONDS: Final = (2.0, 5.0)
LEAST_LOST: Final = 20
LONGEST_LOSSY_SECONDS: Final = 60.0


class StreamFaults:
    """Deals each kind once before any comes again; the order is the seed's."""

    def __init__(
        self,
        stand: StreamStand,
        pipe: BusPipe,
        balancer: Balancer,
        read_history: Callable[[str], None],
        seed: int,
    ) -> None:
        self._stand = stand
        self._pipe = pipe
        self._balancer = balancer
        self._read_history = read_history
        self._random = random.Random(seed)  # noqa: S311
        self._deck: list[Callable[[], str]] = []

    def draw(self) -> Callable[[], str]:
        """The next fault; calling it answers what was done."""
        if not self._deck:
            self._deck = [
                *[lambda name=name: self._stand.kill(name) for name in ("api", "engine", "postgres")],
                *[lambda name=name: self._stall(name) for name in ("api", "engine")],
                self._kill_bus,
                self._lose_messages,
                self._roll,
                self._restore,
            ]
            self._random.shuffle(self._deck)
        return self._deck.pop()

    def wait_between(self) -> None:
        time.sleep(self._random.uniform(*BETWEEN_SECONDS))

    def _stall(self, service: str) -> str:
        return self._stand.stall(service, self._random.uniform(0.5, 4.0))

    def _kill_bus(self) -> str:
        return self._stand.kill_bus(self._random.uniform(0.1, 2.0))

    def _lose_messages(self) -> str:
        before = self._pipe.lost
        self._pipe.is_lossy = True
        try:
            time.sleep(self._random.uniform(*LOSSY_SECONDS))
            # The engine may still be on its way back from the fault before this one.
            wait_for(lambda: self._pipe.lost >= before + LEAST_LOST, LONGEST_LOSSY_SECONDS)
        finally:
            self._pipe.is_lossy = False
        return "lossy bus"

    def _roll(self) -> str:
        return self._stand.roll(self._switch)

    def _restore(self) -> str:
        """The backup is of a moment that many have gone beyond when it comes back."""
        self._stand.wait_ready()
        self._stand.back_up()
        time.sleep(self._random.uniform(1.0, 3.0))
        said = self._stand.restore(self._read_history)
        self._switch(self._stand.settings.port)
        return said

    def _switch(self, port: int) -> None:
        self._balancer.node_port = port
