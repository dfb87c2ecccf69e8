"""What must hold between the networks and addresses of a commune."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path as FilePath

from toolkit.inventory.problems import Problems, listed
from toolkit.inventory.reader import Draft
from toolkit.inventory.toml import Document, Path
from toolkit.model import HOME_NETWORKS, Address, LocalNetwork, Network

PRIVATE = tuple(ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
TUNNEL_LINE = re.compile(r"""^\s*tunnel6?\s*=\s*["']([0-9A-Fa-f.:/]+)["']""", re.MULTILINE)
NAME_LINE = re.compile(r"""^\s*name\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)
HEAD_BYTES = 65536


@dataclass
class NetworkChecks:
    """The addresses of a draft, and the tunnels of the communes beside it."""

    draft: Draft
    document: Document
    problems: Problems
    folder: FilePath

    def run(self) -> None:
        network = self.draft.network
        if network is None:
            return
        self._lists(network)
        self._tunnel(network, network.tunnel, "tunnel")
        if network.tunnel6:
            self._tunnel(network, network.tunnel6, "tunnel6")
        self._lan_at_home(network)
        self._neighbours(network)
        self._addresses(network)

    def _error(self, path: Path, what: str, hint: str = "") -> None:
        self.problems.error(self.document.line(path), what, hint)

    def _warn(self, path: Path, what: str, hint: str = "") -> None:
        self.problems.warn(self.document.line(path), what, hint)

    def _lists(self, network: LocalNetwork) -> None:
        """The LAN is not empty, no network lies within another of its list, and administration is not open to the world."""
        for key in ("lan", "admin"):
            if not getattr(network, key):
                self._error(("network", key), f"`{key}` names no network", "it needs at least one")
        for key in ("lan", "admin", "bench"):
            networks: tuple[Network, ...] = getattr(network, key)
            for position, item in enumerate(networks):
                other = next((earlier for earlier in networks[:position] if _overlap(item, earlier)), None)
                if other:
                    self._error(
                        ("network", key, position), f"{item} overlaps {other} of the same list", "keep the wider of the two"
                    )
                if key != "lan" and item.prefixlen == 0:
                    self._warn(
                        ("network", key, position),
                        f"{key}: {item} opens SSH to the whole world",
                        "name the administrators' networks",
                    )

    def _tunnel(self, network: LocalNetwork, tunnel: IPv4Network | IPv6Network, key: str) -> None:
        path = ("network", key)
        for name, others in (("the LAN", network.lan), ("bench", network.bench)):
            other = next((item for item in others if _overlap(item, tunnel)), None)
            if other:
                self._error(path, f"{tunnel} overlaps {other} of {name}", "choose a network that nothing else uses")
        home = next((item for item in HOME_NETWORKS if _overlap(item, tunnel)), None)
        if home:
            self._warn(
                path, f"{tunnel} overlaps {home}, which many home routers use", "those agents could not work: choose another"
            )
        if not any(_within(tunnel, private) for private in PRIVATE):
            self._warn(path, f"{tunnel} is not a private network", "choose one within 10.0.0.0/8, or fd00::/8 for IPv6")
        devices = len(self.draft.declared.get("laptop", ()))
        # The network's own address, the gateway's, and the broadcast address are no laptop's.
        room = max(tunnel.num_addresses - 3, 0)
        if room < max(devices, 1):
            what = f"{tunnel} has room for {room} laptops, there are {devices}"
            self._error(path, what, f"widen it to /{_prefix_for(devices, tunnel.max_prefixlen)} or less")

    def _lan_at_home(self, network: LocalNetwork) -> None:
        for position, item in enumerate(network.lan):
            home = next((home for home in HOME_NETWORKS if _overlap(home, item)), None)
            if home:
                what = f"lan: {item} overlaps {home}, which many home routers use"
                self._warn(("network", "lan", position), what, "agents at such a home do not reach these addresses")

    def _neighbours(self, network: LocalNetwork) -> None:
        """No tunnel overlaps that of another commune of the same inventories: an EPCI's administrator reaches them all."""
        for file, tunnels in _tunnels_beside(self.folder):
            for key, own in (("tunnel", network.tunnel), ("tunnel6", network.tunnel6)):
                other = next((item for item in tunnels if own and _overlap(item, own)), None)
                if other:
                    what = f"{own} overlaps the tunnel {other} of another commune, {file.parent.name}"
                    self._error(("network", key), what, "each commune has a tunnel of its own")

    def _addresses(self, network: LocalNetwork) -> None:
        lan = listed(str(item) for item in network.lan)
        for path, address in self._written():
            if not any(address in item for item in network.lan):
                what = f"{address} is outside the LAN ({lan})"
                self._error((*path, "address"), what, "correct it, or add its network to `lan` in [network]")
            elif _is_edge(address, network.lan):
                self._error((*path, "address"), f"{address} is the first or last of its network, no machine's", "choose another")
        for path, host in ((p.path, p.item.endpoint.host) for p in self.draft.gateways):
            if _is_private(host):
                what = f"endpoint {host} is a private address, which laptops at home cannot reach"
                self._warn((*path, "endpoint"), what, "name the public address of the town hall")

    def _written(self) -> Iterator[tuple[Path, Address]]:
        yield from ((p.path, p.item.address) for p in self.draft.gateways if p.item.address)
        yield from ((p.path, p.item.address) for p in self.draft.desktops)
        yield from ((p.path, p.item.address) for p in self.draft.applications if p.item.address)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _within(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.overlaps(outer) and inner.prefixlen >= outer.prefixlen


def _is_edge(address: Address, lan: Iterable[Network]) -> bool:
    """Whether an IPv4 address is the network's own or its broadcast address."""
    home = next(item for item in lan if address in item)
    return isinstance(address, IPv4Address) and home.prefixlen < 31 and address in (home[0], home[-1])


def _is_private(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(address in private for private in PRIVATE)


def _prefix_for(devices: int, bits: int) -> int:
    """The longest prefix of a tunnel with room for the laptops."""
    return bits - (max(devices, 1) + 2).bit_length()


def _tunnels_beside(folder: FilePath) -> Iterator[tuple[FilePath, list[Network]]]:
    """The tunnels of the other communes; a copy of this commune, which has its name, is not another."""
    own = folder.resolve()
    name = _head_of(own / "commune.toml")[0]
    for file in sorted(own.parent.glob("*/commune.toml")):
        if file.parent != own:
            other, tunnels = _head_of(file)
            if other != name:
                yield file, tunnels


def _head_of(file: FilePath) -> tuple[str, list[Network]]:
    """A commune's name and tunnels, from the first lines of a file that may be wrong in any way."""
    try:
        with file.open("rb") as stream:
            text = stream.read(HEAD_BYTES).decode(errors="replace")
    except OSError:
        return "", []
    name = NAME_LINE.search(text)
    tunnels = []
    for written in TUNNEL_LINE.findall(text):
        try:
            tunnels.append(ip_network(written))
        except ValueError:
            continue
    return (name[1] if name else ""), tunnels
