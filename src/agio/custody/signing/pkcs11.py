"""A signer whose Ed25519 key lies in an HSM, or in anything else that speaks PKCS#11."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import pkcs11
from pkcs11 import Attribute, Mechanism, ObjectClass, Session, SignMixin

from agio.custody.errors import SignerUnavailable
from agio.custody.ports import SignatureAlgorithm
from agio.platform.token_keys import open_session

POINT_BYTES: Final = 32
TIMEOUT_SECONDS: Final = 5.0
Answer = TypeVar("Answer")


class Token(msgspec.Struct, frozen=True):
    """Where the key is."""

    module: Path
    """The vendor's library, such as `/usr/lib/softhsm/libsofthsm2.so`."""
    label: str
    key_label: str
    pin: str


class Pkcs11Signer:
    """Signs inside of the token, one call at a time, in a thread; a lost session is opened again."""

    algorithm: SignatureAlgorithm = "ed25519"

    def __init__(self, token: Token) -> None:
        self._token = token
        self._session: Session | None = None
        self._turn = threading.Lock()

    async def public_key(self) -> bytes:
        return await self._ask(self._read_public_key)

    async def sign(self, message: bytes) -> bytes:
        return await self._ask(lambda session: self._sign(session, message))

    async def close(self) -> None:
        """End the session with the token."""
        await asyncio.to_thread(self._end)

    async def _ask(self, question: Callable[[Session], Answer]) -> Answer:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await asyncio.to_thread(self._ask_in_turn, question)
        except (pkcs11.PKCS11Error, RuntimeError, OSError, TimeoutError) as error:
            # The library's words may name files and slots; the caller needs none of them.
            raise SignerUnavailable(f"the token answers {type(error).__name__}") from error

    def _ask_in_turn(self, question: Callable[[Session], Answer]) -> Answer:
        with self._turn:
            if self._session is None:
                self._session = open_session(self._token.module, self._token.label, self._token.pin)
            try:
                return question(self._session)
            except pkcs11.PKCS11Error:
                self._forget()
                raise

    def _sign(self, session: Session, message: bytes) -> bytes:
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=self._token.key_label)
        if not isinstance(key, SignMixin):
            raise SignerUnavailable("the token's key cannot sign")
        return key.sign(message, mechanism=Mechanism.EDDSA)

    def _read_public_key(self, session: Session) -> bytes:
        key = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=self._token.key_label)
        # The point is an OCTET STRING of 32 bytes (PKCS#11 3.0, 6.3.5); some tokens leave the frame out.
        point: bytes = key[Attribute.EC_POINT]
        return point[-POINT_BYTES:]

    def _end(self) -> None:
        with self._turn:
            self._forget()

    def _forget(self) -> None:
        if self._session is not None:
            # What is lost already cannot be closed.
            with suppress(pkcs11.PKCS11Error):
                self._session.close()
        self._session = None
