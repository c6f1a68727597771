"""What an operator may say about live venues."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from agio.marketdata.feeds.connector import Endpoints


class LiveSettings(msgspec.Struct, frozen=True):
    """Addresses by venue in upper case; the venue's public ones where nothing is said."""

    stream_urls: Mapping[str, str] = {}
    rest_urls: Mapping[str, str] = {}
    first_retry_seconds: float = 1.0
    last_retry_seconds: float = 60.0
    """Between tries to learn a venue's instruments."""

    def endpoints(self, venue: str, public: Endpoints) -> Endpoints:
        """Where a venue is. Who names another stream alone means the same host for its REST."""
        stream = self.stream_urls.get(venue, "").rstrip("/")
        rest = self.rest_urls.get(venue, "").rstrip("/")
        if stream and not rest:
            parts = urlsplit(stream)
            rest = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
        return Endpoints(stream or public.stream, rest or public.rest)
