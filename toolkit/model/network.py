"""Addresses and networks: where things answer."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from toolkit.model.choices import Mode

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
RDP_PORT = 3389
HOME_NETWORKS = (IPv4Network("192.168.0.0/24"), IPv4Network("192.168.1.0/24"))
# Not the internet: this host, private, shared and link-local ranges, multicast and reserved.
NOT_INTERNET: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "::ffff:0:0/96", "fc00::/7", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where sshd of a machine answers."""

    host: str
    port: int = 22

    def __str__(self) -> str:
        if self.port == 22:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The public name or address and UDP port at which a gateway's WireGuard answers."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """The town hall's networks and the tunnel's.

    admin: networks from which administrators use SSH. bench: networks where laptops are prepared.
    zones: DNS zones that the town hall's own servers (`dns`) answer for.
    """

    lan: tuple[Network, ...]
    tunnel: IPv4Network
    tunnel6: IPv6Network | None = None
    dns: tuple[Address, ...] = ()
    zones: tuple[str, ...] = ()
    mode: Mode = Mode.FULL
    admin: tuple[Network, ...] = ()
    bench: tuple[Network, ...] = ()
    ntp: tuple[str, ...] = ()
    mtu: int = 1420

    @property
    def local(self) -> tuple[Network, ...]:
        """All that is not the internet: besides what never is, the town hall's own networks, public ones too."""
        tunnels = (self.tunnel, *((self.tunnel6,) if self.tunnel6 else ()))
        return (*NOT_INTERNET, *self.lan, *self.admin, *self.bench, *tunnels)

    def on_internet(self, address: Address) -> bool:
        """Whether it belongs to what is open to every laptop in full mode."""
        return not any(address in network for network in self.local)
