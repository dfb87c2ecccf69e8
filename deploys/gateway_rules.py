"""What the gateway's firewall lets through, worked out from the commune: one family for IPv4, one for IPv6."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from deploys.access import lasting, lasting_peers
from deploys.template import render
from deploys.wireguard import INTERFACE, NEXT
from toolkit.model import Address, Commune, Laptop, Mode, Network


@dataclass(frozen=True, slots=True)
class Peer:
    """A laptop's tunnel address."""

    address: Address
    laptop: str


@dataclass(frozen=True, slots=True)
class Rule:
    """From a laptop's tunnel address to one port of one server."""

    source: Address
    destination: Address
    protocol: str
    port: int
    laptop: str


@dataclass(frozen=True, slots=True)
class Family:
    """The firewall's sets for one version of IP. tunnel: None when the tunnel does not carry this version."""

    number: int
    tunnel: Network | None
    peers: tuple[Peer, ...]
    accesses: tuple[Rule, ...]
    admin: tuple[Network, ...]
    local: tuple[Network, ...]

    @property
    def ip(self) -> str:
        return "ip" if self.number == 4 else "ip6"

    @property
    def icmp(self) -> str:
        return "icmp" if self.number == 4 else "icmpv6"

    @property
    def type(self) -> str:
        return f"ipv{self.number}_addr"


def _networks(networks: Iterable[Network], number: int) -> tuple[Network, ...]:
    """Those of one version of IP, without overlaps, which nftables refuses."""
    if number == 4:
        return tuple(collapse_addresses(n for n in networks if isinstance(n, IPv4Network)))
    return tuple(collapse_addresses(n for n in networks if isinstance(n, IPv6Network)))


def _address(laptop: Laptop, number: int) -> Address | None:
    return laptop.tunnel_address if number == 4 else laptop.tunnel_address6


def _rules(commune: Commune, number: int) -> Iterable[Rule]:
    """Each access that lasts, of this version of IP, once: two applications may share a server and a port."""
    seen = set()
    for access in commune.accesses:
        if access.address is None or not lasting(access):
            continue
        source = _address(access.laptop, number)
        key = (source, access.address, access.protocol, access.port)
        if source and access.address.version == number and key not in seen:
            seen.add(key)
            yield Rule(source, access.address, access.protocol, access.port, access.laptop.name)


def family(commune: Commune, number: int) -> Family:
    """The sets for IPv4 (4) or IPv6 (6)."""
    network = commune.network
    tunnel: Network | None = network.tunnel if number == 4 else network.tunnel6
    peers = [Peer(address, laptop.name) for laptop in lasting_peers(commune) if (address := _address(laptop, number))]
    return Family(
        number=number,
        tunnel=tunnel,
        peers=tuple(peers) if tunnel else (),
        accesses=tuple(_rules(commune, number)) if tunnel else (),
        admin=_networks(network.admin or network.lan, number),
        local=_networks(network.local, number),
    )


def _reaches_internet(commune: Commune) -> bool:
    """Whether a server is on the internet, or may be: nobody knows beforehand where a name leads."""
    applications = [application for profile in commune.profiles for application in profile.applications]
    used = {*applications, *(extra.application for extra in commune.extras)}
    return any(
        application.address is None or commune.network.on_internet(application.address)
        for application in commune.applications
        if application.key in used
    )


@dataclass(frozen=True, slots=True)
class Second:
    """The interface with the gateway's next key: what leads to `port` by way of the only one that is open bears `mark`."""

    port: int
    mark: str = "0x7e1e"


def second_port(commune: Commune) -> int:
    """Where the interface with the next key listens; nothing from outside comes there by itself."""
    port = commune.gateway.endpoint.port
    return port + 1 if port < 65535 else port - 1


def ruleset(commune: Commune, ssh_ports: Sequence[int]) -> str:
    """The gateway's whole /etc/nftables.conf."""
    changing = commune.gateway.next_key is not None
    tunnels = [f'"{name}"' for name in (INTERFACE, *((NEXT,) if changing else ()))]
    families = (family(commune, 4), family(commune, 6))
    public = _reaches_internet(commune)
    network, full = commune.network, commune.network.mode == Mode.FULL
    return render(
        "nftables/gateway.nft.j2",
        families=families,
        own6=_networks((*network.lan, *network.admin, *network.bench), 6),
        port=commune.gateway.endpoint.port,
        second=Second(second_port(commune)) if changing else None,
        tunnels=tunnels,
        tunnel=f"{{ {', '.join(tunnels)} }}" if changing else tunnels[0],
        ssh_ports=ssh_ports,
        full=full,
        nat=commune.gateway.nat,
        internet=full or public,
    )
