"""The town's name servers, which are dnsmasq: the fake internet's, the home router's (with DHCP), the town hall's own."""

from __future__ import annotations

from pathlib import Path

from toolkit.lab.town import HOME_LEASES, HOME_NETWORK6, HOME_ROUTER6, INTERNET_ROUTER, Town

COMMON = """\
# Written by telekit's lab.
keep-in-foreground
no-daemon
no-hosts
no-resolv
no-poll
bind-interfaces
user=nobody
group=nogroup
"""
# Names that somebody adds while the lab is up, as in /etc/hosts.
FURTHER = "further-names"


def configurations(town: Town, folder: Path) -> dict[str, str]:
    """Namespace → configuration of the dnsmasq that runs there."""
    return {"isp": _internet(town, folder), "homebox": _home(folder), "servers": _town_hall(town)}


def _internet(town: Town, folder: Path) -> str:
    """Knows what the internet may know, and says of everything else that it does not exist.

    What a test writes into FURTHER is known as well, from a SIGHUP on.
    """
    lines = [f"listen-address={INTERNET_ROUTER}", "local=/#/", f"addn-hosts={folder / FURTHER}"]
    lines += _records(town, town.public_names)
    return COMMON + "\n".join(lines) + "\n"


def _records(town: Town, names: dict[str, str]) -> list[str]:
    both = {name: ",".join([address, *filter(None, [town.names6.get(name)])]) for name, address in names.items()}
    return [f"host-record={name},{addresses}" for name, addresses in both.items()]


def _home(folder: Path) -> str:
    """A box as most of them are: IPv4 by DHCP; an IPv6 network and a resolver announced, the resolver by DHCP too."""
    lines = [
        # Announcements go by the card, not by an address.
        "interface=in0",
        "except-interface=lo",
        f"server={INTERNET_ROUTER}",
        f"dhcp-range={HOME_LEASES}",
        f"dhcp-range={HOME_NETWORK6},ra-stateless",
        f"dhcp-option=option6:dns-server,[{HOME_ROUTER6}]",
        "enable-ra",
        "dhcp-authoritative",
        "no-ping",
        f"dhcp-leasefile={folder / 'leases'}",
        "cache-size=0",
    ]
    return COMMON + "\n".join(lines) + "\n"


def _town_hall(town: Town) -> str:
    """Answers for the town hall's zones, with the public names in them, and asks the internet about the rest."""
    own = {name: ip for name, ip in town.public_names.items() if name.endswith(tuple(f".{z}" for z in town.zones))}
    lines = [f"listen-address={town.dns}", f"server={INTERNET_ROUTER}", "cache-size=0"]
    lines += [f"local=/{zone}/" for zone in town.zones]
    lines += _records(town, own | town.internal_names)
    return COMMON + "\n".join(lines) + "\n"


def resolver(address: str) -> str:
    """An /etc/resolv.conf."""
    return f"nameserver {address}\n" if address else ""
