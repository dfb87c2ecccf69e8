"""What the gateway's templates write, word by word; `UPDATE_GOLDEN=1` writes the files anew, for the diff to be read."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from deploys import access, clock, gateway, sshd
from deploys.gateway_rules import ruleset
from deploys.template import render
from deploys.tunnel_record import device_names, unit
from toolkit.model import (
    Agent,
    Application,
    Commune,
    Desktop,
    Endpoint,
    Extra,
    Gateway,
    Laptop,
    LocalNetwork,
    Mode,
    Profile,
    SshAddress,
)

FOLDER = Path(__file__).parent / "gateway"


def laptop(number: int) -> Laptop:
    return Laptop(
        f"portable-{number:03}",
        tunnel_address=ip_address(f"10.177.0.{number}"),
        tunnel_address6=ip_address(f"fd77:77:77::{number}"),
        public_key=f"{number:043}=",
    )


def town() -> Commune:
    return Commune(
        slug="essai",
        name="Essai",
        insee="00000",
        domain="essai.example",
        network=LocalNetwork(
            lan=(ip_network("10.77.0.0/20"), ip_network("2001:db8:77::/48")),
            tunnel=ip_network("10.177.0.0/24"),
            tunnel6=ip_network("fd77:77:77::/64"),
            dns=(ip_address("10.77.0.53"),),
            zones=("essai.example",),
            admin=(ip_network("10.77.0.10/32"), ip_network("10.77.0.8/29")),
        ),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820)),),
        desktops=(Desktop("bureau-1", ip_address("10.77.2.1"), SshAddress("10.77.2.1")),),
        laptops=(laptop(2), laptop(3), Laptop("portable-004")),
        applications=(
            Application("paie", "Paie", ip_address("10.77.1.1"), tcp=(443,), udp=(5000,)),
            Application("conges", "Congés", ip_address("10.77.1.1"), tcp=(443, 8443)),
            Application("gel", "Gestion électronique", ip_address("2001:db8:77::9"), tcp=(443,)),
        ),
        profiles=(Profile("rh", ("paie", "conges")), Profile("accueil", ("gel",))),
        agents=(
            Agent("a.un", "Un", "Anne", "rh", laptop="portable-002", desktop="bureau-1"),
            Agent("b.deux", "Deux", "Basile", "accueil", laptop="portable-003"),
            Agent("c.trois", "Trois", "Chloé", "accueil", laptop="portable-004"),
        ),
    )


def split() -> Commune:
    return replace(town(), network=replace(town().network, mode=Mode.SPLIT))


def behind_nat() -> Commune:
    one = split()
    return replace(one, gateways=(replace(one.gateway, nat=True),), network=replace(one.network, tunnel6=None))


def empty() -> Commune:
    return replace(split(), agents=(), laptops=(), network=replace(split().network, dns=(), zones=(), tunnel6=None))


def two_keys() -> Commune:
    """While the gateway's own key is being replaced."""
    one = town()
    return replace(one, gateways=(replace(one.gateway, public_key="A" * 42 + "E=", next_key="D" * 42 + "E=", told=True),))


def dated() -> Commune:
    one = town()
    first, second, third = one.agents
    return replace(
        one,
        today=date(2026, 11, 25),
        laptops=(laptop(2), laptop(3), laptop(4)),
        applications=(*one.applications, Application("archives", "Archives", host="archives.essai.example", tcp=(443,))),
        profiles=(one.profiles[0], Profile("accueil", ("gel", "archives"))),
        agents=(replace(first, ends=date(2026, 12, 31)), second, replace(third, starts=date(2027, 1, 4))),
        extras=(Extra("b.deux", "paie", date(2026, 11, 30), "Remplacement"),),
    )


TEXTS = {
    "nftables-full.conf": lambda: ruleset(town(), (22,)),
    "nftables-split.conf": lambda: ruleset(split(), (22, 2222)),
    "nftables-nat.conf": lambda: ruleset(behind_nat(), (22,)),
    "nftables-nobody.conf": lambda: ruleset(empty(), (22,)),
    "nftables-two-keys.conf": lambda: ruleset(two_keys(), (22,)),
    "wg0-next.conf": lambda: gateway.second_configuration(two_keys().gateway, two_keys()),
    "wg0.conf": lambda: gateway.tunnel_configuration(town().gateway, town()),
    "unbound-forwarding.conf": lambda: gateway.resolver_configuration(town()),
    "unbound-recursive.conf": lambda: gateway.resolver_configuration(empty()),
    "chrony-gateway.conf": lambda: clock.configuration(town().gateway, town()),
    "chrony-desktop.conf": lambda: clock.configuration(town().desktops[0], town()),
    "chrony-laptop.conf": lambda: clock.configuration(town().laptops[0], town()),
    "tunnels": lambda: device_names(town()),
    "tunnel-record.service": lambda: unit("wg0", town()),
    "access.json": lambda: access.schedule(dated()),
    "telekit-access.service": lambda: access.units("wg0")[access.UNIT],
    "telekit-access.timer": lambda: access.units("wg0")[access.TIMER],
    "sshd-gateway.conf": lambda: sshd.settings(root=False, jump=True),
    "sshd-other.conf": lambda: sshd.settings(root=False, jump=False),
    "journald.conf": lambda: render("journald/telekit.conf.j2", months=6),
    "apt": lambda: render("apt/telekit.j2", reboot=True, reboot_at="03:30"),
    "sudoers": lambda: render("sudo/telekit.j2", user="telekit"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_file_is_word_by_word_as_agreed(name: str) -> None:
    file, text = FOLDER / name, TEXTS[name]()
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_every_file_says_who_wrote_it() -> None:
    assert all("Written by telekit. Edit commune.toml instead." in text() for text in TEXTS.values())


def test_every_golden_file_belongs_to_a_test() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(TEXTS)


@pytest.mark.parametrize("program", ["wireguard/tunnel_record.py", "access/access.py", "access/names.py", "access/successor.py"])
def test_a_program_of_the_gateway_is_rendered_as_it_stands(program: str) -> None:
    source = Path(__file__).parents[2] / "templates" / program
    assert render(program) == source.read_text(encoding="utf-8")
