"""Tunnel addresses and how they are handed out: an address, once given, never moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from toolkit.errors import UsageError
from toolkit.model import LocalNetwork


@dataclass(frozen=True, slots=True)
class Lease:
    """The tunnel addresses of a laptop."""

    address: IPv4Address
    address6: IPv6Address | None = None


class Desk:
    """Hands out addresses: the one that a laptop has, the one it had, a fresh one, and last one that somebody else had."""

    def __init__(
        self, network: LocalNetwork, leases: Mapping[str, Lease], retired: Iterable[tuple[str, Lease]], names: set[str]
    ) -> None:
        self.network = network
        self.retired = [(name, lease) for name, lease in retired if self._usable(lease.address)]
        # A laptop that came back keeps its old lease from being handed to another meanwhile.
        returned = {name: lease for name, lease in self.retired if name in names and name not in leases}
        kept = {name: lease for name, lease in leases.items() if name in names and self._usable(lease.address)}
        self.held = returned | kept
        self.retired = [(name, lease) for name, lease in self.retired if returned.get(name) != lease]
        self.taken = {lease.address for lease in self.held.values()}
        self.taken6 = {lease.address6 for lease in self.held.values() if lease.address6 and self._usable6(lease.address6)}
        self.set_aside = {lease.address for _, lease in self.retired}
        self.next = 2

    def lease(self, name: str) -> Lease:
        held = self.held.get(name)
        address = held.address if held else self._fresh()
        return Lease(address, self._address6(address, held.address6 if held else None))

    def still_retired(self) -> tuple[tuple[str, Lease], ...]:
        return tuple((name, lease) for name, lease in self.retired if lease.address not in self.taken)

    def _fresh(self) -> IPv4Address:
        tunnel = self.network.tunnel
        # The first address is the gateway's, the last the broadcast address.
        while self.next < tunnel.num_addresses - 1:
            address = tunnel[self.next]
            self.next += 1
            if address not in self.taken and address not in self.set_aside:
                self.taken.add(address)
                return address
        for _, lease in self.retired:
            if lease.address not in self.taken:
                self.taken.add(lease.address)
                return lease.address
        raise UsageError(f"the tunnel {tunnel} has no address left", hint="widen `tunnel` in commune.toml")

    def _address6(self, address: IPv4Address, held: IPv6Address | None) -> IPv6Address | None:
        """The IPv6 address with the same place in its network as the IPv4 one has, where that is free."""
        tunnel6 = self.network.tunnel6
        if tunnel6 is None or (held and self._usable6(held)):
            return held
        place = int(address) - int(self.network.tunnel.network_address)
        last = tunnel6.num_addresses - 1
        places = chain((place,) if place < last else (), range(2, last))
        fresh = next((tunnel6[p] for p in places if tunnel6[p] not in self.taken6), None)
        if fresh is None:
            raise UsageError(f"the tunnel {tunnel6} has no address left", hint="widen `tunnel6` in commune.toml")
        self.taken6.add(fresh)
        return fresh

    def _usable(self, address: IPv4Address) -> bool:
        tunnel = self.network.tunnel
        return address in tunnel and address not in (tunnel[0], tunnel[1], tunnel[-1])

    def _usable6(self, address: IPv6Address) -> bool:
        tunnel6 = self.network.tunnel6
        return tunnel6 is not None and address in tunnel6 and address not in (tunnel6[0], tunnel6[1])
