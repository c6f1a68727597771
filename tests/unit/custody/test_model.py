"""Custody's rules."""

from datetime import UTC, date, datetime

import pytest

from agio.custody.api import Account, Direction, Transfer
from agio.custody.errors import AccountNotOpen, RailNotConnected
from agio.custody.model import book_transfer, check_transferable, parse_amount
from agio.kernel.ids import AccountId, JournalId, OrganisationId, TransferId
from agio.kernel.money import InvalidAmount

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def account(**changes: str) -> Account:
    fields = {"environment": "sandbox", "status": "open"} | changes
    return Account(
        account_id=AccountId("acc_1"),
        organisation_id=OrganisationId("org_a"),
        environment=fields["environment"],  # type: ignore[arg-type]
        name="Main",
        base_currency="USD",
        status=fields["status"],  # type: ignore[arg-type]
        created_at=NOW,
    )


def transfer(direction: Direction) -> Transfer:
    return Transfer(
        TransferId("trf_1"),
        AccountId("acc_1"),
        direction,
        "USD",
        500,
        2,
        None,
        "settled",
        JournalId("jnl_1"),
        NOW,
    )


@pytest.mark.parametrize("text", ["0", "0.00", "-1", "1.005", "NaN", "1e2", "", "9" * 25, " 1"])
def test_amounts_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        parse_amount(text, 2)


def test_amounts_are_in_smallest_units() -> None:
    assert parse_amount("12.5", 2) == 1250


@pytest.mark.parametrize(("direction", "customer"), [("deposit", 500), ("withdrawal", -500)])
def test_a_transfer_books_the_bank_against_the_customer(direction: Direction, customer: int) -> None:
    journal = book_transfer(account(), transfer(direction), date(2026, 3, 2))

    assert [(leg.account, leg.amount) for leg in journal.legs] == [
        ("org_a:external:sandbox_bank:USD", -customer),
        ("acc_1:USD", customer),
    ]
    assert journal.reference == "trf_1"


def test_live_money_and_closed_accounts_do_not_move() -> None:
    with pytest.raises(RailNotConnected):
        check_transferable(account(environment="live"))
    with pytest.raises(AccountNotOpen):
        check_transferable(account(status="closed"))
    check_transferable(account())
