"""The matrix of a laptop: which cells there are, and what can be said of each from what was seen."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import pytest

from toolkit.checks.declare import Case, NotCheckedError
from toolkit.checks.forged import own, sources
from toolkit.checks.matrix import MANY, matrix, spread
from toolkit.checks.probe import Answer, Door
from toolkit.checks.subject import Evidence, Subject
from toolkit.checks.test_access import test_is_refused_application as refused_check
from toolkit.checks.test_matrix import test_forged_sources_do_not_pass as forged_check
from toolkit.checks.tried import Tried, judged
from toolkit.checks.witness import Packet, Witness, _told, forged_port
from toolkit.model import Commune, Mode

OWN = ip_address("10.2.0.2")
PAIE = Door("tcp", ip_address("10.1.1.1"), 443)


@pytest.fixture
def subject(commune: Commune, connections: Any) -> Subject:
    return Subject(commune.laptops[0], Evidence(commune, connections))


def seen(subject: Subject, *, opened: Iterable[Door], passed: Iterable[Door] = (), lost: Iterable[Door] = ()) -> None:
    """What the laptop tried is known: these doors answered, the firewall let these pass, and these never came to the gateway."""
    doors = {cell.door for cells in matrix(subject).values() for cell in cells}
    answers = {door: Answer("open" if door in set(opened) else "silent") for door in doors}

    def packets(some: Iterable[Door]) -> frozenset[Packet]:
        return frozenset(Packet(OWN, door.protocol, door.address, door.port) for door in some)

    witness = Witness(packets(doors - set(lost)), packets({*opened, *passed}))
    subject.once("doors", lambda: Tried(answers, frozenset(), witness))


def test_an_application_is_tried_by_both_protocols_and_granted_by_one(subject: Subject) -> None:
    cells = {str(cell.door): cell.allowed for cell in matrix(subject)["applications"]}
    assert cells == {
        "10.1.1.1:443/tcp": True, "10.1.1.1:443/udp": False,
        "10.1.1.2:993/tcp": False, "10.1.1.2:993/udp": False, "10.1.1.2:5000/tcp": False, "10.1.1.2:5000/udp": False,
    }  # fmt: skip


def test_names_and_time_of_the_gateway_are_for_laptops_at_its_tunnel_address_alone(subject: Subject) -> None:
    allowed = {str(cell.door) for cell in matrix(subject)["gateway"] if cell.allowed}
    assert allowed == {"10.2.0.1:53/tcp", "10.2.0.1:53/udp", "10.2.0.1:123/udp"}
    assert "10.1.0.1:22/tcp" in {str(cell.door) for cell in matrix(subject)["gateway"]}


def test_a_laptop_with_ipv6_in_its_tunnel_tries_it_too(commune: Commune, connections: Any) -> None:
    network = replace(commune.network, tunnel6=IPv6Network("fd00:2::/64"))
    laptops = tuple(replace(m, tunnel_address6=IPv6Address(f"fd00:2::{n}")) for n, m in enumerate(commune.laptops, 2))
    both = replace(commune, network=network, laptops=laptops)
    found = matrix(Subject(both.laptops[0], Evidence(both, connections)))
    for group in ("gateway", "laptops", "internet"):
        assert {cell.door.address.version for cell in found[group]} == {4, 6}


@pytest.mark.parametrize(("mode", "foreign"), [(Mode.FULL, {"2001:db8:9::1"}), (Mode.SPLIT, set())])
def test_the_gateway_and_desktops_are_tried_at_their_ipv6_addresses_too(
    commune: Commune, connections: Any, mode: Mode, foreign: set[str]
) -> None:
    """Where the Internet is behind the tunnel, an address that no inventory names would be reached as a part of it."""
    network = replace(
        commune.network, mode=mode, tunnel6=IPv6Network("fd00:2::/64"), lan=(*commune.network.lan, IPv6Network("fd00:1::/64"))
    )
    laptops = tuple(replace(m, tunnel_address6=IPv6Address(f"fd00:2::{n}")) for n, m in enumerate(commune.laptops, 2))
    both = replace(commune, network=network, laptops=laptops)
    evidence = Evidence(both, connections)
    for machine in (both.gateway, both.desktops[0]):
        own = f"{machine.address}\n198.51.100.1\nfd00:1::1\n2001:db8:9::1\n"
        Subject(machine, evidence).once("addresses", lambda own=own: own)
    found = matrix(Subject(both.laptops[0], evidence))
    tunnel = {"10.2.0.1", "fd00:2::1"}
    assert {str(cell.door.address) for cell in found["gateway"]} == tunnel | {"10.1.0.1", "fd00:1::1"} | foreign
    assert {str(cell.door.address) for cell in found["desktops"]} == {"10.1.2.1", "fd00:1::1"} | foreign
    assert [str(cell.door) for cell in found["desktops"] if cell.allowed] == ["10.1.2.1:3389/tcp"]


def test_a_laptop_without_ipv6_in_its_tunnel_does_not_try_it(commune: Commune, connections: Any) -> None:
    evidence = Evidence(commune, connections)
    Subject(commune.gateway, evidence).once("addresses", lambda: "10.1.0.1\n2001:db8:9::1\n")
    found = matrix(Subject(commune.laptops[0], evidence))
    assert {str(cell.door.address) for cell in found["gateway"]} == {"10.2.0.1", "10.1.0.1"}


def test_in_split_mode_the_internet_is_none_of_the_tunnels_affair(commune: Commune, connections: Any) -> None:
    split = replace(commune, network=replace(commune.network, mode=Mode.SPLIT))
    assert matrix(Subject(split.laptops[0], Evidence(split, connections)))["internet"] == ()


@pytest.mark.parametrize(("mode", "allowed"), [(Mode.FULL, {"tcp": True, "udp": None}), (Mode.SPLIT, {"tcp": True})])
def test_a_server_on_the_internet_is_as_open_as_all_of_it(commune: Commune, connections: Any, mode: Mode, allowed: Any) -> None:
    paie = replace(commune.applications[0], address=ip_address("93.184.216.34"))
    there = replace(commune, applications=(paie, *commune.applications[1:]), network=replace(commune.network, mode=mode))
    cells = matrix(Subject(there.laptops[0], Evidence(there, connections)))["applications"]
    assert {cell.door.protocol: cell.allowed for cell in cells if cell.door.address == paie.address} == allowed


@pytest.mark.parametrize("mode", Mode)
def test_a_public_address_of_the_town_halls_own_network_is_no_place_on_the_internet(
    commune: Commune, connections: Any, mode: Mode
) -> None:
    mail = replace(commune.applications[1], address=ip_address("93.184.216.34"))
    network = replace(commune.network, mode=mode, lan=(*commune.network.lan, IPv4Network("93.184.216.0/24")))
    there = replace(commune, applications=(commune.applications[0], mail), network=network)
    cells = matrix(Subject(there.laptops[0], Evidence(there, connections)))["applications"]
    assert {cell.allowed for cell in cells if cell.door.address == mail.address} == {False}


@pytest.mark.parametrize("mode", Mode)
def test_an_application_on_the_internet_is_not_expected_to_be_refused(commune: Commune, connections: Any, mode: Mode) -> None:
    mail = replace(commune.applications[1], address=ip_address("93.184.216.34"))
    network = replace(commune.network, mode=mode)
    there = replace(commune, applications=(commune.applications[0], mail), network=network)
    with pytest.raises(NotCheckedError, match="on the Internet"):
        refused_check(Subject(there.laptops[0], Evidence(there, connections)), Case("mail", "Messagerie", mail))


def test_of_very_many_some_are_tried_from_the_first_to_the_last() -> None:
    found = spread(range(1500))
    assert (len(found), found[0], len(set(found))) == (MANY, 0, MANY)
    assert found[-1] >= 1450
    assert spread([1, 2]) == [1, 2]


def test_what_is_granted_answers_and_the_rest_is_refused_by_the_gateway(subject: Subject) -> None:
    seen(subject, opened=[PAIE])
    assert judged(subject, "applications") == "6 cells (IPv4 TCP 3, IPv4 UDP 3): 5 refused by the gateway, 1 answers"


def test_what_passes_the_firewall_is_wrong_even_if_nobody_answers_there(subject: Subject) -> None:
    other = Door("udp", PAIE.address, 443)
    seen(subject, opened=[PAIE], passed=[other])
    with pytest.raises(AssertionError, match=r"10\.1\.1\.1:443/udp passes the gateway's firewall, though nobody answers"):
        judged(subject, "applications")


def test_what_answers_without_being_granted_is_wrong(subject: Subject) -> None:
    seen(subject, opened=[PAIE, Door("tcp", ip_address("10.1.1.2"), 993)])
    with pytest.raises(AssertionError, match=r"10\.1\.1\.2:993/tcp answers"):
        judged(subject, "applications")


def test_a_cell_of_which_nothing_came_to_the_gateway_proves_nothing(subject: Subject) -> None:
    seen(subject, opened=[PAIE], lost=[Door("udp", ip_address("10.1.1.2"), 5000)])
    with pytest.raises(NotCheckedError, match=r"1 of 6 cells prove nothing: 10\.1\.1\.2:5000/udp did not come to the gateway"):
        judged(subject, "applications")


@pytest.mark.parametrize(("state", "error"), [("open", AssertionError), ("refused", NotCheckedError)])
def test_a_granted_door_that_stays_shut_is_wrong_unless_its_server_is_dead(subject: Subject, state: str, error: Any) -> None:
    seen(subject, opened=[])
    subject.evidence.once((subject.commune.gateway.name, "doors"), lambda: {PAIE: Answer(state)})
    with pytest.raises(error, match=r"10\.1\.1\.1:443/tcp does not answer"):
        judged(subject, "applications")


def test_without_the_gateway_nothing_is_judged(subject: Subject) -> None:
    subject.once("doors", lambda: Tried({}, frozenset(), Witness(why="gw: no answer")))
    with pytest.raises(NotCheckedError, match="could not look on: gw: no answer"):
        judged(subject, "desktops")


# -- false addresses ---------------------------------------------------------------------------------------------------


def forged(subject: Subject, came: Iterable[Any], sent: Iterable[Any]) -> None:
    packets = frozenset(Packet(source, "udp", ip_address("10.2.0.1"), forged_port(subject)) for source in came)
    subject.once("doors", lambda: Tried({}, frozenset(sent), Witness(packets)))


def test_it_takes_the_addresses_of_another_laptop_of_the_gateway_and_of_the_town_hall(subject: Subject) -> None:
    assert set(map(str, sources(subject))) == {"10.2.0.1", "10.2.0.3", "10.1.2.1"}
    assert own(subject) == [IPv4Address("10.2.0.2")]


def test_nothing_under_a_false_address_is_good_when_the_own_address_comes(subject: Subject) -> None:
    forged(subject, came=[OWN], sent=[OWN, *sources(subject)])
    assert forged_check(subject).endswith("its own came")


def test_a_false_address_that_comes_is_named(subject: Subject) -> None:
    forged(subject, came=[OWN, ip_address("10.2.0.3")], sent=sources(subject))
    with pytest.raises(AssertionError, match=r"under 10\.2\.0\.3"):
        forged_check(subject)


def test_it_proves_nothing_where_the_own_address_does_not_come_or_nothing_could_be_sent(
    commune: Commune, connections: Any
) -> None:  # fmt: skip
    for came, sent, reason in (([], [OWN], "did not come to the gateway either"), ([OWN], [OWN], "could not send under")):
        subject = Subject(commune.laptops[0], Evidence(commune, connections))
        forged(subject, came=came, sent=sent)
        with pytest.raises(NotCheckedError, match=reason):
            forged_check(subject)


def test_the_gateways_sets_are_read_as_nft_tells_them() -> None:
    plain = {"concat": ["10.2.0.2", "10.1.1.1", 6, 443]}
    wrapped = {"elem": {"val": {"concat": ["10.2.0.2", "10.1.1.1", "udp", 53]}, "expires": 9}}
    listed = {"nftables": [
        {"metainfo": {}},
        {"set": {"name": "came4", "elem": [plain, wrapped]}},
        {"set": {"name": "passed4", "elem": [plain]}},
        {"set": {"name": "came6"}},
    ]}  # fmt: skip
    came, passed = _told(json.dumps(listed))
    tcp = Packet(ip_address("10.2.0.2"), "tcp", ip_address("10.1.1.1"), 443)
    assert came == {tcp, Packet(ip_address("10.2.0.2"), "udp", ip_address("10.1.1.1"), 53)}
    assert passed == {tcp}
