"""TLS 1.3 for everything public: contexts, and a local certificate authority for machines without one.

The authority exists only on this machine, signs only this server's certificate, and is trusted by nobody who
was not given its file. Its key never leaves the `tls` folder.
"""

import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=180)
AUTHORITY_RENEWAL = timedelta(days=365)
SERVER_RENEWAL = timedelta(days=60)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
ALPN = ("http/1.1",)

# Clocks of clients that run behind ours must not reject a certificate made a moment ago.
_BACKDATED = timedelta(hours=1)


class TlsFiles(NamedTuple):
    """What a server presents, and what a client needs to trust it (None: the machine's own trust store)."""

    certificate: Path
    key: Path
    ca_file: Path | None


class InvalidCertificate(Exception):
    """A certificate or key file cannot be used; the message names the file and the reason."""


class _Pair(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ssl_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server context: TLS 1.3 at least, ALPN http/1.1. Raises InvalidCertificate naming the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(list(ALPN))
    for file in (certificate, key):
        if not os.access(file, os.R_OK):
            raise InvalidCertificate(f"{file} does not exist or cannot be read")
    try:
        context.load_cert_chain(certificate, key, password=_refuse_passphrase)
    except ssl.SSLError as error:
        raise InvalidCertificate(
            f"{certificate} and {key} are not a certificate and its key: {error}"
        ) from error
    return context


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """A client context that verifies the server by `ca_file`, or by the machine's trust store."""
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(list(ALPN))
    return context


def ensure_local_certificates(
    folder: Path, names: Sequence[str] | None = None, *, now: datetime | None = None
) -> TlsFiles:
    """Make the local authority and server certificate, or renew what is near its end; keeps what is good.

    `names` are host names and IP addresses beside the loopback ones; the default is this machine's name.
    """
    moment = now or datetime.now(UTC)
    wanted = _subject_names(names if names is not None else [socket.gethostname()])
    folder.mkdir(parents=True, exist_ok=True)
    files = TlsFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    authority = _load(folder / "ca.pem", folder / "ca.key")
    if authority is None or _ends_within(authority.certificate, AUTHORITY_RENEWAL, moment):
        authority = _make_authority(moment)
        _store(authority, folder / "ca.pem", folder / "ca.key")
    server = _load(files.certificate, files.key)
    if server is None or not _is_good(server.certificate, authority, wanted, moment):
        _store(_make_server(authority, wanted, moment), files.certificate, files.key)
    return files


def _subject_names(names: Sequence[str]) -> list[x509.GeneralName]:
    general: list[x509.GeneralName] = []
    for name in dict.fromkeys((*LOOPBACK_NAMES, *names)):
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            # A host name that X.509 cannot hold is left out: it could not be connected to by name either.
            if name.isascii() and 0 < len(name) <= 253 and " " not in name:
                general.append(x509.DNSName(name))
    return general


def _make_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "agio"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"agio local authority {now:%Y-%m-%d}"),
        ]
    )
    usage = _key_usage(is_authority=True)
    certificate = (
        _builder(subject, subject, key, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _make_server(authority: _Pair, names: Sequence[x509.GeneralName], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agio server")])
    issuer_identifier = authority.certificate.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    ).value
    certificate = (
        _builder(subject, authority.certificate.subject, key, now, SERVER_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_good(
    certificate: x509.Certificate, authority: _Pair, wanted: Sequence[x509.GeneralName], now: datetime
) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
        present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:
        return False
    return set(wanted) <= set(present) and not _ends_within(certificate, SERVER_RENEWAL, now)


def _ends_within(certificate: x509.Certificate, period: timedelta, now: datetime) -> bool:
    return certificate.not_valid_after_utc - now < period or certificate.not_valid_before_utc > now


def _load(certificate: Path, key: Path) -> _Pair | None:
    """A stored pair, or None when it is absent, damaged or does not belong together."""
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or loaded.public_key() != private.public_key():
        return None
    return _Pair(loaded, private)


def _store(pair: _Pair, certificate: Path, key: Path) -> None:
    """Key first: a crash in between leaves a pair that does not match, which is then made anew."""
    private = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, private, 0o600)
    _write(certificate, pair.certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    partial.replace(path)


def _refuse_passphrase() -> str:
    raise InvalidCertificate("the key is protected by a passphrase: give one that is not")
