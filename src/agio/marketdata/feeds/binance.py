"""Binance spot. The address names the streams; a book begins with a REST snapshot joined to its stream."""

from collections.abc import Iterable, Sequence
from functools import partial

from agio.marketdata.decoders import binance
from agio.marketdata.decoders.binance import BinanceBooks, BinanceDecoder
from agio.marketdata.feeds.connector import Connector, Endpoints, FetchBook, Step
from agio.marketdata.normalised import Instrument


class BinanceConnector(Connector):
    venue = "BINANCE"
    public = Endpoints("wss://stream.binance.com:9443", "https://api.binance.com")
    instrument_paths = ("/api/v3/exchangeInfo",)
    stale_seconds = 60.0

    def __init__(self, instruments: Iterable[Instrument], endpoints: Endpoints | None = None) -> None:
        super().__init__(instruments, endpoints)
        self._decoder = BinanceDecoder(self.instruments.values())

    @property
    def decoder(self) -> BinanceDecoder:
        return self._decoder

    @property
    def stream_url(self) -> str:
        names = [name.lower() for name in self.venue_symbols()]
        streams = [f"{name}@{stream}" for stream in ("depth@100ms", "aggTrade") for name in names]
        return f"{self.endpoints.stream}/stream?streams={'/'.join(streams)}"

    def make_books(self) -> BinanceBooks:
        return BinanceBooks()

    @staticmethod
    def read_instruments(body: bytes) -> list[Instrument]:
        return binance.read_instruments(body)

    def opening(self) -> Sequence[Step]:
        return self.resnapshot(self.symbols)

    def resnapshot(self, symbols: Sequence[str]) -> Sequence[Step]:
        return [self._fetch(symbol) for symbol in symbols]

    def _fetch(self, symbol: str) -> FetchBook:
        name = self.instruments[symbol].venue_symbol
        url = f"{self.endpoints.rest}/api/v3/depth?symbol={name}&limit=1000"
        return FetchBook(symbol, url, partial(self._decoder.decode_snapshot, name))
