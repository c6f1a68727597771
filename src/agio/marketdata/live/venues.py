"""The feed of a venue: a native connector where there is one, ccxt for every other."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import aiohttp

from agio.marketdata.feeds.binance import BinanceConnector
from agio.marketdata.feeds.ccxt_feed import open_ccxt_feed
from agio.marketdata.feeds.coinbase import CoinbaseConnector
from agio.marketdata.feeds.connector import Connector, Endpoints
from agio.marketdata.feeds.kraken import KrakenConnector
from agio.marketdata.feeds.okx import OkxConnector
from agio.marketdata.feeds.port import Feed
from agio.marketdata.feeds.requests import fetch_instruments
from agio.marketdata.feeds.supervisor import SupervisedFeed
from agio.marketdata.live.market import LiveVenue
from agio.marketdata.live.settings import LiveSettings
from agio.marketdata.normalised import Instrument
from agio.platform.clock import Clock

NATIVE: Final[dict[str, type[Connector]]] = {
    connector.venue: connector
    for connector in (KrakenConnector, OkxConnector, CoinbaseConnector, BinanceConnector)
}


class OpenFeed(NamedTuple):
    """A feed that can be run, and the venue's instruments in the order in which they were wanted."""

    feed: Feed
    instruments: Sequence[Instrument]


async def open_feed(
    wanted: LiveVenue, http: aiohttp.ClientSession, clock: Clock, settings: LiveSettings
) -> OpenFeed:
    """Ask the venue for its instruments. Raises RequestFailed, UnknownInstruments, FeedUnavailable."""
    connector = NATIVE.get(wanted.venue)
    if connector is None:
        endpoints = settings.endpoints(wanted.venue, Endpoints("", ""))
        moved = endpoints if endpoints.stream or endpoints.rest else None
        pairs = dict(zip(wanted.symbols, wanted.pairs, strict=True))
        feed, instruments = await open_ccxt_feed(wanted.name, pairs, clock, moved)
        return OpenFeed(feed, instruments)
    endpoints = settings.endpoints(wanted.venue, connector.public)
    found = await fetch_instruments(http, connector, wanted.symbols, rest=endpoints.rest)
    return OpenFeed(SupervisedFeed(connector(found, endpoints), http, clock), found)
