from datetime import UTC, datetime, timedelta

import pytest

from agio.identity.api import AddressNotAllowed, KeyExpired, KeyRevoked
from agio.identity.errors import InvalidNetwork, KeyNotActive, NetworkNotHeld, ScopeNotHeld, UnknownScope
from agio.identity.model import (
    ApiKey,
    Credential,
    admit,
    check_days,
    check_grant,
    check_networks,
    check_scopes,
    granted_days,
    overlap_end,
    read_address,
)
from agio.kernel.ids import KeyId, OrganisationId
from agio.kernel.problem import InvalidRequest

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def make_credential(**changes: object) -> Credential:
    values: dict[str, object] = {
        "key_id": KeyId("key_1"),
        "organisation_id": OrganisationId("org_1"),
        "environment": "sandbox",
        "scopes": ["orders:read"],
        "allowed_cidrs": [],
        "expires_at": NOW + timedelta(days=1),
        "revoked_at": None,
    }
    return Credential(**{**values, **changes})  # type: ignore[arg-type]


def make_key(**changes: object) -> ApiKey:
    values: dict[str, object] = {
        "key_id": KeyId("key_1"),
        "organisation_id": OrganisationId("org_1"),
        "environment": "sandbox",
        "name": "desk",
        "hint": "agio_sandbox_Ab3dEf",
        "scopes": ["keys:write", "orders:read"],
        "allowed_cidrs": [],
        "created_by": None,
        "created_at": NOW - timedelta(days=1),
        "expires_at": NOW + timedelta(days=6),
        "revoked_at": None,
        "replaced_by": None,
        "last_used_at": None,
    }
    return ApiKey(**{**values, **changes})  # type: ignore[arg-type]


class TestAdmit:
    def test_a_valid_key_becomes_its_principal(self) -> None:
        principal = admit(make_credential(), read_address("192.0.2.1"), NOW)

        assert principal.scopes == frozenset({"orders:read"})
        assert (principal.scope.organisation_id, principal.scope.environment) == ("org_1", "sandbox")

    def test_a_key_is_refused_at_the_instant_of_its_expiry(self) -> None:
        with pytest.raises(KeyExpired):
            admit(make_credential(expires_at=NOW), None, NOW)

    def test_a_revoked_key_says_so_even_when_it_also_expired(self) -> None:
        with pytest.raises(KeyRevoked):
            admit(make_credential(expires_at=NOW, revoked_at=NOW + timedelta(seconds=3)), None, NOW)

    @pytest.mark.parametrize("address", ["192.0.2.77", "::ffff:192.0.2.77", "2001:db8::5"])
    def test_addresses_within_the_allowlist_are_admitted(self, address: str) -> None:
        credential = make_credential(allowed_cidrs=["192.0.2.0/24", "2001:db8::/32"])

        assert admit(credential, read_address(address), NOW).key_id == "key_1"

    @pytest.mark.parametrize("address", ["192.0.3.1", "2001:db9::1", "", "unix:/run/x", "192.0.2.77.example"])
    def test_other_addresses_are_refused(self, address: str) -> None:
        credential = make_credential(allowed_cidrs=["192.0.2.0/24", "2001:db8::/32"])

        with pytest.raises(AddressNotAllowed):
            admit(credential, read_address(address), NOW)


class TestCheckScopes:
    def test_scopes_are_sorted_and_each_is_kept_once(self) -> None:
        assert check_scopes(["orders:read", "keys:read", "orders:read"]) == ["keys:read", "orders:read"]

    def test_an_unknown_scope_is_named_with_those_that_exist(self) -> None:
        with pytest.raises(UnknownScope) as caught:
            check_scopes(["orders:destroy"])

        assert "orders:destroy" in caught.value.detail
        assert "orders:read" in caught.value.extra["known"]  # type: ignore[operator]

    def test_a_key_without_any_scope_is_refused(self) -> None:
        with pytest.raises(InvalidRequest):
            check_scopes([])

    def test_the_star_is_not_a_scope_that_a_key_can_hold(self) -> None:
        with pytest.raises(UnknownScope):
            check_scopes(["*"])


class TestCheckNetworks:
    def test_networks_are_written_canonically(self) -> None:
        assert check_networks(["2001:DB8:0::/32", "192.0.2.1"], 10) == ["192.0.2.1/32", "2001:db8::/32"]

    @pytest.mark.parametrize("text", ["192.0.2.1/24", "192.0.2.0/33", "localhost", "", "1", "192.0.2.0/0x8"])
    def test_what_is_not_a_network_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidNetwork):
            check_networks([text], 10)

    def test_too_many_are_refused(self) -> None:
        with pytest.raises(InvalidNetwork):
            check_networks(["192.0.2.1"] * 3, 2)


class TestCheckGrant:
    def test_some_of_the_own_scopes_may_be_granted(self) -> None:
        check_grant(make_key(), ["orders:read"], [])

    def test_a_scope_that_is_not_held_is_refused_and_named(self) -> None:
        with pytest.raises(ScopeNotHeld) as caught:
            check_grant(make_key(), ["orders:read", "orders:write"], [])

        assert caught.value.extra == {"scopes": ["orders:write"]}

    @pytest.mark.parametrize("networks", [[], ["0.0.0.0/0"], ["192.0.2.0/24", "2001:db8::/48"]])
    def test_a_bound_key_cannot_make_a_freer_one(self, networks: list[str]) -> None:
        with pytest.raises(NetworkNotHeld):
            check_grant(make_key(allowed_cidrs=["192.0.2.0/24"]), ["orders:read"], networks)

    def test_a_part_of_the_own_network_may_be_granted(self) -> None:
        check_grant(make_key(allowed_cidrs=["192.0.2.0/24"]), ["orders:read"], ["192.0.2.128/25"])


class TestRotation:
    def test_the_old_key_ends_after_the_overlap(self) -> None:
        assert overlap_end(make_key(), NOW, timedelta(hours=1)) == NOW + timedelta(hours=1)

    def test_the_overlap_never_prolongs_a_key(self) -> None:
        key = make_key(expires_at=NOW + timedelta(minutes=1))

        assert overlap_end(key, NOW, timedelta(hours=1)) == key.expires_at

    @pytest.mark.parametrize("changes", [{"revoked_at": NOW}, {"expires_at": NOW}])
    def test_a_key_that_ended_cannot_be_rotated(self, changes: dict[str, object]) -> None:
        with pytest.raises(KeyNotActive):
            overlap_end(make_key(**changes), NOW, timedelta(0))

    def test_the_successor_gets_the_lifetime_that_the_key_was_given(self) -> None:
        assert granted_days(make_key(), 90) == 7
        assert granted_days(make_key(), 3) == 3


class TestCheckDays:
    @pytest.mark.parametrize("days", [0, -1, 91])
    def test_every_key_expires_within_the_limit(self, days: int) -> None:
        with pytest.raises(InvalidRequest):
            check_days(days, 90)
