"""What every use case of transfer requests does: find the parts, hold the money, write down what happened."""

import hmac
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from agio.custody import model as rules
from agio.custody import store as accounts
from agio.custody.api import SOURCE, customer_account, organisation_account
from agio.custody.destinations.model import check_carries, check_usable
from agio.custody.destinations.service import Destinations
from agio.custody.errors import (
    AccountNotOpen,
    DestinationNotUsable,
    RailNotConnected,
    RequestDamaged,
    UnknownAccount,
    UnknownTransferRequest,
)
from agio.custody.freezes.service import Freezes
from agio.custody.house import tell
from agio.custody.policy.decision import Decision, Facts, decide
from agio.custody.policy.limits import LimitReading, Usage, read_limit, window_of
from agio.custody.policy.model import Limit, RequestKind
from agio.custody.policy.service import Policies
from agio.custody.requests import store
from agio.custody.requests.model import (
    Action,
    Target,
    TargetKind,
    TransferRequest,
    advance,
    digest_of,
    facts_of,
)
from agio.custody.vaults.model import SubAccount, vault_account
from agio.custody.vaults.service import Vaults
from agio.kernel.ids import (
    AccountId,
    DestinationId,
    HoldId,
    KeyId,
    SubAccountId,
    TransferRequestId,
    is_id,
    new_id,
)
from agio.kernel.money import format_decimal
from agio.kernel.problem import InvalidRequest
from agio.ledger.api import Asset, Ledger, OpenAccount, PlaceHold
from agio.platform.clock import Clock
from agio.platform.db import Transaction

_SHOWN: Final = 40


class Route(NamedTuple):
    """Where a request leads: how the target is shown, and the ledger account that it is booked on."""

    target: Target
    account: OpenAccount


class Parts(NamedTuple):
    """What a request is about, looked up."""

    sub: SubAccount
    route: Route


class Desk:
    """Shared mechanics; every method wants the house lock held."""

    def __init__(
        self,
        ledger: Ledger,
        vaults: Vaults,
        destinations: Destinations,
        policies: Policies,
        freezes: Freezes,
        clock: Clock,
    ) -> None:
        self.ledger = ledger
        self.vaults = vaults
        self.destinations = destinations
        self.policies = policies
        self.freezes = freezes
        self.clock = clock

    async def request(self, tx: Transaction, request_id: TransferRequestId) -> TransferRequest:
        """One request; raises UnknownTransferRequest."""
        found = await store.select_request(tx, request_id) if is_id(request_id, "trq") else None
        if found is None:
            raise UnknownTransferRequest(f"no transfer request {request_id[:_SHOWN]!r}")
        return found

    async def route(self, tx: Transaction, sub: SubAccount, kind: TargetKind, target_id: str) -> Route:
        """Look a target up, whether or not it may be used now; raises NotFound, InvalidRequest."""
        match kind:
            case "destination":
                return await self._outward(tx, sub, target_id)
            case "sub_account":
                other = await self.vaults.sub_account(tx, SubAccountId(target_id))
                if other.asset != sub.asset or other.sub_account_id == sub.sub_account_id:
                    raise InvalidRequest(
                        f"the target must be another sub-account in {sub.asset}", extra={"field": "target.id"}
                    )
                vault = await self.vaults.vault(tx, other.vault_id)
                return Route(Target(kind, target_id, (other.address,)), vault_account(vault, other))
            case "account":
                found = (
                    await accounts.select_account(tx, AccountId(target_id))
                    if is_id(target_id, "acc")
                    else None
                )
                if found is None:
                    raise UnknownAccount(f"no account {target_id[:_SHOWN]!r}")
                account = customer_account(found, sub.asset)
                return Route(Target(kind, target_id, (account.address,)), account)

    async def _outward(self, tx: Transaction, sub: SubAccount, target_id: str) -> Route:
        destination = await self.destinations.destination(tx, DestinationId(target_id))
        asset = await self.vaults.asset(tx, sub.asset)
        check_carries(destination, asset.asset, asset.asset_class)
        vault = await self.vaults.vault(tx, sub.vault_id)
        if vault.environment != "sandbox":
            raise RailNotConnected("the sandbox rail serves sandbox keys only")
        shown = (destination.kind, destination.address, destination.bic or "")
        rail = organisation_account(vault.organisation_id, vault.environment, rules.SANDBOX_BANK, sub.asset)
        return Route(Target("destination", target_id, shown), rail)

    async def parts(self, tx: Transaction, request: TransferRequest) -> Parts:
        """Sub-account and route of a request; raises RequestDamaged if they are not those of its digest."""
        sub = await self.vaults.sub_account(tx, request.sub_account_id)
        route = await self.route(tx, sub, request.target_kind, request.target_id)
        if not hmac.compare_digest(digest_of(request, route.target), request.digest):
            raise RequestDamaged(f"{request.request_id} is not what its digest says")
        return Parts(sub, route)

    async def require_open(self, tx: Transaction, request: TransferRequest, by: KeyId | None = None) -> None:
        """Raise Frozen if anything that the request touches, or the caller, is frozen."""
        keys = [*request.editors, *([by] if by is not None else [])]
        targets = [request.vault_id, request.sub_account_id, request.target_id]
        if request.target_kind == "sub_account":
            other = await self.vaults.sub_account(tx, SubAccountId(request.target_id))
            targets.append(other.vault_id)
        await self.freezes.require_none(tx, targets=targets, keys=keys)

    async def require_usable(self, tx: Transaction, request: TransferRequest, now: datetime) -> None:
        """Raise DestinationNotUsable while a destination cools or when it was revoked, AccountNotOpen."""
        if request.target_kind == "destination":
            check_usable(await self.destinations.destination(tx, DestinationId(request.target_id)), now)
        elif request.target_kind == "account":
            account = await accounts.select_account(tx, AccountId(request.target_id))
            if account is None or not account.is_open:
                raise AccountNotOpen(f"{request.target_id} is closed")

    async def judge(self, tx: Transaction, request: TransferRequest, sub: SubAccount) -> tuple[int, Decision]:
        """The version of the policy in force, and what it says."""
        active = await self.policies.active(tx)
        facts = facts_of(request, sub.location)
        if active is None:
            return 0, decide(None, facts)
        return active.version, decide(active.document, facts)

    async def read_limits(
        self, tx: Transaction, limits: list[Limit], facts: Facts, sub: SubAccount
    ) -> list[LimitReading]:
        """All limits as they stand now."""
        balance = (await self.vaults.kept(tx, sub)).balance.total
        readings = []
        for limit in limits:
            window = window_of(limit)
            usage = Usage() if window is None else await store.sum_usage(tx, window, facts, self.clock.now())
            readings.append(read_limit(limit, facts, usage, balance))
        return readings

    async def hold(
        self, tx: Transaction, request: TransferRequest, limits: list[Limit], by: KeyId | None
    ) -> TransferRequest:
        """Check what may have changed and the limits, and reserve the money; or fail the request.

        One transaction under the house lock: whoever comes later counts this hold.
        """
        now = self.clock.now()
        sub, route = await self.parts(tx, request)
        await self.require_open(tx, request)
        try:
            await self.require_usable(tx, request, now)
        except (DestinationNotUsable, AccountNotOpen) as refusal:
            return await self.refuse(tx, request, refusal.code, refusal.detail, by)
        for reading in await self.read_limits(tx, limits, facts_of(request, sub.location), sub):
            if not reading.holds:
                return await self.refuse(tx, request, "limit_exceeded", describe(reading, request.asset), by)
        hold = PlaceHold(
            hold_id=HoldId(new_id("hld")),
            organisation_id=request.organisation_id,
            environment=request.environment,
            account=sub.address,
            amount=request.amount,
            expires_at=None,
            source=SOURCE,
            reference=request.request_id,
        )
        await self.ledger.open_accounts(tx, [route.account])
        result = (await self.ledger.apply(tx, [hold]))[0]
        if not result.is_applied:
            return await self.refuse(tx, request, str(result.code), f"the ledger: {result.code}", by)
        held = self.moved(request, "hold", hold_id=hold.hold_id, held_at=now)
        return await self.record(tx, held, "held", by, hold.hold_id)

    async def refuse(
        self, tx: Transaction, request: TransferRequest, code: str, reason: str, by: KeyId | None
    ) -> TransferRequest:
        """End a request that may not go on; that is written down, not raised."""
        failed = self.moved(request, "refuse", reason_code=code, reason=reason)
        return await self.record(tx, failed, "refused", by, f"{code}: {reason}")

    def moved(self, request: TransferRequest, action: Action, **changes: object) -> TransferRequest:
        """The request after an action; raises WrongState."""
        return msgspec.structs.replace(
            request, status=advance(request, action), updated_at=self.clock.now(), **changes
        )

    async def record(
        self, tx: Transaction, request: TransferRequest, what: str, by: KeyId | None, detail: str = ""
    ) -> TransferRequest:
        """Store a request with the step that brought it here, and tell its channel."""
        await store.update_request(tx, request)
        await self.note(tx, request, what, by, detail)
        return request

    async def note(
        self, tx: Transaction, request: TransferRequest, what: str, by: KeyId | None, detail: str = ""
    ) -> None:
        """Write a step down and tell it, the request being as it is."""
        now = self.clock.now()
        await store.insert_step(tx, request, what, by, detail, now)
        await tell(tx, f"request_{what}", now, by=by, detail=detail, request=brief(request))


def brief(request: TransferRequest) -> dict[str, object]:
    """A request as its channel shows it: no reference and no address."""
    return {
        "request_id": request.request_id,
        "version": request.version,
        "kind": request.kind,
        "status": request.status,
        "vault_id": request.vault_id,
        "sub_account_id": request.sub_account_id,
        "asset": request.asset,
        "amount": format_decimal(request.amount, request.scale),
        "target": {"kind": request.target_kind, "id": request.target_id},
        "initiator": request.initiator,
        "policy_version": request.policy_version,
        "digest": request.digest.hex(),
        "reason_code": request.reason_code,
        "hold_id": request.hold_id,
        "journal_id": request.journal_id,
    }


def describe(reading: LimitReading, asset: str) -> str:
    """A broken limit in a sentence."""
    limit = reading.limit
    unit = "requests" if limit.kind == "count" else asset
    span = f" in {limit.window_seconds} s" if limit.window_seconds is not None else ""
    return (
        f"{limit.kind} per {limit.per}{span}: {reading.used} used and {reading.wanted} wanted"
        f" of {reading.allowed} {unit}"
    )


def kind_of(target: TargetKind) -> RequestKind:
    """Money that goes to a destination leaves the house."""
    return "withdrawal" if target == "destination" else "internal"


def parse_units(text: str, asset: Asset) -> int:
    """A request's amount in smallest units; raises InvalidAmount."""
    return rules.parse_amount(text, asset.scale)
