"""Refusals of the market data room."""

from agio.kernel.problem import Conflict, InvalidRequest, NotFound, Unavailable
from agio.platform.leases import LeaseLost


class UnknownInstrument(NotFound):
    """No instrument has this symbol. `GET /api/instruments` lists those that exist."""

    code = "unknown_instrument"
    title = "Unknown instrument"


class NoMarketData(NotFound):
    """The instrument exists, and nothing of the kind asked for has been published for it yet."""

    code = "no_market_data"
    title = "No market data"


class MarketDataUnavailable(Unavailable):
    """The engine that holds current quotes and books does not answer."""

    code = "market_data_unavailable"
    title = "Market data unavailable"


class BookDoubtful(Unavailable):
    """The venue's own rules say that something of this book is missing or wrong. It is asked for anew."""

    code = "book_doubtful"
    title = "Book doubtful"


class TickStoreUnavailable(Unavailable):
    """The store of past trades and quotes cannot be read now. The newest hours are served without it."""

    code = "tick_store_unavailable"
    title = "Tick store unavailable"


class UnknownReplay(NotFound):
    """There is no replay with this id."""

    code = "unknown_replay"
    title = "Unknown replay"


class TapeError(InvalidRequest):
    """A recorded tape cannot be played. `line` names the first line that is wrong; nothing was published."""

    code = "invalid_tape"
    title = "Invalid tape"

    def __init__(self, reason: str, line: int | None = None) -> None:
        where = f"line {line}: " if line is not None else ""
        super().__init__(f"{where}{reason}", extra={"line": line, "reason": reason})
        self.line = line
        self.reason = reason


class TapeNotAllowed(InvalidRequest):
    """The path is not a regular file below one of the folders that this server may replay from."""

    code = "tape_not_allowed"
    title = "Tape not allowed"


class InstrumentMismatch(Conflict):
    """The tape does not fit the instrument that already has its symbol. Give another `symbol`."""

    code = "instrument_mismatch"
    title = "Instrument mismatch"


class StaleWriter(LeaseLost):
    """The market's writer was replaced: what is stored is not what this process wrote."""
