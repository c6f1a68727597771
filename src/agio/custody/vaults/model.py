"""Vaults and sub-accounts. Pure."""

import re
from datetime import datetime
from typing import Final

import msgspec

from agio.kernel.ids import KeyId, LedgerAccountId, OrganisationId, SubAccountId, VaultId
from agio.kernel.problem import InvalidRequest
from agio.ledger.api import CUSTOMER, Environment, OpenAccount

MAX_VAULTS: Final = 1000
MAX_SUB_ACCOUNTS: Final = 1000
_LOCATION: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)


class Vault(msgspec.Struct, frozen=True):
    """A place of safe keeping: sub-accounts by asset and location, under one policy."""

    vault_id: VaultId
    organisation_id: OrganisationId
    environment: Environment
    name: str
    created_by: KeyId
    created_at: datetime


class SubAccount(msgspec.Struct, frozen=True):
    """One asset of a vault in one location, such as `cold` or `bank_zurich`; one ledger account."""

    sub_account_id: SubAccountId
    vault_id: VaultId
    asset: str
    location: str
    address: LedgerAccountId
    created_at: datetime


def check_location(location: str) -> str:
    """A location's name; raises InvalidRequest."""
    if _LOCATION.fullmatch(location) is None:
        raise InvalidRequest(
            "location: 1 to 40 characters of a-z 0-9 _ -, such as cold or bank_zurich",
            extra={"field": "location"},
        )
    return location


def vault_address(vault_id: VaultId, location: str, asset: str) -> LedgerAccountId:
    """The ledger account of a sub-account, `vlt_x:cold:BTC`."""
    return LedgerAccountId(f"{vault_id}:{location}:{asset}")


def vault_account(vault: Vault, sub: SubAccount) -> OpenAccount:
    """How a sub-account's ledger account is opened: it cannot be overdrawn."""
    return OpenAccount(
        address=sub.address,
        owner=vault.vault_id,
        asset=sub.asset,
        organisation_id=vault.organisation_id,
        environment=vault.environment,
        flags=CUSTOMER,
    )
