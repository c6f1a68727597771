"""Refusals of trading."""

from agio.kernel.problem import Conflict, InvalidRequest, Unavailable


class UnknownSymbol(InvalidRequest):
    """No instrument has this symbol; `GET /api/instruments` lists those that exist."""

    code = "unknown_symbol"
    title = "Unknown symbol"


class InvalidQuantity(InvalidRequest):
    """The quantity is not positive, too precise, not a multiple of the lot, or too large."""

    code = "invalid_quantity"
    title = "Invalid quantity"


class InvalidLimitPrice(InvalidRequest):
    """The limit price is missing, superfluous, not positive, or not a multiple of the tick."""

    code = "invalid_limit_price"
    title = "Invalid limit price"


class InvalidTimeInForce(InvalidRequest):
    """This order type does not go with this time in force."""

    code = "invalid_time_in_force"
    title = "Invalid time in force"


class InvalidClientOrderId(InvalidRequest):
    """A client order id has 1 to 128 visible ASCII characters."""

    code = "invalid_client_order_id"
    title = "Invalid client order id"


class OrderTooLarge(InvalidRequest):
    """The order is beyond a pre-trade limit; `limit` names it. Split the order."""

    code = "order_too_large"
    title = "Order too large"


class ClientOrderIdConflict(InvalidRequest):
    """This client order id was used on this account for another order; `differs` names the first field."""

    code = "client_order_id_conflict"
    title = "Client order id already used"


class InstrumentNotTradable(Conflict):
    """The instrument exists and takes no orders now."""

    code = "instrument_not_tradable"
    title = "Instrument not tradable"


class NoMarketPrice(Conflict):
    """There is no price yet to protect a market order with; send a limit order, or retry when it trades."""

    code = "no_market_price"
    title = "No market price"


class AccountNotTradable(Conflict):
    """The account is closed or frozen."""

    code = "account_not_tradable"
    title = "Account not tradable"


class OrderAlreadyClosed(Conflict):
    """The order is filled, canceled, rejected or expired; `order` shows it."""

    code = "order_already_closed"
    title = "Order already closed"


class OutcomeUnknown(Unavailable):
    """The order may or may not have been accepted. Send it again with the same client order id."""

    code = "outcome_unknown"
    title = "Outcome unknown"
