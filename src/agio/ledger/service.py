"""The ledger's use cases: apply, submit, open, read."""

from collections.abc import Sequence

import msgspec

from agio.kernel.ids import JournalId, LedgerAccountId
from agio.kernel.page import InvalidCursor, Page, check_limit, decode_cursor, encode_cursor
from agio.kernel.problem import NotFound
from agio.ledger import store
from agio.ledger.api import (
    Asset,
    AssetMismatch,
    Balance,
    Command,
    Entry,
    Journal,
    OpenAccount,
    Result,
    ResultCode,
)
from agio.ledger.batch import EncodedCommand, cut_batches, encode_command
from agio.ledger.model import check_command, is_name
from agio.ledger.submission import Submission
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction

CREATED = Result(ResultCode.CREATED)
MAX_BATCH = 1000
MAX_VERSION = 2**63
_SHOWN = 40


class LedgerService:
    """The ledger over one database pool; implements `api.Ledger`."""

    def __init__(
        self, database: Database, clock: Clock, *, max_batch: int = MAX_BATCH, queue_limit: int = 20_000
    ) -> None:
        self._database = database
        self._clock = clock
        self._submission = Submission(self._apply_alone, max_batch=max_batch, queue_limit=queue_limit)

    async def define_assets(self, tx: Transaction, assets: Sequence[Asset]) -> None:
        await store.insert_assets(tx, assets)
        known = {asset.asset: asset.scale for asset in await store.select_assets(tx)}
        for asset in assets:
            if known[asset.asset] != asset.scale:
                raise AssetMismatch(f"{asset.asset} has {known[asset.asset]} decimals, not {asset.scale}")

    async def assets(self, tx: Transaction) -> list[Asset]:
        return await store.select_assets(tx)

    async def open_accounts(self, tx: Transaction, accounts: Sequence[OpenAccount]) -> None:
        mismatches = await store.open_accounts(tx, accounts) if accounts else []
        if mismatches:
            raise AssetMismatch(
                f"{mismatches[0]} cannot be opened: its asset is not defined, or it exists otherwise"
            )

    async def lock(self, tx: Transaction) -> None:
        await store.lock_head(tx)

    async def apply(self, tx: Transaction, commands: Sequence[Command]) -> list[Result]:
        sound, places, results = _encode_sound(commands)
        for place, result in zip(places, await self._apply_encoded(tx, sound), strict=True):
            results[place] = result
        return results

    async def submit_many(self, commands: Sequence[Command]) -> list[Result]:
        sound, places, results = _encode_sound(commands)
        for place, result in zip(places, await self._submission.write(sound), strict=True):
            results[place] = result
        return results

    async def submit(self, command: Command) -> Result:
        malformed = check_command(command)
        if malformed:
            return Result(ResultCode.INVALID_COMMAND, malformed)
        return await self._submission.submit(encode_command(command))

    async def drain(self) -> None:
        """Wait until everything submitted has been answered."""
        await self._submission.drain()

    async def expire_holds(self, limit: int = MAX_BATCH) -> int:
        """Free what is left of holds whose time is over; returns how many. Needs the engine's database."""
        async with self._database.transaction() as tx:
            expired = await store.select_expired_holds(tx, self._clock.now(), limit)
            results = await self._apply_encoded(tx, [encode_command(hold) for hold in expired])
        return sum(result.code is ResultCode.CREATED for result in results)

    async def balances(self, tx: Transaction, owner: str) -> list[Balance]:
        return await store.select_balances(tx, owner)

    async def balances_of(self, tx: Transaction, accounts: Sequence[LedgerAccountId]) -> list[Balance]:
        return await store.select_balances_of(tx, accounts)

    async def entries(
        self,
        tx: Transaction,
        owner: str,
        *,
        asset: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Entry]:
        check_limit(limit)
        before, reached = _read_cursor(cursor)
        rows = await store.select_entries(tx, owner, asset, limit + 1, before, reached)
        items = rows[:limit]
        next_cursor = None
        if len(rows) > limit:
            reached = reached | {row.account: row.version for row in items}
            next_cursor = encode_cursor({"journal_no": items[-1].journal_no, **reached})
        return Page([store.to_entry(row) for row in items], next_cursor)

    async def journal(self, tx: Transaction, journal_id: JournalId) -> Journal:
        row = await store.select_journal(tx, journal_id) if is_name(journal_id) else None
        if row is None:
            raise NotFound(f"no journal {journal_id[:_SHOWN]!r}")
        legs = await store.select_legs(tx, row.journal_no)
        return Journal(
            journal_id=row.journal_id,
            journal_no=row.journal_no,
            organisation_id=row.organisation_id,
            environment=row.environment,
            kind=row.kind,
            booking_date=row.booking_date,
            value_date=row.value_date,
            source=row.source,
            reference=row.reference,
            reverses=row.reverses,
            reversed_by=row.reversed_by,
            batch_no=row.batch_no,
            created_at=row.created_at,
            legs=legs,
            metadata=tuple(msgspec.json.decode(row.metadata, type=dict[str, str]).items())
            if row.metadata
            else (),
            releases=tuple(row.releases or ()),
        )

    async def _apply_alone(self, commands: Sequence[EncodedCommand]) -> list[Result]:
        """One durable transaction; without a detour over us when it is one batch, as nearly all are."""
        batches = list(cut_batches(commands))
        if len(batches) > 1:
            async with self._database.transaction() as tx:
                return await self._apply_encoded(tx, commands)
        results: list[Result] = [CREATED] * len(commands)
        if commands:
            for number, code, detail in await store.apply_batch_alone(
                self._database, commands, self._clock.now()
            ):
                results[number - 1] = Result(ResultCode(code), detail)
        return results

    async def _apply_encoded(self, tx: Transaction, commands: Sequence[EncodedCommand]) -> list[Result]:
        results: list[Result] = [CREATED] * len(commands)
        if not commands:
            return results
        for offset, batch in cut_batches(commands):
            for number, code, detail in await store.apply_batch(tx, batch, self._clock.now()):
                results[offset + number - 1] = Result(ResultCode(code), detail)
        return results


def _encode_sound(commands: Sequence[Command]) -> tuple[list[EncodedCommand], list[int], list[Result]]:
    """Commands that are well-formed, their places, and results in which the malformed ones are refused."""
    results: list[Result] = [CREATED] * len(commands)
    sound: list[EncodedCommand] = []
    places: list[int] = []
    for place, command in enumerate(commands):
        malformed = check_command(command)
        if malformed:
            results[place] = Result(ResultCode.INVALID_COMMAND, malformed)
        else:
            sound.append(encode_command(command))
            places.append(place)
    return sound, places, results


def _read_cursor(cursor: str | None) -> tuple[int | None, dict[str, int]]:
    if cursor is None:
        return None, {}
    reached = {name: value for name, value in decode_cursor(cursor).items() if isinstance(value, int)}
    before = reached.pop("journal_no", None)
    if (
        before is None
        or not all(map(is_name, reached))
        or not all(0 <= version < MAX_VERSION for version in (before, *reached.values()))
    ):
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return before, reached
