"""The prover of the continuity run, tried on journals that lie: a checker that cannot fail proves nothing."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.app.chaos.streams.journal import (
    Beat,
    Booked,
    Closed,
    Ended,
    Entry,
    Gap,
    Journal,
    Logged,
    Opened,
    Shown,
    Skipped,
    Subscribed,
    digest_of,
    read_journal,
)
from agio.app.chaos.streams.proof import Prover, StateMark, Truth, prove
from agio.app.chaos.streams.reader_book import ReaderBook, digest_levels
from agio.app.chaos.streams.subscriber import Conversation, Notes, Wish

TRADES = "trades:ES"
BOOK = "book:ES"
BALANCES = "balances:acc_1"
LAST = 40


def digest(sequence: int, epoch: str = "k1") -> int:
    return digest_of({"of": epoch}, sequence)


def truth(last: int = LAST) -> Truth:
    return Truth(
        logs={
            (TRADES, epoch): {sequence: digest(sequence, epoch) for sequence in range(1, last + 1)}
            for epoch in ("k1", "k2")
        },
        books={BOOK: {7: digest_levels([("1.0", "2")], [])}},
        log_marks={TRADES: ("k1", last)},
    )


def logged(sequence: int, epoch: str = "k1") -> Logged:
    return Logged(TRADES, epoch, sequence, digest(sequence, epoch))


def honest() -> list[Entry]:
    """Begins at 10, loses the connection at 25, comes back and reads to the end."""
    return [
        Opened(0.0),
        Subscribed(TRADES, "k1", 10),
        *[logged(sequence) for sequence in range(11, 26)],
        Closed(1.0, 1006, ""),
        Opened(2.0),
        Subscribed(TRADES, "k1", 30, ("k1", 25), recovered=True),
        *[logged(sequence) for sequence in range(26, LAST + 1)],
    ]


def findings(entries: Iterable[Entry], known: Truth | None = None) -> list[tuple[str, int, str]]:
    prover = prove("reader", entries, known or truth())
    return [(each.channel, each.sequence, each.what) for each in prover.violations]


def only(entries: Iterable[Entry], known: Truth | None = None) -> tuple[str, int, str]:
    found = findings(entries, known)
    assert len(found) == 1, found
    return found[0]


class TestLogs:
    def test_an_honest_journal_is_clean(self) -> None:
        prover = prove("reader", honest(), truth())

        assert prover.violations == []
        assert (prover.count.messages, prover.count.resumed, prover.count.connections) == (30, 1, 2)
        assert prover.count.closes == {1006: 1}

    @given(st.integers(min_value=0, max_value=28))
    def test_any_lost_message_is_found(self, place: int) -> None:
        logs = [entry for entry in honest() if isinstance(entry, Logged)]
        entries = [entry for entry in honest() if entry is not logs[place] and entry != logs[place]]

        channel, sequence, what = only(entries)

        assert (channel, sequence) == (TRADES, logs[place].sequence + 1)
        assert what == f"{logs[place].sequence} to {logs[place].sequence} are missing, and nobody said so"

    def test_a_lost_end_is_found(self) -> None:
        assert only(honest()[:-1]) == (TRADES, LAST - 1, f"the end is missing: {LAST} is durable")

    @given(st.integers(min_value=0, max_value=29))
    def test_any_doubled_message_is_found(self, place: int) -> None:
        entries: list[Entry] = []
        for entry in honest():
            entries.append(entry)
            if isinstance(entry, Logged) and entry.sequence == place + 11:
                entries.append(entry)

        assert only(entries) == (TRADES, place + 11, "came twice")

    @given(st.integers(min_value=11, max_value=24) | st.integers(min_value=26, max_value=LAST - 1))
    def test_any_swapped_pair_is_found(self, first: int) -> None:
        entries = honest()
        here, there = entries.index(logged(first)), entries.index(logged(first + 1))
        entries[here], entries[there] = entries[there], entries[here]

        assert (TRADES, first + 1, f"{first} to {first} are missing, and nobody said so") in findings(entries)

    def test_a_message_that_came_again_after_a_resume_is_found(self) -> None:
        entries = honest()
        entries.insert(entries.index(logged(26)), logged(25))

        assert only(entries) == (TRADES, 25, "came twice")

    def test_another_content_is_found(self) -> None:
        entries = honest()
        entries[entries.index(logged(20))] = Logged(TRADES, "k1", 20, digest(21))

        assert only(entries) == (TRADES, 20, "not what the history has under this sequence")

    def test_what_was_never_durable_is_found(self) -> None:
        assert only([*honest(), logged(LAST + 1)]) == (TRADES, LAST + 1, "not in the history of epoch k1")

    def test_an_instant_belongs_to_the_content(self) -> None:
        assert digest_of({"price": "1.0"}, 5) != digest_of({"price": "1.0"}, 6)
        assert digest_of({"a": 1, "b": 2}, 5) == digest_of({"b": 2, "a": 1}, 5)


class TestGaps:
    def test_an_announced_gap_is_no_violation(self) -> None:
        entries = [
            Opened(0.0),
            Subscribed(TRADES, "k1", 10),
            logged(11),
            Subscribed(TRADES, "k1", 38, ("k1", 11), recovered=False, reason="too_far"),
            logged(39),
            logged(40),
        ]

        prover = prove("reader", entries, truth())

        assert prover.violations == []
        assert prover.count.not_recovered == 1

    def test_a_gap_behind_a_recovery_is_found(self) -> None:
        entries = honest()
        entries.remove(logged(26))

        assert only(entries) == (TRADES, 27, "26 to 26 are missing, and nobody said so")

    def test_neither_recovered_nor_refused_is_found(self) -> None:
        entries = [Subscribed(TRADES, "k1", 10), Subscribed(TRADES, "k1", LAST, ("k1", 10))]

        assert (TRADES, LAST, "neither recovered nor refused") in findings(entries)

    def test_the_sdk_tells_a_gap_at_its_place(self) -> None:
        entries = [Subscribed(TRADES, "k1", 10), logged(11), Gap(TRADES, 12, 38), logged(39), logged(40)]

        assert findings(entries) == []

    def test_the_sdk_tells_another_gap_than_there_is(self) -> None:
        entries = [Subscribed(TRADES, "k1", 10), logged(11), Gap(TRADES, 12, 30), logged(39), logged(40)]

        assert only(entries) == (TRADES, 39, "12 to 38 are missing, and nobody said so")

    def test_a_new_epoch_that_was_told_is_no_violation(self) -> None:
        known = truth()
        known.log_marks[TRADES] = ("k2", 6)
        entries = [
            Subscribed(TRADES, "k1", 10),
            logged(11),
            Subscribed(TRADES, "k2", 4, ("k1", 11), recovered=False, reason="epoch"),
            logged(5, "k2"),
            logged(6, "k2"),
        ]

        assert findings(entries, known) == []

    def test_a_silent_new_epoch_is_found(self) -> None:
        known = truth()
        known.log_marks[TRADES] = ("k2", 12)

        found = findings([Subscribed(TRADES, "k1", 10), logged(11), logged(12, "k2")], known)

        assert found[0] == (TRADES, 12, "epoch k1 became k2, and nobody said so")

    def test_a_recovery_into_another_epoch_is_found(self) -> None:
        known = truth()
        known.log_marks[TRADES] = ("k2", 10)
        entries = [
            Subscribed(TRADES, "k1", 10),
            Subscribed(TRADES, "k2", 10, ("k1", 10), recovered=True),
        ]

        assert (TRADES, 10, "recovered k1 in epoch k2") in findings(entries, known)

    def test_who_never_left_the_old_epoch_is_found(self) -> None:
        known = truth()
        known.log_marks[TRADES] = ("k2", 12)

        assert only([Subscribed(TRADES, "k1", 10), logged(11)], known)[2].startswith("ended in epoch k1")


class TestBooks:
    def booked(self, sequence: int, previous: int | None, *, own: int = 1, whole: int = 0) -> Booked:
        return Booked(BOOK, sequence, previous, 1, own, whole)

    def test_a_chain_with_right_checksums_is_clean(self) -> None:
        whole = digest_levels([("1.0", "2")], [])
        entries = [self.booked(5, None), self.booked(7, 5, whole=whole), self.booked(9, None)]

        prover = prove("reader", entries, truth())

        assert prover.violations == []
        assert (prover.count.books, prover.count.books_compared) == (3, 1)

    def test_a_delta_that_does_not_follow_is_found(self) -> None:
        assert only([self.booked(5, None), self.booked(9, 7)])[1] == 9

    def test_a_delta_after_a_new_connection_is_found(self) -> None:
        assert only([self.booked(5, None), Opened(1.0), self.booked(6, 5)])[1] == 6

    def test_a_wrong_checksum_is_found(self) -> None:
        assert only([self.booked(5, None), self.booked(6, 5, own=2)])[1] == 6

    def test_a_level_below_the_checksum_is_found(self) -> None:
        """The CRC32 covers ten levels; the reference all of them."""
        assert only([self.booked(5, None), self.booked(7, 5, whole=99)]) == (
            *(BOOK, 7),
            "levels differ from the reference book",
        )

    def test_the_readers_own_book_notices_one_lot(self) -> None:
        right, wrong = ReaderBook(), ReaderBook()
        for book, size in ((right, "3"), (wrong, "4")):
            book.replace([["1.0", "2"]], [["1.1", "1"]])
            book.change([["0.9", size]], [["1.1", "0"]])

        assert right.checksum() != wrong.checksum()
        assert right.digest() == digest_levels([("1.0", "2"), ("0.9", "3")], []) != wrong.digest()


class TestStates:
    def shown(self, sequence: int, key: str = "USD", digest: int = 0) -> Shown:
        return Shown(BALANCES, key, sequence, sequence, digest)

    def test_a_value_that_goes_back_is_found(self) -> None:
        assert only([self.shown(5), self.shown(4)])[1] == 4

    def test_keys_and_connections_count_by_themselves(self) -> None:
        assert findings([self.shown(5), self.shown(4, "BTC"), Opened(1.0), self.shown(3)]) == []

    def test_a_value_that_comes_forward_again_was_a_change_of_connections(self) -> None:
        """The SDK moves to another node without a word; that one begins with what it has."""
        moved = Opened(0.0, keeps_books=True)

        assert findings([moved, self.shown(5), self.shown(4), self.shown(5), self.shown(6, "BTC")]) == []
        assert only([moved, self.shown(5), self.shown(4), self.shown(6, "BTC")])[1] == 6

    @pytest.mark.parametrize("mark", [StateMark(BALANCES, "USD", 6), StateMark(BALANCES, "USD", digest=8)])
    def test_an_old_value_at_the_end_is_found(self, mark: StateMark) -> None:
        known = truth()
        known.state_marks = [mark]

        assert only([Subscribed(BALANCES, "", 0), self.shown(5, digest=7)], known)[1] == 5

    def test_a_value_that_never_came_is_found(self) -> None:
        known = truth()
        known.state_marks = [StateMark(BALANCES, "USD", 6)]

        assert only([Subscribed(BALANCES, "", 0)], known)[2] == "never told USD"


@pytest.mark.parametrize(
    "entry",
    [
        Closed(1.0, 4501, "refused"),
        Ended(TRADES, "unknown_channel", may_retry=False),
        Beat(told=12, own=11),
        logged(11),
    ],
)
def test_what_must_not_happen_is_found(entry: Entry) -> None:
    assert len(findings([entry])) == 1


def test_what_may_happen_is_counted() -> None:
    prover = Prover("reader", truth())
    for entry in (Skipped(BALANCES, 1, 5), Ended(TRADES, "epoch_changed", may_retry=True), Beat(3, 3)):
        prover.take(entry)

    assert prover.violations == []
    assert (prover.count.skipped, prover.count.ended) == (1, 1)


class TestJournal:
    def test_what_was_heard_is_read_back(self, tmp_path: Path) -> None:
        """From the wire to the proof: answers, pushes of each class, and a heartbeat that counts them."""
        journal = Journal(tmp_path / "reader.jsonl")
        notes = Notes(journal)
        talk = Conversation(notes, [Wish(TRADES), Wish(BOOK)])
        assert talk.request(TRADES) == {"ch": TRADES, "tier": "raw"}
        book = ReaderBook()
        book.replace([["1.0", "2"]], [])
        crc = book.checksum()
        talk.take({"op": "welcome", "conn": "con_1"})
        granted = [
            {"ch": TRADES, "n": 3, "epoch": "k1", "seq": 10},
            {"ch": BOOK, "n": 4, "epoch": "", "seq": 6},
        ]
        talk.take({"id": 1, "subs": granted, "errs": []})
        talk.take({"op": "snap", "n": 4, "q": 6, "t": 1, "d": {"bids": [["1.0", "1"]], "asks": []}, "crc": 0})
        pushes: list[object] = [
            {"n": 3, "q": 11, "t": 11, "d": {"of": "k1"}},
            {"n": 4, "q": 7, "p": 6, "t": 2, "d": {"bids": [["1.0", "2"]], "asks": []}, "crc": crc},
        ]
        talk.take(pushes)
        talk.take({"op": "hb", "count": 2, "top": {"3": 11}, "sources": {}})
        journal.close()

        found = findings(read_journal(notes.path), truth(last=11))

        # All but the snapshot's checksum was right.
        assert [(channel, sequence) for channel, sequence, _ in found] == [(BOOK, 6)]
        assert talk.request(TRADES)["from"] == {"epoch": "k1", "seq": 11}
