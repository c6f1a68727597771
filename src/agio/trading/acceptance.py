"""Acceptance: order, hold, venue command and event in one durable batch, once per client order id."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from agio.kernel.ids import OrderId
from agio.ledger.api import Ledger, PlaceHold, Result
from agio.platform.clock import Clock
from agio.platform.db import Database
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


class Foreign(msgspec.Struct, frozen=True):
    """The database knows the account as another organisation's."""


Outcome = Accepted | Stored | Refused | Foreign


class Acceptance:
    """Gathers concurrent orders into batches; pursues each until its outcome is known."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        nudge_venue: Callable[[], Awaitable[None]],
        deadline_seconds: float,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._nudge_venue = nudge_venue
        self._deadline_seconds = deadline_seconds
        self._group = GroupCommit[Order, Outcome](self._execute, max_batch=MAX_BATCH)

    async def accept(self, order: Order) -> Outcome:
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
                outcome = await self._group.submit(order)
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

    async def _execute(self, orders: Sequence[Order]) -> list[Outcome | Exception]:
        async with self._database.transaction() as tx:
            claims = await store.claim_orders(tx, orders)
            claimed = [order for order in orders if claims[order.order_id].code == "claimed"]
            refused: dict[OrderId, Result] = {}
            if claimed:
                results = await self._ledger.apply(tx, [_hold(order) for order in claimed])
                refused = {
                    order.order_id: result
                    for order, result in zip(claimed, results, strict=True)
                    if not result.is_applied
                }
                accepted = [order for order in claimed if order.order_id not in refused]
                await store.confirm_orders(tx, list(refused), accepted)
        if len(claimed) > len(refused):
            await self._nudge_venue()
        return [_outcome(order, claims[order.order_id], refused) for order in orders]


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


def _outcome(order: Order, claim: store.Claim, refused: dict[OrderId, Result]) -> Outcome:
    if claim.code == "foreign":
        return Foreign()
    stored = claim.stored
    if stored is None:
        result = refused.get(order.order_id)
        return Accepted(order) if result is None else Refused(result)
    # The order with this name may be a neighbour in this batch whose hold was refused just now.
    result = refused.get(stored.order_id)
    return Stored(stored) if result is None else Refused(result)


def _unknown(order: Order) -> OutcomeUnknown:
    return OutcomeUnknown(
        "the database did not answer in time: send the order again with the same client_order_id"
        f" {order.client_order_id}; it will be accepted once",
        extra={"client_order_id": order.client_order_id},
        headers={"Retry-After": "2"},
    )
