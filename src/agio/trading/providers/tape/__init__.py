"""The venue on a replayed trade tape."""

from agio.trading.providers.tape.venue import TapeTrade, TapeVenue

__all__ = ["TapeTrade", "TapeVenue"]
