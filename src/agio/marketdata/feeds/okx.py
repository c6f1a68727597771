"""OKX, WebSocket 5. It closes after 30 silent seconds unless asked `ping`, and repeats a book that stands
still every 60 seconds."""

from collections.abc import Iterable, Sequence

from agio.marketdata.decoders import okx
from agio.marketdata.decoders.okx import OkxBooks, OkxDecoder
from agio.marketdata.feeds.connector import Connector, Endpoints, KeepAlive, Step, frame
from agio.marketdata.normalised import Heartbeat, Instrument, Message


class OkxConnector(Connector):
    venue = "OKX"
    public = Endpoints("wss://ws.okx.com:8443/ws/v5/public", "https://www.okx.com")
    instrument_paths = (
        "/api/v5/public/instruments?instType=SPOT",
        "/api/v5/public/instruments?instType=SWAP",
        "/api/v5/public/instruments?instType=FUTURES",
    )
    stale_seconds = 70.0
    keep_alive = KeepAlive(20.0, "ping")

    def __init__(self, instruments: Iterable[Instrument], endpoints: Endpoints | None = None) -> None:
        super().__init__(instruments, endpoints)
        self._decoder = OkxDecoder(self.instruments.values())

    @property
    def decoder(self) -> OkxDecoder:
        return self._decoder

    def make_books(self) -> OkxBooks:
        return OkxBooks()

    @staticmethod
    def read_instruments(body: bytes) -> list[Instrument]:
        return okx.read_instruments(body)

    def opening(self) -> Sequence[Step]:
        names = self.venue_symbols()
        return [_request("subscribe", channel, names) for channel in ("trades", "books")]

    def resnapshot(self, symbols: Sequence[str]) -> Sequence[Step]:
        names = self.venue_symbols(symbols)
        return [_request(operation, "books", names) for operation in ("unsubscribe", "subscribe")]

    def proves_life(self, message: Message) -> bool:
        """`pong` does not: it also comes from a socket whose subscriptions are dead."""
        return super().proves_life(message) and not isinstance(message, Heartbeat)


def _request(operation: str, channel: str, names: list[str]) -> Step:
    return frame({"op": operation, "args": [{"channel": channel, "instId": name} for name in names]})
