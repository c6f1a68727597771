"""How commands become arrays, and where batches are cut."""

from datetime import date

import pytest

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import Command, Leg, PlaceHold, PostJournal, ReleaseHold
from agio.ledger.batch import cut_batches, encode_command, journal_fingerprint, quote_element

ORGANISATION = OrganisationId("org_a")


def journal(name: str, hold: str | None = None, releases: tuple[str, ...] = ()) -> PostJournal:
    return PostJournal(
        journal_id=JournalId(name),
        organisation_id=ORGANISATION,
        environment="sandbox",
        legs=(
            Leg(LedgerAccountId("acc_1:USD"), -5, HoldId(hold) if hold is not None else None),
            Leg(LedgerAccountId("acc_2:USD"), 5),
        ),
        booking_date=date(2026, 3, 2),
        value_date=date(2026, 3, 3),
        source="test",
        releases=tuple(HoldId(name) for name in releases),
    )


def placed(name: str) -> PlaceHold:
    return PlaceHold(HoldId(name), ORGANISATION, "sandbox", LedgerAccountId("acc_1:USD"), 5, None, "test")


def released(name: str) -> ReleaseHold:
    return ReleaseHold(HoldId(name), ORGANISATION, "sandbox", "test")


@pytest.mark.parametrize(
    ("text", "element"),
    [
        ("acc_1:USD", "acc_1:USD"),
        ("null", '"null"'),
        ("", '""'),
        ("a,b", '"a,b"'),
        ('say "hi" \\', '"say \\"hi\\" \\\\"'),
        ("{x}", '"{x}"'),
    ],
)
def test_elements_are_quoted_where_needed(text: str, element: str) -> None:
    assert quote_element(text) == element


def test_a_journal_is_its_legs_and_then_its_releases() -> None:
    encoded = encode_command(journal("j", "h1", ("h2",)))

    assert encoded.effect_kinds == "L,L,R"
    assert encoded.effect_accounts == "acc_1:USD,acc_2:USD,NULL"
    assert encoded.effect_amounts == "-5,5,0"
    assert encoded.effect_holds == "h1,NULL,h2"
    assert encoded.named_holds == {"h1", "h2"}


def test_an_id_that_spells_null_is_quoted() -> None:
    assert encode_command(journal("NULL")).id == '"NULL"'


def test_fingerprints_differ_by_every_part() -> None:
    variants = [journal("j"), journal("k"), journal("j", "h1"), journal("j", None, ("h1",))]

    assert len({journal_fingerprint(variant) for variant in variants}) == len(variants)


@pytest.mark.parametrize(
    ("commands", "sizes"),
    [
        ([journal("a"), journal("b"), placed("a"), released("x")], [4]),
        ([journal("a"), journal("b"), journal("a")], [2, 1]),
        ([placed("h"), placed("h")], [1, 1]),
        ([placed("h"), journal("a", "h")], [1, 1]),
        ([placed("h"), journal("a", None, ("h",)), journal("b", "h")], [1, 2]),
        ([journal("a", "h"), placed("h"), released("h")], [2, 1]),
    ],
)
def test_batches_are_cut_where_one_command_needs_another(commands: list[Command], sizes: list[int]) -> None:
    cuts = list(cut_batches([encode_command(command) for command in commands]))

    assert [len(batch) for _, batch in cuts] == sizes
    assert [offset for offset, _ in cuts] == [sum(sizes[:place]) for place in range(len(sizes))]
