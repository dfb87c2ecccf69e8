#!/usr/bin/python3 -B
# Written by telekit. Edit commune.toml instead.
"""Accesses that vary by themselves: those that begin or end on a day, and those to servers known by their DNS name.

They are in neither nftables.conf nor wg0.conf: what is loaded at boot lets none of them in. This program adds them and takes them
out, every minute and so at midnight, by the schedule that telekit wrote. It needs nobody else for that.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

from names import OVERLAP_SECONDS, Name, Rules, follow_all, is_address, say

Element = tuple[str, ...]
# Public key → what wg0 lets through it; None: the peer is taken out.
PeerChanges = dict[str, frozenset[str] | None]
FAMILIES = (4, 6)


@dataclass(frozen=True)
class Server:
    """What a laptop may reach: an address or a name, "tcp/443", and from which day to which (both included)."""

    to: str
    ports: list[str]
    last: str | None = None


@dataclass(frozen=True)
class Laptop:
    """A laptop and what varies of its accesses. key: its tunnel itself begins or ends on a day, and is kept by this program."""

    laptop: str
    addresses: list[str]
    servers: list[Server]
    key: str | None = None
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Schedule:
    """What telekit wrote."""

    timezone: str
    rules: Rules
    laptops: list[Laptop]

    @property
    def names(self) -> list[str]:
        return sorted({s.to for laptop in self.laptops for s in laptop.servers if not is_address(s.to)})


@dataclass(frozen=True)
class Wanted:
    """What must be in force: public key → addresses, the keys that must not be there, set → elements."""

    peers: dict[str, frozenset[str]]
    gone: frozenset[str]
    sets: dict[str, frozenset[Element]]


def read_schedule(file: Path) -> Schedule:
    raw = json.loads(file.read_text(encoding="utf-8"))
    laptops = [Laptop(**entry | {"servers": [Server(**s) for s in entry["servers"]]}) for entry in raw.pop("laptops")]
    return Schedule(raw["timezone"], Rules(**raw["rules"]), laptops)


def runs(first: str | None, last: str | None, day: str) -> bool:
    """Days compare as they are written: 2026-11-25."""
    return (first is None or first <= day) and (last is None or day <= last)


def wanted(schedule: Schedule, names: dict[str, Name], day: str) -> Wanted:
    """What must be in force on this day, with these addresses of names."""
    peers: dict[str, frozenset[str]] = {}
    sets: dict[str, set[Element]] = {f"varying_{what}{number}": set() for what in ("peers", "access") for number in FAMILIES}
    for laptop in schedule.laptops:
        if not runs(laptop.first, laptop.last, day):
            continue
        if laptop.key:
            peers[laptop.key] = frozenset(f"{a}/{ip_address(a).max_prefixlen}" for a in laptop.addresses)
            for address in laptop.addresses:
                sets[f"varying_peers{ip_address(address).version}"].add((address,))
        for server in laptop.servers:
            if runs(None, server.last, day):
                places = [server.to] if is_address(server.to) else sorted(names.get(server.to, Name()).addresses)
                for number, element in elements(laptop.addresses, places, server.ports):
                    sets[f"varying_access{number}"].add(element)
    gone = frozenset(laptop.key for laptop in schedule.laptops if laptop.key) - set(peers)
    return Wanted(peers, gone, {name: frozenset(found) for name, found in sets.items()})


def elements(sources: list[str], destinations: list[str], ports: list[str]) -> Iterator[tuple[int, Element]]:
    for source in sources:
        for destination in destinations:
            if (number := ip_address(source).version) == ip_address(destination).version:
                yield from ((number, (source, destination, *port.split("/"))) for port in ports)


def element_command(verb: str, name: str, found: frozenset[Element]) -> str:
    listed = ", ".join(" . ".join(element) for element in sorted(found))
    return f"{verb} element inet telekit {name} " + "{ " + listed + " }\n" if found else ""


# -- the firewall and WireGuard, as they run ---------------------------------------------------------------------------


def listed(name: str) -> frozenset[Element]:
    """The elements of a set in force."""
    command = ["nft", "--json", "--numeric-protocol", "list", "set", "inet", "telekit", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        sys.exit(f"the firewall is not loaded: {done.stderr.strip()}")
    found = next(item["set"] for item in json.loads(done.stdout)["nftables"] if "set" in item).get("elem", [])
    return frozenset(_element(item) for item in found)


def _element(item: str | dict[str, list[str | int]]) -> Element:
    if isinstance(item, str):
        return (item,)
    source, destination, protocol, port = (str(part) for part in item["concat"])
    return (source, destination, {"6": "tcp", "17": "udp"}.get(protocol, protocol), port)


def running_peers() -> dict[str, frozenset[str]] | None:
    """Public key → allowed addresses; None: wg0 is not up."""
    done = subprocess.run(["wg", "show", "wg0", "allowed-ips"], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        return None
    lines = [line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line]
    return {key: frozenset(addresses.split()) for key, addresses in lines}


def differences(want: Wanted) -> tuple[PeerChanges, str]:
    """What makes that which runs what is wanted: peers to set, and one transaction for nft that adds before it removes."""
    added, removed = [], []
    for name, elements_wanted in want.sets.items():
        there = listed(name)
        added.append(element_command("add", name, elements_wanted - there))
        removed.append(element_command("delete", name, there - elements_wanted))
    peers = running_peers()
    changes: PeerChanges = {}
    if peers is not None:
        changes |= {key: addresses for key, addresses in want.peers.items() if peers.get(key) != addresses}
        changes |= dict.fromkeys(want.gone & set(peers))
    return changes, "".join(added + removed)


def enforce(schedule: Schedule, want: Wanted) -> None:
    """Have it in force; who is allowed already notices nothing."""
    peers, elements_changed = differences(want)
    if elements_changed:
        subprocess.run(["nft", "--file", "-"], input=elements_changed, text=True, check=True, timeout=30)
    arguments = []
    for key, addresses in peers.items():
        arguments += ["peer", key, "remove"] if addresses is None else ["peer", key, "allowed-ips", ",".join(sorted(addresses))]
    if arguments:
        subprocess.run(["wg", "set", "wg0", *arguments], check=True, timeout=30)
    laptops = {laptop.key: laptop.laptop for laptop in schedule.laptops if laptop.key}
    for key, addresses in peers.items():
        say(f"{laptops[key]}: {'the access has ended' if addresses is None else 'the access is open'}")


# -- the program -------------------------------------------------------------------------------------------------------


def remembered(file: Path) -> dict[str, Name]:
    try:
        return {name: Name(**known) for name, known in json.loads(file.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        say(f"{file} is damaged, beginning anew: {error}", 4)
        return {}


def remember(file: Path, names: dict[str, Name]) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps({name: vars(known) for name, known in names.items()}), encoding="utf-8")
    new.replace(file)


@contextmanager
def alone(memory: Path) -> Iterator[None]:
    """Nobody else changes or compares what is in force meanwhile."""
    with memory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def apply(schedule: Schedule, memory: Path, day: date | None, overlap: float) -> None:
    """Days first: they do not wait for a resolver. Meanwhile it may have become midnight, or wg0 may have been started anew."""
    with alone(memory):
        names = remembered(memory)
        enforce(schedule, wanted(schedule, names, today(schedule, day)))
    if schedule.names or names:
        found = follow_all(schedule.rules, {name: names.get(name, Name()) for name in schedule.names}, overlap)
        with alone(memory):
            remember(memory, found)
            enforce(schedule, wanted(schedule, found, today(schedule, day)))


def today(schedule: Schedule, day: date | None) -> str:
    """The day at the town hall, or the one that was given."""
    return str(day or datetime.now(ZoneInfo(schedule.timezone)).date())


def show(what: str, schedule: Schedule, memory: Path, day: date | None) -> None:
    names = remembered(memory)
    want = wanted(schedule, names, today(schedule, day))
    if what == "check":
        with alone(memory):
            print("yes" if differences(want) == ({}, "") else "no")
    elif what == "peers":
        for key, addresses in want.peers.items():
            print(f"[Peer]\nPublicKey = {key}\nAllowedIPs = {', '.join(sorted(addresses))}")
    elif what == "elements":
        print("".join(element_command("add", name, found) for name, found in want.sets.items()), end="")
    else:
        for name in schedule.names:
            print(name, *sorted(names.get(name, Name()).addresses))


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep the accesses that begin or end on a day, or follow a name.")
    parser.add_argument("what", choices=("apply", "check", "peers", "elements", "names"))
    parser.add_argument("--schedule", type=Path, default=Path("/etc/telekit/access.json"))
    parser.add_argument("--memory", type=Path, default=Path("/var/lib/telekit/names.json"))
    parser.add_argument("--day", type=date.fromisoformat, help="as if it were this day")
    parser.add_argument("--overlap", type=float, default=OVERLAP_SECONDS, help="seconds that a name's former address is kept")
    asked = parser.parse_args()
    os.umask(0o077)
    schedule = read_schedule(asked.schedule)
    if asked.what == "apply":
        apply(schedule, asked.memory, asked.day, asked.overlap)
    else:
        show(asked.what, schedule, asked.memory, asked.day)


if __name__ == "__main__":
    main()
