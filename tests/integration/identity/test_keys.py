"""Keys over HTTP, on a real database and a real bus."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from tests.conftest import Databases
from tests.nodes import LOCAL, Node, Owner, bearer, make_owner

from agio.identity import store
from agio.identity.api import AddressNotAllowed, InvalidTicket, KeyExpired, KeyRevoked, Unauthorized
from agio.identity.model import Credential
from agio.identity.settings import IdentitySettings
from agio.platform.bus import Bus
from agio.platform.crypto import hash_token, mint_token
from agio.platform.db import Database, Transaction

PATIENCE_SECONDS = 30
NEVER = 3600.0


async def create_key(node: Node, owner: Owner, **body: object) -> dict[str, object]:
    answer = await node.client.post(
        "/api/keys", headers=owner.headers, json={"name": "desk", "scopes": ["orders:read"], **body}
    )
    assert answer.status_code == 201, answer.text
    created: dict[str, object] = answer.json()
    return created


class TestMe:
    async def test_a_key_says_whose_it_is(self, node: Node, owner: Owner) -> None:
        answer = await node.client.get("/api/me", headers=owner.headers)

        assert answer.status_code == 200
        assert answer.json()["organisation_id"] == owner.organisation_id
        assert answer.json()["environment"] == "sandbox"
        assert answer.headers["cache-control"] == "no-store"

    async def test_without_a_key_the_answer_says_how_to_authenticate(self, node: Node) -> None:
        answer = await node.client.get("/api/me")

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="agio"'
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "unauthorized"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]

    @pytest.mark.parametrize(
        "header",
        [
            "Basic YTpi",
            "Bearer",
            "Bearer ",
            "Bearer agio_sandbox_short",
            "Bearer " + "x" * 5000,
            "agio_sandbox_" + "0" * 49,
        ],
    )
    async def test_a_malformed_credential_is_refused(self, node: Node, header: str) -> None:
        answer = await node.client.get("/api/me", headers={"Authorization": header})

        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    async def test_the_scheme_is_case_insensitive(self, node: Node, owner: Owner) -> None:
        answer = await node.client.get("/api/me", headers={"Authorization": f"bearer {owner.secret}"})

        assert answer.status_code == 200

    async def test_a_key_in_the_query_is_not_a_credential(self, node: Node, owner: Owner) -> None:
        answer = await node.client.get(f"/api/me?access_token={owner.secret}")

        assert answer.status_code == 401


class TestCreateKey:
    async def test_the_secret_is_shown_once_and_stored_only_as_a_hash(
        self, node: Node, owner: Owner, databases: Databases
    ) -> None:
        created = await create_key(node, owner)

        shown = await node.client.get(f"/api/keys/{created['key_id']}", headers=owner.headers)
        with psycopg.connect(databases.owner_url) as connection:
            row = connection.execute(
                "select k::text, token_hash from identity.api_key k where key_id = %s", (created["key_id"],)
            ).fetchone()
        secret = str(created["api_key"])
        assert secret not in shown.text
        assert row is not None
        assert secret not in row[0]
        assert row[1] == hash_token(secret)
        assert (await node.client.get("/api/me", headers=bearer(secret))).json()["scopes"] == ["orders:read"]

    async def test_a_key_expires_after_seven_days_unless_told_otherwise(
        self, node: Node, owner: Owner
    ) -> None:
        created = await create_key(node, owner)

        lifetime = datetime.fromisoformat(str(created["expires_at"])) - datetime.now(UTC)
        assert timedelta(days=6, hours=23) < lifetime <= timedelta(days=7)

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"expires_in_days": 91}, 422, "invalid_request"),
            ({"expires_in_days": 0}, 422, "invalid_request"),
            ({"expires_in_days": "7"}, 422, "invalid_request"),
            ({"scopes": []}, 422, "invalid_request"),
            ({"scopes": ["nothing:do"]}, 422, "unknown_scope"),
            ({"allowed_cidrs": ["10.0.0.1/8"]}, 422, "invalid_network"),
            ({"name": ""}, 422, "invalid_request"),
            ({"environment": "live"}, 422, "invalid_request"),
            ({"organisation_id": "org_other"}, 422, "invalid_request"),
        ],
    )
    async def test_a_bad_wish_is_refused(
        self, node: Node, owner: Owner, body: dict[str, object], status: int, code: str
    ) -> None:
        wish = {"name": "desk", "scopes": ["orders:read"], **body}

        answer = await node.client.post("/api/keys", headers=owner.headers, json=wish)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert len((await node.client.get("/api/keys", headers=owner.headers)).json()["items"]) == 1

    async def test_nobody_grants_a_scope_that_they_do_not_hold(self, node: Node, owner: Owner) -> None:
        clerk = await create_key(node, owner, scopes=["keys:write"])

        answer = await node.client.post(
            "/api/keys", headers=bearer(str(clerk["api_key"])), json={"name": "x", "scopes": ["orders:write"]}
        )

        assert (answer.status_code, answer.json()["code"]) == (403, "scope_not_held")
        assert answer.json()["scopes"] == ["orders:write"]

    async def test_a_new_key_inherits_the_networks_of_its_creator(self, node: Node) -> None:
        bound = await make_owner(node, allowed_cidrs=["127.0.0.0/8"])
        created = await node.service.create_key(bound.principal, name="x", scopes=["orders:read"])

        assert created.key.allowed_cidrs == ["127.0.0.0/8"]
        with pytest.raises(AddressNotAllowed):
            await node.authenticator.authenticate(created.secret, "192.0.2.1")


class TestListKeys:
    async def test_pages_hold_every_key_once_and_in_order(self, node: Node, owner: Owner) -> None:
        created = [owner.key_id, *[(await create_key(node, owner))["key_id"] for _ in range(4)]]

        seen: list[str] = []
        cursor = ""
        while cursor is not None:
            query = f"?limit=2&cursor={cursor}" if cursor else "?limit=2"
            page = (await node.client.get(f"/api/keys{query}", headers=owner.headers)).json()
            seen += [key["key_id"] for key in page["items"]]
            cursor = page["next_cursor"]

        assert seen == created

    @pytest.mark.parametrize("query", ["?limit=0", "?limit=1001", "?limit=x", "?cursor=%%%", "?limti=5"])
    async def test_bad_parameters_are_named(self, node: Node, owner: Owner, query: str) -> None:
        answer = await node.client.get(f"/api/keys{query}", headers=owner.headers)

        assert answer.status_code == 422

    async def test_another_organisation_sees_none_of_it(self, node: Node, owner: Owner) -> None:
        other = await make_owner(node, "Rival")

        listed = (await node.client.get("/api/keys", headers=other.headers)).json()["items"]
        assert [key["key_id"] for key in listed] == [other.key_id]
        for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/rotate")]:
            answer = await node.client.request(
                method, f"/api/keys/{owner.key_id}{path}", headers=other.headers
            )
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await node.client.get("/api/me", headers=owner.headers)).status_code == 200

    async def test_the_live_environment_sees_nothing_of_the_sandbox(self, node: Node, owner: Owner) -> None:
        live = await node.service.issue_key(owner.organisation_id, "live", ["keys:read"], name="live")

        listed = await node.client.get("/api/keys", headers=bearer(live.secret))

        assert [key["key_id"] for key in listed.json()["items"]] == [live.key.key_id]


class TestRotateKey:
    async def test_both_keys_work_during_the_overlap_and_only_the_new_one_after(
        self, node: Node, owner: Owner, databases: Databases
    ) -> None:
        created = await create_key(node, owner)
        answer = await node.client.post(
            f"/api/keys/{created['key_id']}/rotate", headers=owner.headers, json={"overlap_seconds": 600}
        )
        assert answer.status_code == 201
        old, new = bearer(str(created["api_key"])), bearer(answer.json()["api_key"])
        assert (await node.client.get("/api/me", headers=old)).status_code == 200
        assert (await node.client.get("/api/me", headers=new)).json()["key_id"] != created["key_id"]

        _expire(databases, str(created["key_id"]))
        await _until_refused(node, str(created["api_key"]))

        refused = await node.client.get("/api/me", headers=old)
        assert (refused.status_code, refused.json()["code"]) == (401, "key_expired")
        assert (await node.client.get("/api/me", headers=new)).status_code == 200

    async def test_no_overlap_ends_the_old_key_at_once(self, node: Node, owner: Owner) -> None:
        created = await create_key(node, owner)
        secret = str(created["api_key"])
        await node.client.get("/api/me", headers=bearer(secret))

        rotated = await node.service.rotate_key(owner.principal, str(created["key_id"]), 0)

        await _until_refused(node, secret)
        shown = await node.service.show_key(owner.principal, str(created["key_id"]))
        assert shown.replaced_by == rotated.key.key_id

    async def test_an_empty_body_takes_the_default_overlap(self, node: Node, owner: Owner) -> None:
        created = await create_key(node, owner)

        answer = await node.client.post(f"/api/keys/{created['key_id']}/rotate", headers=owner.headers)

        shown = await node.service.show_key(owner.principal, str(created["key_id"]))
        assert answer.status_code == 201
        assert timedelta(minutes=59) < shown.expires_at - datetime.now(UTC) <= timedelta(hours=1)

    async def test_nobody_rotates_a_key_that_may_do_more_than_they(self, node: Node, owner: Owner) -> None:
        clerk = await create_key(node, owner, scopes=["keys:write"])

        answer = await node.client.post(
            f"/api/keys/{owner.key_id}/rotate", headers=bearer(str(clerk["api_key"])), json={}
        )

        assert (answer.status_code, answer.json()["code"]) == (403, "scope_not_held")


class TestRevokeKey:
    async def test_the_message_ends_it_on_this_and_another_node(
        self, owner: Owner, app_database: Database, bus: Bus
    ) -> None:
        """Nodes that trust what they know for an hour, and ask the table as rarely."""
        settings = IdentitySettings(cache_seconds=NEVER, watch_seconds=NEVER)
        ended: asyncio.Queue[str] = asyncio.Queue()
        async with (
            Node(app_database, bus, settings=settings) as one,
            Node(app_database, bus, settings=settings) as other,
        ):
            created = await create_key(one, owner)
            secret = str(created["api_key"])
            other.watch.watch(ended.put_nowait)
            for each in (one, other):
                await each.authenticator.authenticate(secret, LOCAL)

            answer = await one.client.delete(f"/api/keys/{created['key_id']}", headers=owner.headers)

            assert answer.status_code == 204
            for each in (one, other):
                await _until_refused(each, secret)
            assert await _first(ended) == created["key_id"]

    async def test_a_node_that_missed_the_message_hears_of_it_from_the_table(
        self, node: Node, owner: Owner, databases: Databases
    ) -> None:
        created = await create_key(node, owner)
        ended: asyncio.Queue[str] = asyncio.Queue()
        node.watch.watch(ended.put_nowait)
        with psycopg.connect(databases.owner_url) as connection:
            connection.execute(
                "update identity.api_key set revoked_at = now() where key_id = %s", (created["key_id"],)
            )
            connection.commit()

        assert await _first(ended) == created["key_id"]

    def test_no_node_believes_in_a_key_or_waits_for_the_table_longer_than_a_second(self) -> None:
        settings = IdentitySettings()
        assert max(settings.cache_seconds, settings.watch_seconds) <= 1

    async def test_revoking_twice_is_the_same_as_once(self, node: Node, owner: Owner) -> None:
        created = await create_key(node, owner)

        for _ in range(2):
            answer = await node.client.delete(f"/api/keys/{created['key_id']}", headers=owner.headers)
            assert answer.status_code == 204

    async def test_a_watcher_that_left_is_not_called(self, node: Node, owner: Owner) -> None:
        created = await create_key(node, owner)
        ended: list[str] = []
        stop = node.watch.watch(ended.append)
        staying: asyncio.Queue[str] = asyncio.Queue()
        node.watch.watch(staying.put_nowait)

        stop()
        await node.service.revoke_key(owner.principal, str(created["key_id"]))

        assert await _first(staying) == created["key_id"]
        assert ended == []


class TestAuthenticate:
    async def test_a_well_formed_key_that_nobody_issued_is_refused(self, node: Node) -> None:
        with pytest.raises(Unauthorized):
            await node.authenticator.authenticate(mint_token("agio_sandbox"), LOCAL)

    async def test_an_expired_key_is_refused_and_its_end_is_told(
        self, node: Node, owner: Owner, databases: Databases
    ) -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        node.watch.watch(ended.put_nowait)
        _expire(databases, owner.key_id)

        assert await _first(ended) == owner.key_id
        with pytest.raises(KeyExpired):
            await node.authenticator.authenticate(owner.secret, LOCAL)
        assert ended.empty()

    async def test_many_requests_at_once_ask_the_database_once(
        self, app_database: Database, bus: Bus, owner: Owner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fresh = Node(app_database, bus)
        asked = 0
        find = store.find_credential

        async def counted(tx: Transaction, token_hash: bytes) -> Credential | None:
            nonlocal asked
            asked += 1
            return await find(tx, token_hash)

        monkeypatch.setattr(store, "find_credential", counted)
        await asyncio.gather(*(fresh.authenticator.authenticate(owner.secret, LOCAL) for _ in range(100)))

        assert asked == 1

    async def test_guessing_is_answered_429_while_a_valid_key_still_works(
        self, app_database: Database, bus: Bus, owner: Owner
    ) -> None:
        guessed = Node(app_database, bus, settings=IdentitySettings(failure_seconds=NEVER))
        for _ in range(31):
            answer = await guessed.client.get("/api/me", headers=bearer(mint_token("agio_sandbox")))

        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await guessed.client.get("/api/me", headers=owner.headers)).status_code == 200

    async def test_the_last_use_is_written_in_batches(self, app_database: Database, bus: Bus) -> None:
        idle = Node(app_database, bus)
        begun = datetime.now(UTC)
        owner = await make_owner(idle)
        assert (await idle.service.show_key(owner.principal, owner.key_id)).last_used_at is None

        await idle.authenticator.write_usage()

        used_at = (await idle.service.show_key(owner.principal, owner.key_id)).last_used_at
        assert used_at is not None
        assert begun <= used_at <= datetime.now(UTC)


class TestStreamTickets:
    async def test_a_ticket_opens_one_connection_on_any_node(
        self, node: Node, owner: Owner, app_database: Database, bus: Bus
    ) -> None:
        answer = await node.client.post("/api/stream/tickets", headers=owner.headers)
        assert answer.status_code == 201
        other = Node(app_database, bus)

        principal = await other.authenticator.redeem_ticket(answer.json()["ticket"], LOCAL)

        assert principal == owner.principal
        for each in (node, other):
            with pytest.raises(InvalidTicket):
                await each.authenticator.redeem_ticket(answer.json()["ticket"], LOCAL)

    async def test_of_many_at_once_exactly_one_wins(self, node: Node, owner: Owner) -> None:
        ticket = (await node.service.issue_ticket(owner.principal)).ticket

        outcomes = await asyncio.gather(
            *(node.authenticator.redeem_ticket(ticket, LOCAL) for _ in range(8)), return_exceptions=True
        )

        assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1

    async def test_an_old_ticket_is_refused(self, node: Node, owner: Owner, databases: Databases) -> None:
        lifetime, asked_at = timedelta(seconds=30), datetime.now(UTC)
        ticket = await node.service.issue_ticket(owner.principal)
        assert asked_at + lifetime <= ticket.expires_at <= datetime.now(UTC) + lifetime
        with psycopg.connect(databases.owner_url) as connection:
            connection.execute("update identity.stream_ticket set expires_at = now()")
            connection.commit()

        with pytest.raises(InvalidTicket):
            await node.authenticator.redeem_ticket(ticket.ticket, LOCAL)

    async def test_the_ticket_of_a_revoked_key_is_refused(self, node: Node, owner: Owner) -> None:
        ticket = (await node.service.issue_ticket(owner.principal)).ticket
        await node.service.revoke_key(owner.principal, owner.key_id)

        with pytest.raises(KeyRevoked):
            await node.authenticator.redeem_ticket(ticket, LOCAL)

    async def test_a_ticket_is_no_key_and_a_key_is_no_ticket(self, node: Node, owner: Owner) -> None:
        ticket = (await node.service.issue_ticket(owner.principal)).ticket

        with pytest.raises(Unauthorized):
            await node.authenticator.authenticate(ticket, LOCAL)
        with pytest.raises(InvalidTicket):
            await node.authenticator.redeem_ticket(owner.secret, LOCAL)


class TestRowLevelSecurity:
    async def test_the_application_role_sees_no_key_of_another_tenant_even_without_a_filter(
        self, node: Node, owner: Owner, app_database: Database
    ) -> None:
        other = await make_owner(node, "Rival")

        async with app_database.transaction(other.principal.scope) as tx:
            seen = await tx.fetch_tuples("select key_id from identity.api_key")
        async with app_database.transaction() as tx:
            anonymous = await tx.value("select count(*) from identity.api_key")

        assert seen == [(other.key_id,)]
        assert anonymous == 0

    @pytest.mark.parametrize(
        "statement",
        [
            "update identity.api_key set scopes = '{orders:write}'",
            "update identity.api_key set token_hash = '\\x00'",
            "delete from identity.api_key",
            "alter table identity.api_key disable row level security",
            "set role agio_owner",
        ],
    )
    async def test_the_application_role_cannot_widen_a_key(
        self, owner: Owner, app_database: Database, statement: str
    ) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with app_database.transaction(owner.principal.scope) as tx:
                await tx.execute(statement)  # type: ignore[arg-type]


def _expire(databases: Databases, key_id: str) -> None:
    with psycopg.connect(databases.owner_url) as connection:
        connection.execute(
            "update identity.api_key set created_at = created_at - interval '1 h',"
            " expires_at = clock_timestamp() where key_id = %s",
            (key_id,),
        )
        connection.commit()


async def _until_refused(node: Node, secret: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await node.authenticator.authenticate(secret, LOCAL)
            except Unauthorized:
                return
            await asyncio.sleep(0.01)


async def _first(ended: asyncio.Queue[str]) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await ended.get()
