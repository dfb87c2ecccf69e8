"""Knock at doors from a machine: try many addresses and ports at once and say what answered each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.remote import script
from toolkit.checks.subject import Subject
from toolkit.model import RDP_PORT, Access, Address, Application, Commune, Desktop, Gateway, Laptop

SSH_PORT = 22
# Code points that nobody uses: verify's own packets, and those that it sends under a false address.
MARK, FORGED = 43, 45
# What a resolver answers by itself, whomever else it would ask.
ITSELF = "localhost"


@dataclass(frozen=True)
class Door:
    """A port at an address."""

    protocol: str
    address: Address
    port: int

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}/{self.protocol}"
            if self.address.version == 6
            else f"{self.address}:{self.port}/{self.protocol}"
        )


@dataclass(frozen=True)
class Answer:
    """What came of knocking. state: open, refused, silent, or what the system said; said: the first line from there."""

    state: str
    said: str = ""

    @property
    def open(self) -> bool:
        return self.state == "open"

    def __str__(self) -> str:
        return f"{self.state}, it said {self.said!r}" if self.said else self.state


Places = Mapping[str, Sequence[Address]]
OWN_ADDRESSES = 'ip -o address show scope global | awk \'$2 != "wg0" { sub("/.*", "", $4); print $4 }\''


def own_addresses(subject: Subject, machine: Gateway | Desktop) -> Sequence[Address]:
    """A machine's addresses but for the tunnel's: that of the inventory, then the others, if the machine can be asked."""
    known: list[Address] = [machine.address] if machine.address else []
    try:
        there = subject.other(machine)
        said = there.once("addresses", lambda: there.output(OWN_ADDRESSES)).split()
    except (NotCheckedError, AssertionError):
        said = []
    return list(dict.fromkeys([*known, *map(ip_address, said)]))


def places(subject: Subject) -> Places:
    """DNS name → the addresses at which the gateway lets that server be reached; empty without a gateway to ask."""
    if not any(application.host for application in subject.commune.applications):
        return {}
    gateway = subject.other(subject.commune.gateway)
    said = gateway.once("places", lambda: gateway.output("/usr/local/lib/telekit/access names"))
    return {name: tuple(map(ip_address, addresses)) for name, *addresses in map(str.split, said.splitlines())}


def addresses(server: Application | Access, found: Places) -> Sequence[Address]:
    """Where a server is: its address, or where its name leads."""
    return (server.address,) if server.address else found.get(server.host or "", ())


@dataclass(frozen=True)
class Forgery:
    """A packet under an address that is not its sender's, and the card by which it leaves."""

    door: Door
    source: Address
    card: str


@dataclass(frozen=True)
class Knocked:
    """What came of knocking. forged: the false addresses under which something could be sent."""

    answers: Mapping[Door, Answer]
    forged: frozenset[Address] = frozenset()


def knock(subject: Subject, doors: Iterable[Door]) -> Mapping[Door, Answer]:
    """Try these doors from the machine, all at once, in under four seconds for some hundreds."""
    return knock_and_forge(subject, doors, ()).answers


def knock_and_forge(subject: Subject, doors: Iterable[Door], forgeries: Iterable[Forgery]) -> Knocked:
    """The same, after some packets that no honest machine sends."""
    wanted = [[door.protocol, str(door.address), door.port] for door in dict.fromkeys(doors)]
    forged = [[f.door.protocol, str(f.door.address), f.door.port, str(f.source), f.card] for f in forgeries]
    order = {"mark": MARK << 2, "name": ITSELF, "forged_mark": FORGED << 2}
    told = json.loads(subject.output(script("knocker", "knock", doors=wanted, forged=forged, **order), seconds=30))
    found = {Door(protocol, ip_address(at), port): Answer(state, said[:200]) for protocol, at, port, state, said in told["doors"]}
    return Knocked(found, frozenset(map(ip_address, told["forged"])))


def doors_of(application: Application, found: Places) -> list[Door]:
    """Every port of a business application, at each of its addresses."""
    return [
        Door(protocol, address, port)
        for address in addresses(application, found)
        for protocol, ports in (("tcp", application.tcp), ("udp", application.udp))
        for port in ports
    ]


def application_doors(subject: Subject) -> list[Door]:
    """Every port of every business application."""
    found = places(subject)
    return [door for application in subject.commune.applications for door in doors_of(application, found)]


def desktop_doors(commune: Commune) -> list[Door]:
    """The remote desktop of every desktop."""
    return [Door("tcp", desktop.address, RDP_PORT) for desktop in commune.desktops]


def granted(subject: Subject, laptop: Laptop) -> set[Door]:
    found = places(subject)
    mine = [access for access in subject.commune.accesses if access.laptop.name == laptop.name]
    return {Door(access.protocol, address, access.port) for access in mine for address in addresses(access, found)}


def from_gateway(subject: Subject) -> Mapping[Door, Answer]:
    """What answers on the LAN itself: without it a refusal proves nothing."""
    gateway = subject.other(subject.commune.gateway)
    return gateway.once("doors", lambda: knock(gateway, application_doors(subject)))


def alive(subject: Subject, door: Door) -> None:
    """The check is not made when the application does not answer the gateway either."""
    answer = from_gateway(subject)[door]
    if not answer.open:
        raise NotCheckedError(f"{door} does not answer the gateway either ({answer})")


def named(doors: Sequence[Door], answers: Mapping[Door, Answer]) -> str:
    """What was seen at these doors, in one line."""
    return "; ".join(f"{door}: {answers[door]}" for door in doors)
