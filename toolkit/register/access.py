"""What an agent reaches and why; and who reaches an application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from toolkit.errors import UsageError
from toolkit.inventory.problems import guess
from toolkit.model import RDP_PORT, Agent, Application, Commune
from toolkit.register.store import named
from toolkit.result import Result, counted


@dataclass(frozen=True)
class Way:
    """One thing that an agent reaches: an application or a desktop. until: the last day of it."""

    key: str
    title: str
    place: str
    ports: tuple[str, ...]
    why: str
    until: date | None = None

    def facts(self) -> dict[str, object]:
        return {
            "name": self.key, "title": self.title, "place": self.place, "ports": list(self.ports), "why": self.why,
            "until": str(self.until) if self.until else None,
        }  # fmt: skip


def ports(application: Application) -> tuple[str, ...]:
    """Its ports, as the firewall knows them: tcp/443."""
    named_ports = (("tcp", application.tcp), ("udp", application.udp))
    return tuple(f"{protocol}/{port}" for protocol, numbers in named_ports for port in numbers)


def reached(commune: Commune, agent: Agent) -> tuple[Way, ...]:
    """What this agent reaches on a day on which the access is open, in the order of commune.toml."""
    found = []
    for grant in commune.grants_of(agent):
        app, extra = grant.application, grant.extra
        why = f"extra: {extra.reason}" if extra else f"profile {agent.profile}"
        found.append(Way(app.key, app.title, app.place, ports(app), why, extra.until if extra else None))
    if agent.desktop:
        desktop = commune.desktop_named[agent.desktop]
        why = "own desktop" if desktop.owner else "shared desktop"
        found.append(Way(desktop.name, "remote desktop", str(desktop.address), (f"tcp/{RDP_PORT}",), why))
    return tuple(found)


def written(ways: Iterable[Way]) -> Iterator[str]:
    """Ways as lines, in columns."""
    rows = [(way.key, way.title, way.place, " ".join(way.ports), _why(way)) for way in ways]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    if not rows:
        yield "  nothing"


def _why(way: Way) -> str:
    return f"{way.why}, until {way.until}" if way.until else way.why


def of_agent(commune: Commune, identifier: str) -> Result:
    """What this agent reaches, and why."""
    agent = named(commune, identifier)
    ways = reached(commune, agent)
    closed = _closed(commune, agent)
    heading = f"{agent.full_name} ({agent.identifier}) {'would reach' if closed else 'reaches'}:"
    ending = f"Nothing today: {closed}." if closed else _until(agent)
    summary = {"agent": agent.identifier, "open": not closed, "reason": closed or None, "reaches": [w.facts() for w in ways]}
    closing = "\n".join(line for line in (heading, *written(ways), ending) if line)
    return Result("access", commune.slug, summary=summary, closing=closing)


def _closed(commune: Commune, agent: Agent) -> str:
    """Why this agent reaches nothing today."""
    today = commune.today
    if agent.ends and agent.ends < today:
        return f"the access ended on {agent.ends}"
    if agent.suspended and agent.suspended <= today:
        return f"suspended since {agent.suspended}"
    if agent.starts and agent.starts > today:
        return f"the access begins on {agent.starts}"
    return "" if agent.laptop else "no laptop"


def _until(agent: Agent) -> str:
    return f"All of it until {agent.last_day}." if agent.last_day else ""


def of_application(commune: Commune, key: str) -> Result:
    """Who reaches this application today, and why; through another one at the same place too."""
    application = commune.application_keyed.get(key)
    if application is None:
        hint = guess(key, commune.application_keyed) or f"there are {', '.join(sorted(commune.application_keyed))}"
        raise UsageError(f"{commune.slug} has no application `{key}`", hint=hint)
    found = [(agent, way) for agent in commune.agents if not _closed(commune, agent) for way in _to(commune, agent, application)]
    people = len({agent.identifier for agent, _ in found})
    owner = f", owner {application.owner}" if application.owner else ""
    heading = f"{application.title} ({key}{owner}) at {application.place}, {' '.join(ports(application))}:"
    reachers = [
        {"agent": agent.identifier, "name": agent.full_name, "service": agent.service or None, "why": way.why,
         "until": str(day) if (day := _last(agent, way)) else None}
        for agent, way in found
    ]  # fmt: skip
    closing = "\n".join([heading, *_people(found), f"{counted(people, 'agent reaches', 'agents reach')} it today."])
    return Result("access", commune.slug, summary={"application": key, "reached_by": reachers}, closing=closing)


def _to(commune: Commune, agent: Agent, application: Application) -> Iterator[Way]:
    """The ways of an agent to this application."""
    doors = set(ports(application))
    ways = reached(commune, agent)
    own = [way for way in ways if way.key == application.key]
    yield from own
    if own:
        return
    for way in ways:
        if way.place == application.place and doors & set(way.ports):
            common = " ".join(sorted(doors & set(way.ports)))
            yield Way(way.key, way.title, way.place, way.ports, f"{way.key} has the same server and {common}", way.until)


def _last(agent: Agent, way: Way) -> date | None:
    days = [day for day in (agent.last_day, way.until) if day]
    return min(days) if days else None


def _people(found: list[tuple[Agent, Way]]) -> Iterator[str]:
    rows = [(agent.identifier, agent.full_name, agent.service, way.why, _last(agent, way)) for agent, way in found]
    widths = [max(len(str(cell)) for cell in column) for column in list(zip(*rows, strict=True))[:3]]
    for identifier, name, service, why, until in rows:
        end = f", until {until}" if until else ""
        yield f"  {identifier:<{widths[0]}}  {name:<{widths[1]}}  {service:<{widths[2]}}  {why}{end}"
