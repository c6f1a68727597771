"""A whole platform, started as a user would start it."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agio_sdk import Agio
from benchmarks.harness import Platform


@pytest.fixture(scope="session")
def sim_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The default platform, shared by all tests that only use it."""
    platform = Platform.start(tmp_path_factory.mktemp("sim"))
    yield platform
    platform.stop()


@pytest.fixture
async def agio(sim_platform: Platform) -> AsyncIterator[Agio]:
    """An SDK client of the shared platform."""
    async with Agio(sim_platform.url, sim_platform.api_key, ca_file=sim_platform.ca_file) as client:
        yield client


@pytest.fixture
def client_environment(sim_platform: Platform) -> dict[str, str]:
    """What a user exports after `./agio up`."""
    checkout = Path(__file__).parents[2]
    return {
        **os.environ,
        "AGIO_URL": sim_platform.url,
        "AGIO_CA_FILE": sim_platform.ca_file,
        "AGIO_API_KEY": sim_platform.api_key,
        "PYTHONPATH": str(checkout / "sdk" / "python" / "src"),
    }
