"""Gateways, desktops and laptops."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Address, IPv6Address

from toolkit.model.choices import Role, System
from toolkit.model.network import Endpoint, SshAddress
from toolkit.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Gateway:
    """The Debian server that ends the tunnels. `public_key` comes from the ledger.

    next_key: the public key that is to take the place of its own, and that it answers as well meanwhile; told: it surely does.
    nat: hide tunnel addresses behind the gateway's own on the LAN, for town halls whose machines have no route back.
    """

    name: str
    ssh: SshAddress
    endpoint: Endpoint
    address: IPv4Address | None = None
    nat: bool = False
    public_key: str | None = None
    next_key: str | None = None
    told: bool = False

    role = Role.GATEWAY

    @property
    def coming_key(self) -> str | None:
        """The next key, once devices may use it."""
        return self.next_key if self.told else None

    @property
    def key_for_kits(self) -> str | None:
        """The key by which a device that telekit does not log into will know it: the one that stays."""
        return self.coming_key or self.public_key


@dataclass(frozen=True, slots=True)
class Desktop:
    """A Debian machine on the LAN with a remote desktop; without an owner, a shared session host.

    certificate: the PEM that the commune's authority issued for this machine's own key, from the ledger.
    """

    name: str
    address: IPv4Address
    ssh: SshAddress
    owner: str | None = None
    mac: str | None = None
    certificate: str | None = None

    role = Role.DESKTOP


@dataclass(frozen=True, slots=True)
class Laptop:
    """A device that an agent carries, mostly a laptop. Tunnel addresses and public key come from the ledger.

    ssh: where it answers on the bench; None: only through the tunnel, at `tunnel_address`.
    key_of: the agent in whose kit the private key is; None: it is in no kit, but in the device alone.
    kit_until: the last day for the first use of that kit; None: it was used, or there is none.
    kit_lapsed: nobody used it in time, and what it shares with the gateway was replaced.
    next_key: the public key that takes the place of `public_key` at its first handshake, not later than on next_until.
    """

    name: str
    ssh: SshAddress | None = None
    mac: str | None = None
    tunnel_address: IPv4Address | None = None
    tunnel_address6: IPv6Address | None = None
    public_key: str | None = None
    system: System = System.DEBIAN
    key_of: str | None = None
    kit_until: date | None = None
    kit_lapsed: bool = False
    next_key: str | None = None
    next_until: date | None = None

    role = Role.LAPTOP

    @property
    def managed(self) -> bool:
        """Whether telekit logs into it."""
        return self.system is System.DEBIAN

    @property
    def keys(self) -> tuple[str, ...]:
        """The public keys with which it may shake hands, the present one first."""
        return tuple(key for key in (self.public_key, self.next_key) if key)


Machine = Gateway | Desktop | Laptop


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What a laptop is told of a rotation of its key: the new one's public half, empty until the laptop has made it.

    preshared: what it will share with the gateway then; None: the gateway does not know the new key yet.
    """

    key: str
    until: date
    preshared: Secret | None = None
