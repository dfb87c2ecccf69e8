"""The lab's town is drawn from the inventory: same names, addresses and ports, and a hostile or odd one is refused."""

import dataclasses
from pathlib import Path

import pytest

from toolkit.errors import UsageError
from toolkit.inventory import load
from toolkit.lab import network
from toolkit.lab.disk import interfaces
from toolkit.lab.names import configurations
from toolkit.lab.places import Places
from toolkit.lab.ports import copy_inventory
from toolkit.lab.town import design, from_json
from toolkit.model import SshAddress

SOURCE = Path(__file__).parents[3] / "inventories" / "lab"


@pytest.fixture(scope="module")
def commune():
    return load(SOURCE).commune


@pytest.fixture(scope="module")
def town(commune):
    return design(commune, name="unit", release="trixie", inventory="/x", operator_key="ssh-ed25519 AAAA op\n")


def test_every_machine_of_the_inventory_stands_in_the_town_on_its_own_port(town):
    ports = {guest.name: guest.ssh_port for guest in town.guests}
    assert ports == {
        "gw-mairie": 2201, "bureau-finances-03": 2202, "bureau-partage-01": 2203, "portable-041": 2204, "portable-042": 2205,
    }  # fmt: skip


def test_the_way_in_leads_to_the_address_that_the_inventory_gives(town):
    reached = {guest.name: guest.address for guest in town.guests}
    assert (reached["gw-mairie"], reached["bureau-finances-03"]) == ("10.77.0.1", "10.77.2.21")
    assert reached["portable-041"].startswith("10.77.15.")


def test_a_laptop_stands_at_home_and_on_the_bench_and_a_desktop_on_the_lan(town):
    assert [card.bridge for card in town.guest("portable-041").cards] == ["home", "bench"]
    assert [card.bridge for card in town.guest("bureau-finances-03").cards] == ["lan"]
    assert [card.bridge for card in town.guest("gw-mairie").cards] == ["wan", "lan"]


def test_every_application_is_a_service_on_each_of_its_ports(commune, town):
    wanted = {(a.key, str(a.address), "tcp", port) for a in commune.applications for port in a.tcp}
    wanted |= {(a.key, str(a.address), "udp", port) for a in commune.applications for port in a.udp}
    assert {(s.application, s.address, s.protocol, s.port) for s in town.services} == wanted


def test_an_application_known_by_its_name_gets_an_address_that_its_name_leads_to(commune):
    named = dataclasses.replace(commune.applications[0], key="paie", address=None, host="paie.lab.example", tcp=(8080,))
    wider = dataclasses.replace(commune, applications=(*commune.applications, named))
    town = design(wider, name="unit", release="trixie", inventory="/x", operator_key="ssh-ed25519 AAAA op\n")
    both = [town.internal_names["paie.lab.example"], town.names6["paie.lab.example"]]
    assert [s.address for s in town.services if s.application == "paie"] == both
    assert not {str(application.address) for application in commune.applications} & set(both)
    (servers,) = (host for host in town.hosts if host.name == "servers")
    assert {f"{both[0]}/20", f"{both[1]}/64"} < set(servers.cards[0].addresses)
    assert f"host-record=paie.lab.example,{both[0]},{both[1]}" in configurations(town, Path("/run"))["servers"]


def test_a_town_hall_without_ipv6_has_none_in_the_lab_and_the_internet_has_it_all_the_same(commune):
    network = dataclasses.replace(commune.network, lan=commune.network.lan[:1], admin=commune.network.admin[:1], tunnel6=None)
    applications = tuple(a for a in commune.applications if a.address.version == 4)
    older = dataclasses.replace(commune, network=network, applications=applications)
    town = design(older, name="unit", release="trixie", inventory="/x", operator_key="ssh-ed25519 AAAA op\n")
    cards = {(place.name, card.name): card.addresses for place in (*town.guests, *town.hosts) for card in place.cards}
    assert {place for place, addresses in cards.items() if any(":" in address for address in addresses)} == {
        ("gw-mairie", "wan0"), ("isp", "eth0"), ("internet", "eth0"), ("homebox", "wan0"), ("homebox", "in0"),
    }  # fmt: skip
    assert "router6" not in interfaces(town.guest("gw-mairie").cards)
    assert "-6 route" not in network_of(town, "servers")


def network_of(town, host: str) -> str:
    """What is done for one host of the lab's networks."""
    return "\n".join(line for line in network.build(town).splitlines() if f" {host} " in line)


def test_the_way_back_into_the_tunnel_is_known_by_ipv6_too(town):
    assert "route add fd77:77:77::/64 via fd77:77::1" in network_of(town, "townbox")
    assert "-6 route add default via fd77:77::254" in network_of(town, "servers")


def test_a_town_survives_the_round_trip_through_its_file(town):
    assert from_json(town.to_json()) == town


def test_no_two_cards_of_any_two_labs_have_the_same_hardware_address(commune, town):
    other = design(commune, name="other", release="trixie", inventory="/x", operator_key="")
    macs = [card.mac for t in (town, other) for guest in t.guests for card in guest.cards]
    assert len(set(macs)) == len(macs)


def test_the_name_of_a_card_at_the_switch_fits_the_kernels_fifteen_letters(town):
    names = [network.port_of(card, index) for index, guest in enumerate(town.guests) for card in guest.cards]
    assert max(map(len, names)) <= 15
    assert len(set(names)) == len(names)


def test_a_machine_that_the_lab_cannot_show_on_this_computer_is_refused(commune):
    gateway = dataclasses.replace(commune.gateway, ssh=SshAddress("10.77.0.1"))
    elsewhere = dataclasses.replace(commune, gateways=(gateway,))
    with pytest.raises(UsageError, match=r"gw-mairie: a lab machine.s ssh must be a port of 127\.0\.0\.1"):
        design(elsewhere, name="unit", release="trixie", inventory="/x", operator_key="")


def test_a_machine_that_is_not_there_is_refused_with_those_that_are(town):
    with pytest.raises(UsageError, match=r"no machine `portable-043` \(gw-mairie, .*portable-042\)"):
        town.guest("portable-043")


def test_the_internets_resolver_knows_public_names_only(town):
    internet = configurations(town, Path("/run"))["isp"]
    assert "host-record=vpn.lab.example,198.18.0.2\n" in internet
    assert "host-record=deb.debian.org,198.18.0.1" in internet
    assert "10.77." not in internet
    assert "fd77:" not in internet


def test_the_box_at_home_announces_an_ipv6_network_and_itself_as_resolver(town):
    home = configurations(town, Path("/run"))["homebox"]
    for line in ("enable-ra", "dhcp-range=2001:db8:10::,ra-stateless", "dhcp-option=option6:dns-server,[2001:db8:10::1]"):
        assert f"{line}\n" in home


def test_the_town_halls_resolver_knows_its_own_zone(town):
    own = configurations(town, Path("/run"))["servers"]
    assert "host-record=finances.lab.example,10.77.1.11" in own
    assert "local=/lab.example/" in own


def test_a_machine_gets_its_network_as_the_installer_writes_it(town):
    assert interfaces(town.guest("gw-mairie").cards) == (
        "auto lo\niface lo inet loopback\n\n"
        "auto wan0\niface wan0 inet static\n    address 198.18.0.2/24\n    gateway 198.18.0.1\n"
        "iface wan0 inet6 static\n    address 2001:db8:18::2/64\n    dad-attempts 0\n    gateway 2001:db8:18::1\n\n"
        "auto lan0\niface lan0 inet static\n    address 10.77.0.1/20\n"
        "iface lan0 inet6 static\n    address fd77:77::1/64\n    dad-attempts 0\n"
    )
    assert "iface eth0 inet dhcp" in interfaces(town.guest("portable-041").cards)


def test_a_copied_inventory_differs_in_its_ports_alone(tmp_path):
    copy = copy_inventory(SOURCE, tmp_path / "copy", 2400)
    before, after = (SOURCE / "commune.toml").read_text().splitlines(), (copy / "commune.toml").read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 5
    assert all(a.replace("127.0.0.1:22", "127.0.0.1:24") == b for a, b in changed)


@pytest.mark.parametrize("name", ["", "Lab", "a/b", "..", "1lab", "x" * 21, "lab\n"])
def test_a_name_that_cannot_be_a_folder_and_a_cgroup_is_refused(name):
    with pytest.raises(UsageError, match="cannot name a lab"):
        Places(name)
