"""A whole platform, started as a user would start it."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.e2e.tenants import (
    Refused,
    Tenant,
    Unchanged,
    belongings,
    connect,
    give_belongings,
    give_custody,
    make_tenant,
)

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


@pytest.fixture(scope="session")
def ours(sim_platform: Platform) -> Tenant:
    """An organisation of its own on the shared platform, with one object of each kind."""
    tenant = make_tenant(sim_platform, "Ours")
    give_belongings(sim_platform, tenant)
    give_custody(sim_platform, tenant)
    return tenant


@pytest.fixture(scope="session")
def theirs(sim_platform: Platform) -> Tenant:
    """Another such organisation."""
    tenant = make_tenant(sim_platform, "Theirs")
    give_belongings(sim_platform, tenant)
    give_custody(sim_platform, tenant)
    return tenant


@pytest.fixture(scope="session")
def http(sim_platform: Platform, ours: Tenant) -> Iterator[httpx.Client]:
    """Plain HTTP with our key."""
    with connect(sim_platform, ours.secret) as client:
        yield client


@pytest.fixture(scope="session")
def refused(http: httpx.Client) -> Refused:
    return Refused(http)


@pytest.fixture
def unchanged(sim_platform: Platform, http: httpx.Client, ours: Tenant, theirs: Tenant) -> Unchanged:
    """A block within which nothing of either organisation may change."""

    def state() -> dict[str, str]:
        balances = http.get(f"/api/accounts/{ours.ids['account_id']}/balances").json()["items"]
        positions = http.get(f"/api/portfolios/{ours.ids['portfolio_id']}/positions").json()
        rows = belongings(sim_platform, ours, theirs)
        return {**rows, "balances": str(balances), "ledger_seq": str(positions["ledger_seq"])}

    @contextmanager
    def watch() -> Iterator[None]:
        before = state()
        yield
        assert state() == before

    return watch
