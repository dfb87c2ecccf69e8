"""What an agent's laptop reaches through the tunnel, and what it is refused."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.checks.declare import Case, NotCheckedError, Theme, check
from toolkit.checks.probe import (
    Door,
    alive,
    application_doors,
    desktop_doors,
    doors_of,
    granted,
    named,
    places,
)
from toolkit.checks.subject import Subject
from toolkit.checks.tried import administration, from_laptop, refusals
from toolkit.model import RDP_PORT, Application


def _applications(subject: Subject, *, allowed: bool) -> Sequence[Case]:
    """The applications that the agent may reach, or all the others."""
    agent = subject.commune.agent_of.get(subject.name)
    reached = subject.commune.applications_of(agent) if agent else ()
    return [Case(a.key, a.title, a) for a in subject.commune.applications if (a in reached) is allowed]


@check(
    Theme.ACCESS,
    "The laptop reaches {case}, which its agent's profile needs",
    titre="Le portable accède à l’application « {case} », dont la fonction de l’agent a besoin",
    tried="connecting to every port of {case} from {machine}, and reading what the server says",
    expected="each port answers",
    fix="telekit provision; then look at the application's own server, and at its route back to the tunnel's network",
    cases=lambda subject: _applications(subject, allowed=True),
)
def test_reaches_application(subject: Subject, case: Case) -> str:
    assert isinstance(case.value, Application)
    doors = doors_of(case.value, places(subject))
    if not doors:
        raise NotCheckedError(f"the gateway knows no address of {case.value.place}")
    for door in doors:
        alive(subject, door)
    answers = from_laptop(subject)
    assert all(answers[door].open for door in doors), named(doors, answers)
    return named(doors, answers)


@check(
    Theme.ACCESS,
    "The laptop is refused {case}, which its agent's profile does not name",
    titre="L’application « {case} », étrangère à la fonction de l’agent, est refusée au portable",
    tried="connecting to every port of {case} from {machine}, while they answer the gateway",
    expected="no port answers",
    fix="look for the profile in commune.toml, then telekit provision",
    cases=lambda subject: _applications(subject, allowed=False),
)
def test_is_refused_application(subject: Subject, case: Case) -> str:
    assert isinstance(case.value, Application)
    allowed, everything = granted(subject, subject.laptop), doors_of(case.value, places(subject))
    foreign = [door for door in everything if door not in allowed]
    doors = [door for door in foreign if not subject.commune.network.on_internet(door.address)]
    if not everything:
        raise NotCheckedError(f"the gateway knows no address of {case.value.place}")
    if not foreign:
        raise NotCheckedError("every port of it is also one of an application that the profile has")
    if not doors:
        raise NotCheckedError(f"{case.value.place} is on the Internet, where a laptop may go as anybody may")
    for door in doors:
        alive(subject, door)
    answers = refusals(subject)
    assert not any(answers[door].open for door in doors), named(doors, answers)
    return named(doors, answers)


@check(
    Theme.ACCESS,
    "The agent's own desktop answers the laptop",
    titre="Le poste de bureau de l’agent répond à son portable",
    tried=f"connecting to port {RDP_PORT} of the agent's desktop from {{machine}}",
    expected="the port answers",
    fix="telekit provision; systemctl status xrdp on the desktop",
)
def test_reaches_own_desktop(subject: Subject) -> str:
    if subject.agent.desktop is None:
        raise NotCheckedError(f"{subject.agent.identifier} has no desktop")
    door = Door("tcp", subject.commune.desktop_named[subject.agent.desktop].address, RDP_PORT)
    answers = from_laptop(subject)
    assert answers[door].open, named([door], answers)
    return named([door], answers)


@check(
    Theme.ACCESS,
    "The laptop is refused the desktops of others",
    titre="Les postes de bureau des autres sont refusés au portable",
    tried=f"connecting to port {RDP_PORT} of every other desktop from {{machine}}, while xrdp listens there",
    expected="none answers",
    fix="telekit provision, for the firewalls of the gateway and of the desktops",
)
def test_is_refused_other_desktops(subject: Subject) -> str:
    doors = [d for d in desktop_doors(subject.commune) if d not in granted(subject, subject.laptop)]
    if not doors:
        raise NotCheckedError("there is no other desktop")
    for desktop in subject.commune.desktops:
        if Door("tcp", desktop.address, RDP_PORT) in doors:
            listening = subject.other(desktop).output(f"ss -Hlnt sport = :{RDP_PORT}")
            if not listening.strip():
                raise NotCheckedError(f"nothing listens on {desktop.name}, so silence proves nothing")
    answers = refusals(subject)
    assert not any(answers[d].open for d in doors), named(doors, answers)
    return named(doors, answers)


@check(
    Theme.ACCESS,
    "SSH of the gateway and of the desktops is closed to the laptop",
    titre="L’administration (SSH) de la passerelle et des postes est fermée au portable",
    tried="connecting to port 22 of the gateway and of every desktop from {machine}",
    expected="none answers: administrators' networks alone reach SSH",
    fix="telekit provision; [network] admin in commune.toml names the administrators' networks",
)
def test_is_refused_administration(subject: Subject) -> str:
    answers, doors = refusals(subject), [d for d in administration(subject.commune) if d not in application_doors(subject)]
    assert not any(answers[d].open for d in doors), named(doors, answers)
    return named(doors, answers)


@check(
    Theme.ACCESS,
    "The laptops of other agents are out of the laptop's reach",
    titre="Les portables des autres agents sont hors d’atteinte",
    tried="connecting to other laptops' tunnel addresses from {machine}, while their tunnels are up",
    expected="none answers",
    fix="telekit provision, for the firewalls of the gateway and of the laptops",
)
def test_is_refused_other_laptops(subject: Subject) -> str:
    addresses = {a for m in subject.commune.peers if m.name != subject.name for a in (m.tunnel_address, m.tunnel_address6)}
    answers = refusals(subject)
    doors = [d for d in answers if d.address in addresses]
    if not doors:
        raise NotCheckedError("there is no other laptop")
    if all(subject.evidence.connections.unreachable.get(m.name) for m in subject.commune.peers if m.name != subject.name):
        raise NotCheckedError("no other laptop is up, so silence proves nothing")
    assert not any(answers[d].open for d in doors), named(doors, answers)
    return named(doors, answers)
