"""Accesses that vary by themselves: the gateway opens and closes them on their days, and follows servers' names, alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import service
from deploys.service import UnitState
from deploys.template import MANAGED, render
from deploys.text import text_file
from deploys.wireguard import NEXT
from toolkit.model import Access, Agent, Commune, Laptop

PROGRAM = "/usr/local/lib/telekit/access"
NAMES = "/usr/local/lib/telekit/names.py"
SUCCESSOR = "/usr/local/lib/telekit/successor.py"
SCHEDULE = "/etc/telekit/access.json"
UNIT = "/etc/systemd/system/telekit-access.service"
TIMER = "/etc/systemd/system/telekit-access.timer"
WATCH = "/etc/systemd/system/telekit-rotation.service"


@dataclass(frozen=True, slots=True)
class Turn:
    """A laptop in the hands of an agent, on a day on which they have access. begins: that day is still to come."""

    laptop: Laptop
    agent: Agent
    accesses: tuple[Access, ...]
    begins: date | None = None

    @property
    def dated(self) -> bool:
        return self.begins is not None or self.agent.last_day is not None


def turns(commune: Commune) -> Iterator[Turn]:
    """Those of today, and those that begin on a day to come."""
    days = {agent.starts for agent in commune.agents if agent.starts and agent.starts > commune.today}
    for day in (None, *sorted(days)):
        then = replace(commune, today=day) if day else commune
        accesses: dict[str, list[Access]] = {}
        for access in then.accesses:
            accesses.setdefault(access.laptop.name, []).append(access)
        for laptop in then.peers:
            agent = then.agent_of[laptop.name]
            if day is None or agent.starts == day:
                yield Turn(laptop, agent, tuple(accesses.get(laptop.name, ())), day)


def lasting_peers(commune: Commune) -> tuple[Laptop, ...]:
    """The laptops whose access has no end that is known: the others are the program's, with kits and new keys not yet used."""
    peers = (laptop for laptop in commune.peers if laptop.kit_until is None and laptop.next_key is None)
    return tuple(laptop for laptop in peers if commune.agent_of[laptop.name].last_day is None)


def lasting(access: Access) -> bool:
    """Whether nothing about it changes by itself."""
    return access.until is None and access.address is not None


def devices(commune: Commune) -> tuple[Laptop, ...]:
    """Every laptop that opens a tunnel today, or will when nobody looks."""
    return tuple({turn.laptop.name: turn.laptop for turn in turns(commune)}.values())


def _servers(accesses: Iterable[Access], last: date | None) -> Iterator[Mapping[str, object]]:
    """Server by server; a last day only where it is another than the laptop's."""
    ports: dict[tuple[str, date | None], list[str]] = {}
    for access in accesses:
        place = str(access.address) if access.address else access.host or ""
        ports.setdefault((place, access.until if access.until != last else None), []).append(f"{access.protocol}/{access.port}")
    for (place, until), found in ports.items():
        yield {"to": place, "ports": sorted(set(found))} | ({"last": str(until)} if until else {})


def _entry(turn: Turn, *, own_peer: bool, carries6: bool) -> dict[str, object]:
    laptop, last = turn.laptop, turn.agent.last_day
    varying = turn.accesses if turn.dated else [access for access in turn.accesses if not lasting(access)]
    addresses = [laptop.tunnel_address, laptop.tunnel_address6 if carries6 else None]
    return (
        {"laptop": laptop.name, "addresses": [str(address) for address in addresses if address]}
        | ({"key": laptop.public_key} if own_peer else {})
        | ({"first": str(turn.begins)} if turn.begins else {})
        | ({"last": str(last)} if last else {})
        | ({"kit": str(laptop.kit_until)} if laptop.kit_until else {})
        | ({"next": laptop.next_key, "until": str(laptop.next_until)} if laptop.next_key else {})
        | {"servers": list(_servers(varying, last))}
    )


def schedule(commune: Commune) -> str:
    """What the program goes by: one laptop a line, so that a difference shows whose access it is."""
    network, gateway = commune.network, commune.gateway
    never = [network.tunnel, network.tunnel6, gateway.address]
    head = {
        "written": MANAGED,
        "timezone": commune.policy.timezone,
        "rules": {
            "resolver": str(commune.gateway_address()),
            "zones": [*network.zones],
            "lan": [str(lan) for lan in network.lan],
            "never": [str(place) for place in never if place],
        },
    }
    if gateway.next_key is not None:
        own = [commune.gateway_address(), commune.gateway_address6()]
        head |= {"successor": {"interface": NEXT, "sources": [str(address) for address in own if address]}}
    elsewhere, carries6 = {laptop.name for laptop in lasting_peers(commune)}, network.tunnel6 is not None
    entries = [_entry(turn, own_peer=turn.laptop.name not in elsewhere, carries6=carries6) for turn in turns(commune)]
    lines = [f'"{key}": {json.dumps(value)},' for key, value in head.items()]
    listed = ",\n".join(json.dumps(entry) for entry in entries if entry["servers"] or "key" in entry)
    return "\n".join(["{", *lines, '"laptops": [', *([listed] if listed else []), "]}", ""])


def units(interface: str) -> dict[str, str]:
    """The program's service and its timer, and the service that waits for the first handshakes of new keys."""
    return {
        UNIT: render("access/access.service.j2", program=PROGRAM, interface=interface, action="apply"),
        WATCH: render("access/access.service.j2", program=PROGRAM, interface=interface, action="watch"),
        TIMER: render("access/access.timer.j2"),
    }


class AccessIsInForce(FactBase[bool]):
    """Whether the gateway lets in whom its schedule says, at this moment."""

    def command(self) -> str:
        return f"[ -x {PROGRAM} ] && {PROGRAM} check 2>/dev/null; true"

    def process(self, output: list[str]) -> bool:
        return output[-1:] == ["yes"]


@operation()
def _put_in_force(files: Mapping[str, str]) -> Generator[str, None, None]:
    unit = UNIT.rpartition("/")[2]
    in_force = host.get_fact(AccessIsInForce)
    found = host.get_fact(UnitState, unit=unit, files=sorted(files))
    wanted = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    if found.digests != wanted or found.stale_unit:
        yield "systemctl daemon-reload"
    if found.enabled != "enabled":
        yield f"systemctl enable --quiet {unit}"
    if found.digests != wanted or found.enabled != "enabled" or not in_force:
        # It looks for new keys' handshakes until there is none to come, and is started again where there is.
        yield f"systemctl stop {WATCH.rpartition('/')[2]}"
        # Not `start`: that would be content with a run which began before.
        yield f"systemctl restart {unit}"


def write_schedule(commune: Commune) -> None:
    """Have the program and what it goes by: the firewall and the tunnel ask it while they are loaded."""
    text_file("Write how names of servers are followed", NAMES, render("access/names.py"))
    text_file("Write how devices pass to the gateway's next key", SUCCESSOR, render("access/successor.py"))
    text_file("Write the program that opens and closes accesses", PROGRAM, render("access/access.py"), mode="755")
    text_file("Write the accesses that end, begin or follow a name", SCHEDULE, schedule(commune), mode="600")


def keep_schedule(commune: Commune, interface: str) -> None:
    """Have it in force, and looked at every minute."""
    written = units(interface)
    text_file("Write the unit of these accesses", UNIT, written[UNIT])
    text_file("Write the timer of these accesses", TIMER, written[TIMER])
    text_file("Write the unit that waits for new keys", WATCH, written[WATCH])
    read = {
        PROGRAM: render("access/access.py"),
        NAMES: render("access/names.py"),
        SUCCESSOR: render("access/successor.py"),
        SCHEDULE: schedule(commune),
        UNIT: written[UNIT],
        WATCH: written[WATCH],
    }
    _put_in_force(name="Put these accesses in force", files=read)
    service.run(name="Look at these accesses every minute", unit="telekit-access.timer", files={TIMER: written[TIMER]})
