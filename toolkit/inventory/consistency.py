"""What must hold between the parts of a commune: names that exist, nothing twice, dates that do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from toolkit.inventory.agents import Row
from toolkit.inventory.problems import Problems, guess, listed, shown
from toolkit.inventory.reader import Draft
from toolkit.inventory.toml import Document, Path
from toolkit.model import Agent, Commune, Gateway, Laptop, Machine


@dataclass
class Checks:
    """The draft and the agents, side by side, with the problems of their two files."""

    draft: Draft
    rows: list[Row]
    document: Document
    toml: Problems
    csv: Problems
    today: date

    def run(self) -> None:
        self._one_gateway()
        self._nothing_twice()
        self._applications_of_profiles()
        self._extras()
        self._directory()
        self._antivirus()
        self._devices()
        self._agents()
        self._shared_laptops()
        self._owners()

    def _error(self, path: Path, what: str, hint: str = "") -> None:
        self.toml.error(self.document.line(path), what, hint)

    def _warn(self, path: Path, what: str, hint: str = "") -> None:
        self.toml.warn(self.document.line(path), what, hint)

    def _place(self, path: Path) -> str:
        return f"line {self.document.line(path)}"

    def _one_gateway(self) -> None:
        gateways = self.document.values.get("gateway")
        if not gateways and not isinstance(gateways, dict) and "gateways" not in self.document.values:
            self.toml.error(0, "there is no [[gateway]]", "the server that ends the tunnels: name, ssh and endpoint")
        if isinstance(gateways, list) and len(gateways) > 1:
            self._error(("gateway", 1), "there is more than one [[gateway]]", "telekit manages one gateway a commune: keep one")

    def _nothing_twice(self) -> None:
        gateways, desktops, laptops = self.draft.gateways, self.draft.desktops, self.draft.laptops
        machines: list[tuple[Machine, Path]] = [(p.item, p.path) for p in gateways]
        machines += [(p.item, p.path) for p in desktops]
        machines += [(p.item, p.path) for p in laptops]
        self._unique("name", "name", ((m.name, path) for m, path in machines))
        self._unique("SSH address", "ssh", ((str(m.ssh), path) for m, path in machines if m.ssh))
        self._unique("MAC address", "mac", ((m.mac, path) for m, path in machines if not isinstance(m, Gateway) and m.mac))
        seats = ((str(m.address), path) for m, path in machines if not isinstance(m, Laptop) and m.address)
        taken = self._unique("address", "address", seats)
        for placed in self.draft.applications:
            machine = taken.get(str(placed.item.address)) if placed.item.address else None
            if machine:
                what = f"{shown(str(placed.item.address))} is already the address of a machine, on {self._place(machine)}"
                self._error((*placed.path, "address"), what, "an application answers at an address of its own")

    def _unique(self, noun: str, key: str, values: Iterable[tuple[str, Path]]) -> dict[str, Path]:
        """The place of each value, after refusing every value that is written twice."""
        first: dict[str, Path] = {}
        for value, section in values:
            path = (*section, key)
            if value in first:
                what = f"{noun} {shown(value)} is already on {self._place(first[value])}"
                self._error(path, what, "each machine has its own")
            first.setdefault(value, path)
        return first

    def _applications_of_profiles(self) -> None:
        known = self.draft.declared.get("application", set())
        for profile in self.draft.profiles:
            for position, key in enumerate(profile.item.applications):
                if key not in known:
                    self._error(
                        (*profile.path, "applications", position),
                        f"profile {shown(profile.item.name)}: there is no application {shown(key)}",
                        guess(key, known) or f"write a section [application.{key}]",
                    )
        for application in self.draft.applications:
            if not application.item.tcp and not application.item.udp and not self._has_ports(application.path):
                what = f"application {shown(application.item.key)} has no port"
                self._error((*application.path, "tcp"), what, "say which it answers on: tcp = [443]")

    def _has_ports(self, path: Path) -> bool:
        """Whether ports were written, if only wrong ones, which is told already."""
        section = self.document.values["application"]
        raw = section.get(path[1]) if isinstance(section, dict) else None
        return isinstance(raw, dict) and bool(raw.get("tcp") or raw.get("udp"))

    def _extras(self) -> None:
        """Extras name an application; one that gives nothing is told and not refused, since agents.csv may change before it."""
        known = self.draft.declared.get("application", set())
        identifiers = {row.agent.identifier for row in self.rows}
        for placed in self.draft.extras:
            extra = placed.item
            if extra.application not in known:
                what = f"extra of {extra.agent}: there is no application {shown(extra.application)}"
                hint = guess(extra.application, known) or f"write a section [application.{extra.application}]"
                self._error((*placed.path, "application"), what, hint)
            if extra.agent not in identifiers:
                what = f"extra: agent {shown(extra.agent)} is not in agents.csv"
                self._warn((*placed.path, "agent"), what, guess(extra.agent, identifiers) or "remove the section")
            if extra.until < self.today:
                what = f"extra of {extra.agent}: its end {extra.until} is past, so it gives nothing"
                self._warn((*placed.path, "until"), what, "remove the section")

    def _directory(self) -> None:
        known = self.draft.declared.get("profile", set())
        for word, profile in self.draft.directory.profiles.items() if self.draft.directory else ():
            if profile not in known:
                what = f"{shown(word)}: there is no profile {shown(profile)}"
                self._error(("directory", "profiles", word), what, guess(profile, known) or f"there are {listed(sorted(known))}")

    def _devices(self) -> None:
        for placed in self.draft.laptops:
            device = placed.item
            if not device.managed and device.ssh:
                what = f"`ssh` is not used: telekit logs into no {device.system} device"
                self._warn((*placed.path, "ssh"), what, "remove it, or remove `system`")

    def _antivirus(self) -> None:
        antivirus = self.draft.antivirus
        if not antivirus.official and not antivirus.databases:
            self._error(
                ("antivirus", "official"), "the antivirus would have no signatures at all", "name `databases`, or drop `official`"
            )
        if not antivirus.official and antivirus.mirror:
            self._warn(("antivirus", "mirror"), "`mirror` is not used when `official` is false", "remove one of the two")

    def _agents(self) -> None:
        administrator = self.draft.commune.get("admin_user", Commune.admin_user)
        for row in self.rows:
            agent = row.agent
            if agent.identifier == administrator:
                what = f"identifier {shown(administrator)} is the administrators' account"
                self.csv.error(row.line, what, "choose another, or change `admin_user` in [commune]")
            if agent.ends and agent.ends < self.today and (agent.starts is None or agent.starts <= agent.ends):
                what = f"{agent.identifier}: the end {agent.ends} is past, so there is no access"
                self.csv.warn(row.line, what, "remove the line when the laptop is back")
            elif agent.suspended and agent.suspended <= self.today:
                what = f"{agent.identifier}: suspended since {agent.suspended}, so there is no access"
                self.csv.warn(row.line, what, f"telekit agent resume {agent.identifier}")
        self._named_by_agents("profile", lambda agent: agent.profile)
        self._named_by_agents("laptop", lambda agent: agent.laptop)
        self._named_by_agents("desktop", lambda agent: agent.desktop)

    def _named_by_agents(self, noun: str, name_of: Callable[[Agent], str | None]) -> None:
        """What agents name exists; what does not is told once, with the lines of all who name it."""
        known = self.draft.declared.get(noun, set())
        missing: dict[str, list[Row]] = {}
        for row in self.rows:
            name = name_of(row.agent)
            if name and name not in known:
                missing.setdefault(name, []).append(row)
        there = f"there are {listed(sorted(known))}" if known else f"commune.toml has no {noun} at all"
        for name, (first, *others) in missing.items():
            also = f"; also named on lines {listed(str(row.line) for row in others)}" if others else ""
            what = f"{first.agent.identifier}: there is no {noun} {shown(name)} in commune.toml{also}"
            self.csv.error(first.line, what, guess(name, known) or there)

    def _shared_laptops(self) -> None:
        carried: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.agent.laptop:
                carried.setdefault(row.agent.laptop, []).append(row)
        for laptop, rows in carried.items():
            for position, row in enumerate(rows):
                other = next((earlier for earlier in rows[:position] if _overlap(earlier.agent, row.agent, self.today)), None)
                if other:
                    holder = f"{other.agent.identifier}'s, on line {other.line}"
                    what = f"{row.agent.identifier}: laptop {shown(laptop)} is already {holder}"
                    self.csv.error(row.line, what, "give another laptop, or dates (du, au) that do not overlap")

    def _owners(self) -> None:
        """An owned desktop is nobody else's; one whose owner left the list is closed to all, which is told but not refused."""
        identifiers = {row.agent.identifier for row in self.rows}
        workers: dict[str, list[Row]] = {}
        for row in self.rows:
            workers.setdefault(row.agent.desktop or "", []).append(row)
        for placed in self.draft.desktops:
            name, owner = placed.item.name, placed.item.owner
            if owner is None:
                continue
            place = (*placed.path, "owner")
            for row in workers.get(name, []):
                if row.agent.identifier != owner:
                    what = f"{row.agent.identifier}: desktop {shown(name)} is {owner}'s own"
                    hint = f"give another desktop, or change `owner` in commune.toml, {self._place(place)}"
                    self.csv.error(row.line, what, hint)
            if owner not in identifiers:
                what = f"owner {shown(owner)} of {shown(name)} is not in agents.csv: nobody may use this desktop"
                self._warn(place, what, guess(owner, identifiers) or "name the next owner, or remove `owner` to share it")


def _overlap(one: Agent, other: Agent, today: date) -> bool:
    """Whether two agents have access on a same day from today on: who had the laptop before does not matter any more."""
    latest_start = max(one.starts or today, other.starts or today, today)
    return latest_start <= min(one.ends or date.max, other.ends or date.max)
