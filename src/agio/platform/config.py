"""Settings of a process, read once from `AGIO_*` environment variables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

import msgspec


class InvalidSetting(Exception):
    """An environment variable holds something unusable; the message names it and says what fits."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a process must be told; each field is the variable `AGIO_<NAME>`."""

    data_dir: Path
    database_url: str = ""
    """PostgreSQL as the role `agio_app`: row-level security applies."""
    engine_database_url: str = ""
    """PostgreSQL as the role `agio_engine`."""
    owner_database_url: str = ""
    """PostgreSQL as the owner of the schemas; only migrations and the local operator use it."""
    ticks_database_url: str = ""
    """PostgreSQL as the role `agio_ticks`, the writer of the tick store's catalogue."""
    ticks_reader_database_url: str = ""
    """The same as the role `agio_ticks_reader`, which reads the catalogue and nothing else of value."""
    tick_dir: Path | None = None
    """Folder of the tick store; `ticks` in the data folder by default. All nodes of one database share it."""
    tick_hot_hours: float = 2.0
    """Hours for which new trades and quotes stay in PostgreSQL before the tick store takes them."""
    tick_trade_days: float = 0.0
    """Days for which the tick store keeps trades; 0 is for ever. The simulator's stay for 7 at most."""
    tick_quote_days: float = 30.0
    """The same for quotes; the simulator's stay for 2 at most."""
    nats_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8443
    market: str = "sim"
    """`sim`, `replay:PATH`, `live:VENUE:SYMBOL,SYMBOL;VENUE:...` or `none`."""
    feed_urls: tuple[str, ...] = ()
    """`VENUE=wss://host`: streams of live venues elsewhere. `AGIO_FEED_URL_<VENUE>` says it for one."""
    feed_rest_urls: tuple[str, ...] = ()
    """`VENUE=https://host`: the same of their REST, by default at the host of the stream that was named."""
    speed: float = 1.0
    """Replay speed as a multiple of real time; 0 is as fast as possible."""
    seed: int = 1
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    ca_file: Path | None = None
    allowed_origins: tuple[str, ...] = ()
    """Further browser origins that may open a stream; the server's own always may."""
    api_processes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """API processes on the one port; the kernel spreads connections over them."""
    stream_compression: bool = False
    """Agree to permessage-deflate when a client offers it."""
    replay_dirs: tuple[Path, ...] = ()
    """Folders from which `POST /api/market/replays` may read."""
    master_keys: str = ""
    """Master keys of the encryption at rest, base64, separated by commas, the current one first."""
    master_key_file: Path | None = None
    """A file that holds them, one a line; by default `secrets/master.key` in the data folder."""
    pkcs11_module: Path | None = None
    """The library of a token, such as `/usr/lib/softhsm/libsofthsm2.so`."""
    pkcs11_token: str = ""
    """The token's label."""
    pkcs11_key: str = ""
    """The label of custody's Ed25519 key pair in it; without one the signing key is a private file."""
    pkcs11_pin_file: Path | None = None
    """A private file with the token's user PIN."""
    pkcs11_master_keys: str = ""
    """Labels of AES-256 keys in the token, separated by commas, the current one first: the master keys."""
    log_level: str = "info"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings; raises InvalidSetting naming the variable."""
        values: dict[str, object] = {}
        for field in msgspec.structs.fields(cls):
            variable = f"AGIO_{field.encode_name.upper()}"
            text = environment.get(variable, "")
            if not text:
                continue
            is_list = field.encode_name in {"allowed_origins", "replay_dirs", "feed_urls", "feed_rest_urls"}
            raw: object = (
                [part for part in text.split(os.pathsep if "dirs" in variable.lower() else ",") if part]
                if is_list
                else text
            )
            try:
                values[field.encode_name] = msgspec.convert(
                    raw, field.type, strict=False, dec_hook=_read_path
                )
            except msgspec.ValidationError as error:
                raise InvalidSetting(f"{variable}={text!r}: {error}") from error
        for name, prefix in (("feed_urls", "AGIO_FEED_URL_"), ("feed_rest_urls", "AGIO_FEED_REST_URL_")):
            values[name] = (*cast("tuple[str, ...]", values.get(name, ())), *_by_venue(environment, prefix))
        if "data_dir" not in values:
            values["data_dir"] = default_data_dir(environment)
        return cls(**values)  # type: ignore[arg-type]

    def to_environment(self) -> dict[str, str]:
        """The variables from which `from_environment` reads the same settings."""
        variables = {}
        for name, value in msgspec.structs.asdict(self).items():
            if value in (None, "", ()):
                continue
            separator = os.pathsep if name == "replay_dirs" else ","
            text = separator.join(map(str, value)) if isinstance(value, tuple) else str(value)
            variables[f"AGIO_{name.upper()}"] = text
        return variables


def default_data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """`/var/lib/agio` for root, the user's XDG data folder otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/agio")
    home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "agio"


def _by_venue(environment: Mapping[str, str], prefix: str) -> list[str]:
    """`VENUE=URL` of each variable that names a venue after the prefix."""
    return [
        f"{variable.removeprefix(prefix)}={url}"
        for variable, url in sorted(environment.items())
        if variable.startswith(prefix) and url
    ]


def _read_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"no way to read {value!r} as {kind}")
