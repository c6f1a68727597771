"""Acceptance: order, hold, venue command and event in one durable batch, once per client order id."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from agio.custody.api import FreezeCheck, Mover
from agio.kernel.ids import FreezeId, KeyId, OrderId
from agio.ledger.api import Ledger, PlaceHold, Result
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction
from agio.platform.group_commit import GroupCommit, Overloaded
from agio.trading import store
from agio.trading.errors import OutcomeUnknown
from agio.trading.model import Order, hold_of
from agio.trading.settlement import SOURCE

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
MAX_BATCH = 500

log = structlog.get_logger(__name__)


class Accepted(msgspec.Struct, frozen=True):
    """The order stands."""

    order: Order


class Stored(msgspec.Struct, frozen=True):
    """An order has this client order id on this account already."""

    order: Order


class Refused(msgspec.Struct, frozen=True):
    """The ledger refused the hold; nothing of the order stands."""

    result: Result


class Stopped(msgspec.Struct, frozen=True):
    """A freeze of the house, the account or the key; nothing of the order stands."""

    freezes: tuple[FreezeId, ...]


class Foreign(msgspec.Struct, frozen=True):
    """The database knows the account as another organisation's."""


Refusal = Refused | Stopped
Outcome = Accepted | Stored | Refusal | Foreign


class Submission(msgspec.Struct, frozen=True):
    """An order and the key that sent it."""

    order: Order
    key_id: KeyId | None


class Acceptance:
    """Gathers concurrent orders into batches; pursues each until its outcome is known."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        freezes: FreezeCheck,
        clock: Clock,
        nudge_venue: Callable[[], Awaitable[None]],
        deadline_seconds: float,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._freezes = freezes
        self._clock = clock
        self._nudge_venue = nudge_venue
        self._deadline_seconds = deadline_seconds
        self._group = GroupCommit[Submission, Outcome](self._execute, max_batch=MAX_BATCH)

    async def accept(self, order: Order, key_id: KeyId | None = None) -> Outcome:
        """Make the order stand, or say why not.

        When an answer is lost the same order is submitted again: the database takes an order id once, so
        an attempt that did commit is found and not repeated. Raises Overloaded (nothing was done) and
        OutcomeUnknown.
        """
        give_up_at = self._clock.monotonic() + self._deadline_seconds
        pause = FIRST_PAUSE_SECONDS
        attempts = 0
        while True:
            attempts += 1
            try:
                outcome = await self._group.submit(Submission(order, key_id))
            except Overloaded:
                if attempts == 1:
                    raise
            except Exception as error:
                log.warning("acceptance_in_doubt", order_id=order.order_id, error=repr(error))
            else:
                if isinstance(outcome, Stored) and outcome.order.order_id == order.order_id:
                    return Accepted(outcome.order)
                return outcome
            if self._clock.monotonic() + pause > give_up_at:
                raise _unknown(order)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def drain(self) -> None:
        await self._group.drain()

    async def _execute(self, submitted: Sequence[Submission]) -> list[Outcome | Exception]:
        orders = [one.order for one in submitted]
        async with self._database.transaction() as tx:
            claims = await store.claim_orders(tx, orders)
            claimed = [one for one in submitted if claims[one.order.order_id].code == "claimed"]
            refused: dict[OrderId, Refusal] = {}
            if claimed:
                # Only what is new: an order that stands is answered again, whatever is frozen now.
                refused |= await self._find_stopped(tx, claimed)
                free = [one.order for one in claimed if one.order.order_id not in refused]
                results = await self._ledger.apply(tx, [_hold(order) for order in free]) if free else []
                refused |= {
                    order.order_id: Refused(result)
                    for order, result in zip(free, results, strict=True)
                    if not result.is_applied
                }
                accepted = [order for order in free if order.order_id not in refused]
                await store.confirm_orders(tx, list(refused), accepted)
        if len(claimed) > len(refused):
            await self._nudge_venue()
        return [_outcome(order, claims[order.order_id], refused) for order in orders]

    async def _find_stopped(self, tx: Transaction, claimed: Sequence[Submission]) -> dict[OrderId, Refusal]:
        movers = [
            Mover(one.order.organisation_id, one.order.environment, one.order.account_id, one.key_id)
            for one in claimed
        ]
        freezes = await self._freezes.freezes_of(tx, movers)
        return {
            one.order.order_id: Stopped(stops) for one, stops in zip(claimed, freezes, strict=True) if stops
        }


def _hold(order: Order) -> PlaceHold:
    account, amount = hold_of(order)
    return PlaceHold(
        hold_id=order.hold_id,
        organisation_id=order.organisation_id,
        environment=order.environment,
        account=account,
        amount=amount,
        expires_at=None,
        source=SOURCE,
        reference=order.order_id,
    )


def _outcome(order: Order, claim: store.Claim, refused: dict[OrderId, Refusal]) -> Outcome:
    if claim.code == "foreign":
        return Foreign()
    stored = claim.stored
    if stored is None:
        return refused.get(order.order_id) or Accepted(order)
    # The order with this name may be a neighbour in this batch that was refused just now.
    return refused.get(stored.order_id) or Stored(stored)


def _unknown(order: Order) -> OutcomeUnknown:
    return OutcomeUnknown(
        "the database did not answer in time: send the order again with the same client_order_id"
        f" {order.client_order_id}; it will be accepted once",
        extra={"client_order_id": order.client_order_id},
        headers={"Retry-After": "2"},
    )
