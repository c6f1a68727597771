"""`live:...` and the names of its instruments."""

from decimal import Decimal

import pytest

from agio.marketdata.errors import InstrumentMismatch
from agio.marketdata.live.instruments import live_instrument, wanted_instrument
from agio.marketdata.live.market import InvalidMarket, LiveVenue, read_market
from agio.marketdata.model import SYMBOL
from agio.marketdata.normalised import Instrument


def test_venues_and_pairs_are_read() -> None:
    assert read_market("live:kraken:BTC/USD, eth/usd ;okx:BTC/USDT:USDT") == (
        LiveVenue("kraken", ("BTC/USD", "ETH/USD")),
        LiveVenue("okx", ("BTC/USDT:USDT",)),
    )


def test_a_symbol_is_the_venue_and_the_pair() -> None:
    (venue,) = read_market("live:okx:BTC/USDT,UNI-USD-SWAP")
    assert venue.symbols == {"BTC-USDT": "OKX-BTC-USDT", "UNI-USD-SWAP": "OKX-UNI-USD-SWAP"}
    assert all(SYMBOL.fullmatch(symbol) for symbol in venue.symbols.values())


@pytest.mark.parametrize(
    "market",
    [
        *("live:", "live:kraken", "live:kraken:", "live:kraken:,", "live::BTC/USD", "live:sim:BTC/USD"),
        *("live:tape:A", "live:kraken:BTC USD", "live:kraken:BTC//USD", "live:kraken:/USD", "live:kr$:A"),
        *("live:kraken:A/B;kraken:C/D", "live:kraken:A/B,A-B", "live:kraken:A/B;", "live:kraken:É/USD"),
        "live:kraken:ABCDEFGHIJ/ABCDEFGHIJ",
        "live:kraken:" + ",".join(f"A{n}/USD" for n in range(201)),
    ],
)
def test_what_names_no_market_is_refused(market: str) -> None:
    with pytest.raises(InvalidMarket):
        read_market(market)


class TestInstruments:
    def test_steps_become_scales_and_units(self) -> None:
        one = Instrument("OKX", "X-USD", "X-USD", Decimal("0.05"), Decimal(10), size_increment=Decimal(20))
        wanted = wanted_instrument("OKX-X-USD", one)
        assert (wanted.price_scale, wanted.tick_size, wanted.quantity_scale, wanted.lot_size) == (2, 5, 0, 20)
        assert wanted.status == "data_only"
        live = live_instrument(wanted, one)
        assert (live.price_units, live.size_units) == (5, 10)

    def test_stored_scales_stay_and_coarser_steps_are_followed(self) -> None:
        fine = Instrument("OKX", "X-USD", "X-USD", Decimal("0.0001"), Decimal("0.01"))
        coarse = Instrument("OKX", "X-USD", "X-USD", Decimal("0.1"), Decimal(1))
        live = live_instrument(wanted_instrument("OKX-X-USD", fine), coarse)
        assert (live.price_units, live.size_units) == (1000, 100)

    def test_finer_steps_than_the_stored_scale_are_refused(self) -> None:
        coarse = Instrument("OKX", "X-USD", "X-USD", Decimal("0.1"), Decimal(1))
        fine = Instrument("OKX", "X-USD", "X-USD", Decimal("0.01"), Decimal(1))
        with pytest.raises(InstrumentMismatch, match="steps"):
            live_instrument(wanted_instrument("OKX-X-USD", coarse), fine)

    def test_steps_that_no_integer_of_ours_counts_are_refused(self) -> None:
        with pytest.raises(InstrumentMismatch):
            wanted_instrument("OKX-X-USD", Instrument("OKX", "X-USD", "X", Decimal("1e-19"), Decimal(1)))
