# Written by telekit. Edit commune.toml instead.
"""Devices that pass from one of the gateway's own keys to the other: each is reached by the interface that heard of it last."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from names import say

PRESENT = "wg0"
# The firewall's sets by which packets find the key that they are for.
SETS = ("second_sessions", "second_first4", "second_first6")


@dataclass(frozen=True)
class Successor:
    """The interface that has the gateway's next key; sources: the gateway's own addresses in the tunnel, which it lacks."""

    interface: str
    sources: list[str]

    def source(self, version: int) -> list[str]:
        """What `ip route` is told of the gateway's own address."""
        own = [source for source in self.sources if ip_address(source).version == version]
        return ["src", own[0]] if own else []


def asked(what: str, interface: str = PRESENT) -> dict[str, str] | None:
    """What WireGuard says of each peer, by public key; None: the interface is not up."""
    done = subprocess.run(["wg", "show", interface, what], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        return None
    return dict(line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)


def there(present: dict[str, str], coming: dict[str, str]) -> frozenset[str]:
    """Whose last handshake was with the next key; within one second, it is the later one: who goes back takes longer."""
    return frozenset(key for key, moment in coming.items() if moment != "0" and int(moment) >= int(present.get(key, "0")))


def moved(before: frozenset[str], present: dict[str, str], coming: dict[str, str]) -> frozenset[str]:
    """The same, of those who have shaken hands at all since the interfaces were started; of the others, as it was before."""
    back = {key for key, moment in present.items() if int(moment) > int(coming.get(key, "0"))}
    return frozenset((before - back) | there(present, coming)) & frozenset(coming)


def settle(successor: Successor, file: Path, led: frozenset[str] | None = None) -> frozenset[str] | None:
    """Have devices reached where they are, and written down who has moved; who is at the second interface, None: unknown.

    led: who is known to be led there, so that nothing need be asked of the routes.
    """
    present, coming = asked("latest-handshakes"), asked("latest-handshakes", successor.interface)
    if present is None or coming is None:
        return None
    here = there(present, coming)
    if here != led:
        allowed = asked("allowed-ips", successor.interface) or {}
        lead(successor, {str(ip_interface(a).ip) for key in here for a in allowed.get(key, "").split() if a != "(none)"})
    before = remembered(file)
    now = moved(before, present, coming)
    if now != before:
        new = file.with_suffix(".new")
        new.write_text("".join(f"{key}\n" for key in sorted(now)), encoding="ascii")
        new.replace(file)
        say(f"{len(now)} of {len(coming)} devices use the gateway's next key")
    return here


def remembered(file: Path) -> frozenset[str]:
    return frozenset(file.read_text(encoding="ascii").split()) if file.exists() else frozenset()


def lead(successor: Successor, wanted: set[str]) -> None:
    """Have exactly these addresses reached by the second interface; the others are where the tunnel's network leads."""
    found = routed(successor.interface)
    for address in sorted(wanted - found):
        version = ip_address(address).version
        change(f"-{version}", "replace", address, successor.interface, *successor.source(version))
    for address in sorted(found - wanted):
        change(f"-{ip_address(address).version}", "delete", address, successor.interface)


def change(family: str, verb: str, address: str, interface: str, *more: str) -> None:
    command = ["ip", family, "route", verb, address, "dev", interface, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        say(f"{' '.join(command)}: {done.stderr.strip()}", 4)


def known() -> str:
    """What the firewall knows of sessions, for the one that is loaded in its place: else each would be silent for some time."""
    text = ""
    for name in SETS:
        command = ["nft", "--json", "list", "set", "inet", "telekit", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode == 0:
            found = next(item["set"] for item in json.loads(done.stdout)["nftables"] if "set" in item).get("elem", [])
            listed = ", ".join(_element(item["elem"]) for item in found if "elem" in item)
            text += f"add element inet telekit {name} " + "{ " + listed + " }\n" if listed else ""
    return text


def _element(item: dict[str, Any]) -> str:
    value = item["val"]
    place = " . ".join(map(str, value["concat"])) if isinstance(value, dict) else str(value)
    return f"{place} timeout {max(1, item.get('expires', 1))}s"


def routed(interface: str) -> set[str]:
    """The single addresses that are reached by an interface."""
    found = set()
    for family in ("-4", "-6"):
        command = ["ip", family, "-o", "route", "show", "dev", interface, "table", "main"]
        for line in subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.splitlines():
            place = line.split()[0]
            if "/" not in place and place not in ("default", "unreachable"):
                found.add(place)
    return found
