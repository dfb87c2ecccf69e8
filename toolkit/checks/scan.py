"""Look at an address from outside: which TCP ports answer, and which UDP ports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.checks.remote import script
from toolkit.checks.subject import Outside

# All of them.
TCP_PORTS = (1, 65535)
# What answers strangers most often, and what those who look for open doors try first.
UDP_PORTS = (53, 67, 68, 69, 111, 123, 137, 138, 161, 162, 323, 389, 443, 500, 514, 520, 623, 853, 1194, 1434, 1701, 1812, 1900,
             3389, 3478, 4500, 5000, 5060, 5353, 5355, 11211, 33434, 51821)  # fmt: skip
# A question that DNS, NTP and SNMP servers each answer; anything else gets the same three.
PAYLOADS = (
    "1f0d01000001000000000000076578616d706c6503636f6d0000010001",
    "e30004fa000100000001000000000000000000000000000000000000000000000000000000000000cc25cc13dabb0000",
    "302602010104067075626c6963a019020407e2a2c3020100020100300b300906052b060102010500",
)


# Who is hidden behind a filter says nothing; the others are heard in much less.
PATIENCE = 1.5
SHOWN = 12


@dataclass(frozen=True)
class Scan:
    """What answered from outside: "443/tcp" → open or refused; ports that are not named were silent."""

    addresses: tuple[str, ...]
    answers: Mapping[str, str]

    def told(self, protocol: str) -> str:
        """What answered by this protocol, the open ones first, as far as a line goes; nothing if all is silent."""
        mine = sorted((said, door) for door, said in self.answers.items() if door.endswith(f"/{protocol}"))
        shown = ", ".join(f"{door} {said}" for said, door in mine[:SHOWN])
        return shown + (f" and {len(mine) - SHOWN} more" if len(mine) > SHOWN else "")


def scan(outside: Outside, *hosts: str, tcp: tuple[int, int] = TCP_PORTS, udp: Sequence[int] = UDP_PORTS) -> Scan:
    """Ask from outside at these ports (tcp: the first and the last) of the first IPv4 and the first IPv6 address of these hosts.

    All of them take some three seconds an address.
    """
    order = {"hosts": hosts, "tcp": tcp, "udp": list(udp), "payloads": PAYLOADS, "patience": PATIENCE}
    done = outside.run(["sh", "-s"], timeout=80.0, stdin=script("scanner", "scan", **order))
    assert done.returncode == 0, f"the scan itself failed: {done.stderr.strip().splitlines()[-1:]}"
    found = json.loads(done.stdout)
    first = found["addresses"][0]
    answers = {(f"{port}/{kind}" if at == first else f"[{at}]:{port}/{kind}"): said for at, port, kind, said in found["answers"]}
    return Scan(tuple(found["addresses"]), answers)
