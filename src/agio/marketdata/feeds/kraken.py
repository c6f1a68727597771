"""Kraken, WebSocket 1. It sends a heartbeat every second in which nothing else comes."""

from collections.abc import Iterable, Sequence
from typing import Final

from agio.marketdata.decoders import kraken
from agio.marketdata.decoders.kraken import KrakenBooks, KrakenDecoder
from agio.marketdata.feeds.connector import Connector, Endpoints, Step, frame
from agio.marketdata.normalised import Instrument

BOOK: Final = {"name": "book", "depth": 1000}
TRADES: Final = {"name": "trade"}


class KrakenConnector(Connector):
    venue = "KRAKEN"
    public = Endpoints("wss://ws.kraken.com", "https://api.kraken.com")
    instrument_paths = ("/0/public/AssetPairs",)
    stale_seconds = 10.0

    def __init__(self, instruments: Iterable[Instrument], endpoints: Endpoints | None = None) -> None:
        super().__init__(instruments, endpoints)
        self._decoder = KrakenDecoder(self.instruments.values())

    @property
    def decoder(self) -> KrakenDecoder:
        return self._decoder

    def make_books(self) -> KrakenBooks:
        return KrakenBooks()

    @staticmethod
    def read_instruments(body: bytes) -> list[Instrument]:
        return kraken.read_instruments(body)

    def opening(self) -> Sequence[Step]:
        pairs = self.venue_symbols()
        return [_request("subscribe", pairs, TRADES), _request("subscribe", pairs, BOOK)]

    def resnapshot(self, symbols: Sequence[str]) -> Sequence[Step]:
        pairs = self.venue_symbols(symbols)
        return [_request("unsubscribe", pairs, BOOK), _request("subscribe", pairs, BOOK)]


def _request(event: str, pairs: list[str], subscription: object) -> Step:
    return frame({"event": event, "pair": pairs, "subscription": subscription})
