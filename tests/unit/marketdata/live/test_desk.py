"""What of a feed's books is told, and what is withdrawn."""

from decimal import Decimal
from typing import cast

import pytest

from agio.marketdata.books.l2 import L2Book
from agio.marketdata.feeds.port import Delivery, Feed, FeedState
from agio.marketdata.live.desk import MAX_NUMBER, VenueDesk
from agio.marketdata.live.instruments import live_instrument, wanted_instrument
from agio.marketdata.live.trades import TradeIntake
from agio.marketdata.live.watch import SourceWatch
from agio.marketdata.normalised import BookUpdate, Instrument
from agio.marketdata.publisher import Publisher
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock

VENUE = Instrument("BINANCE", "X-USD", "XUSD", Decimal("1e-8"), Decimal("1e-8"))
SYMBOL = "BINANCE-X-USD"


class Venue:
    """A feed whose book is always good, the desk under test, and what a new subscriber is told."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.book = L2Book()
        self.publisher = Publisher(cast("Bus", None), clock)
        self.watch = SourceWatch("BINANCE", [("X-USD", SYMBOL, "XUSD")], clock)
        live = live_instrument(wanted_instrument(SYMBOL, VENUE), VENUE)
        intake = TradeIntake(cast("None", None), cast("None", None))  # type: ignore[arg-type]
        self.desk = VenueDesk(cast("Feed", self), {"X-USD": live}, self.watch, intake, self.publisher)

    def good(self, _symbol: str) -> L2Book:
        return self.book

    async def change(self, bids: dict[int, int]) -> None:
        """The book becomes this, and everything that is due is told."""
        self.book.bids.replace(bids.items())
        update = BookUpdate("X-USD", 1, 1, 1, ())
        await self.desk.take(Delivery("BINANCE", FeedState.LIVE, (update,), ()))
        while self.publisher._due:
            self.publisher._due.pop(next(iter(self.publisher._due)))()

    def told(self) -> tuple[str | None, list[tuple[int, int]], int]:
        """(doubt, bids, best bid of the quote)"""
        snapshot = self.publisher.snapshot(SYMBOL)
        assert snapshot.book is not None
        assert snapshot.quote is not None
        return snapshot.book.doubt, snapshot.book.bids, snapshot.quote.bid

    def state(self) -> str:
        return self.watch.report(None, {}).symbols[0].book


@pytest.mark.parametrize("place", [9, 5], ids=["best", "deeper"])
async def test_a_book_with_a_number_that_cannot_be_told_is_withdrawn_until_it_is_gone(place: int) -> None:
    venue = Venue()
    fine = {9: 1, 7: 2, 5: 3}
    await venue.change(fine)
    assert venue.told() == (None, [(9, 1), (7, 2), (5, 3)], 9)

    for _ in range(2):
        await venue.change(fine | {place: MAX_NUMBER + 1})
        assert venue.told() == ("numbers of more than 64 bits", [], 0)
        assert venue.state() == "gap"

    await venue.change(fine | {place: MAX_NUMBER})
    assert venue.told()[1][0 if place == 9 else 2] == (place, MAX_NUMBER)
    assert venue.told()[2] == 9
    assert venue.state() == "ok"
