"""Thousands of requests made up from the platform's own OpenAPI document: it does what the document says."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks as promises
from tests.e2e.tenants import Tenant, give_belongings, give_custody, make_key, make_tenant, resting_order

from benchmarks.harness import Platform

EXAMPLES = 10
SEED = 20_261_121

SENSIBLE: dict[str, list[object]] = {
    "symbol": ["ACME-USD", "BTC-USD"],
    "asset": ["USD", "ACME"],
    "amount": ["1.00", "0.01"],
    "quantity": ["1", "3"],
    "limit_price": ["1.00", "90.00"],
    "client_order_id": ["fuzz-1", "fuzz-2"],
    "Idempotency-Key": ["fuzz-1", "fuzz-2"],
    "base_currency": ["USD"],
    "name": ["Fuzz"],
    "scopes": [["market:read"]],
    "allowed_cidrs": [["127.0.0.0/8", "::1/128"]],
    "interval": ["1s", "1m"],
    "depth": [1, 5],
    "frequency": ["1d", "1h"],
    "from": ["2020-01-01"],
    "to": ["2020-01-31"],
    "explain": ["true", "false"],
    "var": ["historical:0.99:1", "all:0.95"],
    "start": ["2020-01-01T00:00:00Z"],
    "code": ["not_found"],
}
"""Values that lead past the first check, mixed in so that answers other than refusals are compared too."""

BEYOND_CHANCE = {
    "DELETE /api/custody/freezes/{freeze_id}",
    "DELETE /api/stream/connections/{connection_id}",
    "PATCH /api/custody/requests/{request_id}",
    "POST /api/accounts/{account_id}/external-statements",
    "POST /api/custody/credentials",
    "POST /api/custody/credentials/{credential_id}/confirm",
    "POST /api/custody/destinations",
    "POST /api/custody/policy/drafts",
    "POST /api/custody/policy/drafts/{policy_id}/activate",
    "POST /api/custody/policy/drafts/{policy_id}/approvals",
    "POST /api/custody/policy/dry-run",
    "POST /api/custody/requests",
    "POST /api/custody/requests/{request_id}/approvals",
    "POST /api/custody/requests/{request_id}/cancel",
    "POST /api/custody/requests/{request_id}/fail",
    "POST /api/custody/requests/{request_id}/reject",
    "POST /api/custody/requests/{request_id}/release",
    "POST /api/custody/requests/{request_id}/settle",
    "POST /api/holds",
    "POST /api/holds/{hold_id}/capture",
    "POST /api/journals",
    "POST /api/journals/batch",
    "POST /api/journals/{journal_id}/reverse",
    "POST /api/vaults/{vault_id}/sub-accounts",
    "PUT /api/ledger/accounts/{ledger_address}/minimum-balance",
}
"""Operations that need a checksum, a signature, legs that balance or a certain state to succeed.

What they answer then is compared with the document by `test_sdk_coverage.py` and the tests of the SDK.
"""

IRRELEVANT = [
    promises.ignored_auth,  # too many refused keys from one address are slowed down; the matrix has them all
    promises.positive_data_acceptance,  # ids, amounts and instants are text, of which most is no id
]


@pytest.fixture(scope="module")
def tenant(sim_platform: Platform) -> Tenant:
    tenant = make_tenant(sim_platform, "Fuzzed")
    give_belongings(sim_platform, tenant)
    give_custody(sim_platform, tenant)
    return tenant


@pytest.fixture(scope="module")
def session(sim_platform: Platform, tenant: Tenant) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = sim_platform.ca_file
        session.headers["Authorization"] = f"Bearer {tenant.secret}"
        yield session


@pytest.fixture(scope="module")
def schema(sim_platform: Platform, session: requests.Session) -> BaseSchema:
    document = session.get(f"{sim_platform.url}/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=sim_platform.url)
    return schema


@pytest.fixture(scope="module")
def problems(sim_platform: Platform, session: requests.Session) -> str:
    return session.get(f"{sim_platform.url}/problems", timeout=30).text


@pytest.fixture(scope="module")
def values(sim_platform: Platform, session: requests.Session, tenant: Tenant) -> dict[str, list[object]]:
    """What to put in where the document says no more than that it is text."""
    values = {**SENSIBLE, **{name: [value] for name, value in tenant.ids.items()}}
    values["account_ids"] = [[tenant.ids["account_id"]]]
    # An order on another account than the one whose orders are all canceled.
    account = session.post(f"{sim_platform.url}/api/accounts", json={"name": "Other"}).json()["account_id"]
    money = {"account_id": account, "direction": "deposit", "asset": "USD", "amount": "1000.00"}
    session.post(f"{sim_platform.url}/api/transfers", json=money).raise_for_status()
    order = session.post(f"{sim_platform.url}/api/orders", json=resting_order(account))
    values["order_id"] = [order.json()["order_id"]]
    # Keys to revoke and to rotate: the one in use must outlive the test.
    values["key_id"] = [make_key(sim_platform, tenant)[0] for _ in range(12)]
    values["path"] = [str(_tape(sim_platform))]
    started = session.post(f"{sim_platform.url}/api/market/replays", json={"path": values["path"][0]})
    values["replay_id"] = [started.json()["replay_id"]]
    return values


@pytest.mark.slow
def test_every_operation_keeps_to_its_description(
    schema: BaseSchema,
    session: requests.Session,
    values: dict[str, list[object]],
    problems: str,
    subtests: pytest.Subtests,
) -> None:
    answers: dict[str, Counter[int]] = defaultdict(Counter)
    operations = [found.ok() for found in schema.get_all_operations()]
    # Freezes last: one of the whole house refuses everything after it.
    for operation in sorted(operations, key=lambda operation: "freezes" in operation.label):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
                continue
            with subtests.test(f"{operation.label}, {mode.value}"):
                _fuzz(operation, mode, session, values, problems, answers[operation.label])
    refused = {label for label, statuses in answers.items() if min(statuses) >= 400}
    assert refused <= BEYOND_CHANCE, "these were compared by their refusals only"


def _tape(platform: Platform) -> Path:
    tape = platform.data_dir / "replays" / "fuzz.csv"
    tape.write_text("DateTime,Price,Volume\n2026-01-01 00:00:00,1.50,2\n")
    return tape


def _fuzz(
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    session: requests.Session,
    values: dict[str, list[object]],
    problems: str,
    answers: Counter[int],
) -> None:
    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), choices=st.randoms(use_true_random=False))
    def ask(case: Case, choices: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            for part in (case.path_parameters, case.query, case.headers, case.body):
                if isinstance(part, dict | requests.structures.CaseInsensitiveDict):
                    for name in part:
                        if name in values and choices.random() < 0.8:
                            part[name] = choices.choice(values[name])
        answer = case.call(session=session, verify=session.verify)
        answers[answer.status_code] += 1
        case.validate_response(answer, excluded_checks=IRRELEVANT)
        if answer.status_code >= 400:
            problem = answer.json()
            assert answer.headers["content-type"] == ["application/problem+json"]
            assert problem["request_id"] == answer.headers["x-request-id"][0]
            assert problem["type"] == f"/problems/{problem['code']}"
            assert f'"{problem["type"]}"' in problems

    ask()


def test_the_document_tells_of_headers_and_of_answers_without_a_body(schema: BaseSchema) -> None:
    paths = schema.raw_schema["paths"]
    transfer, order = paths["/api/transfers"]["post"], paths["/api/orders"]["post"]
    analytics = paths["/api/portfolios/{portfolio_id}/analytics"]["get"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in transfer["parameters"]}
    assert "If-None-Match" in {parameter["name"] for parameter in analytics["parameters"]}
    assert "content" not in analytics["responses"]["304"]
    assert "content" not in paths["/api/keys/{key_id}"]["delete"]["responses"]["204"]
    assert {"200", "201", "409", "413", "415", "422"} <= order["responses"].keys()
    assert not [name for name in schema.raw_schema["components"]["schemas"] if "agio." in name]
