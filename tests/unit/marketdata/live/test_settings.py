"""Where live venues are."""

import pytest

from agio.marketdata.feeds.connector import Endpoints
from agio.marketdata.settings import live_settings
from agio.platform.config import InvalidSetting, Settings

PUBLIC = Endpoints("wss://ws.kraken.example", "https://api.kraken.example")


def test_addresses_reach_the_engine_through_its_environment() -> None:
    given = Settings.from_environment(
        {
            "AGIO_DATA_DIR": "/nowhere",
            "AGIO_FEED_URL_KRAKEN": "ws://127.0.0.1:9/",
            "AGIO_FEED_URL_OKX": "wss://proxy.example/okx",
            "AGIO_FEED_REST_URL_OKX": "https://rest.example",
        }
    )

    settings = live_settings(Settings.from_environment(given.to_environment()))

    assert settings.endpoints("KRAKEN", PUBLIC) == Endpoints("ws://127.0.0.1:9", "http://127.0.0.1:9")
    assert settings.endpoints("OKX", PUBLIC) == Endpoints("wss://proxy.example/okx", "https://rest.example")
    assert settings.endpoints("BINANCE", PUBLIC) == PUBLIC


@pytest.mark.parametrize("url", ["http://127.0.0.1", "ws://", "127.0.0.1:9", "file:///etc/passwd"])
def test_what_is_no_address_of_a_stream_is_refused(url: str) -> None:
    environment = {"AGIO_DATA_DIR": "/nowhere", "AGIO_FEED_URL_KRAKEN": url}
    with pytest.raises(InvalidSetting, match="KRAKEN"):
        live_settings(Settings.from_environment(environment))
