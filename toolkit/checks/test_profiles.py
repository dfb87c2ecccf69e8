"""Profiles that no laptop of the run can be asked about: tried by a guest, from the Internet."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.checks.declare import Case, NotCheckedError, Theme, check
from toolkit.checks.guest import NO_VANTAGE, guest_of, try_everything
from toolkit.checks.matrix import matrix
from toolkit.checks.subject import Subject
from toolkit.checks.tried import judged
from toolkit.model import Profile


def _without_laptop(subject: Subject) -> Sequence[Case]:
    """The profiles of which no agent has a laptop that telekit logs into."""
    commune = subject.commune
    asked = {commune.agent_of[m.name].profile for m in commune.peers if m.managed}
    return [Case(p.name, p.name, p) for p in commune.profiles if p.name not in asked]


@check(
    Theme.ACCESS,
    "A laptop of the profile {case}, which no agent has yet, would reach what it names and nothing else",
    titre="Un portable de la fonction « {case} », qu’aucun agent n’a encore, n’accéderait qu’à ce qu’elle nomme",
    tried="letting in for a moment, on {machine}, a laptop that exists nowhere, and trying its whole matrix from the Internet",
    expected="what the profile names answers; all the rest comes to the gateway and is refused by its firewall",
    fix="look for the profile in commune.toml; nft list ruleset on the gateway shows what lets it through; telekit provision",
    cases=_without_laptop,
    seconds=90,
)
def test_profile_is_as_the_matrix_says(subject: Subject, case: Case) -> str:
    assert isinstance(case.value, Profile)
    if subject.evidence.internet is None:
        raise NotCheckedError(NO_VANTAGE)
    guest, key = guest_of(subject, case.value)
    try_everything(subject, guest, key)
    groups = [group for group, cells in matrix(guest).items() if cells]
    return "; ".join(f"{group}: {judged(guest, group)}" for group in groups)
