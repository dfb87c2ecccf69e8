# Written by telekit. Edit commune.toml instead.
"""Servers known by their DNS name: what the gateway's resolver says of them, and which of it is believed."""

from __future__ import annotations

import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address
Answers = dict[int, list[Address] | None]
# How long an address is kept when the name has another one, and when the name cannot be resolved.
OVERLAP_SECONDS = 600
KEPT_SECONDS = 3 * 24 * 3600
ASK_SECONDS = 5
# A run is over before the next minute begins: midnight must not find one at work.
ALL_SECONDS = 40
# unbound takes ten connections at once.
SIDE_BY_SIDE = 8
# Version of IP → type of DNS record.
KINDS = {4: 1, 6: 28}


@dataclass(frozen=True)
class Rules:
    """Whom to ask, and what to believe. lan: where the servers of the zones are. never: networks in which no server is."""

    resolver: str
    zones: list[str]
    lan: list[str]
    never: list[str]


@dataclass
class Name:
    """What a name resolved to: address → when it was last an answer; said: what is wrong with it, in the journal already."""

    addresses: dict[str, float] = field(default_factory=dict)
    said: str = ""


def say(text: str, level: int = 5) -> None:
    """A line of the journal, with its level; standard output is for what was asked."""
    print(f"<{level}>{text}", file=sys.stderr, flush=True)


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def ask(resolver: str, name: str, number: int, port: int = 53) -> list[Address] | None:
    """The addresses of a name, in one version of IP; None: the resolver could not find out."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, KINDS[number], 1)
    try:
        # TCP: an answer is never cut short, and nobody else can give it.
        with socket.create_connection((resolver, port), ASK_SECONDS) as link, link.makefile("rb") as stream:
            link.sendall(struct.pack("!H", len(question)) + question)
            answer = stream.read(struct.unpack("!H", stream.read(2))[0])
        return parse(answer, number)
    except (OSError, IndexError, ValueError, struct.error):
        return None


def parse(answer: bytes, number: int) -> list[Address] | None:
    """The addresses of this version in a DNS message; none for a name that does not exist, None for a failure."""
    _, flags, questions, answers = struct.unpack("!4H", answer[:8])
    if flags & 15 == 3:
        return []
    if flags & 15:
        return None
    position, found = 12, []
    for _ in range(questions):
        position = _after_name(answer, position) + 4
    for _ in range(answers):
        position = _after_name(answer, position)
        kind, _, _, length = struct.unpack("!HHIH", answer[position : position + 10])
        position += 10 + length
        if kind == KINDS[number]:
            found.append(ip_address(answer[position - length : position]))
    return found


def _after_name(message: bytes, position: int) -> int:
    while message[position]:
        if message[position] >= 192:
            return position + 2
        position += message[position] + 1
    return position + 1


def objection(rules: Rules, name: str, address: Address) -> str:
    """Why this address cannot be that server's, or nothing."""
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        return "is no address of a server"
    if any(address in ip_network(network) for network in rules.never) or is_own(address):
        return "is the gateway's own, or the tunnel's"
    inside = any(address in ip_network(network) for network in rules.lan)
    if any(name == zone or name.endswith(f".{zone}") for zone in rules.zones):
        return "" if inside else "is not in the town hall's networks, as its zone is"
    return "" if inside or address.is_global else "is neither in the town hall's networks nor on the internet"


def is_own(address: Address) -> bool:
    """Whether it is an address of this machine: nobody can be bound to another's."""
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((str(address), 0))
        except OSError:
            return False
    return True


def learn(rules: Rules, name: str, known: Name, answers: Answers, now: float, overlap: float = OVERLAP_SECONDS) -> Name:
    """What is known of a name after these answers: an address is kept beside its successor, and longer where there is none."""
    addresses = {a: seen for a, seen in known.addresses.items() if not objection(rules, name, ip_address(a))}
    kept = {number: KEPT_SECONDS if answer is None else overlap for number, answer in answers.items()}
    problems = [f"its IPv{number} addresses cannot be resolved" for number, answer in answers.items() if answer is None]
    good = False
    for address in (address for answer in answers.values() for address in answer or ()):
        if why := objection(rules, name, address):
            problems.append(f"{address} is refused: it {why}")
        else:
            addresses[str(address)], good = now, True
    if not good:
        kept = dict.fromkeys(KINDS, KEPT_SECONDS)
        problems = problems or ["it has no address"]
    found = {a: seen for a, seen in addresses.items() if now - seen <= kept[ip_address(a).version]}
    return Name(found, "; ".join(problems))


def tell(name: str, before: Name, after: Name) -> None:
    """Say what changed, once."""
    if set(before.addresses) != set(after.addresses):
        old, new = (", ".join(sorted(known.addresses)) or "no address" for known in (before, after))
        say(f"{name}: {old} → {new}")
    if before.said != after.said:
        say(f"{name}: {after.said or 'it resolves again'}", 4 if after.said else 5)


def follow_all(rules: Rules, names: dict[str, Name], overlap: float = OVERLAP_SECONDS) -> dict[str, Name]:
    """Every name, asked for side by side: one that nobody answers for holds up no other."""
    end = time.monotonic() + ALL_SECONDS

    def answers_for(name: str) -> Answers:
        return {number: ask(rules.resolver, name, number) if time.monotonic() < end else None for number in KINDS}

    found = {}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for (name, known), answers in zip(names.items(), pool.map(answers_for, names), strict=True):
            found[name] = learn(rules, name, known, answers, time.time(), overlap)
            tell(name, known, found[name])
    return found
