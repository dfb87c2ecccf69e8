"""The ledger as a value: each method gives the next one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

from toolkit.errors import TelekitError
from toolkit.ledger.entries import AuthorityChange, Handover, Revocation, Rotation, Succession
from toolkit.ledger.leases import Desk, Lease
from toolkit.model import Commune, Gateway, Laptop, LocalNetwork

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Ledger:
    """leases: by laptop. retired: of laptops that left, oldest first. keys and certificates: by machine. kits: by laptop.

    revoked: the keys that are refused for good, oldest first. rotations: by laptop; previous: the key before the present one.
    successions: by gateway. authority: its change, if there is one.
    made: the day on which the present key was first seen, where that is known.
    """

    leases: Mapping[str, Lease] = field(default_factory=dict)
    retired: tuple[tuple[str, Lease], ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, str] = field(default_factory=dict)
    kits: Mapping[str, Handover] = field(default_factory=dict)
    revoked: tuple[Revocation, ...] = ()
    rotations: Mapping[str, Rotation] = field(default_factory=dict)
    previous: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, date] = field(default_factory=dict)
    successions: Mapping[str, Succession] = field(default_factory=dict)
    authority: AuthorityChange | None = None

    def allocated(self, commune: Commune) -> Ledger:
        """Given the commune as it is now, every laptop has its addresses, and what belongs to no machine any more is retired.

        A laptop that comes back gets the addresses it had, unless they were needed meanwhile; its old key is gone for good.
        Addresses outside the tunnel (it was changed in the inventory) are given anew.
        """
        names = {laptop.name for laptop in commune.laptops}
        machines = {machine.name for machine in (*commune.machines, *commune.laptops)}
        left = tuple((name, self.leases[name]) for name in sorted(self.leases) if name not in names)
        desk = Desk(commune.network, self.leases, (*self.retired, *left), names)
        leases = {laptop.name: desk.lease(laptop.name) for laptop in commune.laptops}
        kept, certificates = _only(self.keys, machines), _only(self.certificates, machines)
        return Ledger(
            leases, desk.still_retired(), kept, certificates, _only(self.kits, names), self.revoked,
            _only(self.rotations, names), _only(self.previous, names), _only(self.made, machines),
            _only(self.successions, machines), self.authority,
        )  # fmt: skip

    def enrolled(self, name: str, public: str, today: date | None = None) -> Ledger:
        """The ledger with the WireGuard public key that a machine made; a rotation that was to replace another is over."""
        self._check_own(name, public)
        if self.keys.get(name) == public:
            return self
        made = {machine: day for machine, day in self.made.items() if machine != name} | ({name: today} if today else {})
        return replace(self, keys={**self.keys, name: public}, rotations=_without(self.rotations, name), made=made)

    def _check_own(self, name: str, public: str) -> None:
        """A key, refused to nobody, and no other machine's."""
        _check_key(name, public)
        self._check_not_revoked(name, public)
        coming = [(other, rotation.key) for other, rotation in self.rotations.items()]
        coming += [(other, succession.key) for other, succession in self.successions.items()]
        twin = next((other for other, key in (*self.keys.items(), *coming) if key == public and other != name), None)
        if twin:
            what = f"its WireGuard key is also {twin}'s"
            raise TelekitError(
                what, where=name, hint="the disk was cloned: remove /etc/wireguard on one of the two, and provision both"
            )

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Every key that opens a tunnel to a device, will open one, or did before the last rotation."""
        coming = self.rotations[name].key if name in self.rotations else ""
        found = (self.keys.get(name), coming, self.previous.get(name))
        return tuple(dict.fromkeys(key for key in found if key))

    # -- rotation ----------------------------------------------------------------------------------------------------

    def rotating(self, name: str, began: date, until: date) -> Ledger:
        """The ledger in which a laptop's key is to be replaced."""
        return replace(self, rotations={**self.rotations, name: Rotation(began, until)})

    def under_way(self, name: str) -> Rotation | None:
        """The rotation of a laptop's key that is not over yet."""
        found = self.rotations.get(name)
        return found if found and not found.lapsed else None

    def offered(self, name: str, public: str) -> Ledger:
        """The ledger with the key that is to take the place of a laptop's present one."""
        self._check_own(name, public)
        if public in (self.keys.get(name), self.previous.get(name)):
            raise TelekitError("the new WireGuard key that it made is one that it had", where=name)
        return self._with_rotation(name, replace(self.rotations[name], key=public, told=False))

    def told(self) -> Ledger:
        """The ledger in which the gateways know every key that is to come, their own ones among them."""
        return replace(
            self,
            rotations={name: replace(r, told=bool(r.key)) for name, r in self.rotations.items()},
            successions={name: replace(s, told=True) for name, s in self.successions.items()},
        )

    def succeeding(self, name: str, succession: Succession) -> Ledger:
        """The ledger in which a gateway's own key is to be replaced."""
        self._check_own(name, succession.key)
        return replace(self, successions={**self.successions, name: succession})

    def succeeded(self, name: str, today: date) -> Ledger:
        """The ledger in which a gateway has its new key, and no other."""
        return replace(
            self,
            keys={**self.keys, name: self.successions[name].key},
            made={**self.made, name: today},
            successions=_without(self.successions, name),
        )

    def rotated(self, name: str, today: date) -> Ledger:
        """The ledger in which the new key has taken the old one's place."""
        return replace(
            self,
            keys={**self.keys, name: self.rotations[name].key},
            previous={**self.previous, name: self.keys[name]},
            made={**self.made, name: today},
            rotations=_without(self.rotations, name),
        )

    def shaken(self, keys: Collection[str]) -> tuple[str, ...]:
        """The laptops whose new key is among these."""
        return tuple(name for name, rotation in self.rotations.items() if rotation.key in keys)

    def outlasted(self, today: date, *, made: bool) -> Ledger:
        """The ledger in which rotations past their last day have lapsed. made: those whose laptop has made the new key."""
        late = [n for n, r in self.rotations.items() if r.until < today and not r.lapsed and bool(r.key) is made]
        return replace(self, rotations={**self.rotations, **{n: replace(self.rotations[n], lapsed=True) for n in late}})

    def _with_rotation(self, name: str, rotation: Rotation) -> Ledger:
        return replace(self, rotations={**self.rotations, name: rotation})

    def _check_not_revoked(self, name: str, public: str) -> None:
        found = next((entry for entry in self.revoked if entry.key == public), None)
        if found:
            what = f"its WireGuard key was revoked on {found.at[:10]} ({found.laptop}, {found.agent}: {found.reason})"
            hint = "is the device in good hands again? remove /etc/wireguard/private.key there, and provision: it makes another"
            raise TelekitError(what, where=name, hint=hint)

    def with_revoked(self, entries: Iterable[Revocation]) -> Ledger:
        """The ledger in which these keys are refused for good; the devices have neither key nor kit until they get new ones."""
        known = {entry.key for entry in self.revoked}
        fresh = tuple(entry for entry in entries if entry.key not in known)
        gone, devices = known | {entry.key for entry in fresh}, {entry.laptop for entry in fresh}
        return replace(
            self,
            keys={name: key for name, key in self.keys.items() if key not in gone},
            kits={name: kit for name, kit in self.kits.items() if name not in devices},
            rotations={name: rotation for name, rotation in self.rotations.items() if name not in devices},
            previous={name: key for name, key in self.previous.items() if name not in devices},
            revoked=(*self.revoked, *fresh),
        )

    def certified(self, name: str, pem: str) -> Ledger:
        """The ledger with the certificate that the commune's authority issued for a desktop."""
        return replace(self, certificates={**self.certificates, name: pem})

    def handed_over(self, name: str, kit: Handover) -> Ledger:
        """The ledger with the last kit that was made for a laptop."""
        return replace(self, kits={**self.kits, name: kit})

    def arrived(self, keys: Collection[str]) -> Ledger:
        """The ledger in which the devices with these public keys have shaken hands."""
        used = {
            name: replace(kit, used=True) for name, kit in self.kits.items() if self.keys.get(name) in keys and not kit.lapsed
        }
        return replace(self, kits={**self.kits, **used})

    def overdue(self, today: date) -> tuple[str, ...]:
        """The laptops whose kit nobody has used in time, and that nobody has dealt with yet."""
        return tuple(name for name, kit in self.kits.items() if kit.expires < today and not kit.used and not kit.lapsed)

    def lapsed(self, names: Collection[str]) -> Ledger:
        """The ledger in which these laptops' kits are good for nothing any more."""
        return replace(self, kits={**self.kits, **{name: replace(self.kits[name], lapsed=True) for name in names}})

    def complete(self, commune: Commune) -> Commune:
        """The commune with all that the ledger knows of its machines."""
        return replace(
            commune,
            gateways=tuple(self._complete_gateway(m) for m in commune.gateways),
            desktops=tuple(replace(m, certificate=self.certificates.get(m.name)) for m in commune.desktops),
            laptops=tuple(self._complete_laptop(m, commune.network) for m in commune.laptops),
            next_authority=self.authority.pem if self.authority else None,
        )

    def _complete_gateway(self, gateway: Gateway) -> Gateway:
        coming = self.successions.get(gateway.name)
        return replace(
            gateway,
            public_key=self.keys.get(gateway.name),
            next_key=coming.key if coming else None,
            told=bool(coming and coming.told),
        )

    def _complete_laptop(self, laptop: Laptop, network: LocalNetwork) -> Laptop:
        lease, kit, rotation = self.leases.get(laptop.name), self.kits.get(laptop.name), self.under_way(laptop.name)
        return replace(
            laptop,
            tunnel_address=lease.address if lease else None,
            tunnel_address6=lease.address6 if lease and network.tunnel6 else None,
            public_key=self.keys.get(laptop.name),
            key_of=kit.agent if kit and not laptop.managed else None,
            kit_until=kit.expires if kit and not laptop.managed and not kit.used else None,
            kit_lapsed=bool(kit and not laptop.managed and kit.lapsed),
            next_key=rotation.key if rotation and rotation.key else None,
            next_until=rotation.until if rotation and rotation.key else None,
        )


def _without(found: Mapping[str, Kept], name: str) -> dict[str, Kept]:
    return {other: value for other, value in found.items() if other != name}


def _only(found: Mapping[str, Kept], names: set[str]) -> dict[str, Kept]:
    return {name: value for name, value in found.items() if name in names}


def _check_key(name: str, public: str) -> None:
    try:
        key = base64.b64decode(public, validate=True)
        # In another form a machine could show another's key as its own, and WireGuard would refuse the gateway's whole file.
        good = len(key) == 32 and any(key) and base64.b64encode(key).decode() == public
    except (binascii.Error, ValueError):
        good = False
    if not good:
        raise TelekitError("what it gave is not a WireGuard public key", where=name, hint="look at /etc/telekit/enrolment there")
