"""Refusals of custody."""

from agio.kernel.problem import Conflict, InvalidRequest, NotFound, Problem


class UnknownAccount(NotFound):
    """No such account, or not one of this organisation and environment."""


class UnknownTransfer(NotFound):
    """No such transfer, or not one of this organisation and environment."""


class UnknownAsset(InvalidRequest):
    """The asset does not exist here; `known` lists currencies and instruments' assets that do."""

    code = "unknown_asset"
    title = "Unknown asset"


class RailNotConnected(Problem):
    """No bank is connected to the live environment, so money cannot move there. Use a sandbox key."""

    status = 403
    code = "rail_not_connected"
    title = "No payment rail connected"


class AccountNotOpen(Conflict):
    """The account is closed: it takes no transfers."""

    code = "account_not_open"
    title = "Account not open"
