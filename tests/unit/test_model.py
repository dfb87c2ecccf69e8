"""What the model promises to recipes and checks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import IPv4Address, IPv4Network

from toolkit.model import (
    RDP_PORT,
    Agent,
    Application,
    Commune,
    Desktop,
    Endpoint,
    Gateway,
    Laptop,
    LocalNetwork,
    Profile,
    Secret,
    SshAddress,
)

TODAY = date(2026, 11, 25)


def town() -> Commune:
    return Commune(
        slug="essai",
        name="Essai",
        insee="00000",
        domain="essai.example",
        network=LocalNetwork(lan=(IPv4Network("10.77.0.0/20"),), tunnel=IPv4Network("10.177.0.0/24")),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820)),),
        desktops=(Desktop("bureau-1", IPv4Address("10.77.2.1"), SshAddress("10.77.2.1")),),
        laptops=(
            Laptop("portable-1", tunnel_address=IPv4Address("10.177.0.2"), public_key="a"),
            Laptop("portable-2", tunnel_address=IPv4Address("10.177.0.3"), public_key="b"),
            Laptop("portable-3"),
        ),
        applications=(Application("paie", "Paie", IPv4Address("10.77.1.1"), tcp=(443,), udp=(5000,)),),
        profiles=(Profile("rh", ("paie",)), Profile("accueil")),
        agents=(
            Agent("a.un", "Un", "Anne", "rh", laptop="portable-1", desktop="bureau-1"),
            Agent("b.deux", "Deux", "Basile", "accueil", laptop="portable-2", ends=date(2026, 11, 24)),
            Agent("c.trois", "Trois", "Chloé", "accueil", laptop="portable-3"),
        ),
        today=TODAY,
    )


def test_an_access_ends_after_its_last_day() -> None:
    agent = Agent("b", "Deux", "Basile", "accueil", starts=date(2026, 11, 1), ends=TODAY)
    assert agent.active(TODAY)
    assert not agent.active(date(2026, 11, 26))
    assert not agent.active(date(2026, 10, 31))


def test_a_laptop_is_a_peer_only_with_an_active_agent_an_address_and_a_key() -> None:
    assert [laptop.name for laptop in town().peers] == ["portable-1"]


def test_an_agent_reaches_the_applications_of_the_profile_and_its_own_desktop() -> None:
    reached = {(str(a.address), a.protocol, a.port) for a in town().accesses}
    assert reached == {("10.77.1.1", "tcp", 443), ("10.77.1.1", "udp", 5000), ("10.77.2.1", "tcp", RDP_PORT)}


def test_nobody_reaches_a_desktop_without_being_assigned_to_it() -> None:
    commune = replace(town(), agents=(Agent("a.un", "Un", "Anne", "accueil", laptop="portable-1"),))
    assert commune.accesses == ()
    assert commune.laptops_of(commune.desktops[0]) == ()


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("valeur")
    assert "valeur" not in f"{secret} {secret!r} {[secret]} {secret:}"
    assert secret.reveal() == "valeur"
