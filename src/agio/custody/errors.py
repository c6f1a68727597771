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


class UnknownVault(NotFound):
    """No such vault, or not one of this organisation and environment."""


class UnknownSubAccount(NotFound):
    """No such sub-account, or not one of this organisation and environment."""


class UnknownDestination(NotFound):
    """No such destination, or not one of this organisation and environment."""


class UnknownTransferRequest(NotFound):
    """No such transfer request, or not one of this organisation and environment."""


class UnknownPolicy(NotFound):
    """No such policy version, or not one of this organisation and environment."""


class UnknownCredential(NotFound):
    """No such credential, or not one of this key."""


class UnknownFreeze(NotFound):
    """No such freeze, or not one of this organisation and environment."""


class InvalidPolicy(InvalidRequest):
    """The policy cannot stand as it is written; `field` names the place."""

    code = "invalid_policy"
    title = "Invalid policy"


class InvalidAddress(InvalidRequest):
    """The address, IBAN or BIC fails its checksum or its form: nobody could be paid there."""

    code = "invalid_address"
    title = "Invalid address"


class TooMany(Conflict):
    """A limit of the installation is reached; end something that is no longer needed."""

    code = "too_many"
    title = "Too many"


class AlreadyExists(Conflict):
    """There is one already; its id is in `existing`."""

    code = "already_exists"
    title = "Already exists"


class Frozen(Conflict):
    """Something that this touches is frozen; `freezes` lists by what. Have it lifted."""

    code = "frozen"
    title = "Frozen"


class DestinationNotUsable(Conflict):
    """The destination is still cooling (`usable_from` says until when), or was revoked."""

    code = "destination_not_usable"
    title = "Destination not usable"


class WrongState(Conflict):
    """The object is not in a state in which this can be done; `status` says in which it is."""

    code = "wrong_state"
    title = "Not in this state"


class RequestChanged(Conflict):
    """The digest is not that of the present request: read it again and approve what it says now."""

    code = "request_changed"
    title = "Not what is to be approved"


class RequestDamaged(Conflict):
    """The stored request is not the one whose digest was approved. Nothing is done; call the operator."""

    code = "request_damaged"
    title = "Request does not match its digest"


class PolicyMoved(Conflict):
    """Another policy became active since the draft was made. Make the draft anew."""

    code = "policy_moved"
    title = "Policy moved on"


class TooEarly(Conflict):
    """The delay is not over; `activates_at` says when it is."""

    code = "too_early"
    title = "Too early"


class SelfApproval(Problem):
    """Whoever made or changed something never approves it."""

    status = 403
    code = "self_approval"
    title = "Your own cannot be approved by you"


class NotAnApprover(Problem):
    """Your key is in no group whose approval is asked for."""

    status = 403
    code = "not_an_approver"
    title = "Not an approver"


class SecondPersonNeeded(Problem):
    """Whoever placed a freeze does not lift it: another key has to."""

    status = 403
    code = "second_person_needed"
    title = "A second person is needed"


class InvalidApproval(Problem):
    """The signature or the code does not prove the approver's consent to this digest."""

    status = 422
    code = "invalid_approval"
    title = "Invalid signature or code"


class CredentialNotUsable(Conflict):
    """The credential is not confirmed, still cooling, locked after wrong codes, or revoked."""

    code = "credential_not_usable"
    title = "Credential not usable"


class SignerUnavailable(Problem):
    """The signing key does not answer; the request stays held and may be released again."""

    status = 503
    code = "signer_unavailable"
    title = "Signer does not answer"
