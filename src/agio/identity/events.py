"""Facts that identity publishes."""

import msgspec

from agio.kernel.ids import KeyId

KEY_REVOKED_SUBJECT = "identity.key_revoked"
"""Core NATS subject of `KeyRevoked`, MessagePack array. Best effort: every node also polls the table."""


class KeyRevoked(msgspec.Struct, frozen=True, array_like=True):
    """A key ended before its time: close what was opened with it and forget what was cached of it."""

    key_id: KeyId
