"""What the continuity run proves of slow readers: on journals that lie, and on a server that forgets."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest
from tests.unit.streaming.fakes import MemoryBook
from tests.unit.streaming.harness import QUICK, Client, running_edge

from agio.app.chaos.streams.journal import (
    Booked,
    Closed,
    Entry,
    Journal,
    Opened,
    Shown,
    Skipped,
    Subscribed,
    read_journal,
)
from agio.app.chaos.streams.proof import Prover, Truth, Violation, prove
from agio.app.chaos.streams.reader_book import ReaderBook
from agio.app.chaos.streams.report import StreamRound, find_unmet
from agio.app.chaos.streams.slowness import Slowness, SlownessWatch
from agio.app.chaos.streams.subscriber import Conversation, Notes, Wish
from agio.app.chaos.streams.witness import Witness
from agio.streaming.book_hub import BookSubscription
from agio.streaming.state_hub import StateSubscription

LAST = 150
TRADES, QUOTES, BOOK, BALANCES = "trades:ES", "quotes:ES", "book:ES", "balances:acc_1"
SMALL = msgspec.structs.replace(
    QUICK, queue_bytes=40_000, write_bytes=4_000, chunk_bytes=1_000, queue_seconds=60.0
)


def shown(sequence: int) -> Shown:
    return Shown(QUOTES, "", sequence, sequence, 0)


def booked(sequence: int, previous: int | None) -> Booked:
    return Booked(BOOK, sequence, previous, 1, 1, 0)


def on(line: str, *entries: Entry) -> list[Entry]:
    return [Opened(0.0, line=line), *entries]


VALUES = [shown(sequence) for sequence in range(1, 11)]
CHAIN = [booked(1, None), *[booked(sequence, sequence - 1) for sequence in range(2, 11)]]


def findings(entries: Iterable[Entry], witness: Iterable[Entry]) -> list[str]:
    truth = Truth()
    truth.told.hear(witness)
    return [each.what for each in prove("slow", entries, truth).violations]


class TestSilentSkips:
    def test_what_was_announced_may_be_missing(self) -> None:
        values = on("a", shown(1), Skipped(QUOTES, 2, 8), shown(9))
        books = on("a", booked(1, None), booked(2, 1), Skipped(BOOK, 3, 6), booked(8, None))

        assert findings(values, on("a", *VALUES)) == []
        assert findings(books, on("a", *CHAIN)) == []

    def test_a_value_that_others_had_is_missed(self) -> None:
        assert findings(on("a", shown(1), shown(9)), on("a", *VALUES)) == [
            "2 was told to others of this gateway, not here, and nobody said so"
        ]

    def test_an_announcement_that_is_too_short_is_found(self) -> None:
        entries = on("a", shown(1), Skipped(QUOTES, 2, 7), shown(9))

        assert findings(entries, on("a", *VALUES))[0].startswith("8 was told to others")

    def test_the_newest_value_that_never_came_is_found(self) -> None:
        """Announced was what it replaced, then it was forgotten itself."""
        entries = on("a", shown(1), Skipped(QUOTES, 2, 4), shown(6))

        assert findings(entries, on("a", *VALUES))[0].startswith("5 was told to others")

    def test_a_book_that_jumps_while_others_go_on_is_found(self) -> None:
        entries = on("a", booked(1, None), booked(2, 1), booked(8, None))

        assert findings(entries, on("a", *CHAIN)) == [
            "a new book after 2: others of this gateway had 3, and nobody said so"
        ]

    def test_a_book_that_begins_anew_for_all_is_no_skip(self) -> None:
        witness = on("a", booked(1, None), booked(2, 1), booked(7, None), booked(8, 7), booked(9, 8))

        assert findings(on("a", booked(1, None), booked(2, 1), booked(8, None)), witness) == []

    @pytest.mark.parametrize("line", ["b", ""])
    def test_what_another_gateway_told_is_no_evidence(self, line: str) -> None:
        assert findings(on(line, shown(1), shown(9)), on("a", *VALUES)) == []

    def test_a_new_connection_begins_anew(self) -> None:
        entries = [*on("a", shown(1), Closed(1.0, 4008, "")), *on("a", shown(9))]

        assert findings(entries, on("a", *VALUES)) == []

    def test_a_book_that_goes_back_is_found(self) -> None:
        assert findings(on("a", booked(5, None), booked(4, None)), []) == ["the book went back from 5"]

    def test_a_book_that_stayed_behind_is_found(self) -> None:
        prover = Prover("slow", Truth(book_marks={BOOK: 9}))
        for entry in on("a", Subscribed(BOOK, "", 5), booked(5, None)):
            prover.take(entry)
        prover.finish()

        assert [each.what for each in prover.violations] == ["the book is not the newest: 9"]

    def test_a_quote_that_the_engine_did_not_tell_is_found(self) -> None:
        violations = prove("slow", on("a", shown(5)), Truth(values={QUOTES: {5: 1}})).violations

        assert [each.what for each in violations] == ["not what the engine told under this sequence"]


class TestMetCases:
    def test_each_is_counted_where_it_came_to_its_end(self) -> None:
        watch = SlownessWatch()
        for entry in (
            *on("a", Skipped(QUOTES, 2, 8), shown(7), shown(9), shown(10)),
            *(Skipped(BOOK, 2, 8), booked(9, 8), booked(9, None)),
            Closed(1.0, 4008, "the queue of this connection is full"),
            *on("a", Subscribed(TRADES, "k1", 30, ("k1", 25), recovered=True)),
            Closed(2.0, 1006, ""),
            *on("a", Subscribed(TRADES, "k1", 40, ("k1", 30), recovered=True)),
        ):
            watch.take(entry)

        assert watch.seen == Slowness(1, 1, 1, 1, 1, 1)
        assert watch.seen.unmet() == []

    def test_a_return_with_nothing_to_bring_back_proves_nothing(self) -> None:
        watch = SlownessWatch()
        watch.take(Closed(1.0, 4008, ""))
        for entry in on("a", Subscribed(TRADES, "k1", 25, ("k1", 25), recovered=True)):
            watch.take(entry)

        assert "back with everything after a 4008" in watch.seen.unmet()

    def test_a_run_that_met_none_of_them_fails_and_says_so(self) -> None:
        nothing = Slowness()
        met = StreamRound(1, [], 1.0, [], Slowness(1, 1, 1, 1, 1, 1), [])
        idle = StreamRound(2, [], 1.0, [], nothing, nothing.unmet())

        violations = find_unmet([met, idle])

        assert len(violations) == 4
        assert str(violations[0]) == "round 2: no reader was closed with 4008: nothing was proven of it"


def _forget(settle: Callable[..., None]) -> Callable[..., None]:
    def settle_in_silence(subscription: StateSubscription | BookSubscription) -> None:
        subscription._skipped = None
        settle(subscription)

    return settle_in_silence


def _true_checksum(book: MemoryBook) -> int:
    own = ReaderBook()
    own.replace(list(book.bids.items()), list(book.asks.items()))
    return own.checksum()


class TestServerThatForgets:
    async def _serve(self, folder: Path) -> tuple[Slowness, list[Violation]]:
        """A market for one that reads all of it and one that stops in between; then what is found."""
        async with running_edge(SMALL) as edge:
            slow, steady = await edge.connect(), await edge.connect("twin")
            for client in (slow, steady):
                await client.ask(op="sub", ch=[BALANCES, BOOK])
            for number in range(1, LAST + 1):
                if number == 10:
                    await slow.wait_until(lambda: len(slow.pushes()) == 18)
                    slow.stall()
                balance = edge.balances.put("USD", number, {"asset": "USD", "total": "x" * 200})
                await edge.publish("balances", "acc_1", [balance])
                await edge.publish("book", "ES", [edge.book.change("bids", f"{number}.0", "5")])
                await asyncio.sleep(0.001)
            await steady.wait_until(lambda: len(steady.pushes()) == 2 * LAST)
            slow.resume()
            await slow.wait_for(lambda message: message.get("op") == "snap" and message["q"] == LAST)
            await slow.wait_until(lambda: slow.sequences()[-1:] == [LAST])
        truth = Truth(told=Witness())
        truth.told.hear(read_journal(_write_down(steady, folder / "steady.jsonl")))
        prover = prove("slow", read_journal(_write_down(slow, folder / "slow.jsonl")), truth)
        return prover.count.slow, prover.violations

    @pytest.fixture(autouse=True)
    def _checksums(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MemoryBook, "crc", _true_checksum)

    async def test_one_that_announces_is_clean(self, tmp_path: Path) -> None:
        slow, violations = await self._serve(tmp_path)

        assert violations == []
        assert (slow.values_renewed, slow.books_renewed) == (1, 1)

    @pytest.mark.parametrize(("kind", "channel"), [(StateSubscription, BALANCES), (BookSubscription, BOOK)])
    async def test_one_that_skips_in_silence_is_found(
        self,
        kind: type[StateSubscription] | type[BookSubscription],
        channel: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(kind, "settle", _forget(kind.settle))

        _, violations = await self._serve(tmp_path)

        assert [each.channel for each in violations] == [channel]
        assert violations[0].what.endswith("and nobody said so")


def _write_down(client: Client, path: Path) -> Path:
    """The journal of what a client of the harness was told."""
    with Journal(path) as journal:
        talk = Conversation(Notes(journal), [Wish(BALANCES), Wish(BOOK)], line="a")
        for message in client.wire.messages():
            talk.take(message)
    return path
