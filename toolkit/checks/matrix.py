"""The matrix of an agent's laptop: everything that could be reached through the tunnel, and whether it may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

from toolkit.checks.probe import SSH_PORT, Door, addresses, granted, own_addresses, places
from toolkit.checks.stranger import stranger
from toolkit.checks.subject import Subject
from toolkit.model import RDP_PORT, Address, Desktop, Gateway, Laptop, Mode

PROTOCOLS = ("tcp", "udp")
# Of more desktops, or more laptops of others, so many are tried, spread over all of them.
MANY = 50
DNS, NTP = 53, 123
# What a machine might show to who comes out of the tunnel: administration, web, files, remote desktop, the servers' own control.
OF_A_GATEWAY = (SSH_PORT, 80, 323, 443, RDP_PORT, 8953)
OF_A_LAPTOP = (SSH_PORT, 139, 445, RDP_PORT, 5353, 5900)
# Of the documentation's ranges: these lead to nobody.
NOWHERE = (ip_address("198.51.100.77"), ip_address("2001:db8::77"))

Item = TypeVar("Item")


@dataclass(frozen=True)
class Cell:
    """A door, and whether it may open. None: whatever is behind it, the way there is through the gateway."""

    door: Door
    allowed: bool | None


def matrix(subject: Subject) -> Mapping[str, Sequence[Cell]]:
    """Every cell of this laptop's, by what it is about."""
    groups = {
        "applications": _applications(subject),
        "desktops": _desktops(subject),
        "gateway": _gateway(subject),
        "laptops": _laptops(subject),
        "internet": _internet(subject),
    }
    return {name: tuple(dict.fromkeys(cells)) for name, cells in groups.items()}


def spread(items: Sequence[Item]) -> Sequence[Item]:
    """At most MANY of them, from the first to the last."""
    return items if len(items) <= MANY else [items[number * len(items) // MANY] for number in range(MANY)]


def others(subject: Subject) -> Sequence[Laptop]:
    """The other laptops that may open a tunnel."""
    return [m for m in subject.commune.peers if m.name != subject.name]


def _applications(subject: Subject) -> Iterator[Cell]:
    """Every port by both protocols: an access is to one of them."""
    found, mine = places(subject), granted(subject, subject.laptop)
    for application in subject.commune.applications:
        ports = sorted({*application.tcp, *application.udp})
        for address in addresses(application, found):
            # What no profile names is refused; on the Internet, it is as open as all of it.
            unnamed = None if subject.commune.network.on_internet(address) else False
            beside = _beside(subject, address)
            for door in (Door(protocol, address, port) for port in ports for protocol in PROTOCOLS):
                if door in mine or not beside:
                    yield Cell(door, True if door in mine else unnamed)


def _beside(subject: Subject, address: Address) -> bool:
    """Whether the way there is not through the tunnel: the Internet in split mode, or IPv6 that it does not carry."""
    network = subject.commune.network
    in_split = network.mode is not Mode.FULL and network.on_internet(address)
    return in_split or (address.version == 6 and subject.laptop.tunnel_address6 is None)


def _desktops(subject: Subject) -> Iterator[Cell]:
    mine = granted(subject, subject.laptop)
    agent = subject.commune.agent_of.get(subject.name)
    own = [d for d in subject.commune.desktops if agent and d.name == agent.desktop]
    for desktop in dict.fromkeys([*own, *spread(subject.commune.desktops)]):
        for address in _through_tunnel(subject, desktop):
            for door in (Door(protocol, address, port) for port in (RDP_PORT, SSH_PORT) for protocol in PROTOCOLS):
                yield Cell(door, door in mine)


def _through_tunnel(subject: Subject, machine: Gateway | Desktop) -> Iterator[Address]:
    """The machine's addresses to which the tunnel leads: those on the LAN; and any of IPv6, if the Internet is behind it too."""
    network, six = subject.commune.network, subject.laptop.tunnel_address6 is not None
    for address in own_addresses(subject, machine):
        on_lan = address == machine.address or any(address in lan for lan in network.lan)
        if on_lan if address.version == 4 else six and (on_lan or network.mode is Mode.FULL):
            yield address


def _gateway(subject: Subject) -> Iterator[Cell]:
    """Names and time at its tunnel addresses, and nothing else; nothing at all at its other addresses."""
    commune = subject.commune
    for inside in (commune.gateway_address(), commune.gateway_address6()):
        if inside and (inside.version == 4 or subject.laptop.tunnel_address6):
            yield from (Cell(Door(protocol, inside, DNS), True) for protocol in PROTOCOLS)
            yield Cell(Door("udp", inside, NTP), True)
            yield from (Cell(Door(protocol, inside, port), False) for port in OF_A_GATEWAY for protocol in PROTOCOLS)
            yield Cell(Door("tcp", inside, NTP), False)
    for address in _through_tunnel(subject, commune.gateway):
        yield from (Cell(Door(protocol, address, port), False) for port in OF_A_GATEWAY for protocol in PROTOCOLS)


def _laptops(subject: Subject) -> Iterator[Cell]:
    for other in spread(others(subject)):
        for address in (other.tunnel_address, other.tunnel_address6):
            if address and (address.version == 4 or subject.laptop.tunnel_address6):
                yield from (Cell(Door(protocol, address, port), False) for port in OF_A_LAPTOP for protocol in PROTOCOLS)


def _internet(subject: Subject) -> Iterator[Cell]:
    """In full mode, through the gateway; in split mode it is none of the tunnel's affair."""
    if subject.commune.network.mode is not Mode.FULL:
        return
    carried = (4, 6) if subject.laptop.tunnel_address6 else (4,)
    for address, port in stranger(subject).items():
        if address.version in carried:
            yield from (Cell(Door(protocol, address, port), True) for protocol in PROTOCOLS)
    for address in NOWHERE:
        if address.version in carried:
            yield from (Cell(Door(protocol, address, 443), None) for protocol in PROTOCOLS)
