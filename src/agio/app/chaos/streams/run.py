"""The continuity run: a market, a crowd, faults in rounds, and at the end the proof."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from agio.app.chaos.streams.background import Background
from agio.app.chaos.streams.crowd import Crowd, Wishes
from agio.app.chaos.streams.faults import StreamFaults
from agio.app.chaos.streams.history import MarketReference, read_history, read_scales
from agio.app.chaos.streams.journal import read_journal
from agio.app.chaos.streams.pipes import Balancer, BusPipe
from agio.app.chaos.streams.platform import StreamStand, wait_for
from agio.app.chaos.streams.proof import StateMark, Truth, Violation, add_up, prove
from agio.app.chaos.streams.report import StreamReport, StreamRound, find_unmet
from agio.app.chaos.streams.slowness import Slowness
from agio.app.chaos.streams.socket_reader import SocketReader
from agio.app.chaos.streams.subscriber import Door
from agio.app.chaos.streams.traffic import Trader
from agio.platform.tls import client_context

FAULTS_A_ROUND: Final = 3
TRADERS: Final = 3
ORDER_PAUSE_SECONDS: Final = 0.1
REACH_SECONDS: Final = 90.0
LAST_REACH_SECONDS: Final = 240.0
SETTLE_SECONDS: Final = 3.0
MEET_SECONDS: Final = 90.0
"""How long a round goes on, its faults over, until slow readers have met all that it is to prove."""


def run_stream_rounds(
    rounds: int,
    seed: int,
    minutes: float,
    copies: int,
    tell: Callable[[StreamRound], None],
    *,
    keeps_journals: bool = False,
) -> StreamReport:
    """Run on servers of our own, in a folder of our own; with `minutes` as many rounds as fit in.

    Raises StandFailed.
    """
    journals = Path(tempfile.mkdtemp(prefix="agio-journals-"))
    begun = time.monotonic()
    with _continuity_run(journals, seed, copies) as run:
        done: list[StreamRound] = []
        until = time.monotonic() + minutes * 60
        while len(done) < rounds if not minutes else time.monotonic() < until:
            done.append(run.play(len(done) + 1, is_last=not minutes and len(done) == rounds - 1))
            tell(done[-1])
        report = run.finish(done, time.monotonic() - begun)
        if report.is_clean and not keeps_journals:
            shutil.rmtree(journals)
        else:
            run.keep(journals, report)
            report.journals = str(journals)
    return report


@contextmanager
def _continuity_run(journals: Path, seed: int, copies: int) -> Iterator["ContinuityRun"]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agio-chaos-")))
        folder.chmod(0o711)
        stand = StreamStand(folder, seed)
        stack.callback(stand.stop)
        background = stack.enter_context(Background())
        pipe, balancer = BusPipe(stand.bus.port, seed), Balancer()
        background.call(pipe.start())
        stack.callback(lambda: background.call(pipe.stop()))
        background.call(balancer.start())
        stack.callback(lambda: background.call(balancer.stop()))
        stand.start(pipe.port)
        balancer.node_port = stand.settings.port
        run = ContinuityRun(stand, background, pipe, balancer, journals, seed)
        run.begin(copies)
        stack.callback(run.end)
        yield run


class ContinuityRun:
    """A platform, its crowd, and the truth as it becomes known."""

    def __init__(
        self,
        stand: StreamStand,
        background: Background,
        pipe: BusPipe,
        balancer: Balancer,
        journals: Path,
        seed: int,
    ) -> None:
        self._seed = seed
        self._stand = stand
        self._background = background
        self._pipe = pipe
        self._truth = Truth()
        ready, settings = stand.stand.ready, stand.settings
        ca_file = settings.ca_file or Path()
        self._door = Door(balancer.port, ready.api_key, client_context(ca_file), str(ca_file), balancer.lines)
        self._symbols = ready.symbols
        self._wishes = Wishes(ready.account_id, ready.symbols)
        self._scales = read_scales(settings.owner_database_url)
        self._reference = MarketReference(stand.bus.url(), self._truth, self._scales)
        self._crowd = Crowd(journals, self._door, self._wishes, seed)
        self._traders = [
            Trader(self._door, ready.account_id, seed * 100 + number, ORDER_PAUSE_SECONDS)
            for number in range(TRADERS)
        ]
        self._slowness_before = Slowness()
        self._faults = StreamFaults(stand, pipe, balancer, self._read_history, seed)

    def begin(self, copies: int) -> None:
        background = self._background
        background.call(self._reference.start(self._symbols))
        self._trading = [background.begin("trader", trader.run()) for trader in self._traders]
        background.call(self._gather(copies))
        for member in self._crowd.members:
            background.begin(member.name, member.run())
        time.sleep(SETTLE_SECONDS)

    async def _gather(self, copies: int) -> None:
        self._crowd.gather(copies)

    def end(self) -> None:
        self._background.call(self._reference.stop())
        self._crowd.close()

    def play(self, number: int, *, is_last: bool) -> StreamRound:
        """Faults, then rest: everybody must come to where the history is; after the last round at once.

        Slow readers are slow all the while, until each of their cases came about at least once.
        """
        faults = []
        for _ in range(FAULTS_A_ROUND):
            self._faults.wait_between()
            faults.append(self._faults.draw()())
        over = time.monotonic()
        self._stand.wait_ready()
        wait_for(lambda: not self._find_slowness().unmet(), MEET_SECONDS)
        slow = self._find_slowness()
        self._slowness_before += slow
        self._calm(only_slow=not is_last)
        late = self._wait_until_reached(self._mark_market(), REACH_SECONDS)
        reached = None if late else round(time.monotonic() - over, 2)
        if not is_last:
            self._stir()
        return StreamRound(number, faults, reached, late, slow, slow.unmet())

    def finish(self, rounds: list[StreamRound], seconds: float) -> StreamReport:
        """No more orders, everybody reads to the end; then the journals are read."""
        for trading in self._trading:
            self._background.end(trading)
        self._calm()
        self._background.call(self._traders[0].rest())
        balances = self._background.call(self._traders[0].read_balances())
        self._wait_until_reached([*balances, *self._mark_market()], LAST_REACH_SECONDS)
        deaths = self._background.check()
        marks = dict(self._truth.log_marks)
        self._background.end_all()
        self._crowd.close()
        self._read_history(self._stand.settings.owner_database_url)
        self._truth.log_marks = marks
        for member in self._crowd.members:
            if isinstance(member, SocketReader) and member.is_witness:
                self._truth.told.hear(read_journal(member.notes.path))
        provers = {
            member.name: prove(member.name, read_journal(member.notes.path), self._truth)
            for member in self._crowd.members
        }
        violations = [violation for prover in provers.values() for violation in prover.violations]
        violations += [Violation(death, "", 0, "a subscriber ended by itself") for death in deaths]
        violations += find_unmet(rounds)
        counts = {name: prover.count for name, prover in provers.items()}
        return StreamReport(
            seed=self._seed,
            seconds=round(seconds, 1),
            rounds=rounds,
            subscribers=len(provers),
            orders_placed=sum(trader.placed for trader in self._traders),
            bus={"lost": self._pipe.lost, "doubled": self._pipe.doubled, "delayed": self._pipe.delayed},
            durable=sum(len(known) for known in self._truth.logs.values()),
            epochs=len(self._truth.logs),
            totals=add_up(counts.values()),
            per_subscriber=counts,
            violations=violations,
            journals=None,
            is_clean=not violations,
        )

    def _calm(self, *, only_slow: bool = False) -> None:
        """Whoever reads badly on purpose reads well from now on."""
        for member in self._crowd.members:
            if not only_slow or (isinstance(member, SocketReader) and member.is_slow):
                member.is_calm = True

    def _stir(self) -> None:
        for member in self._crowd.members:
            member.is_calm = False

    def _find_slowness(self) -> Slowness:
        """What befell slow readers since the last round."""
        seen = sum((member.notes.slowness for member in self._crowd.members), start=Slowness())
        return seen - self._slowness_before

    def keep(self, folder: Path, report: StreamReport) -> None:
        """Beside the journals: the report, the truth, and what the processes logged."""
        (folder / "report.json").write_bytes(msgspec.json.encode(report))
        (folder / "marks.json").write_bytes(msgspec.json.encode(self._truth.log_marks))
        shutil.copytree(self._stand.data_dir / "logs", folder / "logs")

    def _mark_market(self) -> list[StateMark]:
        """Mark where books and quotes are now."""
        marks = []
        self._truth.book_marks.clear()
        for symbol in self._symbols:
            quote, book = self._background.call(self._reference.newest(symbol))
            if quote is not None:
                marks.append(StateMark(f"quotes:{symbol}", "", quote))
            if book is not None:
                self._truth.book_marks[f"book:{symbol}"] = book
        return marks

    def _wait_until_reached(self, states: list[StateMark], seconds: float) -> list[str]:
        """Mark where the history is now; who has not come there in time?"""
        self._read_history(self._stand.settings.owner_database_url)
        self._truth.state_marks = states
        late = self._find_late
        wait_for(lambda: not late(), seconds)
        return late()

    def _find_late(self) -> list[str]:
        return [member.name for member in self._crowd.members if not member.notes.has_reached(self._truth)]

    def _read_history(self, url: str) -> None:
        read_history(url, self._truth, self._scales, self._wishes.logs)
