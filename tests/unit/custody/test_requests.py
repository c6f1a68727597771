"""The life cycle of requests, their digest, and what approvers prove themselves with."""

from datetime import UTC, datetime, timedelta

import msgspec
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.custody.credentials.model import Credential, check_public_key, find_step, note_failure, read_hex
from agio.custody.errors import SelfApproval, WrongState
from agio.custody.requests.model import (
    ENDED,
    NEXT,
    Target,
    TransferRequest,
    advance,
    canonical_text,
    check_not_own,
    digest_of,
)
from agio.custody.requests.service import NO_DECISION
from agio.kernel.ids import CredentialId, KeyId, OrganisationId, SubAccountId, TransferRequestId, VaultId
from agio.kernel.problem import InvalidRequest

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TARGET = Target("destination", "dst_a", ("iban", "CH9300762011623852957", "POFICHBEXXX"))
REQUEST = TransferRequest(
    request_id=TransferRequestId("trq_a"),
    organisation_id=OrganisationId("org_a"),
    environment="sandbox",
    version=1,
    kind="withdrawal",
    status="created",
    vault_id=VaultId("vlt_a"),
    sub_account_id=SubAccountId("sub_a"),
    asset="USD",
    scale=2,
    amount=450_000,
    target_kind="destination",
    target_id="dst_a",
    reference="invoice 17",
    initiator=KeyId("key_eve"),
    editors=(KeyId("key_eve"),),
    policy_version=1,
    decision=NO_DECISION,
    digest=bytes(32),
    created_at=NOW,
    updated_at=NOW,
    expires_at=NOW,
)


class TestLifeCycle:
    @given(st.lists(st.sampled_from(sorted({action for _, action in NEXT})), max_size=30))
    def test_whatever_is_tried_the_end_is_the_end(self, actions: list[str]) -> None:
        """Money is held before it is released, released before it is settled; nothing follows an end."""
        request, passed = REQUEST, ["created"]
        for action in actions:
            try:
                status = advance(request, action)  # type: ignore[arg-type]
            except WrongState:
                continue
            assert request.status not in ENDED
            request = msgspec.structs.replace(request, status=status)
            passed.append(status)
        if "settled" in passed:
            assert passed.index("approving") < passed.index("held") < passed.index("released")
            assert passed[-1] == "settled"

    def test_what_was_released_cannot_be_cancelled(self) -> None:
        with pytest.raises(WrongState) as refusal:
            advance(msgspec.structs.replace(REQUEST, status="released"), "cancel")
        assert refusal.value.extra == {"status": "released"}

    def test_neither_the_initiator_nor_an_editor_approves(self) -> None:
        edited = msgspec.structs.replace(REQUEST, editors=(KeyId("key_eve"), KeyId("key_ben")))
        for key in ("key_eve", "key_ben"):
            with pytest.raises(SelfApproval):
                check_not_own(edited, KeyId(key))
        check_not_own(edited, KeyId("key_cleo"))


class TestDigest:
    def test_the_canonical_text_is_one_sorted_line(self) -> None:
        assert canonical_text(REQUEST, TARGET) == (
            b'{"amount":"4500.00","asset":"USD","editors":["key_eve"],"environment":"sandbox",'
            b'"initiator":"key_eve","kind":"withdrawal","organisation_id":"org_a","policy_version":"1",'
            b'"purpose":"agio.custody.request.v1","reference":"invoice 17","request_id":"trq_a",'
            b'"sub_account_id":"sub_a","target":{"id":"dst_a","kind":"destination",'
            b'"shown":["iban","CH9300762011623852957","POFICHBEXXX"]},"vault_id":"vlt_a","version":"1"}'
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 2},
            {"amount": 450_001},
            {"asset": "EUR"},
            {"sub_account_id": "sub_b"},
            {"vault_id": "vlt_b"},
            {"reference": None},
            {"editors": ("key_eve", "key_ben")},
            {"policy_version": 2},
            {"environment": "live"},
            {"organisation_id": "org_b"},
            {"kind": "internal"},
            {"request_id": "trq_b"},
        ],
    )
    def test_any_change_of_the_terms_changes_it(self, change: dict[str, object]) -> None:
        assert digest_of(msgspec.structs.replace(REQUEST, **change), TARGET) != digest_of(REQUEST, TARGET)

    def test_another_address_changes_it_even_under_the_same_id(self) -> None:
        other = Target("destination", "dst_a", ("iban", "DE89370400440532013000", ""))
        assert digest_of(REQUEST, other) != digest_of(REQUEST, TARGET)


class TestCodes:
    SECRET = pyotp.random_base32()

    def test_a_code_works_once_and_in_its_neighbours_time(self) -> None:
        code = pyotp.TOTP(self.SECRET).at(NOW)
        step = find_step(self.SECRET, code, NOW, 0)

        assert step is not None
        assert find_step(self.SECRET, code, NOW, step) is None
        assert find_step(self.SECRET, code, NOW + timedelta(seconds=30), 0) == step
        assert find_step(self.SECRET, code, NOW + timedelta(seconds=90), 0) is None

    @pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\uff11" * 6, "é" * 6])
    def test_what_is_no_code_is_wrong(self, code: str) -> None:
        assert find_step(self.SECRET, code, NOW, 0) is None

    def test_the_fifth_wrong_code_locks(self) -> None:
        credential = Credential(CredentialId("crd_a"), KeyId("key_a"), "totp", None, NOW, NOW, NOW)
        for _ in range(4):
            credential = note_failure(credential, NOW)
            assert credential.locked_until is None
        assert note_failure(credential, NOW).locked_until == NOW + timedelta(minutes=15)

    def test_guessing_on_locks_it_twice_as_long_each_time_up_to_a_day(self) -> None:
        credential = Credential(CredentialId("crd_a"), KeyId("key_a"), "totp", None, NOW, NOW, NOW)
        locks = []
        for _ in range(9):
            for _ in range(5):
                credential = note_failure(credential, NOW)
            assert credential.locked_until is not None
            locks.append(int((credential.locked_until - NOW).total_seconds()) // 60)
        assert locks == [15, 30, 60, 120, 240, 480, 960, 1440, 1440]


def test_a_signing_key_of_small_order_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        check_public_key(bytes([1]) + bytes(31))
    with pytest.raises(InvalidRequest):
        read_hex("public_key", "zz" * 32, 32)
