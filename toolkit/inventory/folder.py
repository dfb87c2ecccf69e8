"""A commune's folder → Commune, or every problem of its files at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from toolkit.errors import InventoryError, Problem, UsageError
from toolkit.inventory import agents, derogations, operators, text, toml
from toolkit.inventory.consistency import Checks
from toolkit.inventory.derogations import DerogationChecks
from toolkit.inventory.networks import NetworkChecks
from toolkit.inventory.problems import Problems, guess, listed
from toolkit.inventory.reader import Draft, Reader
from toolkit.model import Agent, Commune, Derogation, Gateway, LocalNetwork, Operator

TOML, CSV, KEYS, DEROGATIONS = "commune.toml", "agents.csv", "operators.keys", "derogations.toml"


@dataclass(frozen=True)
class Loaded:
    """A commune that may be used, and what its operator should look at all the same."""

    commune: Commune
    warnings: tuple[Problem, ...]


def load(folder: Path, *, today: date | None = None, instead: Mapping[str, bytes] = MappingProxyType({})) -> Loaded:
    """Given a commune's folder, read its four files; InventoryError holds all that is wrong.

    instead: by file name, contents that are tried before they are written.
    """
    found = {name: Problems(str(folder / name)) for name in (TOML, CSV, KEYS, DEROGATIONS)}
    document = _document(folder, found[TOML], instead.get(TOML))
    rows = _rows(folder, found[CSV], instead.get(CSV))
    keys = _operators(folder, found[KEYS])
    draft = Draft()
    if document:
        draft = Reader(document, found[TOML]).draft()
    today = today or _today(draft.policy.timezone)
    if document:
        Checks(draft, rows, document, found[TOML], found[CSV], today).run()
        NetworkChecks(draft, document, found[TOML], folder).run()
    accepted = _derogations(folder, draft, found[DEROGATIONS], today)
    problems = tuple(problem for part in found.values() for problem in part.in_order())
    if any(not problem.warning for problem in problems):
        raise InventoryError(problems)
    commune = _commune(folder, draft, tuple(row.agent for row in rows), keys, today)
    return Loaded(replace(commune, derogations=accepted), problems)


def _today(timezone: str) -> date:
    """Midnight is the town hall's, wherever this computer is."""
    try:
        return datetime.now(ZoneInfo(timezone)).date()
    except (ZoneInfoNotFoundError, ValueError):
        return date.today()  # a computer without time zones, or a zone that was refused already


def _document(folder: Path, problems: Problems, instead: bytes | None) -> toml.Document | None:
    hint = "it describes the commune; docs/inventory.md says how to write it"
    content = text.read(folder / TOML, problems, hint=hint, instead=instead)
    return toml.parse(content, problems) if content is not None else None


def _rows(folder: Path, problems: Problems, instead: bytes | None) -> list[agents.Row]:
    content = text.read(folder / CSV, problems, hint=f"its first line is {agents.HEADER}", instead=instead)
    return agents.parse(content, problems) if content is not None else []


def _operators(folder: Path, problems: Problems) -> tuple[Operator, ...]:
    if not (folder / KEYS).exists():
        return ()
    content = text.read(folder / KEYS, problems, hint="one public key of an administrator a line; without any, remove the file")
    return tuple(operators.parse(content, problems)) if content is not None else ()


def _derogations(folder: Path, draft: Draft, problems: Problems, today: date) -> tuple[Derogation, ...]:
    if not (folder / DEROGATIONS).exists():
        return ()
    content = text.read(folder / DEROGATIONS, problems, hint="a [[derogation]] for each; without any, remove the file")
    document = toml.parse(content, problems) if content is not None else None
    if document is None:
        return ()
    found = derogations.parse(document, problems)
    if draft.declared:  # commune.toml could be read: what is there is known
        DerogationChecks(found, draft, document, problems, today).run()
    return tuple(placed.item for placed in found)


def _commune(folder: Path, draft: Draft, people: tuple[Agent, ...], keys: tuple[Operator, ...], today: date) -> Commune:
    assert draft.network is not None, "a section [network] that cannot be read is an error"
    owned = {placed.item.owner: placed.item.name for placed in draft.desktops if placed.item.owner}
    return Commune(
        slug=folder.resolve().name,
        network=draft.network,
        gateways=tuple(_on_lan(placed.item, draft.network) for placed in draft.gateways),
        desktops=tuple(placed.item for placed in draft.desktops),
        laptops=tuple(placed.item for placed in draft.laptops),
        applications=tuple(placed.item for placed in draft.applications),
        profiles=tuple(placed.item for placed in draft.profiles),
        extras=tuple(placed.item for placed in draft.extras),
        agents=tuple(_seated(agent, owned) for agent in people),
        operators=keys,
        policy=draft.policy,
        antivirus=draft.antivirus,
        directory=draft.directory,
        today=today,
        **draft.commune,  # type: ignore[arg-type]  # each was read by its kind
    )


def _on_lan(gateway: Gateway, network: LocalNetwork) -> Gateway:
    """A gateway whose address was not written has that of its sshd, when it is one of the LAN."""
    try:
        address = None if gateway.address else IPv4Address(gateway.ssh.host)
    except ValueError:
        return gateway
    return replace(gateway, address=address) if address and any(address in lan for lan in network.lan) else gateway


def _seated(agent: Agent, owned: dict[str, str]) -> Agent:
    """An agent without a desktop in agents.csv works on the one that commune.toml says is theirs."""
    desktop = None if agent.desktop else owned.get(agent.identifier)
    return replace(agent, desktop=desktop) if desktop else agent


def slugs(inventories: Path) -> tuple[str, ...]:
    """The names of the communes that have a folder here."""
    try:
        return tuple(sorted(folder.name for folder in inventories.iterdir() if (folder / TOML).is_file()))
    except OSError:
        return ()


def find(inventories: Path, slug: str) -> Path:
    """The folder of a commune; UsageError with the communes that there are."""
    there = slugs(inventories)
    if slug in there:
        return inventories / slug
    if not there:
        what = f"there is no commune in {inventories}"
        raise UsageError(what, hint="name the folder with --inventories DIR, or start one: telekit init")
    hint = guess(slug, there) or f"there are {listed(there, 20)}"
    raise UsageError(f"there is no commune {slug!r} in {inventories}", hint=hint)
