"""Pre-trade rules: what is refused, and with which problem."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.identity.api import Principal
from agio.kernel.ids import AccountId, KeyId, OrderId, OrganisationId
from agio.kernel.problem import Problem
from agio.marketdata.api import SIM_INSTRUMENTS, Instrument, tape_instrument
from agio.trading.admission import admit, collar_price, read_terms, require_same
from agio.trading.api import PlaceOrder
from agio.trading.errors import OrderTooLarge
from agio.trading.model import Order, hold_of
from agio.trading.settings import TradingSettings

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTINGS = TradingSettings()
ES = tape_instrument("ES", 2, 0)
INSTRUMENTS = {instrument.symbol: instrument for instrument in (*SIM_INSTRUMENTS, ES)}
PRINCIPAL = Principal(
    key_id=KeyId("key_00000000000000000001"),
    organisation_id=OrganisationId("org_00000000000000000001"),
    environment="sandbox",
    scopes=frozenset({"orders:write"}),
    expires_at=NOW + timedelta(days=1),
)


def request(**changes: object) -> PlaceOrder:
    fields: dict[str, object] = {
        "account_id": AccountId("acc_00000000000000000001"),
        "symbol": "ES",
        "side": "buy",
        "type": "limit",
        "quantity": "3",
        "limit_price": "1640.25",
    }
    return PlaceOrder(**(fields | changes))  # type: ignore[arg-type]


def take(wanted: PlaceOrder, last_price: int | None = 164000, instrument: Instrument | None = None) -> Order:
    terms = read_terms(wanted, instrument or INSTRUMENTS[wanted.symbol], SETTINGS)
    return admit(PRINCIPAL, wanted, terms, last_price, SETTINGS, OrderId("ord_06d8xk2m7v1c9tb3fh0a"), NOW)


class TestReadTerms:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"quantity": "0"}, "invalid_quantity"),
            ({"quantity": "-1"}, "invalid_quantity"),
            ({"quantity": "1.5"}, "invalid_quantity"),
            ({"quantity": "NaN"}, "invalid_quantity"),
            ({"quantity": "1e3"}, "invalid_quantity"),
            ({"quantity": "Infinity"}, "invalid_quantity"),
            ({"quantity": ""}, "invalid_quantity"),
            ({"quantity": "9" * 60}, "invalid_quantity"),
            ({"quantity": "1000000001"}, "order_too_large"),
            ({"quantity": "1000000"}, "order_too_large"),
            ({"symbol": "BTC-USD", "quantity": "0.001"}, "invalid_quantity"),
            ({"limit_price": None}, "invalid_limit_price"),
            ({"limit_price": "0"}, "invalid_limit_price"),
            ({"limit_price": "-5"}, "invalid_limit_price"),
            ({"limit_price": "1640.255"}, "invalid_limit_price"),
            ({"limit_price": "9" * 38}, "invalid_limit_price"),
            ({"symbol": "BTC-USD", "quantity": "0.01", "limit_price": "64000.50"}, "invalid_limit_price"),
            ({"type": "market"}, "invalid_limit_price"),
            ({"type": "market", "limit_price": None, "time_in_force": "gtc"}, "invalid_time_in_force"),
            ({"client_order_id": ""}, "invalid_client_order_id"),
            ({"client_order_id": "a b"}, "invalid_client_order_id"),
            ({"client_order_id": "x" * 129}, "invalid_client_order_id"),
        ],
    )
    def test_bad_values_are_refused_by_name(self, changes: dict[str, object], code: str) -> None:
        with pytest.raises(Problem) as refusal:
            take(request(**changes))
        assert refusal.value.code == code
        assert refusal.value.status == 422
        assert refusal.value.extra["field"] in {
            "quantity",
            "limit_price",
            "time_in_force",
            "client_order_id",
        }

    def test_trailing_zeros_are_the_same_quantity(self) -> None:
        assert take(request(quantity="3.000")).quantity == 3


class TestAdmit:
    def test_order_keeps_the_terms_of_its_instrument(self) -> None:
        order = take(request(client_order_id="mine"))
        assert (order.protection_price, order.quantity, order.client_order_id) == (164025, 3, "mine")
        assert (order.venue, order.base_asset, order.quote_asset) == ("TAPE", "ES", "USD")

    def test_absent_client_order_id_is_the_order_id(self) -> None:
        order = take(request())
        assert order.client_order_id == order.order_id

    def test_market_order_without_a_price_is_refused(self) -> None:
        with pytest.raises(Problem) as refusal:
            take(request(type="market", limit_price=None), last_price=None)
        assert refusal.value.code == "no_market_price"

    def test_halted_instrument_is_refused(self) -> None:
        halted = msgspec.structs.replace(ES, status="halted")
        with pytest.raises(Problem) as refusal:
            take(request(), instrument=halted)
        assert refusal.value.code == "instrument_not_tradable"

    @given(
        st.sampled_from(sorted(INSTRUMENTS)),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 10**7),
        st.integers(1, 10**4),
    )
    def test_hold_of_any_market_order_is_exact(self, symbol: str, side: str, ticks: int, lots: int) -> None:
        instrument = INSTRUMENTS[symbol]
        quantity = instrument.quantity_text(instrument.lot_size * lots)
        wanted = request(symbol=symbol, side=side, type="market", limit_price=None, quantity=quantity)
        try:
            order = take(wanted, last_price=ticks * instrument.tick_size)
        except OrderTooLarge:
            return
        assert hold_of(order)[1] > 0


class TestCollarPrice:
    @given(st.integers(1, 10**9), st.integers(1, 1000))
    def test_is_a_whole_tick_outside_of_the_last_price(self, ticks: int, tick: int) -> None:
        last = ticks * tick
        high, low = (collar_price(is_buy, last, tick, SETTINGS) for is_buy in (True, False))
        assert high % tick == low % tick == 0
        assert 0 < low <= last < high
        assert high * 10_000 >= last * 10_500
        assert low == tick or low * 10_000 <= last * 9_500


class TestRequireSame:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"quantity": "4"}, "quantity"),
            ({"side": "sell"}, "side"),
            ({"limit_price": "1640.00"}, "limit_price"),
            ({"time_in_force": "gtc"}, "time_in_force"),
            ({"type": "market", "limit_price": None}, "type"),
            ({"symbol": "ACME-USD", "limit_price": "120.00"}, "symbol"),
        ],
    )
    def test_differing_field_is_named(self, changes: dict[str, object], field: str) -> None:
        stored = take(request())
        other = request(**changes)
        with pytest.raises(Problem) as refusal:
            require_same(stored, other, read_terms(other, INSTRUMENTS[other.symbol], SETTINGS))
        assert (refusal.value.code, refusal.value.extra["differs"]) == ("client_order_id_conflict", field)

    def test_same_value_in_other_words_is_the_same(self) -> None:
        stored, again = take(request()), request(quantity="3.0", limit_price="1640.250")
        require_same(stored, again, read_terms(again, ES, SETTINGS))
