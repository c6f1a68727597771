"""Custody's rules, pure."""

from datetime import date
from typing import Final

from agio.custody.api import SOURCE, Account, Transfer, ledger_address, organisation_address
from agio.custody.errors import AccountNotOpen, RailNotConnected
from agio.kernel.money import InvalidAmount, parse_decimal
from agio.kernel.problem import InvalidRequest
from agio.ledger.api import Leg, PostJournal

SANDBOX_BANK: Final = "external:sandbox_bank"
MAX_AMOUNT_DIGITS: Final = 24
MAX_NAME_LENGTH: Final = 100
MAX_REFERENCE_LENGTH: Final = 140


def parse_amount(text: str, scale: int) -> int:
    """A transfer's amount in smallest units; raises InvalidAmount unless positive and of sensible size."""
    amount = parse_decimal(text, scale)
    if amount <= 0:
        raise InvalidAmount("amount must be greater than zero", extra={"field": "amount"})
    if amount >= 10**MAX_AMOUNT_DIGITS:
        raise InvalidAmount(f"amount has more than {MAX_AMOUNT_DIGITS} digits", extra={"field": "amount"})
    return amount


def check_text(field: str, text: str, max_length: int) -> str:
    """Text for people to read: something visible, no control characters."""
    if not text.strip() or len(text) > max_length or not text.isprintable():
        raise InvalidRequest(f"{field} takes 1 to {max_length} printable characters", extra={"field": field})
    return text


def check_transferable(account: Account) -> None:
    """Raise unless money can move on this account."""
    if account.environment != "sandbox":
        raise RailNotConnected("the sandbox rail serves sandbox keys only")
    if not account.is_open:
        raise AccountNotOpen(f"{account.account_id} is {account.status}")


def book_transfer(account: Account, transfer: Transfer, booking_date: date) -> PostJournal:
    """A deposit debits the bank and credits the customer; a withdrawal is its mirror image."""
    amount = transfer.amount if transfer.direction == "deposit" else -transfer.amount
    return PostJournal(
        journal_id=transfer.journal_id,
        organisation_id=account.organisation_id,
        environment=account.environment,
        legs=(
            Leg(organisation_address(account.organisation_id, SANDBOX_BANK, transfer.asset), -amount),
            Leg(ledger_address(account.account_id, transfer.asset), amount),
        ),
        booking_date=booking_date,
        value_date=booking_date,
        source=SOURCE,
        reference=transfer.transfer_id,
    )
