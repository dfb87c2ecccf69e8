"""What the gateway's recipe makes of a commune, and of what a machine answers."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_address, ip_network

from deploys.firewall import LoadedVersion, version, versioned
from deploys.gateway import tunnel_configuration, tunnel_interface
from deploys.gateway_rules import family, ruleset
from deploys.preshared import shared_keys
from deploys.wireguard import RunningInterface
from toolkit.model import (
    Agent,
    Application,
    Commune,
    Desktop,
    Endpoint,
    Gateway,
    Laptop,
    LocalNetwork,
    Mode,
    Profile,
    Secret,
    SshAddress,
)

KEYS = Secret("what the file of preshared keys holds")


def laptop(number: int) -> Laptop:
    address, address6 = ip_address(f"10.177.0.{number}"), ip_address(f"fd77:77:77::{number}")
    return Laptop(f"portable-{number}", tunnel_address=address, tunnel_address6=address6, public_key=f"{number:043}=")


def town() -> Commune:
    return Commune(
        slug="essai",
        name="Essai",
        insee="00000",
        domain="essai.example",
        network=LocalNetwork(
            lan=(ip_network("10.77.0.0/20"),),
            tunnel=ip_network("10.177.0.0/24"),
            tunnel6=ip_network("fd77:77:77::/64"),
            mode=Mode.SPLIT,
        ),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820)),),
        desktops=(Desktop("bureau-1", ip_address("10.77.2.1"), SshAddress("10.77.2.1")),),
        laptops=(laptop(2), laptop(3)),
        applications=(
            Application("paie", "Paie", ip_address("10.77.1.1"), tcp=(443,)),
            Application("conges", "Congés", ip_address("10.77.1.1"), tcp=(443,)),
        ),
        profiles=(Profile("rh", ("paie", "conges")), Profile("accueil")),
        agents=(
            Agent("a.un", "Un", "Anne", "rh", laptop="portable-2", desktop="bureau-1"),
            Agent("b.deux", "Deux", "Basile", "accueil", laptop="portable-3"),
        ),
    )


def test_two_applications_on_one_port_make_one_rule() -> None:
    rules = [(str(r.source), str(r.destination), r.protocol, r.port) for r in family(town(), 4).accesses]
    assert rules == [("10.177.0.2", "10.77.1.1", "tcp", 443), ("10.177.0.2", "10.77.2.1", "tcp", 3389)]


def test_an_agent_who_left_is_nowhere_in_what_the_gateway_gets() -> None:
    left = replace(town(), agents=town().agents[1:])
    for text in (ruleset(left, (22,)), tunnel_configuration(left.gateway, left)):
        assert "10.177.0.2" not in text
        assert "portable-2" not in text
    assert list(tunnel_interface(left.gateway, left, KEYS).peers) == [f"{3:043}="]


def test_a_laptop_that_is_not_enrolled_is_no_peer_and_the_rest_renders() -> None:
    bare = replace(town(), laptops=(replace(laptop(2), public_key=None), laptop(3)))
    assert "[Peer]\nPublicKey = None" not in tunnel_configuration(bare.gateway, bare)
    assert [p.laptop for p in family(bare, 4).peers] == ["portable-3"]


def test_ssh_is_open_to_the_town_halls_networks_only_while_no_network_of_administrators_is_named() -> None:
    assert family(town(), 4).admin == (ip_network("10.77.0.0/20"),)
    named = replace(town(), network=replace(town().network, admin=(ip_network("10.77.0.10/32"),)))
    assert family(named, 4).admin == (ip_network("10.77.0.10/32"),)
    assert family(named, 6).admin == ()


def test_a_split_tunnel_leads_to_the_internet_for_an_application_there_alone() -> None:
    assert "masquerade" not in ruleset(town(), (22,))
    outside = Application("sesam", "Service de l'État", ip_address("198.51.100.4"), tcp=(443,))
    cloud = replace(town(), applications=(outside,), profiles=(Profile("rh", ("sesam",)), Profile("accueil")))
    text = ruleset(cloud, (22,))
    assert "masquerade" in text
    assert "@peers4 ip daddr" not in text


def test_the_towns_public_addresses_are_no_way_around_the_rules() -> None:
    public = replace(town(), network=replace(town().network, lan=(ip_network("198.51.100.0/24"),), mode=Mode.FULL))
    assert ip_network("198.51.100.0/24") in family(public, 4).local


def test_a_changed_ruleset_has_another_version_and_says_it() -> None:
    one, other = versioned(ruleset(town(), (22,))), versioned(ruleset(town(), (2222,)))
    assert version(one) != version(other)
    assert f'comment "{version(one)}"' in one
    assert LoadedVersion().process([version(one)]) == version(one)


def test_a_running_interface_is_recognized_as_the_wanted_one() -> None:
    lines = [
        "ActiveState=active",
        "UnitFileState=enabled",
        "MTU=1420",
        "Port=51820",
        "Key=38JpVcIY6Tnb5PzFKoLvQZQxc8ttWGH1Ik1pNvX3+Qk=",
        "Own=38JpVcIY6Tnb5PzFKoLvQZQxc8ttWGH1Ik1pNvX3+Qk=",
        "Address=10.177.0.1/24",
        "Address=fd77:77:77::1/64",
        f"Peer={2:043}=\t10.177.0.2/32 fd77:77:77::2/128",
        f"Peer={3:043}=\t10.177.0.3/32 fd77:77:77::3/128",
        f"Shared={sha256(KEYS.reveal().encode()).hexdigest()}",
    ]
    found = RunningInterface().process(lines)
    assert found.up
    assert found.own_key
    assert found.interface == tunnel_interface(town().gateway, town(), KEYS)


def test_an_interface_without_its_key_is_not_taken_for_the_machines_own() -> None:
    assert not RunningInterface().process(["ActiveState=active", "MTU=1420", "Key=(none)", "Own=abc="]).own_key
    assert not RunningInterface().process(["ActiveState=active", "MTU=1420", "Key=", "Own="]).own_key


def test_the_gateways_file_has_the_preshared_keys_of_laptops_that_open_a_tunnel_and_of_no_others() -> None:
    preshared = {f"portable-{n}": Secret(f"{n}" * 43 + "=") for n in (2, 3, 9)}
    without = replace(town(), agents=town().agents[1:])
    assert shared_keys(town(), preshared).reveal().splitlines()[1:] == [f"{n:043}= {str(n) * 43}=" for n in (2, 3)]
    assert shared_keys(without, preshared).reveal().splitlines()[1:] == [f"{3:043}= {'3' * 43}="]
    assert shared_keys(town(), {}).reveal().splitlines()[1:] == []


def test_a_change_of_a_preshared_key_alone_is_seen() -> None:
    one, other = (tunnel_interface(town().gateway, town(), Secret(text)) for text in "ab")
    assert one != other
    assert one.peers == other.peers
