"""The ledger's verbs: `agio.ledger`, `agio.ledger.accounts`, `agio.ledger.holds`.

Whatever is posted here gets an id before it is sent, so that it may be repeated: it takes effect once.
"""

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from agio_sdk.ledger_models import (
    AccountCheck,
    BalanceAsOf,
    Batch,
    BatchMode,
    ChainHead,
    Flag,
    Hold,
    Journal,
    LedgerAccount,
    LedgerEntry,
    LedgerEvent,
    NewJournal,
    NewLeg,
)
from agio_sdk.listing import Listing
from agio_sdk.transport import Amount, Transport, Verbs, amount_text, given, instant_text, segment


class LedgerAccounts(Verbs):
    """Accounts of the ledger: how they stand, how they stood, their history, what may be done with them."""

    def list(
        self, *, owner: str | None = None, code: str | None = None, page_size: int | None = None
    ) -> Listing[LedgerAccount]:
        """Accounts by address, of one owner or one chart code if you like."""
        query = {"owner": owner, "code": code, "limit": page_size}
        return self._rest.listing("/api/ledger/accounts", LedgerAccount, query)

    async def get(self, address: str) -> LedgerAccount:
        """An account as it stands."""
        return await self._rest.get(_account(address), LedgerAccount)

    async def open(
        self,
        name: str,
        asset: str,
        *,
        flags: Sequence[Flag] = (),
        minimum_balance: Amount | None = None,
        code: str | None = None,
    ) -> LedgerAccount:
        """Open `{organisation_id}:book:{name}:{asset}`; repeating it with the same content is harmless."""
        minimum = None if minimum_balance is None else amount_text(minimum_balance)
        body = given(name=name, asset=asset, flags=flags or None, minimum_balance=minimum, code=code)
        return await self._rest.request(
            "POST", "/api/ledger/accounts", LedgerAccount, body=body, is_repeatable=True
        )

    async def freeze(self, address: str, *, expected_version: int | None = None) -> LedgerAccount:
        """Take no further entries or holds until it is unfrozen; what is held stays held."""
        return await self._change(address, "freeze", expected_version)

    async def unfreeze(self, address: str, *, expected_version: int | None = None) -> LedgerAccount:
        """Take entries again."""
        return await self._change(address, "unfreeze", expected_version)

    async def close(self, address: str, *, expected_version: int | None = None) -> LedgerAccount:
        """Close an empty account for ever."""
        return await self._change(address, "close", expected_version)

    async def set_minimum_balance(
        self, address: str, minimum_balance: Amount, *, expected_version: int | None = None
    ) -> LedgerAccount:
        """Say what must stay on the account."""
        body = given(minimum_balance=amount_text(minimum_balance), expected_version=expected_version)
        path = f"{_account(address)}/minimum-balance"
        return await self._rest.request("PUT", path, LedgerAccount, body=body, is_repeatable=True)

    async def balance(self, address: str, at: datetime | None = None) -> BalanceAsOf:
        """What was booked on the account at an instant, or now."""
        query = {"at": None if at is None else instant_text(at)}
        return await self._rest.get(f"{_account(address)}/balance", BalanceAsOf, query)

    def entries(
        self,
        address: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        reference: str | None = None,
        journal_id: str | None = None,
        page_size: int | None = None,
    ) -> Listing[LedgerEntry]:
        """The account's history, newest first; booked within [start, end), of a reference, of a journal."""
        query = {
            "start": None if start is None else instant_text(start),
            "end": None if end is None else instant_text(end),
            "reference": reference,
            "journal_id": journal_id,
            "limit": page_size,
        }
        return self._rest.listing(f"{_account(address)}/entries", LedgerEntry, query)

    async def verify(self, address: str) -> AccountCheck:
        """Check the newest entries, their journals, and the links of the chain that these are in."""
        path = f"{_account(address)}/verify"
        return await self._rest.request("POST", path, AccountCheck, is_repeatable=True)

    async def _change(self, address: str, change: str, expected_version: int | None) -> LedgerAccount:
        return await self._rest.request(
            "POST",
            f"{_account(address)}/{change}",
            LedgerAccount,
            body=given(expected_version=expected_version),
            is_repeatable=True,
        )


class Holds(Verbs):
    """Amounts set aside, captured in parts, released."""

    def list(self, address: str, *, page_size: int | None = None) -> Listing[Hold]:
        """An account's open holds, newest first."""
        return self._rest.listing(f"{_account(address)}/holds", Hold, {"limit": page_size})

    async def get(self, hold_id: str) -> Hold:
        """How much of a hold is captured, released and left."""
        return await self._rest.get(_hold(hold_id), Hold)

    async def place(
        self,
        account: str,
        amount: Amount,
        *,
        expires_at: datetime | None = None,
        reference: str | None = None,
        hold_id: str | None = None,
    ) -> Hold:
        """Set an amount aside; it counts against the available balance at once."""
        body = given(
            account=account,
            amount=amount_text(amount),
            hold_id=hold_id or _new_id("hld"),
            expires_at=None if expires_at is None else instant_text(expires_at),
            reference=reference,
        )
        return await self._rest.request("POST", "/api/holds", Hold, body=body, is_repeatable=True)

    async def capture(
        self,
        hold_id: str,
        to: str,
        amount: Amount,
        *,
        is_final: bool = False,
        reference: str | None = None,
        metadata: Mapping[str, str] | None = None,
        journal_id: str | None = None,
    ) -> Journal:
        """Move some or all of it to another account; `is_final` frees what is then left."""
        body = given(
            to=to,
            amount=amount_text(amount),
            is_final=is_final,
            journal_id=journal_id or _new_id("jnl"),
            reference=reference,
            metadata=metadata,
        )
        path = f"{_hold(hold_id)}/capture"
        return await self._rest.request("POST", path, Journal, body=body, is_repeatable=True)

    async def release(self, hold_id: str) -> Hold:
        """Free what is left of it; repeating that changes nothing."""
        return await self._rest.request("POST", f"{_hold(hold_id)}/release", Hold, is_repeatable=True)


class Ledger(Verbs):
    """Journals and the chain they are in."""

    def __init__(self, rest: Transport) -> None:
        super().__init__(rest)
        self.accounts = LedgerAccounts(rest)
        self.holds = Holds(rest)

    async def post(
        self,
        legs: Sequence[NewLeg],
        *,
        journal_id: str | None = None,
        booking_date: date | None = None,
        value_date: date | None = None,
        reference: str | None = None,
        metadata: Mapping[str, str] | None = None,
        releases: Sequence[str] = (),
    ) -> Journal:
        """Post a journal; durable when this returns. The same id and content again is the same journal."""
        journal = NewJournal(
            list(legs),
            journal_id,
            booking_date,
            value_date,
            reference,
            dict(metadata or {}),
            list(releases),
        )
        return await self._rest.request(
            "POST", "/api/journals", Journal, body=_body(journal), is_repeatable=True
        )

    async def post_batch(self, journals: Sequence[NewJournal], mode: BatchMode) -> Batch:
        """Post up to 8,189 journals: all or none (else ApiError `batch_refused`), or each for itself."""
        body = {"journals": [_body(journal) for journal in journals], "mode": mode}
        return await self._rest.request("POST", "/api/journals/batch", Batch, body=body, is_repeatable=True)

    async def reverse(
        self,
        reversed_id: str,
        *,
        journal_id: str | None = None,
        booking_date: date | None = None,
        value_date: date | None = None,
        reference: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Journal:
        """Undo a journal by its mirror image, which gets `journal_id`; a journal is reversed once."""
        body = given(
            journal_id=journal_id or _new_id("jnl"),
            booking_date=booking_date,
            value_date=value_date,
            reference=reference,
            metadata=metadata,
        )
        path = f"/api/journals/{segment(reversed_id)}/reverse"
        return await self._rest.request("POST", path, Journal, body=body, is_repeatable=True)

    async def journal(self, journal_id: str) -> Journal:
        """A journal with its legs."""
        return await self._rest.get(f"/api/journals/{segment(journal_id)}", Journal)

    def journals(self, reference: str, *, page_size: int | None = None) -> Listing[Journal]:
        """The journals of a reference, newest first: an order, a transfer, a request, a word of yours."""
        return self._rest.listing("/api/journals", Journal, {"reference": reference, "limit": page_size})

    async def head(self) -> ChainHead:
        """The last link of the hash chain. Note it elsewhere: no earlier journal can change without it."""
        return await self._rest.get("/api/ledger/head", ChainHead)

    def changes(self, account_id: str, **options: Any) -> AsyncGenerator[LedgerEvent, None]:
        """Journals and holds of a customer account as they happen; see `Agio.follow`."""
        return self._rest.follow(f"ledger:{account_id}", LedgerEvent, **options)


def _body(journal: NewJournal) -> dict[str, object]:
    members: dict[str, object] = msgspec.to_builtins(journal)
    members.setdefault("journal_id", _new_id("jnl"))
    return members


def _new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"


def _account(address: str) -> str:
    return f"/api/ledger/accounts/{segment(address)}"


def _hold(hold_id: str) -> str:
    return f"/api/holds/{segment(hold_id)}"
