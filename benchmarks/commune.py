"""A commune whose laptops are light targets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from toolkit.model import (
    Agent,
    Application,
    Commune,
    Desktop,
    Endpoint,
    Gateway,
    Laptop,
    LocalNetwork,
    Profile,
    SshAddress,
)

LAN = IPv4Network("10.77.0.0/20")
TUNNEL = IPv4Network("10.177.0.0/20")
KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
# Whom agents call: it stands in one file of every laptop. The change of the benchmark is from one to the other.
CONTACTS = ("Support informatique, poste 100", "Support informatique, poste 101")


def commune_of(ports: tuple[int, ...], contact: str = CONTACTS[0]) -> Commune:
    """One laptop and one agent for each port of 127.0.0.1."""
    gateway = Gateway("gw-mairie", SshAddress("10.77.0.1"), Endpoint("vpn.lab.example", 51820), public_key=KEY)
    desktop = Desktop("bureau-partage-01", IPv4Address("10.77.2.22"), SshAddress("10.77.2.22"))
    laptops = tuple(
        Laptop(f"portable-{port}", SshAddress("127.0.0.1", port), tunnel_address=TUNNEL[10 + place], public_key=KEY)
        for place, port in enumerate(ports)
    )
    agents = tuple(
        Agent(f"agent{port}", "Exemple", "Camille", "accueil", laptop=f"portable-{port}", desktop=desktop.name) for port in ports
    )
    return Commune(
        "lab", "Mairie du laboratoire", "00000", "lab.example", LocalNetwork((LAN,), TUNNEL, dns=(LAN[53],)), (gateway,),
        desktops=(desktop,), laptops=laptops, agents=agents, profiles=(Profile("accueil", ("messagerie",)),),
        applications=(Application("messagerie", "Messagerie", LAN[268], tcp=(443, 993)),), contact=contact,
    )  # fmt: skip


def changed(commune: Commune) -> Commune:
    """The same commune after its one change."""
    return replace(commune, contact=CONTACTS[CONTACTS.index(commune.contact) ^ 1])
