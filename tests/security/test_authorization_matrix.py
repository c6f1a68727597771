"""Every operation and every channel x every kind of caller. A new route without a row fails here."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import psycopg
import pytest
from tests.conftest import Databases
from tests.security.surface import (
    ANSWERS,
    CHANNEL_KEYS,
    ENDLESS,
    NOT_THERE,
    SHARED_CHANNELS,
    SHARED_PARAMETERS,
    Surface,
    bodies_naming,
    seed,
)

from agio.identity.api import ANY_KEY, SCOPES, Forbidden, Policy, Principal
from agio.identity.authentication import KeyAuthenticator
from agio.identity.service import IssuedKey
from agio.ops.inventory import render_authorization
from agio.platform.channels import UnknownChannel
from agio.platform.crypto import mint_token
from agio.platform.http import Operation

Issue = Callable[..., Awaitable[IssuedKey]]


@pytest.fixture
def issue(surface: Surface) -> Issue:
    """Issues a key of a new organisation, with all scopes but those named."""

    async def make(*without: str, allowed_cidrs: tuple[str, ...] = ()) -> IssuedKey:
        organisation_id = await surface.identity.create_organisation("Matrix")
        scopes = [scope for scope in SCOPES if scope not in without]
        return await surface.identity.issue_key(
            organisation_id, "sandbox", scopes, name="matrix", allowed_cidrs=allowed_cidrs
        )

    return make


def guarded(surface: Surface) -> list[Operation]:
    return [operation for operation in surface.operations if not operation.is_public]


class TestCallers:
    async def test_nobody_without_a_credential_gets_past_the_door(self, surface: Surface) -> None:
        for operation in guarded(surface):
            answer = await surface.call(operation, None)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), operation
            assert answer.headers["www-authenticate"].startswith("Bearer"), operation

    async def test_a_garbage_or_unknown_key_opens_nothing(self, surface: Surface) -> None:
        for secret in (
            "garbage",
            mint_token("agio_sandbox"),
            mint_token("agio_live"),
            mint_token("agio_ticket"),
        ):
            for operation in guarded(surface):
                answer = await surface.call(operation, secret)
                assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), operation

    async def test_a_key_without_the_scope_is_told_which_one(self, surface: Surface, issue: Issue) -> None:
        keys = {scope: (await issue(scope)).secret for scope in SCOPES}
        for operation in guarded(surface):
            if operation.scope == ANY_KEY:
                continue
            assert operation.scope in SCOPES, operation
            answer = await surface.call(operation, keys[operation.scope])
            assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope"), operation
            assert answer.json()["scope"] == operation.scope

    async def test_a_key_with_only_that_scope_gets_past_the_door(
        self, surface: Surface, issue: Issue
    ) -> None:
        keys = {scope: (await issue(*(set(SCOPES) - {scope}))).secret for scope in SCOPES}
        for operation in guarded(surface):
            scope = "market:read" if operation.scope in (None, ANY_KEY) else operation.scope
            answer = await surface.call(operation, keys[scope])
            assert answer.status_code not in {401, 403, 500}, f"{operation}: {answer.text}"

    async def test_an_expired_key_opens_nothing(
        self, surface: Surface, issue: Issue, databases: Databases
    ) -> None:
        expired = await issue()
        _update_key(
            databases, expired, "created_at = now() - interval '2 d', expires_at = now() - interval '1 s'"
        )
        for operation in guarded(surface):
            answer = await surface.call(operation, expired.secret)
            assert (answer.status_code, answer.json()["code"]) == (401, "key_expired"), operation

    async def test_a_revoked_key_opens_nothing(
        self, surface: Surface, issue: Issue, databases: Databases
    ) -> None:
        revoked = await issue()
        _update_key(databases, revoked, "revoked_at = now()")
        for operation in guarded(surface):
            answer = await surface.call(operation, revoked.secret)
            assert (answer.status_code, answer.json()["code"]) == (401, "key_revoked"), operation

    async def test_a_key_is_useless_outside_of_its_networks(self, surface: Surface, issue: Issue) -> None:
        bound = await issue(allowed_cidrs=("198.51.100.0/24",))
        for operation in guarded(surface):
            answer = await surface.call(operation, bound.secret)
            assert (answer.status_code, answer.json()["code"]) == (403, "address_not_allowed"), operation


class TestOtherOrganisations:
    async def test_their_objects_do_not_exist(self, surface: Surface, issue: Issue) -> None:
        theirs, ours = await issue(), await issue()
        ids = await seed(surface, theirs.secret, theirs.key.key_id)
        for operation in guarded(surface):
            names = set(re.findall(r"{(\w+)}", operation.path))
            unknown = names - ids.keys() - SHARED_PARAMETERS.keys()
            assert not unknown, (
                f"tests/security/surface.py does not know how to make: {unknown} of {operation.path}"
            )
            if names & ids.keys():
                answer = await surface.call(operation, ours.secret, **ids)
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), operation

    async def test_lists_hold_nothing_of_theirs(self, surface: Surface, issue: Issue) -> None:
        theirs, ours = await issue(), await issue()
        ids = await seed(surface, theirs.secret, theirs.key.key_id)
        secrets = [*ids.values(), theirs.key.organisation_id]
        for operation in guarded(surface):
            if operation.method != "GET" or "{" in operation.path or operation.path in ENDLESS:
                continue
            answer = await surface.call(operation, ours.secret)
            assert answer.status_code == 200, f"{operation}: {answer.text}"
            assert not [secret for secret in secrets if secret in answer.text], operation

    async def test_filters_by_their_objects_find_nothing(self, surface: Surface, issue: Issue) -> None:
        theirs, ours = await issue(), await issue()
        ids = await seed(surface, theirs.secret, theirs.key.key_id)
        document = (await surface.client.get("/openapi.json")).json()
        for operation in guarded(surface):
            described = document["paths"].get(operation.path, {}).get(operation.method.lower(), {})
            names = {p["name"] for p in described.get("parameters", []) if p["in"] == "query"} & ids.keys()
            if not names or "{" in operation.path:
                continue
            answer = await surface.client.request(
                operation.method,
                operation.path,
                params={name: ids[name] for name in names},
                headers={"Authorization": f"Bearer {ours.secret}"},
            )
            assert answer.status_code == 404 or answer.json().get("items") == [], (
                f"{operation}: {answer.text}"
            )

    async def test_bodies_that_name_their_objects_are_refused(self, surface: Surface, issue: Issue) -> None:
        theirs, ours = await issue(), await issue()
        ids = await seed(surface, theirs.secret, theirs.key.key_id)
        bodies = bodies_naming(ids)
        document = (await surface.client.get("/openapi.json")).json()
        for operation in guarded(surface):
            described = document["paths"].get(operation.path, {}).get(operation.method.lower(), {})
            if not _names_objects(document, described, set(ids)):
                continue
            body = bodies.get((operation.method, operation.path))
            assert body is not None, f"tests/security/surface.py has no body for {operation}"
            answer = await surface.client.request(
                operation.method,
                operation.path,
                json=body,
                headers={"Authorization": f"Bearer {ours.secret}", "Idempotency-Key": "matrix"},
            )
            expected = ANSWERS.get((operation.method, operation.path), NOT_THERE)
            assert (answer.status_code, answer.json()["code"]) == expected, f"{operation}: {answer.text}"

    async def test_the_other_environment_is_another_organisation(
        self, surface: Surface, issue: Issue
    ) -> None:
        sandbox = await issue()
        live = await surface.identity.issue_key(
            sandbox.key.organisation_id, "live", list(SCOPES), name="live"
        )
        ids = await seed(surface, sandbox.secret, sandbox.key.key_id)
        for operation in guarded(surface):
            if set(re.findall(r"{(\w+)}", operation.path)) & ids.keys():
                answer = await surface.call(operation, live.secret, **ids)
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), operation


class TestChannels:
    async def test_every_channel_needs_a_scope_that_exists(
        self, surface: Surface, issue: Issue, authenticator: KeyAuthenticator
    ) -> None:
        for kind in surface.channels:
            assert kind.scope in SCOPES, kind.name
            principal = await authenticator.authenticate((await issue(kind.scope)).secret, "192.0.2.10")
            with pytest.raises(Forbidden):
                Policy().require(principal, kind.scope)

    async def test_channels_of_their_objects_do_not_exist(
        self, surface: Surface, issue: Issue, authenticator: KeyAuthenticator
    ) -> None:
        theirs, ours = await issue(), await issue()
        ids = await seed(surface, theirs.secret, theirs.key.key_id)
        stranger: Principal = await authenticator.authenticate(ours.secret, "192.0.2.10")
        for kind in surface.channels:
            if kind.name in SHARED_CHANNELS:
                continue
            assert kind.name in CHANNEL_KEYS, (
                f"tests/security/surface.py does not know the channel {kind.name}"
            )
            with pytest.raises(UnknownChannel):
                await kind.open(stranger, ids[CHANNEL_KEYS[kind.name]])


class TestDocument:
    def test_the_page_says_what_the_application_does(self, surface: Surface) -> None:
        """`AGIO_WRITE_DOCS=1` writes it anew."""
        page = Path(__file__).parents[2] / "docs" / "reference" / "authorization.md"
        text = render_authorization(surface.operations, surface.channels, SCOPES)
        if surface.writes_docs:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")
        assert page.read_text(encoding="utf-8") == text, "run again with AGIO_WRITE_DOCS=1"

    def test_every_body_refuses_unknown_members(self, surface: Surface) -> None:
        for route in surface.app.routes:
            for handler in getattr(route, "route_handlers", []):
                field = getattr(handler, "parsed_data_field", None)
                if field is None:
                    continue
                kinds = [inner.annotation for inner in field.inner_types] or [field.annotation]
                structs = [
                    kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
                ]
                assert structs, handler
                assert all(kind.__struct_config__.forbid_unknown_fields for kind in structs), handler


def _names_objects(document: dict[str, object], described: dict[str, object], names: set[str]) -> bool:
    """Whether a body has a member that is called like the id of some object, or like a list of them."""
    text = msgspec.json.encode(described.get("requestBody", {})).decode()
    schemas = document["components"]["schemas"]  # type: ignore[index]
    members = {
        member
        for reference in re.findall(r"#/components/schemas/([^\"]+)", text)
        for member in schemas[reference].get("properties", {})
    }
    return bool(members & (names | {f"{name}s" for name in names}))


def _update_key(databases: Databases, issued: IssuedKey, assignment: str) -> None:
    with psycopg.connect(databases.owner_url) as connection:
        connection.execute(
            f"update identity.api_key set {assignment} where key_id = %s",  # type: ignore[arg-type]
            (issued.key.key_id,),
        )
        connection.commit()
