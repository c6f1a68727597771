"""What an approver signs, and the codes of a generator."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agio_sdk import AgioError, CodeApprover, DigestMismatch, KeyApprover, totp_code
from agio_sdk.approval import check_request
from agio_sdk.custody_models import Target, TransferRequest
from agio_sdk.ledger_models import NewLeg
from agio_sdk.models import Me
from agio_sdk.policy_models import Decision
from agio_sdk.transport import amount_text

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ME = Me("key_ben", "org_1", "sandbox", [], NOW)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
REQUEST = TransferRequest(
    request_id="trq_1",
    version=1,
    kind="withdrawal",
    status="approving",
    vault_id="vlt_1",
    sub_account_id="sub_1",
    asset="BTC",
    amount=Decimal("0.00000001"),
    target=Target("destination", "dst_1", ["bitcoin", "bc1q", ""]),
    reference=None,
    initiator="key_eve",
    editors=["key_eve"],
    policy_version=1,
    decision=Decision("allow", "payments", 0, "", [], [], []),
    digest="e6c2f1ab9eb5f90ee1c9d5c1d3a5e51f3ebbf01fb7f1f7c3c0f0f9bd7c6d5a00",
    reason_code=None,
    reason=None,
    hold_id=None,
    journal_id=None,
    signature=None,
    external_reference=None,
    created_at=NOW,
    updated_at=NOW,
    expires_at=NOW,
)


class TestSigning:
    def test_only_what_is_shown_is_signed(self) -> None:
        with pytest.raises(DigestMismatch):
            check_request(REQUEST, ME)

    def test_a_key_signs_the_bytes_of_the_digest(self) -> None:
        key = Ed25519PrivateKey.generate()
        consent = KeyApprover("crd_1", key).consent("ab" * 32)
        key.public_key().verify(bytes.fromhex(str(consent["signature"])), bytes.fromhex("ab" * 32))
        assert (consent["credential_id"], consent["digest"]) == ("crd_1", "ab" * 32)


class TestCodes:
    @pytest.mark.parametrize("at", [0, 59, 1_111_111_109, 20_000_000_000])
    def test_they_are_those_of_rfc_6238(self, at: int) -> None:
        assert totp_code(SECRET, at) == pyotp.TOTP(SECRET).at(at)

    def test_a_generator_gives_no_code_twice(self) -> None:
        now = [90.0]
        approver = CodeApprover("crd_1", SECRET, clock=lambda: now[0])
        first, second = approver.next_code(), approver.next_code()
        assert (first, second) == (totp_code(SECRET, 90), totp_code(SECRET, 120))
        with pytest.raises(AgioError):
            approver.next_code()
        now[0] = 121.0
        assert approver.next_code() == totp_code(SECRET, 150)


class TestAmounts:
    @pytest.mark.parametrize(
        ("amount", "text"),
        [(Decimal("1E-8"), "0.00000001"), (Decimal("1E+3"), "1000"), (-5, "-5"), ("1.50", "1.50")],
    )
    def test_they_are_plain_text(self, amount: Decimal | str | int, text: str) -> None:
        assert amount_text(amount) == text
        assert msgspec.json.decode(msgspec.json.encode(NewLeg("a", amount))) == {
            "account": "a",
            "amount": text,
        }

    def test_a_float_is_refused(self) -> None:
        with pytest.raises(TypeError):
            amount_text(0.1)  # type: ignore[arg-type]
