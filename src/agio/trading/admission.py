"""Pre-trade rules: from what a client worded to an order with exact terms. Pure."""

import re
from datetime import datetime
from typing import Final

import msgspec

from agio.identity.api import Principal
from agio.kernel.ids import OrderId
from agio.kernel.money import InvalidAmount, parse_decimal
from agio.marketdata.api import Instrument
from agio.trading.api import PlaceOrder
from agio.trading.errors import (
    ClientOrderIdConflict,
    InstrumentNotTradable,
    InvalidClientOrderId,
    InvalidLimitPrice,
    InvalidQuantity,
    InvalidTimeInForce,
    NoMarketPrice,
    OrderTooLarge,
)
from agio.trading.model import Order, notional_of
from agio.trading.settings import BASIS_POINTS, TradingSettings

_CLIENT_ORDER_ID = re.compile(r"^[\x21-\x7e]{1,128}$", re.ASCII)
_COMPARED: Final = ("symbol", "side", "type", "time_in_force", "quantity", "limit_price")


class Terms(msgspec.Struct, frozen=True):
    """What of a request is right or wrong whatever the market does."""

    instrument: Instrument
    quantity: int
    limit_price: int | None


def read_terms(request: PlaceOrder, instrument: Instrument, settings: TradingSettings) -> Terms:
    """Check everything that time cannot change; raises the problem that names the field."""
    name = request.client_order_id
    if name is not None and _CLIENT_ORDER_ID.fullmatch(name) is None:
        raise InvalidClientOrderId(
            "client_order_id has 1 to 128 visible ASCII characters and no blanks",
            extra={"field": "client_order_id"},
        )
    if request.type == "market" and request.time_in_force == "gtc":
        raise InvalidTimeInForce(
            "a market order does not rest: use day or ioc", extra={"field": "time_in_force"}
        )
    quantity = _read_quantity(request.quantity, instrument, settings)
    return Terms(instrument, quantity, _read_limit_price(request, instrument))


def _read_quantity(text: str, instrument: Instrument, settings: TradingSettings) -> int:
    extra: dict[str, object] = {"field": "quantity"}
    try:
        quantity = parse_decimal(text, instrument.quantity_scale, field="quantity")
    except InvalidAmount as error:
        raise InvalidQuantity(error.detail, extra=extra) from error
    if quantity <= 0:
        raise InvalidQuantity("quantity must be more than zero", extra=extra)
    if quantity % instrument.lot_size:
        lot = instrument.quantity_text(instrument.lot_size)
        raise InvalidQuantity(f"quantity must be a multiple of the lot size {lot}", extra=extra)
    if quantity > settings.maximum_quantity * 10**instrument.quantity_scale:
        raise OrderTooLarge(
            f"quantity is more than {settings.maximum_quantity}",
            extra={**extra, "limit": str(settings.maximum_quantity)},
        )
    return quantity


def _read_limit_price(request: PlaceOrder, instrument: Instrument) -> int | None:
    extra: dict[str, object] = {"field": "limit_price"}
    if request.type == "market":
        if request.limit_price is not None:
            raise InvalidLimitPrice("a market order has no limit_price", extra=extra)
        return None
    if request.limit_price is None:
        raise InvalidLimitPrice("a limit order needs a limit_price", extra=extra)
    try:
        price = parse_decimal(request.limit_price, instrument.price_scale, field="limit_price")
    except InvalidAmount as error:
        raise InvalidLimitPrice(error.detail, extra=extra) from error
    if price <= 0:
        raise InvalidLimitPrice("limit_price must be more than zero", extra=extra)
    if price % instrument.tick_size:
        tick = instrument.price_text(instrument.tick_size)
        raise InvalidLimitPrice(f"limit_price must be a multiple of the tick size {tick}", extra=extra)
    return price


def admit(
    principal: Principal,
    request: PlaceOrder,
    terms: Terms,
    last_price: int | None,
    settings: TradingSettings,
    order_id: OrderId,
    at: datetime,
) -> Order:
    """The order to accept, in its first state.

    Raises InstrumentNotTradable, NoMarketPrice, OrderTooLarge: what may be different a moment later.
    """
    instrument = terms.instrument
    if instrument.status != "active":
        raise InstrumentNotTradable(f"{instrument.symbol} is {instrument.status}")
    order = Order(
        order_id=order_id,
        organisation_id=principal.organisation_id,
        environment=principal.environment,
        account_id=request.account_id,
        client_order_id=request.client_order_id or order_id,
        symbol=instrument.symbol,
        venue=instrument.venue,
        base_asset=instrument.base_asset,
        quote_asset=instrument.quote_asset,
        price_scale=instrument.price_scale,
        quantity_scale=instrument.quantity_scale,
        quote_scale=instrument.quote_scale,
        fee_basis_points=settings.fee_basis_points,
        side=request.side,
        type=request.type,
        time_in_force=request.time_in_force,
        quantity=terms.quantity,
        limit_price=terms.limit_price,
        protection_price=_protection_price(request, terms, last_price, settings),
        created_at=at,
        updated_at=at,
    )
    if notional_of(order, order.quantity, order.protection_price) > (
        settings.maximum_notional * 10**order.quote_scale
    ):
        raise OrderTooLarge(
            f"the order is worth more than {settings.maximum_notional} {order.quote_asset}",
            extra={"field": "quantity", "limit": str(settings.maximum_notional)},
        )
    return order


def _protection_price(
    request: PlaceOrder, terms: Terms, last_price: int | None, settings: TradingSettings
) -> int:
    if terms.limit_price is not None:
        return terms.limit_price
    if last_price is None:
        raise NoMarketPrice(f"{terms.instrument.symbol} has not traded yet: send a limit order")
    return collar_price(request.side == "buy", last_price, terms.instrument.tick_size, settings)


def collar_price(is_buy: bool, last_price: int, tick: int, settings: TradingSettings) -> int:
    """The worst price of a market order: away from the last price by the collar, outward to a whole tick."""
    if is_buy:
        numerator = last_price * (BASIS_POINTS + settings.collar_basis_points)
        return -(-numerator // (BASIS_POINTS * tick)) * tick
    numerator = last_price * (BASIS_POINTS - settings.collar_basis_points)
    return max(numerator // (BASIS_POINTS * tick) * tick, tick)


def require_same(stored: Order, request: PlaceOrder, terms: Terms) -> None:
    """Raise ClientOrderIdConflict, naming the first differing field, unless they are the same order."""
    wanted = {
        "symbol": terms.instrument.symbol,
        "side": request.side,
        "type": request.type,
        "time_in_force": request.time_in_force,
        "quantity": terms.quantity,
        "limit_price": terms.limit_price,
    }
    for name in _COMPARED:
        if wanted[name] != getattr(stored, name):
            raise ClientOrderIdConflict(
                f"client_order_id {stored.client_order_id} names order {stored.order_id}"
                f" with another {name}: use a new client_order_id",
                extra={"differs": name, "order_id": stored.order_id},
            )
