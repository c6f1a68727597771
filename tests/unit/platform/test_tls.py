"""The local certificate authority and the contexts made from it."""

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from agio.platform.tls import (
    AUTHORITY_LIFETIME,
    SERVER_LIFETIME,
    InvalidCertificate,
    TlsFiles,
    client_context,
    ensure_local_certificates,
    ssl_context,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(path: Path | None) -> x509.Certificate:
    assert path is not None
    return x509.load_pem_x509_certificate(path.read_bytes())


def shake_hands(files: TlsFiles, client: ssl.SSLContext, name: str) -> tuple[str | None, str | None]:
    """Protocol version and ALPN that a client and a server with these files agree on."""
    server_side, client_side = socket.socketpair()
    failures: list[Exception] = []

    def serve() -> None:
        try:
            with ssl_context(files.certificate, files.key).wrap_socket(server_side, server_side=True) as tls:
                tls.recv(1)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(client_side, server_hostname=name) as tls:
            agreed = tls.version(), tls.selected_alpn_protocol()
            tls.send(b".")
        return agreed
    finally:
        client_side.close()
        thread.join()


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return ensure_local_certificates(tmp_path / "tls", ["trading.example"])


class TestEnsureLocalCertificates:
    @pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "trading.example"])
    def test_a_client_with_the_ca_file_trusts_every_name(self, files: TlsFiles, name: str) -> None:
        assert shake_hands(files, client_context(files.ca_file), name) == ("TLSv1.3", "http/1.1")

    def test_a_client_without_the_ca_file_refuses(self, files: TlsFiles) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(files, client_context(None), "localhost")

    def test_another_name_is_refused(self, files: TlsFiles) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shake_hands(files, client_context(files.ca_file), "elsewhere.example")

    def test_the_authority_may_sign_only_leaves_and_the_server_nothing(self, files: TlsFiles) -> None:
        authority = read(files.ca_file).extensions.get_extension_for_class(x509.BasicConstraints)
        server = read(files.certificate).extensions.get_extension_for_class(x509.BasicConstraints)
        usage = read(files.certificate).extensions.get_extension_for_class(x509.KeyUsage)
        assert (authority.critical, authority.value.ca, authority.value.path_length) == (True, True, 0)
        assert (server.critical, server.value.ca) == (True, False)
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign

    def test_keys_are_private(self, files: TlsFiles) -> None:
        for key in files.key.parent.glob("*.key"):
            assert stat.S_IMODE(key.stat().st_mode) == 0o600

    def test_a_second_call_keeps_both(self, tmp_path: Path) -> None:
        first = ensure_local_certificates(tmp_path, now=NOW)
        before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
        second = ensure_local_certificates(tmp_path, now=NOW + timedelta(days=30))
        assert first == second
        assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before

    def test_the_server_certificate_is_renewed_under_the_same_authority_before_it_ends(
        self, tmp_path: Path
    ) -> None:
        files = ensure_local_certificates(tmp_path, now=NOW)
        old_authority, old_server = read(files.ca_file), read(files.certificate)
        late = NOW + SERVER_LIFETIME - timedelta(days=59)
        ensure_local_certificates(tmp_path, now=late)
        assert read(files.ca_file) == old_authority
        assert read(files.certificate).not_valid_after_utc > old_server.not_valid_after_utc

    def test_the_authority_is_renewed_with_its_server_before_it_ends(self, tmp_path: Path) -> None:
        files = ensure_local_certificates(tmp_path, now=NOW)
        old_authority = read(files.ca_file)
        ensure_local_certificates(tmp_path, now=NOW + AUTHORITY_LIFETIME - timedelta(days=300))
        assert read(files.ca_file) != old_authority
        read(files.certificate).verify_directly_issued_by(read(files.ca_file))

    def test_a_new_name_of_the_machine_renews_the_server_only(self, tmp_path: Path) -> None:
        old_authority = read(ensure_local_certificates(tmp_path, ["one.example"]).ca_file)
        files = ensure_local_certificates(tmp_path, ["two.example"])
        names = read(files.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert "two.example" in names.value.get_values_for_type(x509.DNSName)
        assert read(files.ca_file) == old_authority

    def test_a_damaged_pair_is_made_anew(self, files: TlsFiles) -> None:
        files.key.write_text("not a key", encoding="ascii")
        again = ensure_local_certificates(files.key.parent, ["trading.example"])
        assert shake_hands(again, client_context(again.ca_file), "localhost")[0] == "TLSv1.3"


class TestSslContext:
    def test_tls_1_2_is_refused(self, files: TlsFiles) -> None:
        old = ssl.create_default_context(cafile=str(files.ca_file))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            shake_hands(files, old, "localhost")

    def test_an_absent_file_is_named(self, files: TlsFiles) -> None:
        with pytest.raises(InvalidCertificate, match=r"absent\.key"):
            ssl_context(files.certificate, files.key.with_name("absent.key"))

    def test_a_foreign_key_is_refused(self, files: TlsFiles) -> None:
        assert files.ca_file is not None
        with pytest.raises(InvalidCertificate, match=r"ca\.pem"):
            ssl_context(files.ca_file, files.key)
