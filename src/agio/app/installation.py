"""What `agio up` runs here: embedded or external servers, which certificates, which address."""

import os
import socket
from pathlib import Path

import msgspec

from agio.app.services import Service
from agio.marketdata.live.market import InvalidMarket, is_live, read_market
from agio.platform import tls
from agio.platform.config import InvalidSetting, Settings
from agio.platform.embedded import ports
from agio.platform.embedded.accounts import make_folder
from agio.platform.embedded.nats import EmbeddedNats
from agio.platform.embedded.postgres import EmbeddedPostgres
from agio.platform.migrations import role_url

_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104


class PortTaken(Exception):
    """Something else listens on the wanted port."""


class Installation:
    """One data folder, its servers, and the settings of the processes that use them."""

    def __init__(self, wanted: Settings) -> None:
        self._wanted = wanted
        self.postgres = None if _is_database_external(wanted) else EmbeddedPostgres(wanted.data_dir)
        self.nats = None if wanted.nats_url else EmbeddedNats(wanted.data_dir)

    def servers(self) -> list[Service]:
        """The embedded servers, in the order in which they start."""
        return [server for server in (self.postgres, self.nats) if server is not None]

    def settings(self) -> Settings:
        """The complete settings, of servers that may not run yet.

        Makes or renews the local certificates. Raises InvalidSetting and InvalidCertificate.
        """
        complete = _with_databases(self._wanted, self.postgres)
        complete = _with_certificates(complete)
        return msgspec.structs.replace(
            complete,
            nats_url=self.nats.url() if self.nats is not None else complete.nats_url,
            replay_dirs=_replay_folders(complete),
        )


def choose_port(settings: Settings) -> Settings:
    """Fill port 0 by a free one; raises PortTaken when the wanted one is in use."""
    host = settings.host if settings.host not in {*_ANY_ADDRESS, "localhost"} else "127.0.0.1"
    if settings.port == 0:
        return msgspec.structs.replace(settings, port=ports.free_port(host))
    if _is_listening(host, settings.port) or not ports.is_free(settings.port, host):
        raise PortTaken(
            f"port {settings.port} is in use: stop what listens there, or choose another with --port"
            " (0 takes a free one)"
        )
    return settings


def public_url(settings: Settings) -> str:
    """The address that users of this machine type."""
    host = settings.host
    if host in {*_ANY_ADDRESS, *tls.LOOPBACK_NAMES}:
        host = "localhost"
    return f"https://{f'[{host}]' if ':' in host else host}:{settings.port}"


def renew_certificates(settings: Settings) -> bool:
    """Renew the local server certificate when it nears its end; says whether it did."""
    certificate = settings.tls_certificate
    if certificate is None or certificate.parent != settings.data_dir / "tls":
        return False
    before = certificate.read_bytes()
    tls.ensure_local_certificates(certificate.parent, _names(settings))
    return certificate.read_bytes() != before


def _is_database_external(settings: Settings) -> bool:
    return bool(settings.database_url or settings.owner_database_url)


def _with_databases(settings: Settings, postgres: EmbeddedPostgres | None) -> Settings:
    """One external URL is enough: that of a role that may create roles. The others derive from it."""
    owner = postgres.url() if postgres is not None else settings.owner_database_url
    if not owner and settings.engine_database_url:
        raise InvalidSetting(
            "AGIO_OWNER_DATABASE_URL is missing: with your own logins for agio_app (AGIO_DATABASE_URL) and"
            " agio_engine (AGIO_ENGINE_DATABASE_URL) it names the owner, who applies migrations"
        )
    is_derived = postgres is not None or not settings.owner_database_url
    owner = owner or settings.database_url
    app = "" if is_derived else settings.database_url
    return msgspec.structs.replace(
        settings,
        owner_database_url=owner,
        database_url=app or role_url(owner, "agio_app"),
        engine_database_url=settings.engine_database_url or role_url(owner, "agio_engine"),
        ticks_database_url=settings.ticks_database_url or role_url(owner, "agio_ticks"),
        ticks_reader_database_url=settings.ticks_reader_database_url or role_url(owner, "agio_ticks_reader"),
    )


def _with_certificates(settings: Settings) -> Settings:
    if settings.tls_certificate is not None or settings.tls_key is not None:
        if settings.tls_certificate is None or settings.tls_key is None:
            raise InvalidSetting("AGIO_TLS_CERTIFICATE and AGIO_TLS_KEY belong together: set both or neither")
        tls.ssl_context(settings.tls_certificate, settings.tls_key)
        return settings
    folder = settings.data_dir / "tls"
    make_folder(folder, 0o755)
    files = tls.ensure_local_certificates(folder, _names(settings))
    return msgspec.structs.replace(
        settings, tls_certificate=files.certificate, tls_key=files.key, ca_file=files.ca_file
    )


def _names(settings: Settings) -> list[str]:
    own = [settings.host] if settings.host not in _ANY_ADDRESS else []
    return [socket.gethostname(), *own]


def _replay_folders(settings: Settings) -> tuple[Path, ...]:
    """Tapes may come from `replays` in the data folder, where `agio replay` puts what it is given."""
    own = settings.data_dir / "replays"
    make_folder(own, 0o700)
    return tuple(dict.fromkeys((own, *settings.replay_dirs)))


def _is_listening(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def absolute_market(market: str) -> str:
    """The market with the path of its tape made absolute; raises InvalidSetting for one that is not there."""
    kind, _, tape = market.partition(":")
    if market in {"sim", "none"}:
        return market
    if is_live(market):
        _check_live(market)
        return market
    if kind != "replay" or not tape:
        raise InvalidSetting(
            f"--market {market!r}: it is sim, none, replay:PATH or live:VENUE:SYMBOL (live:kraken:BTC/USD)"
        )
    path = Path(tape).expanduser().resolve()
    if not path.is_file() or not os.access(path, os.R_OK):
        raise InvalidSetting(f"--market: the tape {path} does not exist or cannot be read")
    return f"replay:{path}"


def _check_live(market: str) -> None:
    try:
        read_market(market)
    except InvalidMarket as error:
        raise InvalidSetting(f"--market {market!r}: {error}") from error
