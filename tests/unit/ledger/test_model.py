"""The reference state machine keeps the ledger's promises, whatever is thrown at it."""

from datetime import UTC, date, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import (
    CUSTOMER,
    NO_FLAGS,
    AccountFlags,
    Command,
    Leg,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
    ResultCode,
)
from agio.ledger.model import LedgerModel, check_command

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ORGANISATION = OrganisationId("org_a")
FLAGS: dict[str, AccountFlags] = {
    "org_a:bank:USD": NO_FLAGS,
    "org_a:loan:USD": AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS,
    "acc_1:USD": CUSTOMER,
    "acc_2:USD": CUSTOMER,
}
addresses = st.sampled_from([LedgerAccountId(address) for address in FLAGS])
amounts = st.integers(1, 50)
hold_ids = st.integers(0, 4).map(lambda number: HoldId(f"hld_{number}"))


@st.composite
def journals(draw: st.DrawFn) -> PostJournal:
    legs: list[Leg] = []
    for _ in range(draw(st.integers(1, 3))):
        amount = draw(amounts)
        legs.append(Leg(draw(addresses), -amount, draw(st.none() | hold_ids)))
        legs.append(Leg(draw(addresses), amount))
    return PostJournal(
        journal_id=JournalId(f"jnl_{draw(st.integers(0, 30))}"),
        organisation_id=ORGANISATION,
        environment="sandbox",
        legs=tuple(legs),
        booking_date=date(2026, 3, 2),
        value_date=date(2026, 3, 2),
        source="test",
        releases=tuple(draw(st.lists(hold_ids, max_size=2))),
    )


holds = st.builds(
    PlaceHold,
    hold_ids,
    st.just(ORGANISATION),
    st.just("sandbox"),
    addresses,
    amounts,
    st.none(),
    st.just("test"),
)
releases = st.builds(ReleaseHold, hold_ids, st.just(ORGANISATION), st.just("sandbox"), st.just("test"))
commands: st.SearchStrategy[Command] = st.one_of(journals(), journals(), holds, releases)


def new_model() -> LedgerModel:
    model = LedgerModel()
    for address, flags in FLAGS.items():
        model.open_account(
            OpenAccount(
                LedgerAccountId(address), address.partition(":")[0], "USD", ORGANISATION, "sandbox", flags
            )
        )
    return model


def snapshot(model: LedgerModel) -> list[tuple[int, int, int]]:
    return [(account.balance, account.held, account.version) for account in model.accounts.values()]


@settings(max_examples=200, deadline=None)
@given(st.lists(commands, max_size=40))
def test_every_prefix_balances_and_stays_within_limits(batch: list[Command]) -> None:
    model = new_model()
    for command in batch:
        before = snapshot(model)

        result = model.apply(command, NOW)

        if result.code is not ResultCode.CREATED:
            assert snapshot(model) == before
        assert sum(account.balance for account in model.accounts.values()) == 0
        for address in ("acc_1:USD", "acc_2:USD"):
            assert model.accounts[LedgerAccountId(address)].available >= 0
        assert model.accounts[LedgerAccountId("org_a:loan:USD")].balance <= 0
        assert all(0 <= hold.left <= hold.placed.amount for hold in model.holds.values())
        held = sum(hold.left for hold in model.holds.values())
        assert held == sum(account.held for account in model.accounts.values())


@settings(max_examples=50, deadline=None)
@given(st.lists(commands, max_size=20))
def test_repeating_what_was_applied_changes_nothing(batch: list[Command]) -> None:
    model = new_model()
    applied = [command for command in batch if model.apply(command, NOW).code is ResultCode.CREATED]
    before = snapshot(model)

    repeated = [model.apply(command, NOW).code for command in applied if isinstance(command, PostJournal)]

    assert set(repeated) <= {ResultCode.EXISTS}
    assert snapshot(model) == before


class TestCheckCommand:
    def journal(self, *legs: Leg, journal_id: str = "jnl_1", source: str = "test") -> PostJournal:
        return PostJournal(
            JournalId(journal_id),
            ORGANISATION,
            "sandbox",
            legs,
            date(2026, 3, 2),
            date(2026, 3, 2),
            source,
        )

    def test_a_sound_journal_has_no_fault(self) -> None:
        assert check_command(self.journal(Leg(LedgerAccountId("a:USD"), 1))) == ""

    def test_faults_are_named(self) -> None:
        leg = Leg(LedgerAccountId("a:USD"), 1)
        assert "legs" in check_command(self.journal())
        assert "legs" in check_command(self.journal(*[leg] * 1001))
        assert "not zero" in check_command(self.journal(Leg(LedgerAccountId("a:USD"), 0)))
        assert "30 digits" in check_command(self.journal(Leg(LedgerAccountId("a:USD"), 10**30)))
        assert "characters" in check_command(self.journal(leg, journal_id='a"b'))
        assert "characters" in check_command(self.journal(Leg(LedgerAccountId("a b"), 1)))
        assert "source" in check_command(self.journal(leg, source="a\x1fb"))
