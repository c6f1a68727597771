"""Recorded files against what is documented of them: counts, true books, crossed books, traded amounts."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from agio.kernel.time import format_micros
from agio.marketdata.books.l3 import BookState, L3Book
from agio.marketdata.decoders import bitfinex, bitstamp_l3, dbn_mbo, lobster, tardis
from agio.marketdata.decoders.decoder import Market
from agio.marketdata.findings import Finding
from agio.marketdata.normalised import BookChange, BookSnapshot, Instrument, Message, OrderEvent, Quote, Trade

EIGHT = Decimal("1e-8")


def instrument(symbol: str, tick: str, lot: str) -> Instrument:
    return Instrument("TEST", symbol, symbol, Decimal(tick), Decimal(lot))


def pairs(levels: tuple[BookChange, ...]) -> list[tuple[int, int]]:
    return [(level.price, level.size) for level in levels]


class Lobster(NamedTuple):
    books: list[BookSnapshot]
    events: dict[int, list[OrderEvent]]
    trades: list[Trade]
    findings: list[Finding]


@pytest.fixture(scope="module")
def aapl(real_data: Path) -> Lobster:
    folder = real_data / "market" / "lobster-aapl"
    name = "AAPL_2012-06-21_34200000_57600000_{}_10.csv.gz"
    found = Lobster([], defaultdict(list), [], [])
    with (folder / name.format("message")).open("rb") as stream:
        for line, message in lobster.LobsterReader("AAPL", date(2012, 6, 21)).read(stream):
            match message:
                case OrderEvent():
                    found.events[line].append(message)
                case Trade():
                    found.trades.append(message)
                case Finding():
                    found.findings.append(message)
                case _:
                    pytest.fail(f"unexpected {message}")
    with (folder / name.format("orderbook")).open("rb") as stream:
        found.books.extend(
            b for _, b in lobster.read_books(stream, "AAPL", 10) if isinstance(b, BookSnapshot)
        )
    return found


class TestLobster:
    def test_every_message_applied_to_the_true_book_gives_the_next_best(self, aapl: Lobster) -> None:
        right = 0
        for line, (before, after) in enumerate(zip(aapl.books, aapl.books[1:], strict=False), start=2):
            book = L3Book("AAPL")
            book.seed(pairs(before.bids), pairs(before.asks))
            for event in aapl.events[line]:
                book.apply(event, line)
            served = book.served(1)
            if served is not None and (served.bids[0], served.asks[0]) == (after.bids[0], after.asks[0]):
                right += 1
        assert right == 998

    def test_a_book_carried_on_is_right_as_long_as_it_says_so(self, aapl: Lobster) -> None:
        first = aapl.books[0]
        book = L3Book("AAPL")
        book.seed(pairs(first.bids), pairs(first.asks), window=10)
        served_books = 0
        for line, truth in enumerate(aapl.books[1:], start=2):
            for event in aapl.events[line]:
                book.apply(event, line)
            served = book.served(10)
            if served is not None:
                assert served.bids == truth.bids[: len(served.bids)]
                assert served.asks == truth.asks[: len(served.asks)]
                served_books += 1
        assert served_books == 153
        assert book.broken_by is not None
        assert (book.broken_by.code, book.broken_by.record) == ("window", 155)

    def test_trades_and_times(self, aapl: Lobster) -> None:
        assert Counter(trade.conditions for trade in aapl.trades) == {(): 98, ("hidden",): 61}
        assert format_micros((aapl.trades[0].venue_ns or 0) // 1000) == "2012-06-21T13:30:00.275016Z"
        assert [(finding.code, finding.record) for finding in aapl.findings] == [("unterminated", 999)]


MboRows = list[tuple[int, OrderEvent | Trade | Finding]]


@pytest.fixture(scope="module")
def rows(real_data: Path) -> MboRows:
    with (real_data / "market" / "esm4_mbo_2024-05-08_2s.dbn.zst").open("rb") as stream:
        return list(dbn_mbo.read_file(stream, {"ESM4": instrument("ES", "0.25", "1")}))


class TestMbo:
    def test_all_records_are_read(self, rows: MboRows) -> None:
        kinds = Counter(row.kind if isinstance(row, OrderEvent) else type(row).__name__ for _, row in rows)

        assert rows[-1][0] == 13_796
        assert kinds == {"clear": 1, "add": 13_678, "delete": 78, "modify": 24, "execute": 5, "Trade": 5}
        # 5 fills and the 2 cancels and 3 modifies that they caused are the 5 executions.
        assert 1 + 13_678 + (78 + 2) + (24 + 3) + 5 + 5 == 13_796

    def test_the_book_is_good_after_the_snapshot_and_stays_so(self, rows: MboRows) -> None:
        book = L3Book("ES")
        states = Counter[tuple[bool, BookState]]()
        for record, event in rows:
            if isinstance(event, OrderEvent):
                assert book.apply(event, record) is None
                states[event.is_snapshot, book.state] += 1
        assert states == {
            (True, BookState.BROKEN): 13_600,
            (True, BookState.GOOD): 1,
            (False, BookState.GOOD): 185,
        }
        assert book.crossed_events == 0

    def test_every_order_is_accounted_for(self, rows: MboRows) -> None:
        book, resting = L3Book("ES"), dict[str, int]()
        for record, event in rows:
            if not isinstance(event, OrderEvent) or event.kind == "clear":
                if isinstance(event, OrderEvent):
                    book.apply(event, record)
                continue
            book.apply(event, record)
            if event.kind == "add":
                assert event.order_id not in resting
                resting[event.order_id] = event.size
            elif event.kind == "modify":
                assert event.order_id in resting
                resting[event.order_id] = event.size
            else:
                resting[event.order_id] -= event.size
                if not resting[event.order_id]:
                    del resting[event.order_id]
        orders = {order_id: book.order(order_id) for order_id in resting}
        assert {key: order.size for key, order in orders.items() if order is not None} == resting
        assert book.order_count == len(resting) == 13_598
        served = book.served(1)
        assert served is not None
        assert (served.bids[0].price, served.asks[0].price) == (20_856, 20_857)

    def test_trades_have_the_aggressors_side(self, rows: MboRows) -> None:
        trades = [row for _, row in rows if isinstance(row, Trade)]

        assert [(one.aggressor, one.price, one.size) for one in trades] == [("buy", 20_857, 1)] * 4 + [
            ("buy", 20_857, 2)
        ]


class BitstampBooks(NamedTuple):
    strict: L3Book
    """Of the first 10,000 lines; it breaks early, and nothing but a snapshot heals it."""
    tolerant: L3Book
    states: Counter[tuple[int, BookState]]
    """(part of the file, state of the tolerant book); part 0 is the snapshot."""
    findings: list[Finding]
    audit: bitstamp_l3.FillAudit


@pytest.fixture(scope="module")
def played(real_data: Path) -> BitstampBooks:
    """One reading of the 314,057 events, for all tests."""
    folder = real_data / "market" / "bitstamp-l3"
    found = BitstampBooks(
        L3Book("BTC-USD"), L3Book("BTC-USD", is_strict=False), Counter(), [], bitstamp_l3.FillAudit()
    )
    btc = instrument("BTC-USD", "1", "1e-8")
    with (folder / "orders.csv.gz").open("rb") as stream:
        for line, event in bitstamp_l3.read_orders(stream, btc):
            _see(found, line, event)
    with (folder / "trades.csv").open("rb") as stream:
        for _, trade in bitstamp_l3.read_trades(stream, btc):
            assert not isinstance(trade, Finding)
            found.audit.see_trade(trade)
    return found


def _see(found: BitstampBooks, line: int, event: OrderEvent | Finding) -> None:
    if isinstance(event, Finding):
        found.findings.append(event)
        return
    found.audit.see_event(event)
    book = found.tolerant
    book.apply(event, line)
    found.states[0 if event.is_snapshot else 1, book.state] += 1
    if book.state is not BookState.GOOD:
        assert book.served(1) is None
    else:
        bid, ask = book.best_bid, book.best_ask
        assert bid is None or ask is None or bid.price < ask.price
    if line <= 10_000:
        found.strict.apply(event, line)
        assert found.strict.broken_by is None or found.strict.served(1) is None


class TestBitstampOrders:
    def test_the_crossed_book_is_found_after_286323_events(self, played: BitstampBooks) -> None:
        assert played.tolerant.crossed_events == 286_323
        assert played.states[1, BookState.CROSSED] == 286_323
        assert played.states[0, BookState.BROKEN] == 6512  # the clear and all of the snapshot but its end
        assert played.states[0, BookState.GOOD] == 1

    def test_a_strict_book_breaks_at_the_first_proof_of_a_hole(self, played: BitstampBooks) -> None:
        """Line 6,518 deletes an order created between the snapshot and the first live event."""
        broken_by = played.strict.broken_by
        assert broken_by is not None
        assert (broken_by.code, broken_by.record) == ("unknown_order", 6518)
        assert played.strict.state is BookState.BROKEN

    def test_thirteen_deletes_are_of_unknown_orders(self, played: BitstampBooks) -> None:
        assert played.tolerant.finding_counts == {"unknown_order": 13}
        assert played.tolerant.event_counts == {
            "clear": 1,
            "add": 156_889,
            "modify": 266,
            "delete": 156_902,
        }
        assert played.tolerant.order_count == 0

    def test_only_the_recorders_clock_goes_back_once(self, played: BitstampBooks) -> None:
        """The snapshot arrived after live events had been taken: its rows stand first."""
        assert [(one.code, one.record) for one in played.findings] == [("received_back", 6514)]

    def test_394_of_396_orders_lose_exactly_what_they_traded(self, played: BitstampBooks) -> None:
        equal, different = played.audit.result()

        assert equal == 394
        # Two market buys that were created with volume 0.
        assert different == {"2002351232385027": (0, 6377), "2002354918830080": (-1, 6380)}


class TestBitfinex:
    def test_the_book_is_crossed_after_21_of_99999_messages(self, real_data: Path) -> None:
        decoder = bitfinex.BitfinexDecoder([Instrument("BITFINEX", "BTC-USD", "tBTCUSD", EIGHT, EIGHT)])
        book, live, last = L3Book("BTC-USD"), 0, 0
        with (real_data / "market" / "bitfinex_tBTCUSD_R0_L3_feed.json.gz").open("rb") as stream:
            for last, message in bitfinex.read_file(stream, decoder):
                if isinstance(message, OrderEvent):
                    assert book.apply(message, last) is None
                    live += not message.is_snapshot
                    assert book.state is BookState.GOOD or book.served(1) is None
        assert (last, live) == (100_001, 99_998)
        assert book.crossed_events == 21
        assert book.finding_counts == {}
        assert book.event_counts["delete"] == 37_021
        assert book.state is BookState.GOOD


class TestTardis:
    @staticmethod
    def _in_order(rows: Iterator[tuple[int, Message | Finding]]) -> list[Message]:
        found = []
        for _, row in rows:
            assert not isinstance(row, Finding), row
            found.append(row)
        return found

    def test_9999_trades_in_order_of_both_times(self, real_data: Path) -> None:
        path = real_data / "market" / "tardis" / "binance-futures_BTCUSDT_2020-02-22_trades.csv.gz"
        markets = {"BTCUSDT": Market(instrument("BTC-USDT", "0.01", "0.001"))}
        with path.open("rb") as stream:
            trades = self._in_order(tardis.read_trades(stream, markets))

        sides = Counter(trade.aggressor for trade in trades if isinstance(trade, Trade))
        assert sides == {"buy": 5267, "sell": 4732}
        first = trades[0]
        assert isinstance(first, Trade)
        assert (first.price, first.size, first.trade_id) == (968_200, 132, "42377944")
        assert (first.venue_ns, first.received_ns) == (1_582_329_602_111_000_000, 1_582_329_602_418_379_000)

    def test_9999_quotes_in_order_and_never_crossed(self, real_data: Path) -> None:
        path = real_data / "market" / "tardis" / "binance-futures_BTCUSDT_2020-02-22_quotes.csv.gz"
        markets = {"BTCUSDT": Market(instrument("BTC-USDT", "0.01", "0.001"))}
        with path.open("rb") as stream:
            quotes = self._in_order(tardis.read_quotes(stream, markets))

        assert len(quotes) == 9999
        assert all(isinstance(one, Quote) and (one.bid or 0) < (one.ask or 0) for one in quotes)
