"""Master keys in an HSM, or in anything else that speaks PKCS#11: they never leave it.

Each is an AES-256 secret key in the token, found by its label. Data keys go in and come out wrapped (AES-GCM
inside the token). The calls are short and rare: a process asks once per organisation and remembers.
"""

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import pkcs11
from pkcs11 import GCMParams, KeyType, Mechanism, ObjectClass, SecretKey, Session

from agio.platform.master_keys import NONCE_BYTES, DamagedKey, UnknownMasterKey, Wrapped

PREFIX: Final = "token_"
Answer = TypeVar("Answer")


_LOST: Final = (
    pkcs11.SessionHandleInvalid,
    pkcs11.SessionClosed,
    pkcs11.DeviceRemoved,
    pkcs11.UserNotLoggedIn,
    pkcs11.ObjectHandleInvalid,
    pkcs11.KeyHandleInvalid,
)

_PINS: Final[dict[tuple[str, str], str]] = {}
"""PINs that opened a token in this process: as the login itself, they are the process', not an object's."""


def open_session(module: Path, token: str, pin: str) -> Session:
    """A session with a token. A process logs in once: its second session is logged in from the start.

    The library asks for no PIN then, so we do: it must be the one that opened the first session.
    """
    found = pkcs11.lib(str(module)).get_token(token_label=token)
    try:
        session = found.open(user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:
        if not secrets.compare_digest(_PINS.get((str(module), token), "").encode(), pin.encode()):
            raise
        return found.open()
    _PINS[str(module), token] = pin
    return session


class TokenKeys:
    """Implements `MasterKeys`; a session that is lost is opened once more."""

    def __init__(self, module: Path, token: str, pin: str, labels: Sequence[str]) -> None:
        self._module, self._token, self._pin = module, token, pin
        self._labels = list(labels)
        self._session: Session | None = None
        self._keys: dict[str, SecretKey] = {}
        self._turn = threading.Lock()

    def current_id(self) -> str:
        return PREFIX + self._labels[0]

    def wrap(self, key: bytes, binding: bytes) -> Wrapped:
        nonce = secrets.token_bytes(NONCE_BYTES)
        label = self._labels[0]
        sealed = self._ask(label, lambda master: _encrypt(master, nonce, key, binding))
        return Wrapped(PREFIX + label, nonce + sealed)

    def unwrap(self, wrapped: Wrapped, binding: bytes) -> bytes:
        label = wrapped.master_id.removeprefix(PREFIX)
        if not wrapped.master_id.startswith(PREFIX) or label not in self._labels:
            raise UnknownMasterKey(f"the master key {wrapped.master_id} is not among those of the token")
        if len(wrapped.content) <= NONCE_BYTES:
            raise DamagedKey("a wrapped data key does not open")
        nonce, sealed = wrapped.content[:NONCE_BYTES], wrapped.content[NONCE_BYTES:]
        return self._ask(label, lambda master: _decrypt(master, nonce, sealed, binding))

    def close(self) -> None:
        """End the session with the token."""
        with self._turn:
            self._forget()

    def _ask(self, label: str, question: Callable[[SecretKey], Answer]) -> Answer:
        with self._turn:
            try:
                return question(self._find(label))
            except _LOST:
                self._forget()
                return question(self._find(label))

    def _find(self, label: str) -> SecretKey:
        if self._session is None:
            self._session = open_session(self._module, self._token, self._pin)
        if label not in self._keys:
            try:
                found = self._session.get_key(ObjectClass.SECRET_KEY, KeyType.AES, label)
            except pkcs11.NoSuchKey as error:
                raise UnknownMasterKey(f"the token has no AES key {label!r}") from error
            self._keys[label] = found  # type: ignore[assignment]
        return self._keys[label]

    def _forget(self) -> None:
        if self._session is not None:
            # What is lost already cannot be closed.
            with suppress(pkcs11.PKCS11Error):
                self._session.close()
        self._session = None
        self._keys.clear()


def _encrypt(master: SecretKey, nonce: bytes, key: bytes, binding: bytes) -> bytes:
    parameters = GCMParams(nonce, binding, 128)
    return bytes(master.encrypt(key, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))  # type: ignore[attr-defined]


def _decrypt(master: SecretKey, nonce: bytes, sealed: bytes, binding: bytes) -> bytes:
    parameters = GCMParams(nonce, binding, 128)
    try:
        return bytes(master.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))  # type: ignore[attr-defined]
    except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange, pkcs11.GeneralError) as error:
        raise DamagedKey("a wrapped data key does not open") from error
