"""Coinbase Advanced Trade. The heartbeats channel speaks every second and keeps the others open."""

from collections.abc import Iterable, Sequence

from agio.marketdata.decoders import coinbase
from agio.marketdata.decoders.coinbase import CoinbaseBooks, CoinbaseDecoder
from agio.marketdata.feeds.connector import Connector, Endpoints, Step, frame
from agio.marketdata.normalised import Instrument


class CoinbaseConnector(Connector):
    venue = "COINBASE"
    public = Endpoints("wss://advanced-trade-ws.coinbase.com", "https://api.coinbase.com")
    instrument_paths = ("/api/v3/brokerage/market/products",)
    stale_seconds = 10.0

    def __init__(self, instruments: Iterable[Instrument], endpoints: Endpoints | None = None) -> None:
        super().__init__(instruments, endpoints)
        self._decoder = CoinbaseDecoder(self.instruments.values())

    @property
    def decoder(self) -> CoinbaseDecoder:
        return self._decoder

    def make_books(self) -> CoinbaseBooks:
        return CoinbaseBooks()

    @staticmethod
    def read_instruments(body: bytes) -> list[Instrument]:
        return coinbase.read_instruments(body)

    def opening(self) -> Sequence[Step]:
        names = self.venue_symbols()
        return [
            _request("subscribe", channel, names) for channel in ("heartbeats", "market_trades", "level2")
        ]

    def resnapshot(self, symbols: Sequence[str]) -> Sequence[Step]:
        names = self.venue_symbols(symbols)
        return [_request(kind, "level2", names) for kind in ("unsubscribe", "subscribe")]


def _request(kind: str, channel: str, names: list[str]) -> Step:
    return frame({"type": kind, "product_ids": names, "channel": channel})
