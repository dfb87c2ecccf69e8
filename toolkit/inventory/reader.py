"""commune.toml → typed parts with their places, by the schema; what does not fit is among the problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Generic, TypeVar

from toolkit.inventory.problems import Problems, Refused, guess, listed, shown
from toolkit.inventory.schema import ARRAYS, NAMED, SECTIONS, TABLES, Section, home_of
from toolkit.inventory.toml import Document, Path
from toolkit.inventory.values import RefusedItem, host_label, kind
from toolkit.model import (
    Antivirus,
    Application,
    Desktop,
    Directory,
    Endpoint,
    Extra,
    Gateway,
    Laptop,
    LocalNetwork,
    Policy,
    Profile,
    SshAddress,
)

T = TypeVar("T")
# Words that a French technician writes before thinking that keys are English.
FRENCH = {
    "reseau": "network",
    "passerelle": "gateway",
    "poste": "desktop",
    "bureau": "desktop",
    "portable": "laptop",
    "politique": "policy",
    "profil": "profile",
    "nom": "name",
    "domaine": "domain",
    "adresse": "address",
    "proprietaire": "owner",
    "titre": "title",
    "systeme": "system",
    "hote": "host",
    "motif": "reason",
    "raison": "reason",
    "controle": "check",
    "jusqu_au": "until",
    "echeance": "until",
    "accepte_par": "accepted_by",
    "accord": "accepted_by",
    "annuaire": "directory",
}
LIKELY = FRENCH | {f"{name}s": name for name in SECTIONS} | {f"{word}s": name for word, name in FRENCH.items()}


@dataclass(frozen=True)
class Placed(Generic[T]):
    """A part of the commune, and where it was written."""

    item: T
    path: Path


@dataclass(frozen=True)
class Entry:
    """The good values of one section, the keys with bad ones, and whether every required key has a good one."""

    path: Path
    values: dict[str, object]
    whole: bool
    refused: frozenset[str] = frozenset()

    def make(self, build: Callable[..., T]) -> Placed[T] | None:
        return Placed(build(**self.values), self.path) if self.whole else None


@dataclass
class Draft:
    """What commune.toml says, part by part, before the parts are compared.

    declared: every name written in a kind of section, those of refused parts too, so that one mistake is told once.
    """

    commune: dict[str, object] = field(default_factory=dict)
    network: LocalNetwork | None = None
    policy: Policy = field(default_factory=Policy)
    antivirus: Antivirus = field(default_factory=Antivirus)
    directory: Directory | None = None
    gateways: list[Placed[Gateway]] = field(default_factory=list)
    desktops: list[Placed[Desktop]] = field(default_factory=list)
    laptops: list[Placed[Laptop]] = field(default_factory=list)
    applications: list[Placed[Application]] = field(default_factory=list)
    profiles: list[Placed[Profile]] = field(default_factory=list)
    extras: list[Placed[Extra]] = field(default_factory=list)
    declared: dict[str, set[str]] = field(default_factory=dict)


class Reader:
    """Reads one document by the schema."""

    def __init__(self, document: Document, problems: Problems) -> None:
        self.document = document
        self.problems = problems

    def draft(self) -> Draft:
        draft = Draft()
        self._refuse_unknown(self.document.values, SECTIONS, ())
        self._tables(draft)
        draft.gateways = self._placed(self._with_ssh(self._array("gateway", draft)), gateway)
        draft.desktops = self._placed(self._array("desktop", draft), desktop)
        draft.laptops = self._placed(self._array("laptop", draft), Laptop)
        draft.applications = self._placed(self._with_place(self._named("application", "key", draft)), Application)
        draft.profiles = self._placed(self._named("profile", "name", draft), Profile)
        draft.extras = self._placed(self._array("extra", draft), Extra)
        return draft

    def alone(self, name: str, section: Section, build: Callable[..., T]) -> list[Placed[T]]:
        """The parts of a file that holds nothing but sections [[name]]."""
        self._refuse_unknown(self.document.values, (name,), ())
        return self._placed(self._sections(name, section, set()), build)

    def _tables(self, draft: Draft) -> None:
        read = {name: self._table(name) for name in TABLES}
        draft.commune = read["commune"].values if read["commune"].whole else {}
        network = read["network"].make(LocalNetwork)
        policy, antivirus = read["policy"].make(Policy), read["antivirus"].make(Antivirus)
        directory = read["directory"].make(Directory) if "directory" in self.document.values else None
        draft.network = network.item if network else None
        draft.policy = policy.item if policy else Policy()
        draft.antivirus = antivirus.item if antivirus else Antivirus()
        draft.directory = directory.item if directory else None

    def _table(self, name: str) -> Entry:
        section = TABLES[name]
        raw = self.document.values.get(name)
        if raw is None and section.required and not self._plural_of(name):
            self.problems.error(0, f"the section [{name}] is missing", f"it holds {listed(section.required)}")
        if raw is None:
            return Entry((name,), {}, whole=not section.required)
        if not isinstance(raw, dict):
            double = " written [[…]]" if isinstance(raw, list) else ""
            self._error((name,), f"expected one section [{name}], found {kind(raw)}{double}", f"write [{name}]")
            return Entry((name,), {}, whole=False)
        return self._entry(raw, section, (name,))

    def _plural_of(self, name: str) -> bool:
        """Whether the section is there under a wrong name, which is told already."""
        return f"{name}s" in self.document.values

    def _array(self, name: str, draft: Draft) -> Iterator[Entry]:
        return self._sections(name, ARRAYS[name], draft.declared.setdefault(name, set()))

    def _sections(self, name: str, section: Section, declared: set[str]) -> Iterator[Entry]:
        raw = self.document.values.get(name, [])
        if not isinstance(raw, list):
            hint = f"each {name} has a section of its own with double brackets"
            self._error((name,), f"expected [[{name}]], found {kind(raw)}", hint)
            return
        for position, item in enumerate(raw):
            path: Path = (name, position)
            if isinstance(item, dict):
                entry = self._entry(item, section, path)
                declared.update(name for name in (entry.values.get("name"), item.get("name")) if isinstance(name, str))
                yield entry
            else:
                self._error(path, f"expected a {name} with its keys, found {kind(item)}", f"write [[{name}]]")

    def _with_ssh(self, gateways: Iterator[Entry]) -> Iterator[Entry]:
        """The gateways that say where sshd answers."""
        for entry in gateways:
            if "ssh" in entry.values or "address" in entry.values:
                yield entry
            elif not entry.refused & {"ssh", "address"}:
                self._error(entry.path, "`ssh` is missing in [[gateway]]", 'where sshd answers: ssh = "10.94.0.1"')

    def _with_place(self, applications: Iterator[Entry]) -> Iterator[Entry]:
        """The applications that are at one place: an address or a host."""
        for entry in applications:
            if {"address", "host"} <= set(entry.values):
                what = f"`address` and `host` are both there in {written(entry.path)}"
                self._error((*entry.path, "host"), what, "keep one of the two; a `host` is followed when its address changes")
            elif {"address", "host"} & set(entry.values):
                yield entry
            elif not entry.refused & {"address", "host"}:
                hint = 'where it is: address = "10.94.1.15", or its name: host = "finances.mairie.example"'
                self._error(entry.path, f"`address` is missing in {written(entry.path)}", hint)

    def _named(self, name: str, key: str, draft: Draft) -> Iterator[Entry]:
        declared = draft.declared.setdefault(name, set())
        raw = self.document.values.get(name, {})
        if not isinstance(raw, dict):
            self._error((name,), f"expected [{name}.…], found {kind(raw)}", f"a {name} is a section: [{name}.its-name]")
            return
        for word, item in raw.items():
            path: Path = (name, word)
            declared.add(word)
            if not isinstance(item, dict):
                self._error(
                    path, f"expected a section [{name}.{word}], found {kind(item)}", f"a {name} is a section: [{name}.its-name]"
                )
                continue
            entry = self._entry(item, NAMED[name], path)
            label = self._value(host_label, word, path)
            yield Entry(path, {key: label} | entry.values, entry.whole and label is not None, entry.refused)

    def _entry(self, raw: dict[str, object], section: Section, path: Path) -> Entry:
        self._refuse_unknown(raw, section.keys, path)
        parsed: dict[str, object] = {}
        for key, value in raw.items():
            if key in section.keys:
                result = self._value(section.keys[key], value, (*path, key))
                if result is not None:
                    parsed[key] = result
        for key, example in section.required.items():
            if key not in raw:
                self._error(path, f"`{key}` is missing in {written(path)}", example)
        return Entry(path, parsed, all(key in parsed for key in section.required), frozenset(raw) - frozenset(parsed))

    def _value(self, parse: Callable[[object], T], value: object, path: Path) -> T | None:
        try:
            return parse(value)
        except RefusedItem as refused:
            self._error((*path, refused.position), f"{path[-1]}: {refused.what}", refused.hint)
        except Refused as refused:
            self._error(path, f"{path[-1]}: {refused.what}", refused.hint)
        return None

    def _refuse_unknown(self, raw: dict[str, object], known: Iterable[str], path: Path) -> None:
        names = list(known)
        for key in raw:
            if key in names:
                continue
            likely = LIKELY.get(key.lower(), "")
            hint = f"did you mean `{likely}`?" if likely in names else guess(key, names)
            if not hint and path and home_of(key):
                hint = f"it belongs to {home_of(key)}"
            what = f"unknown key {shown(key)} in {written(path)}" if path else f"unknown section {shown(key)}"
            self._error((*path, key), what, hint or f"there are {listed(names, 12)}")

    def _placed(self, entries: Iterator[Entry], build: Callable[..., T]) -> list[Placed[T]]:
        return [placed for entry in entries if (placed := entry.make(build))]

    def _error(self, path: Path, what: str, hint: str = "") -> None:
        self.problems.error(self.document.line(path), what, hint)


def written(path: Path) -> str:
    """A section as its header is written in the file."""
    if len(path) > 1 and isinstance(path[1], int):
        return f"[[{path[0]}]]"
    return f"[{'.'.join(str(word) for word in path)}]"


def gateway(
    name: str, endpoint: Endpoint, ssh: SshAddress | None = None, address: IPv4Address | None = None, *, nat: bool = False
) -> Gateway:
    """A gateway; without a way in of its own, sshd answers at its address on the LAN."""
    return Gateway(name, ssh or SshAddress(str(address)), endpoint, address, nat)


def desktop(
    name: str, address: IPv4Address, ssh: SshAddress | None = None, owner: str | None = None, mac: str | None = None
) -> Desktop:
    """A desktop; without a way in of its own, sshd answers at its address."""
    return Desktop(name, address, ssh or SshAddress(str(address)), owner, mac)
