"""Master keys: what wraps the data keys of the organisations, and where it is kept.

A key ring holds one current master key and any number of older ones that can still be read, so that a
change of the master key needs no pause: new wraps use the current one, old wraps open until they are made
anew. A key is named by a hash of itself, so that a name can never point to another key.
"""

import base64
import binascii
import hashlib
import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agio.platform.config import InvalidSetting, Settings
from agio.platform.embedded.accounts import make_folder
from agio.platform.embedded.secret_files import write_private

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_MASTER_KEYS: Final = 100
KEY_FILE: Final = Path("secrets") / "master.key"
"""Below the data folder, unless `AGIO_MASTER_KEY_FILE` names another file."""

_HEADER: Final = "# Master keys of agio, the current one first. Without them the database cannot be read.\n"


class UnknownMasterKey(Exception):
    """A data key is wrapped by a master key that is not in our hands."""


class DamagedKey(Exception):
    """A wrapped data key does not open: it was changed, or belongs to another organisation."""


class Wrapped(NamedTuple):
    """A data key as it is stored."""

    master_id: str
    content: bytes


class MasterKeys(Protocol):
    """Wraps data keys. Software holds the key itself; a hardware module would only ever be asked to wrap."""

    def current_id(self) -> str:
        """Which master key new wraps use."""
        ...

    def wrap(self, key: bytes, binding: bytes) -> Wrapped:
        """Encrypt a data key; it opens only with the same binding."""
        ...

    def unwrap(self, wrapped: Wrapped, binding: bytes) -> bytes:
        """Raises UnknownMasterKey, DamagedKey."""
        ...


class KeyRing:
    """Master keys in memory, the current one first; AES-256-GCM."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise InvalidSetting("there is no master key")
        self._ciphers = {master_id(key): AESGCM(key) for key in keys}
        self._current = master_id(keys[0])

    def current_id(self) -> str:
        return self._current

    def ids(self) -> list[str]:
        return list(self._ciphers)

    def wrap(self, key: bytes, binding: bytes) -> Wrapped:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return Wrapped(self._current, nonce + self._ciphers[self._current].encrypt(nonce, key, binding))

    def unwrap(self, wrapped: Wrapped, binding: bytes) -> bytes:
        cipher = self._ciphers.get(wrapped.master_id)
        if cipher is None:
            raise UnknownMasterKey(
                f"the master key {wrapped.master_id} is missing: restore the key file or the variable that"
                " held it when the database was written"
            )
        try:
            return cipher.decrypt(wrapped.content[:NONCE_BYTES], wrapped.content[NONCE_BYTES:], binding)
        except (InvalidTag, ValueError) as error:
            raise DamagedKey("a wrapped data key does not open") from error


class KeyFile:
    """Master keys in a private file, read again when it changes: a rotation needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] = (0, 0)
        self._ring = KeyRing([bytes(KEY_BYTES)])
        self._refresh()

    def current_id(self) -> str:
        return self._refresh().current_id()

    def ids(self) -> list[str]:
        return self._refresh().ids()

    def wrap(self, key: bytes, binding: bytes) -> Wrapped:
        return self._refresh().wrap(key, binding)

    def unwrap(self, wrapped: Wrapped, binding: bytes) -> bytes:
        return self._refresh().unwrap(wrapped, binding)

    def add_key(self) -> str:
        """Make a new current key; the earlier ones stay readable. Returns its name."""
        keys = _read_keys(self._path)
        if len(keys) >= MAX_MASTER_KEYS:
            raise InvalidSetting(f"{self._path} holds {MAX_MASTER_KEYS} keys: forget those that nothing uses")
        new = secrets.token_bytes(KEY_BYTES)
        write_private(self._path, _render([new, *keys]))
        return master_id(new)

    def forget_all_but(self, needed: set[str]) -> list[str]:
        """Delete the keys that are neither current nor needed; returns their names."""
        keys = _read_keys(self._path)
        kept = [key for place, key in enumerate(keys) if place == 0 or master_id(key) in needed]
        if len(kept) < len(keys):
            write_private(self._path, _render(kept))
        return [master_id(key) for key in keys if key not in kept]

    def _refresh(self) -> KeyRing:
        status = self._path.stat()
        stamp = (status.st_mtime_ns, status.st_ino)
        with self._lock:
            if stamp != self._stamp:
                self._ring = KeyRing(_read_keys(self._path))
                self._stamp = stamp
            return self._ring


def open_master_keys(settings: Settings) -> MasterKeys:
    """The master keys that the settings name; the default file is made at the first start.

    Raises InvalidSetting.
    """
    if settings.pkcs11_master_keys:
        return _open_token(settings)
    if settings.master_keys:
        return KeyRing([_decode(text, "AGIO_MASTER_KEYS") for text in settings.master_keys.split(",")])
    if settings.master_key_file is not None:
        return KeyFile(_require(settings.master_key_file))
    path = settings.data_dir / KEY_FILE
    _make_once(path)
    return KeyFile(path)


def _open_token(settings: Settings) -> MasterKeys:
    # Only who has a token needs the library that speaks to it.
    from agio.platform.token_keys import TokenKeys  # noqa: PLC0415

    module, pin_file = settings.pkcs11_module, settings.pkcs11_pin_file
    if module is None or pin_file is None or not settings.pkcs11_token:
        raise InvalidSetting(
            "AGIO_PKCS11_MASTER_KEYS needs AGIO_PKCS11_MODULE, AGIO_PKCS11_TOKEN and AGIO_PKCS11_PIN_FILE"
        )
    try:
        pin = pin_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSetting(f"AGIO_PKCS11_PIN_FILE={str(pin_file)!r}: {error.strerror}") from error
    return TokenKeys(module, settings.pkcs11_token, pin, settings.pkcs11_master_keys.split(","))


def master_id(key: bytes) -> str:
    """A master key's name: it tells nothing about the key, and no other key has it."""
    return "mk_" + hashlib.sha256(b"agio master key\0" + key).hexdigest()[:16]


def _require(path: Path) -> Path:
    if not path.is_file():
        raise InvalidSetting(f"AGIO_MASTER_KEY_FILE={str(path)!r}: there is no such file")
    return path


def _make_once(path: Path) -> None:
    """Processes start together: whoever links the file first has made it."""
    if path.exists():
        return
    make_folder(path.parent, 0o700)
    candidate = path.with_name(f"master.{os.getpid()}.{secrets.token_hex(4)}")
    write_private(candidate, _render([secrets.token_bytes(KEY_BYTES)]))
    with suppress(FileExistsError):
        os.link(candidate, path)
    candidate.unlink()


def _render(keys: Sequence[bytes]) -> str:
    return _HEADER + "".join(base64.b64encode(key).decode() + "\n" for key in keys)


def _read_keys(path: Path) -> list[bytes]:
    try:
        status, text = path.stat(), path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"the master key file {path} cannot be read: {error}") from error
    if status.st_mode & 0o077:
        raise InvalidSetting(f"the master key file {path} is open to others: chmod 600 {path}")
    lines = [line.strip() for line in text.splitlines()]
    return [_decode(line, str(path)) for line in lines if line and not line.startswith("#")]


def _decode(text: str, source: str) -> bytes:
    """One key; what it is never appears in the message."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidSetting(f"{source}: a master key is base64 of {KEY_BYTES} bytes") from error
    if len(key) != KEY_BYTES:
        raise InvalidSetting(f"{source}: a master key is base64 of {KEY_BYTES} bytes, not of {len(key)}")
    return key
