"""Use cases of those who carry transfers out: release, settle, fail."""

import asyncio
from datetime import date

import msgspec

from agio.custody import model as rules
from agio.custody.api import SOURCE
from agio.custody.credentials.service import Credentials
from agio.custody.errors import SignerUnavailable
from agio.custody.house import lock_house
from agio.custody.ports import Signer
from agio.custody.requests.desk import Desk, Parts
from agio.custody.requests.model import MAX_REASON_LENGTH, MAX_REFERENCE_LENGTH, Signed, TransferRequest
from agio.custody.requests.service import release_of
from agio.kernel.ids import JournalId, KeyId, TransferRequestId, new_id
from agio.ledger.api import Leg, PostJournal
from agio.platform.db import Transaction

SIGNING_SECONDS = 5.0


class Settlement:
    """From held to settled. A released withdrawal is an instruction that the house has signed."""

    def __init__(self, desk: Desk, credentials: Credentials, signer: Signer) -> None:
        self._desk = desk
        self._credentials = credentials
        self._signer = signer

    async def release(self, tx: Transaction, request_id: TransferRequestId, by: KeyId) -> TransferRequest:
        """Sign and hand over. What stays in the house settles at once; a withdrawal waits for its rail.

        Raises WrongState, Frozen, DestinationNotUsable, RequestDamaged, SignerUnavailable: it stays held.
        """
        await lock_house(tx)
        request = await self._desk.request(tx, request_id)
        moved = self._desk.moved(request, "release")
        await self._desk.require_open(tx, request, by)
        # Nothing is released on the word of a key that was frozen after it gave it.
        approvers = await self._credentials.consenting(tx, request_id, request.version)
        await self._desk.freezes.require_none(tx, keys=approvers)
        await self._desk.require_usable(tx, request, self._desk.clock.now())
        parts = await self._desk.parts(tx, request)
        released = msgspec.structs.replace(moved, signature=await self._sign(request.digest))
        await self._desk.record(tx, released, "released", by)
        if released.kind == "internal":
            return await self._settle(tx, released, parts, None, by)
        return released

    async def settle(
        self, tx: Transaction, request_id: TransferRequestId, external_reference: str, by: KeyId
    ) -> TransferRequest:
        """The rail has paid: book it against the hold. Not stopped by a freeze: it has happened.

        Only the caller's own key may not be frozen. Raises WrongState, RequestDamaged, Frozen.
        """
        rules.check_text("external_reference", external_reference, MAX_REFERENCE_LENGTH)
        await lock_house(tx)
        await self._desk.freezes.require_key(tx, by)
        request = await self._desk.request(tx, request_id)
        self._desk.moved(request, "settle")
        parts = await self._desk.parts(tx, request)
        return await self._settle(tx, request, parts, external_reference, by)

    async def fail(
        self, tx: Transaction, request_id: TransferRequestId, reason: str, by: KeyId
    ) -> TransferRequest:
        """The rail did not pay, or a held request cannot go on: what was held is free again.

        Raises WrongState, and Frozen for the caller's own key: a false word here pays twice.
        """
        rules.check_text("reason", reason, MAX_REASON_LENGTH)
        await lock_house(tx)
        await self._desk.freezes.require_key(tx, by)
        request = await self._desk.request(tx, request_id)
        failed = self._desk.moved(request, "fail", reason_code="not_carried_out", reason=reason)
        await self._desk.record(tx, failed, "failed", by)
        if request.hold_id is not None:
            (await self._desk.ledger.apply(tx, [release_of(request)]))[0].require()
        return failed

    async def public_key(self) -> bytes:
        """Under which released requests verify."""
        return await self._signer.public_key()

    async def _settle(
        self, tx: Transaction, request: TransferRequest, parts: Parts, external: str | None, by: KeyId
    ) -> TransferRequest:
        journal_id = JournalId(new_id("jnl"))
        settled = self._desk.moved(request, "settle", journal_id=journal_id, external_reference=external)
        await self._desk.record(tx, settled, "settled", by, journal_id)
        journal = book_settlement(settled, parts, journal_id, self._desk.clock.now().date())
        (await self._desk.ledger.apply(tx, [journal]))[0].require()
        return settled

    async def _sign(self, digest: bytes) -> Signed:
        try:
            async with asyncio.timeout(SIGNING_SECONDS):
                public_key = await self._signer.public_key()
                signature = await self._signer.sign(digest)
        except TimeoutError as error:
            raise SignerUnavailable("the signer did not answer in time; release again") from error
        return Signed(self._signer.algorithm, public_key.hex(), signature.hex())


def book_settlement(
    request: TransferRequest, parts: Parts, journal_id: JournalId, booking_date: date
) -> PostJournal:
    """Debit the sub-account from its hold, credit the rail or our own account."""
    return PostJournal(
        journal_id=journal_id,
        organisation_id=request.organisation_id,
        environment=request.environment,
        legs=(
            Leg(parts.sub.address, -request.amount, request.hold_id),
            Leg(parts.route.account.address, request.amount),
        ),
        booking_date=booking_date,
        value_date=booking_date,
        source=SOURCE,
        reference=request.request_id,
    )
