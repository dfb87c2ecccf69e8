"""The whole matrix of a laptop: everything that could be reached through the tunnel, by IPv4 and IPv6, TCP and UDP."""

from __future__ import annotations

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.forged import own, sources
from toolkit.checks.matrix import matrix, others
from toolkit.checks.subject import Subject
from toolkit.checks.tried import judged, tried
from toolkit.checks.witness import forged_port
from toolkit.model import Mode

LOOK = "nft list ruleset on the gateway shows what lets it through; telekit provision"
EXPECTED = "what the inventory grants answers; all the rest comes to the gateway and is refused by its firewall"


@check(
    Theme.ACCESS,
    "Every cell of the matrix is as the inventory says: applications",
    titre="Chaque case de la matrice est conforme à l’inventaire : applications",
    tried="from {machine}, every port of every application by TCP and by UDP, while the gateway counts what comes and passes",
    expected=EXPECTED,
    fix=LOOK,
)
def test_applications_are_as_the_matrix_says(subject: Subject) -> str:
    if not matrix(subject)["applications"]:
        raise NotCheckedError("the inventory names no application whose address is known")
    return judged(subject, "applications")


@check(
    Theme.ACCESS,
    "Every cell of the matrix is as the inventory says: desktops",
    titre="Chaque case de la matrice est conforme à l’inventaire : postes de bureau",
    tried="from {machine}, remote desktop and SSH of the desktops by TCP and UDP, while the gateway counts what comes and passes",
    expected=EXPECTED,
    fix=LOOK,
)
def test_desktops_are_as_the_matrix_says(subject: Subject) -> str:
    if not subject.commune.desktops:
        raise NotCheckedError("there is no desktop")
    return judged(subject, "desktops")


@check(
    Theme.ACCESS,
    "Every cell of the matrix is as the inventory says: the gateway's own services",
    titre="Chaque case de la matrice est conforme à l’inventaire : services de la passerelle",
    tried="from {machine}, names, time, SSH and what else might listen on the gateway, IPv4 and IPv6, by TCP and by UDP",
    expected="names and time answer; all the rest comes to the gateway and is refused by its firewall",
    fix=f"systemctl status unbound chrony on the gateway; {LOOK}",
)
def test_the_gateway_is_as_the_matrix_says(subject: Subject) -> str:
    return judged(subject, "gateway")


@check(
    Theme.ACCESS,
    "Every cell of the matrix is as the inventory says: other agents' laptops",
    titre="Chaque case de la matrice est conforme à l’inventaire : portables des autres agents",
    tried="from {machine}, the tunnel addresses of the other laptops, IPv4 and IPv6, by TCP and by UDP, while the gateway counts",
    expected="all of it comes to the gateway and is refused by its firewall, whatever the other laptop would say",
    fix=LOOK,
)
def test_other_laptops_are_as_the_matrix_says(subject: Subject) -> str:
    if not others(subject):
        raise NotCheckedError("there is no other laptop")
    return judged(subject, "laptops")


@check(
    Theme.ACCESS,
    "What goes to the Internet goes through the gateway, and gets an answer",
    titre="Ce qui va vers Internet passe par la passerelle, et reçoit une réponse",
    tried="from {machine}, a place on the Internet where there is one, and addresses of nobody, IPv4 and IPv6, by TCP and by UDP",
    expected="all of it comes to the gateway; the place on the Internet answers",
    fix=f"does the gateway itself reach the Internet? {LOOK}",
)
def test_the_internet_is_as_the_matrix_says(subject: Subject) -> str:
    if subject.commune.network.mode is not Mode.FULL:
        raise NotCheckedError("in split mode a laptop uses the Internet beside the tunnel")
    alone = "" if subject.evidence.internet else "; that somebody there answers was not tried: no vantage point on the Internet"
    return judged(subject, "internet") + alone


@check(
    Theme.TUNNEL,
    "Under an address that is not its own, the laptop gets nothing through the tunnel",
    titre="Sous une adresse qui n’est pas la sienne, le portable ne fait rien passer par le tunnel",
    tried="sending from {machine}, through its tunnel, under addresses of other laptops, the gateway and the town hall",
    expected="none comes out of the tunnel at the gateway, while what it sends in the same way under its own address does",
    fix="wg show wg0 allowed-ips on the gateway: each laptop must have its own addresses alone; telekit provision",
)
def test_forged_sources_do_not_pass(subject: Subject) -> str:
    seen, port = tried(subject), forged_port(subject)
    if seen.witness.why:
        raise NotCheckedError(f"the gateway could not look on: {seen.witness.why}")
    came = {packet.source for packet in seen.witness.came if packet.port == port}
    passed = [str(source) for source in sources(subject) if source in came]
    assert not passed, f"came out of the tunnel under {', '.join(passed)}"
    if missing := [str(source) for source in own(subject) if source not in came]:
        raise NotCheckedError(f"what it sends in the same way under {', '.join(missing)} did not come to the gateway either")
    if unsent := [str(source) for source in sources(subject) if source not in seen.forged]:
        raise NotCheckedError(f"the laptop could not send under {', '.join(unsent)}")
    return f"nothing under {', '.join(map(str, sources(subject)))}; its own came"
