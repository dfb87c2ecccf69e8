"""What telekit hands out and is told: tunnel addresses, public keys, certificates. An address, once given, never moves."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypeVar

from toolkit.atomic import replace_file, sweep
from toolkit.errors import TelekitError, UsageError
from toolkit.leases import Desk, Lease
from toolkit.model import Commune, Gateway, Laptop, LocalNetwork

Kept = TypeVar("Kept")
FILE = "ledger.json"
VERSION = 1
STOLEN, LEFT = "stolen", "left"
DAMAGED = "restore it from a backup, or from the history of the inventories; without it every laptop would get another address"


@dataclass(frozen=True, slots=True)
class Handover:
    """A kit with a device's tunnel: the day it was made, the last day for its first use, and the agent it was made for.

    used: the device has shaken hands. lapsed: it had not in time, and the key that it shares with the gateway was replaced.
    """

    made: date
    expires: date
    agent: str
    used: bool = False
    lapsed: bool = False


@dataclass(frozen=True, slots=True)
class Rotation:
    """A laptop's key on its way to being replaced: since when, and the last day for it.

    key: the new one's public half; empty until the laptop has made it. told: the gateways know it.
    lapsed: it did not shake hands in time; the old one stays.
    """

    began: date
    until: date
    key: str = ""
    told: bool = False
    lapsed: bool = False

    @property
    def stage(self) -> str:
        """What it waits for: the laptop, the gateway or the handshake; or that it waits no more."""
        if self.lapsed:
            return "lapsed"
        return "laptop" if not self.key else "handshake" if self.told else "gateway"


@dataclass(frozen=True, slots=True)
class Succession:
    """A gateway's own key on its way to being replaced by `key`: since when, and until when devices are expected to follow.

    told: the gateway answers both keys. concluding: the old one goes with the next visit to the gateway.
    informed: the laptops that were told of the new key, and come to it by themselves.
    """

    began: date
    until: date
    key: str
    told: bool = False
    concluding: bool = False
    informed: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """What it waits for: the gateway, the devices' first handshakes with it, or the visit that ends it."""
        return "concluding" if self.concluding else "handshakes" if self.told else "gateway"


@dataclass(frozen=True, slots=True)
class AuthorityChange:
    """The commune's certificate authority on its way to being replaced: since when, and how long people with kits are given.

    pem: the new one's certificate, which laptops trust beside the old one. issuing: desktops get theirs from the new one.
    informed: the laptops that trust the new one; when it issues, the desktops that have a certificate of it.
    kits: the devices for which a kit was made that holds it.
    """

    began: date
    until: date
    pem: str
    issuing: bool = False
    informed: tuple[str, ...] = ()
    kits: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """What it waits for: whoever is to trust the new one, or the desktops."""
        return "desktops" if self.issuing else "trust"


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key that is never accepted again: whose device had it, since when (ISO 8601 in UTC), why."""

    laptop: str
    key: str
    at: str
    reason: str
    agent: str


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


def read(folder: Path) -> Ledger:
    """The ledger of a commune; empty before the first provision."""
    path = folder / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Ledger()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    try:
        return _ledger(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError("the ledger is damaged", where=str(path), hint=DAMAGED) from error


def write(folder: Path, ledger: Ledger) -> None:
    """Write the ledger, whole or not at all; nothing is written when it says the same."""
    path = folder / FILE
    content = (json.dumps(_document(ledger), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    if path.is_file() and path.read_bytes() == content:
        sweep(path)
        return
    replace_file(path, content, mode=0o644)


def _document(ledger: Ledger) -> dict[str, object]:
    return {
        "version": VERSION,
        "leases": {name: _lease_document(lease) for name, lease in ledger.leases.items()},
        "retired": [{"laptop": name} | _lease_document(lease) for name, lease in ledger.retired],
        "keys": dict(ledger.keys),
        "certificates": dict(ledger.certificates),
        "kits": {name: _kit_document(kit) for name, kit in ledger.kits.items()},
        "revoked": [asdict(entry) for entry in ledger.revoked],
        "rotations": {name: _rotation_document(rotation) for name, rotation in ledger.rotations.items()},
        "previous": dict(ledger.previous),
        "made": {name: day.isoformat() for name, day in ledger.made.items()},
        "successions": {name: _succession_document(coming) for name, coming in ledger.successions.items()},
        "authority": _authority_document(ledger.authority) if ledger.authority else None,
    }


def _authority_document(change: AuthorityChange) -> dict[str, object]:
    days = {"began": change.began.isoformat(), "until": change.until.isoformat()}
    return {**days, "pem": change.pem, "issuing": change.issuing, "informed": [*change.informed], "kits": [*change.kits]}


def _succession_document(coming: Succession) -> dict[str, object]:
    days = {"began": coming.began.isoformat(), "until": coming.until.isoformat()}
    came = {word: True for word, true in (("told", coming.told), ("concluding", coming.concluding)) if true}
    return {**days, "key": coming.key, "informed": [*coming.informed], **came}


def _rotation_document(rotation: Rotation) -> dict[str, object]:
    came: dict[str, object] = {word: True for word, true in (("told", rotation.told), ("lapsed", rotation.lapsed)) if true}
    made: dict[str, object] = {"key": rotation.key} if rotation.key else {}
    return {"began": rotation.began.isoformat(), "until": rotation.until.isoformat(), **made, **came}


def _kit_document(kit: Handover) -> dict[str, object]:
    came: dict[str, object] = {word: True for word, true in (("used", kit.used), ("lapsed", kit.lapsed)) if true}
    return {"made": kit.made.isoformat(), "expires": kit.expires.isoformat(), "agent": kit.agent, **came}


def _lease_document(lease: Lease) -> dict[str, str]:
    return {"address": str(lease.address)} | ({"address6": str(lease.address6)} if lease.address6 else {})


def _ledger(document: dict[str, object]) -> Ledger:
    """The ledger that a document holds; any of the usual exceptions if it does not."""
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']!r}")
    leases = {name: _lease(item) for name, item in _mapping(document["leases"]).items()}
    retired = tuple((_word(item["laptop"]), _lease(item)) for item in _list(document["retired"]))
    addresses = [lease.address for lease in (*leases.values(), *(lease for _, lease in retired))]
    if len(set(addresses)) != len(addresses):
        raise ValueError("an address twice")
    keys = {name: _word(key) for name, key in _mapping(document["keys"]).items()}
    certificates = {name: _word(pem) for name, pem in _mapping(document["certificates"]).items()}
    kits = {name: _kit(item) for name, item in _mapping(document.get("kits", {})).items()}
    rotations = {name: _rotation(item) for name, item in _mapping(document.get("rotations", {})).items()}
    previous = {name: _word(key) for name, key in _mapping(document.get("previous", {})).items()}
    made = {name: date.fromisoformat(_word(day)) for name, day in _mapping(document.get("made", {})).items()}
    successions = {name: _succession(item) for name, item in _mapping(document.get("successions", {})).items()}
    revoked = _revoked(document.get("revoked", []))
    authority = _authority(found) if (found := document.get("authority")) is not None else None
    return Ledger(leases, retired, keys, certificates, kits, revoked, rotations, previous, made, successions, authority)


def _revoked(items: object) -> tuple[Revocation, ...]:
    names = [item.name for item in fields(Revocation)]
    return tuple(Revocation(**{name: _word(_mapping(item)[name]) for name in names}) for item in _list(items))


def _kit(item: object) -> Handover:
    found = _mapping(item)
    made, expires = date.fromisoformat(_word(found["made"])), date.fromisoformat(_word(found["expires"]))
    return Handover(made, expires, _word(found["agent"]), found.get("used") is True, found.get("lapsed") is True)


def _rotation(item: object) -> Rotation:
    found = _mapping(item)
    began, until = date.fromisoformat(_word(found["began"])), date.fromisoformat(_word(found["until"]))
    key = _word(found.get("key", ""))
    return Rotation(began, until, key, found.get("told") is True, found.get("lapsed") is True)


def _succession(item: object) -> Succession:
    found = _mapping(item)
    began, until = date.fromisoformat(_word(found["began"])), date.fromisoformat(_word(found["until"]))
    informed = tuple(map(_word, _list(found.get("informed", []))))
    return Succession(began, until, _word(found["key"]), found.get("told") is True, found.get("concluding") is True, informed)


def _authority(item: object) -> AuthorityChange:
    found = _mapping(item)
    began, until = date.fromisoformat(_word(found["began"])), date.fromisoformat(_word(found["until"]))
    informed, kits = (tuple(map(_word, _list(found.get(word, [])))) for word in ("informed", "kits"))
    return AuthorityChange(began, until, _word(found["pem"]), found.get("issuing") is True, informed, kits)


def _lease(item: object) -> Lease:
    found = _mapping(item)
    address6 = found.get("address6")
    return Lease(IPv4Address(_word(found["address"])), IPv6Address(_word(address6)) if address6 is not None else None)


def _mapping(item: object) -> dict[str, object]:
    if not isinstance(item, dict):
        raise TypeError("not an object")
    return item


def _list(item: object) -> list[Any]:
    if not isinstance(item, list):
        raise TypeError("not a list")
    return item


def _word(item: object) -> str:
    if not isinstance(item, str):
        raise TypeError("not a text")
    return item


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
