"""What the laptop's recipe makes of a commune."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from deploys import antivirus, resolver, tunnel
from toolkit.model import Antivirus, Commune, Endpoint, Gateway, Laptop, LocalNetwork, Mode, SshAddress

ME = Laptop("portable-2", tunnel_address=ip_address("10.177.0.2"), tunnel_address6=ip_address("fd77::2"))


def town(mode: Mode = Mode.FULL, *, six: bool = True) -> Commune:
    return Commune(
        slug="essai",
        name="Essai",
        insee="00000",
        domain="essai.example",
        network=LocalNetwork(
            lan=(ip_network("10.77.0.0/20"), ip_network("10.78.0.0/24")),
            tunnel=ip_network("10.177.0.0/24"),
            tunnel6=ip_network("fd77::/64") if six else None,
            mode=mode,
            admin=(ip_network("10.77.0.10/32"),),
            bench=(ip_network("10.77.15.0/24"),),
        ),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820), public_key="k" * 43 + "="),),
        laptops=(ME,),
    )


def test_in_full_mode_everything_goes_into_the_tunnel() -> None:
    assert tunnel.allowed(town()) == ["0.0.0.0/0", "::/0"]


def test_ipv6_is_not_sent_into_a_tunnel_that_has_none() -> None:
    assert tunnel.allowed(town(six=False)) == ["0.0.0.0/0"]
    assert tunnel.addresses(ME, town(six=False)) == ["10.177.0.2/32"]


def test_in_split_mode_only_the_town_hall_goes_into_the_tunnel() -> None:
    assert tunnel.allowed(town(Mode.SPLIT)) == ["10.77.0.0/20", "10.78.0.0/24", "10.177.0.0/24", "fd77::/64"]


def test_the_private_key_is_in_no_configuration() -> None:
    text = tunnel.configuration(ME, town())
    assert "PrivateKey" not in text
    assert "private-key /etc/wireguard/private.key" in text


def test_boot_does_not_wait_for_a_name() -> None:
    assert "Endpoint" not in tunnel.configuration(ME, town())


def test_before_enrolment_a_plan_still_has_something_to_show() -> None:
    unknown = replace(town(), gateways=(replace(town().gateway, public_key=None),))
    assert "not known before enrolment" in tunnel.configuration(ME, unknown)


def test_marked_packets_come_before_the_town_halls_addresses_and_the_bench_between() -> None:
    priorities = [rule.text.rsplit(" ", 1)[1] for rule in tunnel.routing_rules(town())]
    assert priorities == sorted(priorities) == ["5000", "5000", "5001", "5002", "5002", "5002", "5002"]
    assert not any("not " in rule.text for rule in tunnel.routing_rules(town()))


def test_in_split_mode_the_firewall_leaves_what_goes_out_alone() -> None:
    assert "hook output" not in tunnel.rules(ME, town(Mode.SPLIT), (22,))
    assert "hook output" in tunnel.rules(ME, town(), (22,))


def test_in_full_mode_no_name_is_asked_for_outside() -> None:
    assert "Domains=~. essai.example" in resolver.configuration(town())
    assert "DNS=10.177.0.1 fd77::1" in resolver.configuration(town())
    assert "\nDNS=" not in resolver.configuration(town(Mode.SPLIT))


def test_the_networks_own_servers_are_those_that_are_not_the_gateway() -> None:
    script = resolver.network_servers(town())
    assert "-e 'nameserver 10.177.0.1' -e 'nameserver fd77::1'" in script


def test_a_laptop_waits_for_the_databases_that_the_inventory_names() -> None:
    own = ("http://mirror.essai.example/lab.hdb", "http://mirror.essai.example/a/b.ndb")
    assert antivirus.wanted_databases(Antivirus()) == ["main", "daily", "bytecode"]
    assert antivirus.wanted_databases(Antivirus(official=False, databases=own)) == ["lab", "b"]


def test_debians_conditions_stay_where_its_own_signatures_are_used() -> None:
    path = "/etc/systemd/system/clamav-daemon.socket.d/telekit.conf"
    assert "ConditionPathExistsGlob" not in antivirus.units(Antivirus())["clamav-daemon.socket"][path]
    assert "ConditionPathExistsGlob=\n" in antivirus.units(Antivirus(official=False))["clamav-daemon.socket"][path]


def test_a_contact_with_a_quote_cannot_break_out_of_the_alarm() -> None:
    script = antivirus.alarm(replace(town(), contact="l'accueil; reboot"))
    assert "'\"'\"'" in script
