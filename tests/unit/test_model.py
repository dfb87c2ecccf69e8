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
    Extra,
    Gateway,
    Laptop,
    LocalNetwork,
    Profile,
    Secret,
    SshAddress,
    System,
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


def with_extras(*extras: Extra) -> Commune:
    applications = (*town().applications, Application("plan", "Cadastre", host="cadastre.essai.example", tcp=(443,)))
    return replace(town(), applications=applications, extras=extras)


def test_an_extra_is_reached_until_its_last_day_and_says_so() -> None:
    commune = with_extras(Extra("a.un", "plan", TODAY, "Remplacement"), Extra("c.trois", "plan", TODAY, "Autre"))
    access = next(a for a in commune.accesses if a.reason == "Cadastre")
    assert (access.laptop.name, access.address, access.host, access.until) == (
        "portable-1",
        None,
        "cadastre.essai.example",
        TODAY,
    )
    assert [a.key for a in commune.applications_of(commune.agents[0])] == ["paie", "plan"]
    assert len(replace(commune, today=date(2026, 11, 26)).applications_of(commune.agents[0])) == 1


def test_the_longest_of_two_extras_counts_and_a_profile_needs_none() -> None:
    later = Extra("a.un", "plan", date(2027, 1, 1), "B")
    commune = with_extras(later, Extra("a.un", "plan", TODAY, "A"), Extra("a.un", "paie", TODAY, "C"))
    assert [grant.extra for grant in commune.grants_of(commune.agents[0])] == [None, later]


def test_an_access_ends_with_the_agent_or_the_extra_whichever_is_first() -> None:
    commune = with_extras(Extra("a.un", "plan", date(2027, 1, 1), "B"))
    agent = replace(commune.agents[0], ends=date(2026, 12, 31))
    assert {a.until for a in replace(commune, agents=(agent,)).accesses} == {date(2026, 12, 31)}


def test_a_key_that_is_in_somebody_elses_kit_opens_nothing_for_who_has_the_device_now() -> None:
    before = town()
    holder = before.agent_of["portable-1"].identifier
    theirs = (replace(before.laptops[0], key_of="who.had.it"), *before.laptops[1:])
    mine = (replace(before.laptops[0], key_of=holder), *before.laptops[1:])
    assert "portable-1" in {laptop.name for laptop in replace(before, laptops=mine).peers}
    after = replace(before, laptops=theirs)
    assert "portable-1" not in {laptop.name for laptop in after.peers}
    assert not any(access.laptop.name == "portable-1" for access in after.accesses)


def test_telekit_logs_into_debian_alone_and_lets_every_device_in() -> None:
    windows = replace(town().laptops[0], system=System.WINDOWS)
    commune = replace(town(), laptops=(windows, *town().laptops[1:]))
    assert windows not in commune.machines
    assert commune.peers == (windows,)
