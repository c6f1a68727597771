"""The recorded sessions, read once."""

from pathlib import Path

import pytest
from tests.unit.marketdata.decoders.sessions import Session, load_session


@pytest.fixture(scope="session")
def kraken_session(real_data: Path) -> Session:
    return load_session(real_data, "KRAKEN")


@pytest.fixture(scope="session")
def okx_session(real_data: Path) -> Session:
    return load_session(real_data, "OKX")


@pytest.fixture(scope="session")
def coinbase_session(real_data: Path) -> Session:
    return load_session(real_data, "COINBASE")


@pytest.fixture(scope="session")
def binance_session(real_data: Path) -> Session:
    return load_session(real_data, "BINANCE")
