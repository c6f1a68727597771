"""The recorded sessions as markets that go on: what each venue would send and answer at any position."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.unit.marketdata.decoders.sessions import Change, ReferenceBook, raw_changes, two_sides

from agio.marketdata.decoders.recording import Recording

TOP = 10
"""Levels by which a state of a book is recognised."""


class MarketFrame(NamedTuple):
    at_ns: int
    channel: str
    """book, trades or life; what nobody subscribes to is left out."""
    symbol: str
    """The venue's; empty for life."""
    text: str
    changes: list[Change]


class Request(NamedTuple):
    is_subscribe: bool
    channel: str
    symbols: list[str]


class VenueSide(ABC):
    """One venue's half of the conversation, from its recording."""

    name: ClassVar[str]
    depth: ClassVar[int | None] = None
    """Levels that a subscription keeps told of."""
    has_rest_books: ClassVar[bool] = False

    def __init__(self, recording: Recording, symbols: list[str], limit: int | None = None) -> None:
        self.symbols = symbols
        self.references = {symbol: ReferenceBook() for symbol in symbols}
        self.answers = {
            urlsplit(event.address).path + "?" + urlsplit(event.address).query: event.data
            for event in recording.events
            if event.kind == "http"
        }
        self.frames: list[MarketFrame] = []
        books = 0
        for frame in self._read(recording):
            books += frame.channel == "book"
            if limit is not None and books > limit:
                break
            self.frames.append(frame)
        self.seen: dict[str, set[object]] = {symbol: {self.top(symbol)} for symbol in symbols}
        """Every state that a book ever had."""

    def _read(self, recording: Recording) -> Iterator[MarketFrame]:
        for event in recording.received():
            channel, symbol = self.route(json.loads(event.data))
            if channel == "life":
                yield MarketFrame(event.at_ns, channel, "", event.data, [])
            elif symbol in self.references and channel == "trades":
                yield MarketFrame(event.at_ns, channel, symbol, event.data, [])
            elif symbol in self.references and channel == "book":
                ((_, is_snapshot, changes),) = raw_changes(self.name, event.data)
                if is_snapshot:
                    self.put(symbol, changes)
                else:
                    yield MarketFrame(event.at_ns, channel, symbol, event.data, changes)

    def advance(self, frame: MarketFrame) -> None:
        """The market has gone on by this frame."""
        if frame.changes:
            self.put(frame.symbol, frame.changes)
            self.seen[frame.symbol].add(self.top(frame.symbol))

    def put(self, symbol: str, changes: list[Change]) -> None:
        reference = self.references[symbol]
        for change in changes:
            reference.put(*change)
        if self.depth is not None:
            while len(reference.bids) > self.depth:
                del reference.bids[min(reference.bids)]
            while len(reference.asks) > self.depth:
                del reference.asks[max(reference.asks)]

    def top(self, symbol: str) -> object:
        bids, asks = self.references[symbol].top(TOP)
        return tuple(bids), tuple(asks)

    def near_best(self, frame: MarketFrame) -> Change | None:
        """The first change of the frame, not yet applied, to a level near the best one."""
        bids, asks = self.references[frame.symbol].top(3)
        best = {("bid", price) for price, _ in bids} | {("ask", price) for price, _ in asks}
        return next((change for change in frame.changes if (change[0], Decimal(change[1])) in best), None)

    def rows(self, symbol: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """(bids, asks) of the reference as the venue wrote them, best first."""
        reference = self.references[symbol]
        return (
            [reference.texts["bid", price] for price in sorted(reference.bids, reverse=True)],
            [reference.texts["ask", price] for price in sorted(reference.asks)],
        )

    def greeting(self) -> list[str]:
        return []

    def number(self, text: str, sequence: int) -> str:
        """The frame as the `sequence`-th of its connection."""
        return text

    def reply(self, text: str) -> str | None:
        """To a frame that is no request for data."""
        return None

    def from_address(self, path: str) -> list[Request]:
        """What the address itself subscribes to."""
        return []

    def rest(self, path: str) -> str | None:
        return self.answers.get(path if "?" in path else path + "?")

    @abstractmethod
    def route(self, message: Any) -> tuple[str, str]:
        """(channel, venue symbol) of a frame."""

    @abstractmethod
    def read_request(self, text: str) -> Request | None: ...

    @abstractmethod
    def acknowledge(self, request: Request, text: str) -> list[str]: ...

    @abstractmethod
    def snapshot(self, symbol: str) -> str | None: ...


class KrakenSide(VenueSide):
    name = "KRAKEN"
    depth = 1000

    def route(self, message: Any) -> tuple[str, str]:
        if isinstance(message, dict):
            return ("life", "") if message["event"] == "heartbeat" else ("", "")
        name = message[-2].partition("-")[0]
        return {"book": "book", "trade": "trades"}.get(name, ""), message[-1]

    def greeting(self) -> list[str]:
        return ['{"connectionID":1,"event":"systemStatus","status":"online","version":"1.8.3"}']

    def read_request(self, text: str) -> Request | None:
        message = json.loads(text)
        channel = {"book": "book", "trade": "trades"}[message["subscription"]["name"]]
        return Request(message["event"] == "subscribe", channel, message["pair"])

    def acknowledge(self, request: Request, text: str) -> list[str]:
        name = "book-1000" if request.channel == "book" else "trade"
        status = "subscribed" if request.is_subscribe else "unsubscribed"
        about = {"channelName": name, "event": "subscriptionStatus", "status": status}
        return [json.dumps(about | {"pair": pair}) for pair in request.symbols]

    def snapshot(self, symbol: str) -> str | None:
        bids, asks = ([[*row, "1618678142.000000"] for row in side] for side in self.rows(symbol))
        return json.dumps([1, {"as": asks, "bs": bids}, "book-1000", symbol])


class OkxSide(VenueSide):
    name = "OKX"

    def __init__(self, recording: Recording, symbols: list[str], limit: int | None = None) -> None:
        self.checksums: dict[str, int] = {}
        super().__init__(recording, symbols, limit)

    def route(self, message: Any) -> tuple[str, str]:
        if "data" not in message:
            return "", ""
        argument = message["arg"]
        if message.get("action") == "snapshot":
            self.checksums[argument["instId"]] = message["data"][-1]["checksum"]
        return {"books": "book", "trades": "trades"}.get(argument["channel"], ""), argument["instId"]

    def advance(self, frame: MarketFrame) -> None:
        super().advance(frame)
        if frame.channel == "book":
            self.checksums[frame.symbol] = json.loads(frame.text)["data"][-1]["checksum"]

    def reply(self, text: str) -> str | None:
        return "pong" if text == "ping" else None

    def read_request(self, text: str) -> Request | None:
        if text == "ping":
            return None
        message = json.loads(text)
        channel = {"books": "book", "trades": "trades"}[message["args"][0]["channel"]]
        return Request(message["op"] == "subscribe", channel, [one["instId"] for one in message["args"]])

    def acknowledge(self, request: Request, text: str) -> list[str]:
        message = json.loads(text)
        return [json.dumps({"event": message["op"], "arg": argument}) for argument in message["args"]]

    def snapshot(self, symbol: str) -> str | None:
        bids, asks = ([[*row, "0", "1"] for row in side] for side in self.rows(symbol))
        body = {"asks": asks, "bids": bids, "ts": "1652459000000", "checksum": self.checksums[symbol]}
        return json.dumps(
            {"arg": {"channel": "books", "instId": symbol}, "action": "snapshot", "data": [body]}
        )


class CoinbaseSide(VenueSide):
    name = "COINBASE"

    def route(self, message: Any) -> tuple[str, str]:
        match message["channel"]:
            case "heartbeats":
                return "life", ""
            case "l2_data":
                return "book", message["events"][0]["product_id"]
            case "market_trades" if message["events"][0]["type"] == "update":
                return "trades", message["events"][0]["trades"][0]["product_id"]
        return "", ""

    def number(self, text: str, sequence: int) -> str:
        return re.sub(r'"sequence_num": ?\d+', f'"sequence_num":{sequence}', text, count=1)

    def read_request(self, text: str) -> Request | None:
        message = json.loads(text)
        channel = {"level2": "book", "market_trades": "trades", "heartbeats": "life"}[message["channel"]]
        return Request(message["type"] == "subscribe", channel, message["product_ids"])

    def acknowledge(self, request: Request, text: str) -> list[str]:
        if not request.is_subscribe:
            return [_coinbase("subscriptions", {"subscriptions": {}})]
        message = json.loads(text)
        subscribed = {message["channel"]: message["product_ids"]}
        return [_coinbase("subscriptions", {"subscriptions": subscribed})]

    def snapshot(self, symbol: str) -> str | None:
        updates = [
            {
                "side": side,
                "event_time": "2026-08-09T21:05:48.000000Z",
                "price_level": price,
                "new_quantity": size,
            }
            for side, rows in zip(("bid", "offer"), self.rows(symbol), strict=True)
            for price, size in rows
        ]
        return _coinbase("l2_data", {"type": "snapshot", "product_id": symbol, "updates": updates})


def _coinbase(channel: str, event: object) -> str:
    about = {"channel": channel, "timestamp": "2026-08-09T21:05:48.000000Z", "sequence_num": 0}
    return json.dumps(about | {"events": [event]})


class BinanceSide(VenueSide):
    name = "BINANCE"
    has_rest_books = True

    def __init__(self, recording: Recording, symbols: list[str], limit: int | None = None) -> None:
        self.last: dict[str, int] = {}
        super().__init__(recording, symbols, limit)

    def _read(self, recording: Recording) -> Iterator[MarketFrame]:
        for answer in recording.answers("/depth?"):
            symbol = parse_qs(urlsplit(answer.address).query)["symbol"][0]
            if symbol in self.references:
                body = json.loads(answer.data)
                self.put(symbol, two_sides(body, "bids", "asks"))
                self.last[symbol] = body["lastUpdateId"]
        yield from super()._read(recording)

    def advance(self, frame: MarketFrame) -> None:
        """Events from before the recorded snapshot change nothing: it has them already."""
        if self._is_new(frame):
            self.last[frame.symbol] = json.loads(frame.text)["data"]["u"]
            super().advance(frame)

    def near_best(self, frame: MarketFrame) -> Change | None:
        return super().near_best(frame) if self._is_new(frame) else None

    def _is_new(self, frame: MarketFrame) -> bool:
        return frame.channel == "book" and json.loads(frame.text)["data"]["u"] > self.last[frame.symbol]

    def route(self, message: Any) -> tuple[str, str]:
        symbol, _, stream = message.get("stream", "").partition("@")
        return {"depth@100ms": "book", "aggTrade": "trades"}.get(stream, ""), symbol.upper()

    def from_address(self, path: str) -> list[Request]:
        streams = [one.partition("@") for one in parse_qs(urlsplit(path).query)["streams"][0].split("/")]
        return [
            Request(True, {"depth@100ms": "book", "aggTrade": "trades"}[stream], [symbol.upper()])
            for symbol, _, stream in streams
        ]

    def rest(self, path: str) -> str | None:
        if not path.startswith("/api/v3/depth?"):
            return super().rest(path)
        symbol = parse_qs(urlsplit(path).query)["symbol"][0]
        bids, asks = self.rows(symbol)
        return json.dumps({"lastUpdateId": self.last[symbol], "bids": bids, "asks": asks})

    def read_request(self, text: str) -> Request | None:
        return None

    def acknowledge(self, request: Request, text: str) -> list[str]:
        return []

    def snapshot(self, symbol: str) -> str | None:
        return None


class BitstampSide(VenueSide):
    """Books begin with a REST snapshot that a client takes when it likes: the market does not wait for it."""

    name = "BITSTAMP"

    def __init__(self, recording: Recording, symbols: list[str], limit: int | None = None) -> None:
        self.last: dict[str, str] = {}
        super().__init__(recording, symbols, limit)

    def _read(self, recording: Recording) -> Iterator[MarketFrame]:
        for answer in recording.answers("/order_book/"):
            symbol = answer.address.rpartition("/")[2]
            if symbol in self.references:
                body = json.loads(answer.data)
                self.put(symbol, two_sides(body, "bids", "asks"))
                self.last[symbol] = body["microtimestamp"]
        yield from super()._read(recording)

    def advance(self, frame: MarketFrame) -> None:
        """Differences from before the recorded snapshot change nothing: it has them already."""
        if frame.channel == "book":
            moment = json.loads(frame.text)["data"]["microtimestamp"]
            if int(moment) > int(self.last[frame.symbol]):
                self.last[frame.symbol] = moment
                super().advance(frame)

    def route(self, message: Any) -> tuple[str, str]:
        channel, _, symbol = message.get("channel", "").rpartition("_")
        if message["event"] not in ("data", "trade"):
            return "", ""
        return {"diff_order_book": "book", "live_trades": "trades"}.get(channel, ""), symbol

    def rest(self, path: str) -> str | None:
        if path.endswith("/markets/"):
            return self._markets()
        if "/order_book/" not in path:
            return None
        symbol = urlsplit(path).path.strip("/").rpartition("/")[2]
        bids, asks = self.rows(symbol)
        moment = self.last[symbol]
        return json.dumps({"timestamp": moment[:10], "microtimestamp": moment, "bids": bids, "asks": asks})

    def _markets(self) -> str:
        """The recorded pairs in the form in which the venue tells them since."""
        (body,) = (body for path, body in self.answers.items() if "trading-pairs-info" in path)
        return json.dumps(
            [
                {
                    **pair,
                    "market_symbol": pair["url_symbol"],
                    "market_type": "SPOT",
                    "minimum_order_value": pair["minimum_order"].partition(" ")[0],
                    "base_currency": pair["name"].partition("/")[0],
                    "counter_currency": pair["name"].partition("/")[2],
                }
                for pair in json.loads(body)
            ]
        )

    def read_request(self, text: str) -> Request | None:
        message = json.loads(text)
        channel, _, symbol = message["data"]["channel"].rpartition("_")
        kind = {"diff_order_book": "book", "live_trades": "trades"}[channel]
        return Request(message["event"] == "bts:subscribe", kind, [symbol])

    def acknowledge(self, request: Request, text: str) -> list[str]:
        done = "subscription" if request.is_subscribe else "unsubscription"
        channel = json.loads(text)["data"]["channel"]
        return [json.dumps({"event": f"bts:{done}_succeeded", "channel": channel, "data": {}})]

    def snapshot(self, symbol: str) -> str | None:
        return None


SIDES: dict[str, type[VenueSide]] = {
    side.name: side for side in (KrakenSide, OkxSide, CoinbaseSide, BinanceSide, BitstampSide)
}
