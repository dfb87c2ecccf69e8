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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

from names import OVERLAP_SECONDS, Name, Rules, follow_all, is_address, say
from successor import Successor, asked, known, settle

Element = tuple[str, ...]
# What wg0 lets through a peer, and its preshared key.
Peer = tuple[frozenset[str], str]
# By public key; None: the peer is taken out.
PeerChanges = dict[str, Peer | None]
FAMILIES = (4, 6)
NO_KEY = "A" * 43 + "="
# Beside the memory of names: the keys of kits that have been used.
ARRIVED = "arrived"
# And the keys of devices that use the gateway's next key.
MOVED = "moved"
WATCH_SECONDS = 0.5
WATCH = "telekit-rotation.service"


@dataclass(frozen=True)
class Server:
    """What a laptop may reach: an address or a name, "tcp/443", and from which day to which (both included)."""

    to: str
    ports: list[str]
    last: str | None = None


@dataclass(frozen=True)
class Laptop:
    """A laptop and what varies of its accesses. key: its tunnel itself begins or ends on a day, and is kept by this program.

    kit: the last day for the first use of the kit that holds the key; who has shaken hands by then stays.
    next: what takes the place of `key` at its first handshake, not later than on the day `until`; it gets no address before.
    """

    laptop: str
    addresses: list[str]
    servers: list[Server]
    key: str | None = None
    first: str | None = None
    last: str | None = None
    kit: str | None = None
    next: str | None = None
    until: str | None = None

    @property
    def keys(self) -> list[str]:
        return [key for key in (self.key, self.next) if key]

    def holder(self, day: str, arrived: frozenset[str]) -> str | None:
        """The key to which the addresses belong; None: a kit's that was not used in time."""
        if self.next in arrived:
            return self.next
        return self.key if self.key in arrived or runs(None, self.kit, day) else None

    def waits(self, day: str, arrived: frozenset[str]) -> bool:
        """Whether a new key may still shake hands for the first time."""
        return self.next is not None and self.next not in arrived and self.open(day) and runs(None, self.until, day)

    def open(self, day: str) -> bool:
        return runs(self.first, self.last, day)


@dataclass(frozen=True)
class Schedule:
    """What telekit wrote."""

    timezone: str
    rules: Rules
    laptops: list[Laptop]
    successor: Successor | None = None

    @property
    def interfaces(self) -> list[str]:
        """Those of WireGuard: a second one while the gateway's own key is being replaced."""
        return ["wg0", self.successor.interface] if self.successor else ["wg0"]

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
    successor = Successor(**raw["successor"]) if "successor" in raw else None
    return Schedule(raw["timezone"], Rules(**raw["rules"]), laptops, successor)


def runs(first: str | None, last: str | None, day: str) -> bool:
    """Days compare as they are written: 2026-11-25."""
    return (first is None or first <= day) and (last is None or day <= last)


def wanted(schedule: Schedule, names: dict[str, Name], day: str, arrived: frozenset[str] = frozenset()) -> Wanted:
    """What must be in force on this day, with these addresses of names. arrived: the keys that have ever shaken hands."""
    peers: dict[str, frozenset[str]] = {}
    sets: dict[str, set[Element]] = {f"varying_{what}{number}": set() for what in ("peers", "access") for number in FAMILIES}
    for laptop in schedule.laptops:
        if not laptop.open(day):
            continue
        if laptop.next and laptop.waits(day, arrived):
            peers[laptop.next] = frozenset()
        key = laptop.holder(day, arrived)
        if laptop.key and key is None:
            continue
        if key:
            peers[key] = frozenset(f"{a}/{ip_address(a).max_prefixlen}" for a in laptop.addresses)
            for address in laptop.addresses:
                sets[f"varying_peers{ip_address(address).version}"].add((address,))
        for server in laptop.servers:
            if runs(None, server.last, day):
                places = [server.to] if is_address(server.to) else sorted(names.get(server.to, Name()).addresses)
                for number, element in elements(laptop.addresses, places, server.ports):
                    sets[f"varying_access{number}"].add(element)
    gone = frozenset(key for laptop in schedule.laptops for key in laptop.keys) - set(peers)
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


def running_peers(interface: str = "wg0") -> dict[str, Peer] | None:
    """The peers by public key; None: the interface is not up."""
    addresses, keys = asked("allowed-ips", interface), asked("preshared-keys", interface)
    if addresses is None or keys is None:
        return None
    # A peer without addresses, or without a preshared key, is shown with this word.
    said = {key: frozenset(found.split()) - {"(none)"} for key, found in addresses.items()}
    return {key: (found, keys.get(key, "").replace("(none)", NO_KEY)) for key, found in said.items()}


def preshared_keys(file: Path) -> dict[str, str]:
    """By public key, from lines "public key, space, preshared key"."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split(" ", 1) for line in lines if not line.startswith("#"))


def peer_section(key: str, addresses: frozenset[str], preshared: str = "") -> str:
    """A peer as WireGuard's configuration has it, which knows no empty list."""
    lines = [f"PublicKey = {key}"]
    lines += [f"PresharedKey = {preshared}"] if preshared else []
    lines += [f"AllowedIPs = {', '.join(sorted(addresses))}"] if addresses else []
    return "\n".join(["[Peer]", *lines, ""])


def differences(want: Wanted, keys: dict[str, str], interfaces: list[str]) -> tuple[dict[str, PeerChanges], str]:
    """What makes that which runs what is wanted: peers to set, and one transaction for nft that adds before it removes."""
    added, removed = [], []
    for name, elements_wanted in want.sets.items():
        there = listed(name)
        added.append(element_command("add", name, elements_wanted - there))
        removed.append(element_command("delete", name, there - elements_wanted))
    changes = {interface: peer_changes(want, keys, running_peers(interface)) for interface in interfaces}
    return {interface: found for interface, found in changes.items() if found}, "".join(added + removed)


def peer_changes(want: Wanted, keys: dict[str, str], running: dict[str, Peer] | None) -> PeerChanges:
    """The peers that are not as wanted; an interface that is not up has none to change."""
    if running is None:
        return {}
    peers = {key: (addresses, keys.get(key, NO_KEY)) for key, addresses in want.peers.items()}
    changes: PeerChanges = {key: peer for key, peer in peers.items() if running.get(key) != peer}
    return changes | dict.fromkeys(want.gone & set(running))


def enforce(schedule: Schedule, want: Wanted, keys: dict[str, str]) -> None:
    """Have it in force; who is allowed already notices nothing."""
    changes, elements_changed = differences(want, keys, schedule.interfaces)
    if elements_changed:
        subprocess.run(["nft", "--file", "-"], input=elements_changed, text=True, check=True, timeout=30)
    for interface, peers in changes.items():
        set_peers(interface, peers)
    for laptop in schedule.laptops:
        for key in laptop.keys:
            if peers := next((found for found in changes.values() if key in found), None):
                say(f"{laptop.laptop}: {happened(laptop, key, peers)}")


def set_peers(interface: str, peers: PeerChanges) -> None:
    # Preshared keys go through a pipe: an argument is everybody's to read.
    if sections := "".join(peer_section(key, *peer) for key, peer in peers.items() if peer):
        subprocess.run(["wg", "addconf", interface, "/dev/stdin"], input=sections, text=True, check=True, timeout=30)
    # What is added to a configuration takes no address away.
    if bare := [word for key, peer in peers.items() if peer and not peer[0] for word in ("peer", key, "allowed-ips", "")]:
        subprocess.run(["wg", "set", interface, *bare], check=True, timeout=30)
    if removed := [word for key, peer in peers.items() if peer is None for word in ("peer", key, "remove")]:
        subprocess.run(["wg", "set", interface, *removed], check=True, timeout=30)


def happened(laptop: Laptop, key: str, peers: PeerChanges) -> str:
    """What a change of its peers means for a laptop."""
    peer = peers[key]
    if peer is None:
        if key == laptop.next:
            return "its new key did not shake hands in time"
        return "its old key is refused from now on" if peers.get(laptop.next or "") else "the access has ended"
    if key != laptop.next:
        return "the access is open"
    return "its new key has shaken hands, and has its addresses" if peer[0] else "a new key may take the place of its key"


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


def arrived(file: Path) -> frozenset[str]:
    """The keys of kits, and the new ones, that have shaken hands: WireGuard forgets it with its interface, this file does not."""
    return frozenset(file.read_text(encoding="ascii").split()) if file.exists() else frozenset()


def arrivals(schedule: Schedule, file: Path) -> frozenset[str]:
    """The same, with whoever came meanwhile."""
    waiting = {laptop.key for laptop in schedule.laptops if laptop.key and laptop.kit}
    waiting |= {laptop.next for laptop in schedule.laptops if laptop.next}
    known = arrived(file)
    shaken = [(asked("latest-handshakes", interface) or {}).items() for interface in schedule.interfaces]
    fresh = {key for found in shaken for key, moment in found if moment != "0"} & waiting - known
    if fresh:
        new = file.with_suffix(".new")
        new.write_text("".join(f"{key}\n" for key in sorted(known | fresh)), encoding="ascii")
        new.replace(file)
    return known | fresh


@contextmanager
def alone(memory: Path) -> Iterator[None]:
    """Nobody else changes or compares what is in force meanwhile."""
    with memory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def apply(schedule: Schedule, memory: Path, shared: Path, day: date | None, overlap: float) -> None:
    """Days first: they do not wait for a resolver. Meanwhile it may have become midnight, or wg0 may have been started anew."""
    kits = memory.with_name(ARRIVED)
    with alone(memory):
        names = remembered(memory)
        enforce(schedule, wanted(schedule, names, today(schedule, day), arrivals(schedule, kits)), preshared_keys(shared))
    if schedule.names or names:
        found = follow_all(schedule.rules, {name: names.get(name, Name()) for name in schedule.names}, overlap)
        with alone(memory):
            remember(memory, found)
            enforce(schedule, wanted(schedule, found, today(schedule, day), arrivals(schedule, kits)), preshared_keys(shared))


def awaited(schedule: Schedule, memory: Path, day: date | None) -> bool:
    """Whether some laptop's new key has not shaken hands yet, and still may."""
    known = arrived(memory.with_name(ARRIVED))
    return any(laptop.waits(today(schedule, day), known) for laptop in schedule.laptops)


def watch(file: Path, memory: Path, shared: Path, day: date | None) -> None:
    """Let each new key have its laptop's addresses within a second of its first handshake, until there is none to wait for.

    The same for devices that pass from one of the gateway's own keys to the other.
    """
    kits = memory.with_name(ARRIVED)
    led: frozenset[str] | None = None
    turn = 0
    while (schedule := read_schedule(file)).successor or awaited(schedule, memory, day):
        if schedule.successor:
            # Now and then whatever is believed: somebody may have changed a route, or a peer its addresses.
            led, turn = settle(schedule.successor, memory.with_name(MOVED), led if turn % 20 else None), turn + 1
        before = arrived(kits)
        with alone(memory):
            if arrivals(schedule, kits) != before:
                want = wanted(schedule, remembered(memory), today(schedule, day), arrived(kits))
                enforce(schedule, want, preshared_keys(shared))
        time.sleep(WATCH_SECONDS)


def today(schedule: Schedule, day: date | None) -> str:
    """The day at the town hall, or the one that was given."""
    return str(day or datetime.now(ZoneInfo(schedule.timezone)).date())


def show(what: str, schedule: Schedule, memory: Path, shared: Path, day: date | None) -> None:
    names = remembered(memory)
    want = wanted(schedule, names, today(schedule, day), arrived(memory.with_name(ARRIVED)))
    if what == "check":
        with alone(memory):
            print("yes" if differences(want, preshared_keys(shared), schedule.interfaces) == ({}, "") else "no")
    elif what == "peers":
        # Without their preshared keys: who asks adds them.
        print("".join(peer_section(key, addresses) for key, addresses in want.peers.items()), end="")
    elif what == "elements":
        print("".join(element_command("add", name, found) for name, found in want.sets.items()), end="")
        print(known() if schedule.successor else "", end="")
    else:
        for name in schedule.names:
            print(name, *sorted(names.get(name, Name()).addresses))


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep the accesses that begin or end on a day, or follow a name.")
    parser.add_argument("what", choices=("apply", "watch", "check", "peers", "elements", "names"))
    parser.add_argument("--schedule", type=Path, default=Path("/etc/telekit/access.json"))
    parser.add_argument("--memory", type=Path, default=Path("/var/lib/telekit/names.json"))
    parser.add_argument("--preshared", type=Path, default=Path("/etc/wireguard/preshared.keys"))
    parser.add_argument("--day", type=date.fromisoformat, help="as if it were this day")
    parser.add_argument("--overlap", type=float, default=OVERLAP_SECONDS, help="seconds that a name's former address is kept")
    given = parser.parse_args()
    os.umask(0o077)
    schedule = read_schedule(given.schedule)
    if given.what == "apply":
        apply(schedule, given.memory, given.preshared, given.day, given.overlap)
        if schedule.successor or awaited(schedule, given.memory, given.day):
            subprocess.run(["systemctl", "start", "--no-block", WATCH], check=False, timeout=30)
    elif given.what == "watch":
        watch(given.schedule, given.memory, given.preshared, given.day)
    else:
        show(given.what, schedule, given.memory, given.preshared, given.day)


if __name__ == "__main__":
    main()
