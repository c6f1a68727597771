"""Refusals of analytics."""

from agio.kernel.problem import InvalidRequest


class InvalidQuery(InvalidRequest):
    """A query parameter of an analytics request is unknown or unusable; `field` names it."""

    code = "invalid_query"
    title = "Invalid analytics query"


class CurrencyNotAvailable(InvalidRequest):
    """Analytics are computed in the portfolio's base currency; leave `currency` out or name that one."""

    code = "currency_not_available"
    title = "Currency not available"


class WindowTooLong(InvalidRequest):
    """The window has more than 10,000 periods of the frequency. Shorten it or choose a coarser frequency."""

    code = "window_too_long"
    title = "Window too long"


class InvalidPortfolio(InvalidRequest):
    """A portfolio needs a name, one to 32 different accounts of yours and their common base currency."""

    code = "invalid_portfolio"
    title = "Invalid portfolio"


class HistoryTooLong(InvalidRequest):
    """An account of the portfolio has more ledger entries than analytics reads."""

    code = "history_too_long"
    title = "History too long"
