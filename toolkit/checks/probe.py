"""Knock at doors from a machine: try many addresses and ports at once and say what answered each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.subject import Subject
from toolkit.model import RDP_PORT, Access, Address, Application, Commune, Laptop

SSH_PORT = 22
# bash alone: every Debian has it, and a machine under examination needs no more than that.
KNOCK = """\
knock() {
  said=$(timeout 3 bash -c '
    exec 3<>"/dev/$1/$2/$3" || exit 1
    hear() { timeout $1 dd bs=600 count=1 status=none <&3 2>&1; }
    if [ "$1" = tcp ]; then echo open; said=$(hear 1.5)
    else
      for wait in 0.7 1.2; do # a datagram may be lost without anybody meaning it
        echo telekit verify >&3
        said=$(hear $wait) && [ -n "$said" ] && echo open
        [ -z "$said" ] || break
      done
    fi
    printf "%s" "$said"
  ' knock "$1" "$2" "$3" 2>&1 | tr -c '[:print:]\\n' '?' | head -c 600 | tr '\\n' ' ')
  printf '%s %s %s %s\\n' "$1" "$2" "$3" "$said"
}
export LC_ALL=C
"""


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


def knock(subject: Subject, doors: Iterable[Door]) -> dict[Door, Answer]:
    """Try these doors from the machine, all at once, in under four seconds for some hundreds."""
    wanted = list(dict.fromkeys(doors))
    lines = [f"knock {door.protocol} {door.address} {door.port} &" for door in wanted]
    script = KNOCK + "\n".join(lines) + "\nwait\n"
    found = {}
    for line in subject.output(f"bash <<'KNOCK'\n{script}KNOCK\n", seconds=30).splitlines():
        protocol, address, port, said = line.split(" ", 3)
        found[(protocol, address, int(port))] = _answer(said.strip())
    return {door: found.get((door.protocol, str(door.address), door.port), Answer("silent")) for door in wanted}


def _answer(said: str) -> Answer:
    if said.startswith("open"):
        return Answer("open", said.removeprefix("open").strip()[:200])
    if not said:
        return Answer("silent")
    if "onnection refused" in said:
        return Answer("refused")
    return Answer(said.rpartition(": ")[2].lower() or "silent")


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


def from_laptop(subject: Subject) -> dict[Door, Answer]:
    """What answers this laptop, of everything that the town hall has: tried once, all of it."""
    doors = [*application_doors(subject), *desktop_doors(subject.commune), *_administration(subject.commune)]
    return subject.once("doors", lambda: knock(subject, [*doors, *_other_laptops(subject)]))


def refusals(subject: Subject) -> dict[Door, Answer]:
    """The same, for checks that expect no answer: they are not made where the laptop reaches nothing at all."""
    answers = from_laptop(subject)
    welcome = granted(subject, subject.laptop)
    if welcome and not any(answers[door].open for door in welcome if door in answers):
        raise NotCheckedError("the laptop reaches nothing of what it may, so that its being refused proves nothing")
    return answers


def _administration(commune: Commune) -> list[Door]:
    addresses: list[Address] = [d.address for d in commune.desktops]
    addresses += [a for a in (commune.gateway.address, commune.gateway_address(), commune.gateway_address6()) if a]
    return [Door("tcp", address, SSH_PORT) for address in addresses]


def _other_laptops(subject: Subject) -> list[Door]:
    others = [m for m in subject.commune.peers if m.name != subject.name][:50]
    addresses = [a for m in others for a in (m.tunnel_address, m.tunnel_address6) if a]
    return [Door("tcp", a, port) for a in addresses for port in (SSH_PORT, RDP_PORT)]


def from_gateway(subject: Subject) -> dict[Door, Answer]:
    """What answers on the LAN itself: without it a refusal proves nothing."""
    gateway = subject.other(subject.commune.gateway)
    return gateway.once("doors", lambda: knock(gateway, application_doors(subject)))


def alive(subject: Subject, door: Door) -> None:
    """The check is not made when the application does not answer the gateway either."""
    answer = from_gateway(subject)[door]
    if not answer.open:
        raise NotCheckedError(f"{door} does not answer the gateway either ({answer})")


def named(doors: Sequence[Door], answers: dict[Door, Answer]) -> str:
    """What was seen at these doors, in one line."""
    return "; ".join(f"{door}: {answers[door]}" for door in doors)
