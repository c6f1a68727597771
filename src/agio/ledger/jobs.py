"""What runs beside the requests: holds that are over are freed."""

import asyncio

import structlog

from agio.ledger.service import MAX_BATCH, LedgerService

SWEEP_SECONDS = 1.0

log = structlog.get_logger(__name__)


class HoldExpiry:
    """Frees what is left of expired holds. An expired hold is refused from its instant on; this gives its
    amount back, within a second. Harmless to run twice at once: the ledger decides each hold once.
    """

    def __init__(self, ledger: LedgerService, *, sweep_seconds: float = SWEEP_SECONDS) -> None:
        self._ledger = ledger
        self._sweep_seconds = sweep_seconds

    async def run(self) -> None:
        """Sweep until cancelled; a database that does not answer is asked again."""
        while True:
            try:
                freed = await self._ledger.expire_holds()
            except Exception as error:
                log.warning("hold_expiry_interrupted", error=repr(error))
                freed = 0
            if freed < MAX_BATCH:
                await asyncio.sleep(self._sweep_seconds)
