"""What the gateway saw of the packets that verify sent: which came out of the tunnel, and which its firewall let through.

A door that stays shut proves nothing: perhaps nobody is behind it. A packet that came to the gateway and did not pass was
refused there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.probe import FORGED, MARK
from toolkit.checks.subject import Subject
from toolkit.model import Address, Laptop

NAMES = {"6": "tcp", "17": "udp"}
# Whatever becomes of verify, nothing of it stays on the gateway.
SWEEP = "nft list tables | sed -n 's/^table inet \\(telekit_verify.*\\)/delete table inet \\1/p' | nft -f -"
LATER = f"""\
systemctl stop telekit-verify-sweep.timer 2>/dev/null
systemd-run --quiet --collect --unit=telekit-verify-sweep --on-active=15min sh -c {shlex.quote(SWEEP)}
"""
WATCH = """\
nft delete table inet {table} 2>/dev/null
nft -f - <<'RULES'
table inet {table} {{
{sets}
	chain came {{ type filter hook prerouting priority -500;
{came}
	}}
	chain forwarded {{ type filter hook forward priority 500;
{passed}
	}}
	chain delivered {{ type filter hook input priority 500;
{passed}
	}}
}}
RULES
"""
SET = "\tset {name} {{ type ipv{number}_addr . ipv{number}_addr . inet_proto . inet_service; flags dynamic; size 65536; }}"
RULE = (
    '\t\tiifname {{ "wg0", "wg0-next" }} {ip} dscp {mark} meta l4proto {{ tcp, udp }} {which} '
    "add @{name}{number} {{ {ip} saddr . {ip} daddr . meta l4proto . th dport }}"
)
TOLD = "nft -j --numeric-protocol list table inet {table}\nnft delete table inet {table}\n"


@dataclass(frozen=True)
class Packet:
    """Where a packet came from and went."""

    source: Address
    protocol: str
    address: Address
    port: int


@dataclass
class Witness:
    """came: out of the tunnel, to the gateway; passed: through its firewall too. why: what kept it from looking."""

    came: frozenset[Packet] = field(default_factory=frozenset)
    passed: frozenset[Packet] = field(default_factory=frozenset)
    why: str = ""


@contextmanager
def watched(subject: Subject) -> Iterator[Witness]:
    """The gateway, while it counts this laptop's marked packets; it has seen them when the block is left."""
    found, table = Witness(), f"telekit_verify_{subject.laptop.tunnel_address}".replace(".", "_")
    try:
        gateway = subject.other(subject.commune.gateway)
        subject.evidence.once("sweep", lambda: sweep_later(gateway))
        gateway.output(WATCH.format(table=table, **_rules(subject)))
    except (NotCheckedError, AssertionError) as error:
        found.why = str(error)
        yield found
        return
    try:
        yield found
    finally:
        try:
            found.came, found.passed = _told(gateway.output(TOLD.format(table=table)))
        except AssertionError:
            found.why = "the gateway's firewall was loaded anew meanwhile, and what was counted is gone"


def sweep_later(gateway: Subject) -> None:
    """Have the gateway itself remove what verify leaves there, should verify not live to do so."""
    gateway.output(LATER)
    gateway.evidence.closing.append(lambda: swept(gateway))


def swept(gateway: Subject) -> None:
    with suppress(AssertionError):
        gateway.output(f"systemctl stop telekit-verify-sweep.timer\n{SWEEP}\n")


def forged_port(subject: Subject) -> int:
    """The port to which this laptop's forged packets go: by it the gateway tells whose they are."""
    return 20000 + [m.name for m in subject.commune.laptops].index(subject.name) % 20000


def _rules(subject: Subject) -> dict[str, str]:
    own: Laptop = subject.laptop
    families = [(4, "ip", own.tunnel_address), (6, "ip6", own.tunnel_address6)]
    sets: list[str] = []
    rules: dict[str, list[str]] = {"came": [], "passed": []}
    for number, ip, address in families:
        for name, lines in rules.items():
            sets.append(SET.format(name=f"{name}{number}", number=number))
            kinds = [(FORGED, f"th dport {forged_port(subject)}")] + ([(MARK, f"{ip} saddr {address}")] if address else [])
            lines += [RULE.format(ip=ip, mark=mark, which=which, name=name, number=number) for mark, which in kinds]
    return {"sets": "\n".join(sets), **{name: "\n".join(lines) for name, lines in rules.items()}}


def _told(listed: str) -> tuple[frozenset[Packet], frozenset[Packet]]:
    """The sets of both families, as nft tells them."""
    found: dict[str, set[Packet]] = {"came": set(), "passed": set()}
    for item in json.loads(listed)["nftables"]:
        if "set" in item:
            found[item["set"]["name"][:-1]] |= {_packet(element) for element in item["set"].get("elem", [])}
    return frozenset(found["came"]), frozenset(found["passed"])


def _packet(element: Any) -> Packet:
    value = element.get("elem", {}).get("val", element) if "elem" in element else element
    source, address, protocol, port = value["concat"]
    return Packet(ip_address(source), NAMES.get(str(protocol), str(protocol)), ip_address(address), int(port))
