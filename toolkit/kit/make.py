"""From agents to kits: who gets one, the keys first, then the files, then what there is to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from toolkit import authority, journal, ledger
from toolkit.errors import Problem, UsageError
from toolkit.inventory.problems import guess
from toolkit.kit import device, folder
from toolkit.kit.contents import Keys, contents
from toolkit.ledger import Handover, Ledger
from toolkit.model import Agent, Commune, Laptop
from toolkit.result import Result, counted
from toolkit.second_factor import asked, handed_out, known
from toolkit.secrets import Vault
from toolkit.targets import Job

COMMAND = "agent kit"
SHOWN = 5
HEADING = ("identifiant", "nom", "prénom", "service", "appareil", "système", "poste", "kit", "première connexion avant le")


@dataclass(frozen=True)
class Wish:
    """What was asked for. agents: identifiers; none: every active agent with a device. archive: a zip file a kit."""

    agents: tuple[str, ...]
    output: Path
    archive: bool = False


@dataclass(frozen=True)
class Made:
    """One kit that was written. coded: a second factor is in it."""

    agent: Agent
    laptop: Laptop
    path: Path
    expires: str
    coded: bool = False

    @property
    def facts(self) -> dict[str, object]:
        return {
            "agent": self.agent.identifier, "laptop": self.laptop.name, "system": str(self.laptop.system),
            "kit": str(self.path), "expires": self.expires or None,
            "second_factor": self.coded,
        }  # fmt: skip

    @property
    def row(self) -> folder.Row:
        a, m = self.agent, self.laptop
        return (
            a.identifier,
            a.last_name,
            a.first_name,
            a.service,
            m.name,
            m.system,
            a.desktop or "",
            self.path.name,
            self.expires,
        )


def make(job: Job, wish: Wish) -> Result:
    """Write the kits, note who did, and say what follows."""
    commune = job.commune
    chosen = [_entitled(commune, identifier) for identifier in wish.agents] or [a for a in commune.active_agents if a.laptop]
    if not chosen:
        raise UsageError(f"no active agent of {commune.slug} has a device", hint="give one in agents.csv (portable)")
    key = job.identities[0] if job.identities else None
    with journal.run(job.folder, COMMAND, commune.slug, key=key) as run:
        workshop = _Workshop(job)
        workshop.enrol(chosen)
        folder.output(wish.output)
        made = [workshop.kit(agent, wish) for agent in chosen]
        index = folder.write_index(wish.output, HEADING, [kit.row for kit in made]) if not wish.agents else None
        result = _result(workshop, made, index)
        run.finish(result, note=f"kits: {', '.join(kit.agent.identifier for kit in made)}")
        return result


class _Workshop:
    """The commune with its addresses and keys, and the vault that they are kept in."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.before = ledger.read(job.folder)
        self.book: Ledger = self.before.allocated(job.commune)
        # Those whose second factor is new with this kit: their desktops do not know it yet.
        self.enrolled: list[Agent] = []
        gateway = job.commune.gateway
        if gateway.name not in self.book.keys:
            hint = f"telekit provision --commune {job.commune.slug} --role gateway, then make the kit"
            raise UsageError("the gateway has no key yet, so that no kit could hold it", where=gateway.name, hint=hint)

    @cached_property
    def vault(self) -> Vault:
        return self.job.vault()

    @cached_property
    def commune(self) -> Commune:
        """The commune after `enrol`."""
        complete = self.book.complete(self.job.commune)
        file = self.job.folder / authority.FILE
        return replace(complete, authority=file.read_text(encoding="ascii") if file.is_file() else None)

    def enrol(self, agents: Sequence[Agent]) -> None:
        """Keys and record of every unmanaged device, before any kit is written: the secrets first, the ledger speaks of them."""
        for agent in agents:
            laptop = self.job.commune.laptop_named[agent.laptop or ""]
            if not laptop.managed:
                self.book = device.enrol(self.book, self.vault, laptop, agent, self.job.commune.today)
                self.book = device.handed_over(self.book, laptop, agent, self.job.commune)
        coded = [agent for agent in agents if asked(agent, self.job.commune)]
        self.enrolled = [agent for agent in coded if known(self.vault, agent) is None]
        for agent in coded:
            handed_out(self.vault, agent, self.job.commune)
        devices = [laptop.name for agent in agents if not (laptop := self.job.commune.laptop_named[agent.laptop or ""]).managed]
        unmanaged = bool(devices)
        if change := self.book.authority:
            # What desktops will prove their identity by is in these kits, too.
            self.book = replace(self.book, authority=replace(change, kits=tuple(sorted({*change.kits, *devices}))))
        if unmanaged:
            # What proves a desktop's identity is in these kits.
            authority.ensure(self.job.folder, self.vault, self.job.commune)
        if unmanaged or coded:
            self.vault.save()
        ledger.write(self.job.folder, self.book)

    def kit(self, agent: Agent, wish: Wish) -> Made:
        laptop = self.commune.laptop_named[agent.laptop or ""]
        keys = self._keys(laptop)
        factor = handed_out(self.vault, agent, self.commune) if asked(agent, self.commune) else None
        files = contents(agent, laptop, self.commune, keys, factor)
        path = folder.place(wish.output, agent, archive=wish.archive)
        (folder.write_archive if wish.archive else folder.write_folder)(path, files)
        return Made(agent, laptop, path, keys.expires.isoformat() if keys else "", factor is not None)

    def _keys(self, laptop: Laptop) -> Keys | None:
        change = self.book.under_way(laptop.name)
        coming = self.vault.get(device.next_tunnel_key(laptop)) if change and not laptop.managed else None
        if change and coming:
            # The key that takes the place of the one in the device at its first handshake.
            return Keys(coming, self.vault.get(device.next_preshared_key(laptop)), change.until)
        private = None if laptop.managed else self.vault.get(device.tunnel_key(laptop))
        if private is None:
            return None
        return Keys(private, self.vault.get(device.preshared_key(laptop)), self.book.kits[laptop.name].expires)

    @property
    def gateway_waits(self) -> bool:
        """Whether the gateway has to learn a key, or until when a kit is good."""
        return (self.book.keys, _unused(self.book)) != (self.before.keys, _unused(self.before))


def _entitled(commune: Commune, identifier: str) -> Agent:
    """The agent, if a kit would be of use to them."""
    agent = next((a for a in commune.agents if a.identifier == identifier), None)
    if agent is None:
        hint = guess(identifier, [a.identifier for a in commune.agents]) or "see agents.csv"
        raise UsageError(f"{commune.slug} has no agent `{identifier}`", hint=hint)
    if not agent.active(commune.today):
        what, hint = _closed(agent, commune)
        raise UsageError(f"{identifier} has no access today: {what}", hint=hint)
    if not agent.laptop:
        raise UsageError(f"{identifier} has no device", hint="give one in agents.csv (portable)")
    return agent


def _closed(agent: Agent, commune: Commune) -> tuple[str, str]:
    """Why an access is closed, and what opens it."""
    if agent.starts and agent.starts > commune.today:
        return f"it begins on {agent.starts}", "make the kit on that day, or change `du` in agents.csv"
    if agent.ends and agent.ends < commune.today:
        return f"it ended on {agent.ends}", f"telekit agent renew {agent.identifier} --commune {commune.slug} --until DAY"
    return f"suspended since {agent.suspended}", f"telekit agent resume {agent.identifier} --commune {commune.slug}"


def _result(workshop: _Workshop, made: Sequence[Made], index: Path | None) -> Result:
    commune = workshop.commune
    left = [a.identifier for a in commune.active_agents if not a.laptop] if index else []
    summary = {
        "agents": [kit.facts for kit in made], "index": str(index) if index else None, "without_device": left,
    }  # fmt: skip
    follows = _follows(workshop, made)
    return Result(COMMAND, commune.slug, summary=summary, problems=tuple(_warnings(commune, made, left)),
                  closing=_closing(made, index), next=follows)  # fmt: skip


def _unused(book: Ledger) -> dict[str, Handover]:
    return {name: kit for name, kit in book.kits.items() if not kit.used}


def _follows(workshop: _Workshop, made: Sequence[Made]) -> str:
    """What makes the kits good for what they promise. A desktop lets in the devices that the gateway does."""
    carried = [workshop.commune.laptop_named[agent.laptop or ""] for agent in workshop.enrolled]
    gateway, asking = workshop.gateway_waits, [laptop for laptop in carried if laptop.managed]
    desktop = workshop.enrolled or (gateway and any(kit.agent.desktop for kit in made))
    waiting = (("gateway", gateway), ("desktop", desktop), ("laptop", asking))
    roles = [role for role, waits in waiting if waits]
    provision = f"telekit provision --commune {workshop.commune.slug}"
    return " ".join([provision, *(f"--role {role}" for role in roles)]) if roles else ""


def _warnings(commune: Commune, made: Sequence[Made], left: Sequence[str]) -> list[Problem]:
    bare = [kit.laptop.name for kit in made if not kit.laptop.public_key]
    desktops = {kit.agent.desktop for kit in made if kit.agent.desktop}
    unproven = [name for name in sorted(desktops) if not commune.desktop_named[name].certificate]
    provision = f"telekit provision --commune {commune.slug}"
    told = (
        (bare, "laptops that are not provisioned yet: their sheets promise too much", provision),
        (unproven, "desktops without a certificate yet: connections to them are refused", provision),
        (left, "agents without a device: no kit", "give them one in agents.csv (portable)"),
    )
    return [Problem(what, _some(names), hint, warning=True) for names, what, hint in told if names]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _closing(made: Sequence[Made], index: Path | None) -> str:
    first = made[0]
    where = f"{first.path.parent}, listed in {index.name}" if index else ", ".join(str(kit.path) for kit in made)
    lines = [f"{counted(len(made), 'kit')}: {where}."]
    days = sorted({kit.expires for kit in made if kit.expires})
    if days:
        lines.append(f"With a tunnel's key inside: hand over by {days[0]}, then delete; first connection until that day.")
    if any(kit.coded for kit in made):
        lines.append("With a second factor inside: hand over, then delete.")
    return "\n".join(lines)
