"""Hears of keys that end: at once from the bus, and from the table for what the bus lost."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

import msgspec
import structlog

from agio.identity import store
from agio.identity.events import KEY_REVOKED_SUBJECT, KeyRevoked
from agio.identity.settings import IdentitySettings
from agio.kernel.ids import KeyId
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database

_OVERLAP_SECONDS = 5.0
"""How far the table is read again, for transactions that were still open at the last reading."""
_TOLD_LIMIT = 10_000

log = structlog.get_logger(__name__)
_decode = msgspec.msgpack.Decoder(KeyRevoked).decode


class KeyWatch:
    """Implements `agio.identity.api.Revocations`; works while `run` is running."""

    def __init__(
        self, database: Database, bus: Bus, clock: Clock, settings: IdentitySettings | None = None
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._poll_seconds = (settings or IdentitySettings()).watch_seconds
        self._watchers: dict[object, Callable[[KeyId], None]] = {}
        self._told: OrderedDict[KeyId, None] = OrderedDict()

    def watch(self, ended: Callable[[KeyId], None]) -> Callable[[], None]:
        """Call `ended` for each key that ends; returns a function that stops that."""
        token = object()
        self._watchers[token] = ended

        def stop() -> None:
            self._watchers.pop(token, None)

        return stop

    async def run(self) -> None:
        """Listen and poll until cancelled; outages of either side are survived."""
        subscription = await self._bus.subscribe(KEY_REVOKED_SUBJECT, self._heard)
        read_at = self._clock.monotonic()
        try:
            while True:
                await asyncio.sleep(self._poll_seconds)
                started_at = self._clock.monotonic()
                try:
                    await self._read(started_at - read_at + _OVERLAP_SECONDS)
                except Exception as error:
                    log.warning("ended_keys_not_read", error=repr(error))
                else:
                    read_at = started_at
        finally:
            await subscription.unsubscribe()

    async def _heard(self, _subject: str, payload: bytes) -> None:
        try:
            self._tell(_decode(payload).key_id)
        except msgspec.MsgspecError:
            log.warning("key_revoked_not_understood")

    async def _read(self, seconds: float) -> None:
        async with self._database.transaction() as tx:
            ended = await store.list_ended_keys(tx, timedelta(seconds=seconds))
        for key_id in ended:
            self._tell(key_id)

    def _tell(self, key_id: KeyId) -> None:
        if key_id in self._told:
            return
        self._told[key_id] = None
        if len(self._told) > _TOLD_LIMIT:
            self._told.popitem(last=False)
        for ended in list(self._watchers.values()):
            try:
                ended(key_id)
            except Exception:
                log.exception("key_end_not_handled", key_id=key_id)
