"""Whether enough of the right people agree. One person fills one place, however many groups they are in."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from agio.custody.policy.model import Requirement


def count_missing(
    requirements: Sequence[Requirement], groups: Mapping[str, Sequence[str]], approvers: AbstractSet[str]
) -> int:
    """How many more approvals are needed at least; 0 when the quorum is there.

    A maximum matching of approvers to places (Kuhn 1955, by augmenting paths): somebody who is in two groups
    is counted where it helps most, and once.
    """
    places = [requirement.group for requirement in requirements for _ in range(requirement.required)]
    people = sorted(approvers)
    place_of: dict[str, int] = {}

    def seat(place: int, tried: set[str]) -> bool:
        members = groups.get(places[place], ())
        for person in people:
            if person in tried or person not in members:
                continue
            tried.add(person)
            if person not in place_of or seat(place_of[person], tried):
                place_of[person] = place
                return True
        return False

    return sum(not seat(place, set()) for place in range(len(places)))


def may_approve(
    requirements: Sequence[Requirement], groups: Mapping[str, Sequence[str]], person: str
) -> bool:
    """Whether somebody is in a group that is asked."""
    return any(person in groups.get(requirement.group, ()) for requirement in requirements)
