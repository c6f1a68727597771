"""Who subscribes: every door, encoding and manner of reading, each with a journal."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

from agio.app.chaos.streams.event_reader import EventReader
from agio.app.chaos.streams.journal import Journal
from agio.app.chaos.streams.sdk_reader import SdkReader
from agio.app.chaos.streams.socket_reader import Manner, SocketReader
from agio.app.chaos.streams.subscriber import Door, Notes, Wish

Encodings = tuple[Literal["json", "msgpack"], ...]
ENCODINGS: Final[Encodings] = ("json", "msgpack")
BARS: Final = "bars:BTC-USD:1s"

Reader = SocketReader | EventReader | SdkReader


class Wishes:
    """What there is to be had for one account."""

    def __init__(self, account_id: str, symbols: Sequence[str]) -> None:
        self.trades = [f"trades:{symbol}" for symbol in symbols]
        self.own = [f"{name}:{account_id}" for name in ("orders", "fills", "ledger")]
        self.balances = f"balances:{account_id}"
        self.quotes = [f"quotes:{symbol}" for symbol in symbols]
        self.books = [f"book:{symbol}" for symbol in symbols]

    @property
    def logs(self) -> list[str]:
        return [*self.trades, *self.own]

    def everything(self, tier: str = "raw") -> list[Wish]:
        conflated = [*self.quotes, *self.books, self.balances, BARS]
        return [*map(Wish, self.logs), *[Wish(channel, tier) for channel in conflated]]

    def logs_alone(self, start: int | None = None) -> list[Wish]:
        return [Wish(channel, start=start) for channel in self.logs]

    def books_alone(self, tier: str = "raw") -> list[Wish]:
        return [Wish(channel, tier) for channel in (*self.books, *self.quotes)]


class Crowd:
    """All subscribers of a run; their journals stay open until it is closed."""

    def __init__(self, folder: Path, door: Door, wishes: Wishes, seed: int) -> None:
        self.members: list[Reader] = []
        self._stack = ExitStack()
        self._folder = folder
        self._door = door
        self._wishes = wishes
        self._seed = seed * 1000

    def gather(self, copies: int) -> None:
        """One of each kind, `copies` times."""
        for copy in range(1, copies + 1):
            for encoding in ENCODINGS:
                self._add_sockets(encoding, copy)
                self._add_sdk(f"sdk-{encoding}-{copy}", self._wishes.everything(), encoding)
            self._add_events(f"sse-all-{copy}", self._wishes.everything())
            self._add_events(f"sse-logs-{copy}", self._wishes.logs_alone())

    def close(self) -> None:
        self._stack.close()

    def _add_sockets(self, encoding: Literal["json", "msgpack"], copy: int) -> None:
        everything, logs, books = self._wishes.everything, self._wishes.logs_alone, self._wishes.books_alone
        kinds: list[tuple[Manner, str, list[Wish]]] = [
            (Manner.STEADY, "all", everything()),
            (Manner.STEADY, "tier", everything("100ms")),
            (Manner.STEADY, "history", logs(start=1)),
            (Manner.RESTLESS, "all", everything("50ms")),
            (Manner.SLOW, "all", everything()),
            (Manner.SLOW, "books", books()),
            (Manner.STALLED, "all", everything()),
            (Manner.STALLED, "logs", logs()),
        ]
        for manner, what, wishes in kinds:
            name = f"{manner.value}-{what}-{encoding}-{copy}"
            seed = self._seed + len(self.members)
            self.members.append(
                SocketReader(name, self._open(name), self._door, wishes, encoding, manner, seed)
            )

    def _add_sdk(self, name: str, wishes: Sequence[Wish], encoding: Literal["json", "msgpack"]) -> None:
        self.members.append(SdkReader(name, self._open(name), self._door, wishes, encoding))

    def _add_events(self, name: str, wishes: Sequence[Wish]) -> None:
        seed = self._seed + len(self.members)
        self.members.append(EventReader(name, self._open(name), self._door, wishes, seed))

    def _open(self, name: str) -> Notes:
        return Notes(self._stack.enter_context(Journal(self._folder / f"{name}.jsonl")))
