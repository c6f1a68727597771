"""Use cases of the allowlist: add, revoke, look up."""

from datetime import timedelta
from typing import Final

from agio.custody import model as rules
from agio.custody.destinations import store
from agio.custody.destinations.model import MAX_DESTINATIONS, Destination, DestinationKind, check_address
from agio.custody.errors import AlreadyExists, TooMany, UnknownDestination, WrongState
from agio.custody.freezes.service import Freezes
from agio.custody.house import lock_house, tell
from agio.custody.policy import store as policies
from agio.custody.policy.model import DEFAULT_COOLING_SECONDS
from agio.kernel.ids import DestinationId, KeyId, is_id, new_id
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.platform.clock import Clock
from agio.platform.db import Transaction

_SHOWN: Final = 40


class Destinations:
    """The allowlist of the transaction's tenant."""

    def __init__(self, freezes: Freezes, clock: Clock) -> None:
        self._freezes = freezes
        self._clock = clock

    async def add(
        self, tx: Transaction, kind: DestinationKind, name: str, address: str, bic: str | None, by: KeyId
    ) -> Destination:
        """Add a destination; money may be sent there once it has cooled.

        Raises InvalidAddress, AlreadyExists, TooMany, Frozen.
        """
        rules.check_text("name", name, rules.MAX_NAME_LENGTH)
        canonical, canonical_bic = check_address(kind, address, bic)
        await lock_house(tx)
        await self._freezes.require_none(tx, keys=[by])
        listed = await store.select_listed(tx, MAX_DESTINATIONS)
        if len(listed) >= MAX_DESTINATIONS:
            raise TooMany(f"at most {MAX_DESTINATIONS} destinations; revoke one")
        for one in listed:
            if (one.kind, one.address) == (kind, canonical):
                raise AlreadyExists(
                    f"this address is {one.destination_id}", extra={"existing": one.destination_id}
                )
        active = await policies.select_active(tx)
        cooling = DEFAULT_COOLING_SECONDS if active is None else active.document.destination_cooling_seconds
        now = self._clock.now()
        destination = Destination(
            destination_id=DestinationId(new_id("dst")),
            kind=kind,
            name=name,
            address=canonical,
            bic=canonical_bic,
            added_by=by,
            added_at=now,
            usable_from=now + timedelta(seconds=cooling),
        )
        await store.insert_destination(tx, destination)
        await tell(tx, "destination_added", now, destination_id=destination.destination_id, kind=kind, by=by)
        return destination

    async def revoke(self, tx: Transaction, destination_id: DestinationId, by: KeyId) -> Destination:
        """Take a destination off the list, for good; raises UnknownDestination, WrongState, Frozen (key)."""
        await lock_house(tx)
        await self._freezes.require_key(tx, by)
        destination = await self.destination(tx, destination_id)
        if destination.revoked_at is not None:
            raise WrongState(f"{destination_id} was revoked already", extra={"status": "revoked"})
        now = self._clock.now()
        await store.update_revoked(tx, destination_id, by, now)
        await tell(tx, "destination_revoked", now, destination_id=destination_id, by=by)
        return await self.destination(tx, destination_id)

    async def destination(self, tx: Transaction, destination_id: DestinationId) -> Destination:
        """One destination; raises UnknownDestination."""
        found = await store.select_destination(tx, destination_id) if is_id(destination_id, "dst") else None
        if found is None:
            raise UnknownDestination(f"no destination {destination_id[:_SHOWN]!r}")
        return found

    async def destinations(self, tx: Transaction, limit: int, cursor: str | None) -> Page[Destination]:
        """Destinations, oldest first, revoked ones included."""
        check_limit(limit)
        found = await store.select_destinations(tx, read_id_cursor(cursor, "after", "dst") or "", limit + 1)
        items = found[:limit]
        more = encode_cursor({"after": items[-1].destination_id}) if len(found) > limit else None
        return Page(items, more)
