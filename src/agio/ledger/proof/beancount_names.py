"""Names that Beancount accepts, one for each of ours and none for two.

Beancount wants accounts like `Assets:Sandbox:Org-a:Bank:USD` (a root, then components that begin with a
capital or a digit) and commodities like `USD`; our own name always stands beside it as metadata.
"""

import re
from typing import Final

from agio.ledger.proof.snapshot import RecordedAccount

_NOT_IN_ACCOUNTS: Final = re.compile(r"[^A-Za-z0-9-]")
_COMMODITY: Final = re.compile(r"[A-Z](?:[A-Z0-9._-]{0,22}[A-Z0-9])?", re.ASCII)
_NOT_IN_COMMODITIES: Final = re.compile(r"[^A-Z0-9]")
_WORDS: Final = frozenset({"TRUE", "FALSE", "NULL"})
"""What Beancount reads as something else than a commodity."""
_LONGEST: Final = 20


class BeancountNames:
    """Gives names out; a name that is taken gets a number behind it."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], str] = {}
        self._commodities: dict[str, str] = {}
        self._taken: set[str] = set()

    def name_account(self, account: RecordedAccount) -> str:
        key = (account.address, account.environment)
        if key not in self._accounts:
            parts = [account.environment, *account.address.split(":")]
            plain = ":".join([_root(account), *map(_component, parts)])
            self._accounts[key] = self._free(plain, account.account_no)
        return self._accounts[key]

    def account(self, address: str, environment: str) -> str:
        """The name given out before; raises KeyError when none was."""
        return self._accounts[address, environment]

    def commodity(self, asset: str) -> str:
        if asset not in self._commodities:
            name = asset
            if _COMMODITY.fullmatch(asset) is None or asset in _WORDS:
                name = "X" + _NOT_IN_COMMODITIES.sub("", asset)[:_LONGEST]
            self._commodities[asset] = self._free(name, len(self._commodities) + 1)
        return self._commodities[asset]

    def _free(self, name: str, number: int) -> str:
        free = name
        while free in self._taken:
            free = f"{name}-{number}"
            number += 1
        self._taken.add(free)
        return free


def _root(account: RecordedAccount) -> str:
    """What the house owes to customers, earns as fees, or has."""
    if account.owner.startswith("acc_"):
        return "Liabilities"
    return "Income" if account.address.split(":")[1:2] == ["fees"] else "Assets"


def _component(text: str) -> str:
    plain = _NOT_IN_ACCOUNTS.sub("-", text)
    return plain[0].upper() + plain[1:] if plain[0] != "-" else f"X{plain}"
