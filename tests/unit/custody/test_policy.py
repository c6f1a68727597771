"""Policies: deny by default, first match wins, limits, quorums; properties rather than examples."""

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.custody.errors import InvalidPolicy
from agio.custody.policy.decision import Facts, decide
from agio.custody.policy.limits import Usage, read_limit
from agio.custody.policy.model import (
    ChangeControl,
    Conditions,
    Limit,
    PolicyDocument,
    Requirement,
    Rule,
    check_document,
)
from agio.custody.policy.quorum import count_missing, may_approve
from agio.kernel.ids import KeyId, SubAccountId, VaultId

ASSETS = ["USD", "BTC"]
SCALES = {"USD": 2, "BTC": 8}
KEYS = [f"key_{number:020d}" for number in range(5)]


def document(*rules: Rule, groups: dict[str, list[str]] | None = None) -> PolicyDocument:
    groups = groups or {"treasury": KEYS[:3], "risk": KEYS[2:]}
    return PolicyDocument(groups, list(rules), ChangeControl("treasury", 2, 3600))


def facts(**changes: object) -> Facts:
    base = Facts(
        "withdrawal",
        "USD",
        2,
        100_00,
        VaultId("vlt_a"),
        SubAccountId("sub_a"),
        "cold",
        "dst_a",
        KeyId(KEYS[0]),
    )
    return msgspec.structs.replace(base, **changes)


lists = st.lists(st.sampled_from(["vlt_a", "vlt_b"]), max_size=2, unique=True)
amounts = st.none() | st.integers(0, 300).map(str)
conditions = st.builds(
    Conditions,
    kinds=st.lists(st.sampled_from(["withdrawal", "internal"]), max_size=2, unique=True),
    assets=st.lists(st.sampled_from(ASSETS), min_size=1, max_size=2, unique=True),
    vaults=lists,
    locations=st.lists(st.sampled_from(["cold", "hot"]), max_size=2, unique=True),
    targets=st.lists(st.sampled_from(["dst_a", "dst_b"]), max_size=2, unique=True),
    initiator_groups=st.lists(st.sampled_from(["treasury", "risk"]), max_size=2, unique=True),
    min_amount=amounts,
    max_amount=amounts,
)
rule_lists = st.lists(
    st.tuples(st.sampled_from(["allow", "deny"]), conditions).map(lambda pair: (pair[0], pair[1])), max_size=6
).map(lambda pairs: [Rule(f"rule-{n}", action, when) for n, (action, when) in enumerate(pairs)])
all_facts = st.builds(
    facts,
    kind=st.sampled_from(["withdrawal", "internal"]),
    asset=st.sampled_from(ASSETS),
    scale=st.just(2),
    amount=st.integers(1, 400_00),
    vault_id=st.sampled_from(["vlt_a", "vlt_b"]),
    location=st.sampled_from(["cold", "hot"]),
    target_id=st.sampled_from(["dst_a", "dst_b"]),
    initiator=st.sampled_from(KEYS),
)


def matches(rule: Rule, one: Facts, groups: Mapping[str, list[str]]) -> bool:
    """The same question, asked in one expression: the reference for `decide`."""
    when = rule.when
    return (
        (not when.kinds or one.kind in when.kinds)
        and (not when.assets or one.asset in when.assets)
        and (not when.vaults or one.vault_id in when.vaults)
        and (not when.locations or one.location in when.locations)
        and (not when.targets or one.target_id in when.targets)
        and (
            not when.initiator_groups
            or any(one.initiator in groups[group] for group in when.initiator_groups)
        )
        and (when.min_amount is None or one.amount >= int(when.min_amount) * 100)
        and (when.max_amount is None or one.amount <= int(when.max_amount) * 100)
    )


class TestDecide:
    def test_without_a_policy_or_a_rule_everything_is_denied(self) -> None:
        assert decide(None, facts()).outcome == "deny"
        assert decide(document(), facts()).outcome == "deny"

    @given(rule_lists, all_facts)
    def test_the_first_rule_that_matches_decides_and_the_trace_says_why(
        self, rules: list[Rule], one: Facts
    ) -> None:
        policy = document(*rules)

        decision = decide(policy, one)

        fitting = [rule for rule in rules if matches(rule, one, policy.groups)]
        assert decision.outcome == (fitting[0].action if fitting else "deny")
        assert decision.rule == (fitting[0].name if fitting else None)
        assert [trace.matches for trace in decision.trace] == [rule in fitting for rule in rules]
        assert sum(trace.decided for trace in decision.trace) == min(1, len(fitting))
        for trace in decision.trace:
            assert trace.matches == all(check.holds for check in trace.checks)

    @given(rule_lists, all_facts, st.data())
    def test_rules_behind_the_one_that_decides_change_nothing(
        self, rules: list[Rule], one: Facts, data: st.DataObject
    ) -> None:
        decision = decide(document(*rules), one)
        kept = rules[: decision.position] if decision.position is not None else rules
        more = data.draw(rule_lists) if decision.position is not None else []

        again = decide(document(*kept, *more), one)

        assert (again.outcome, again.rule) == (decision.outcome, decision.rule)


class TestLimits:
    @given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
    def test_a_rolling_limit_counts_what_was_held(self, amount: int, used: int, allowed: int) -> None:
        limit = Limit("rolling", amount=f"{allowed}.00", window_seconds=60)

        reading = read_limit(limit, facts(amount=amount), Usage(held=used), 0)

        assert reading.holds == (amount + used <= allowed * 100)

    @given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10_000))
    def test_a_share_is_never_rounded_up(self, amount: int, balance: int, points: int) -> None:
        limit = Limit("share_of_balance", basis_points=points)

        reading = read_limit(limit, facts(amount=amount), Usage(held=10**9), balance)

        assert reading.holds == (amount * 10_000 <= balance * points)

    @given(st.lists(st.integers(1, 1000), max_size=20), st.integers(1, 10_000))
    def test_a_rolling_share_cannot_be_evaded_in_slices(self, wishes: list[int], points: int) -> None:
        """However a sum is cut up, no more than the share of the first balance leaves in one window."""
        start = 10_000
        limit = Limit("share_of_balance", basis_points=points, window_seconds=3600)
        gone = 0
        for wish in wishes:
            usage = Usage(held=gone, settled=gone)
            if read_limit(limit, facts(amount=wish), usage, start - gone).holds:
                gone += wish
        assert gone * 10_000 <= start * points

    @given(st.integers(0, 10), st.integers(1, 10))
    def test_a_count_counts_the_request_itself(self, count: int, allowed: int) -> None:
        limit = Limit("count", count=allowed, window_seconds=60)

        assert read_limit(limit, facts(), Usage(count=count), 0).holds == (count < allowed)


class TestQuorum:
    @given(
        st.dictionaries(
            st.sampled_from("abc"), st.lists(st.sampled_from(KEYS), unique=True, min_size=1), min_size=1
        ),
        st.sets(st.sampled_from(KEYS)),
        st.data(),
    )
    def test_places_are_filled_by_different_people_as_well_as_possible(
        self, groups: dict[str, list[str]], approvers: set[str], data: st.DataObject
    ) -> None:
        asked = [Requirement(group, data.draw(st.integers(1, 2))) for group in sorted(groups)]
        places = [one.group for one in asked for _ in range(one.required)]

        def seat(place: int, free: frozenset[str]) -> int:
            """The reference: leave the place empty, or try everybody who is still free."""
            if place == len(places):
                return 0
            fitting = [person for person in free if person in groups[places[place]]]
            seated = [1 + seat(place + 1, free - {person}) for person in fitting]
            return max([seat(place + 1, free), *seated])

        best = seat(0, frozenset(approvers))

        assert count_missing(asked, groups, approvers) == len(places) - best

    def test_one_person_in_two_groups_is_one_person(self) -> None:
        asked = [Requirement("treasury", 1), Requirement("risk", 1)]
        groups = {"treasury": ["ada"], "risk": ["ada", "ben"]}

        assert count_missing(asked, groups, {"ada"}) == 1
        assert count_missing(asked, groups, {"ada", "ben"}) == 0
        assert may_approve(asked, groups, "ben")
        assert not may_approve(asked, groups, "cleo")


class TestCheckDocument:
    def test_a_sound_document_is_returned(self) -> None:
        sound = document(
            Rule(
                "payments",
                "allow",
                Conditions(assets=["USD"], max_amount="5000.00"),
                [Requirement("treasury", 2)],
                [
                    Limit("rolling", amount="1.00", window_seconds=60),
                    Limit("share_of_balance", basis_points=1),
                ],
            )
        )
        assert check_document(sound, SCALES) is sound

    @pytest.mark.parametrize(
        ("rule", "place"),
        [
            (Rule("Bad Name", "allow"), "rules[0].name"),
            (Rule("a", "deny", approvals=[Requirement("treasury", 1)]), "rules[0]"),
            (Rule("a", "allow", approvals=[Requirement("nobody", 1)]), "rules[0].approvals[0].group"),
            (Rule("a", "allow", approvals=[Requirement("treasury", 4)]), "rules[0].approvals[0].required"),
            (Rule("a", "allow", approvals=[Requirement("treasury", 0)]), "rules[0].approvals[0].required"),
            (Rule("a", "allow", Conditions(assets=["XXX"])), "rules[0].when.assets"),
            (Rule("a", "allow", Conditions(max_amount="5")), "rules[0].when.max_amount"),
            (Rule("a", "allow", Conditions(assets=["USD"], max_amount="5.001")), "rules[0].when.max_amount"),
            (Rule("a", "allow", Conditions(initiator_groups=["x"])), "rules[0].when.initiator_groups"),
            (Rule("a", "allow", limits=[Limit("count", count=1)]), "rules[0].limits[0]"),
            (Rule("a", "allow", limits=[Limit("per_transaction", amount="1")]), "rules[0].limits[0].amount"),
            (
                Rule("a", "allow", limits=[Limit("share_of_balance", basis_points=10_001)]),
                "rules[0].limits[0].basis_points",
            ),
            (
                Rule("a", "allow", limits=[Limit("share_of_balance", basis_points=1, per="vault")]),
                "rules[0].limits[0]",
            ),
        ],
    )
    def test_what_cannot_stand_is_named(self, rule: Rule, place: str) -> None:
        with pytest.raises(InvalidPolicy) as refusal:
            check_document(document(rule), SCALES)
        assert refusal.value.extra["field"] == place

    def test_a_quorum_that_cannot_come_together_is_refused(self) -> None:
        short = PolicyDocument({"treasury": KEYS[:1]}, [], ChangeControl("treasury", 2, 0))
        with pytest.raises(InvalidPolicy):
            check_document(short, SCALES)
