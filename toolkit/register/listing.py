"""Who has access and who has not: the list of agents, and one of them in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum

from toolkit.model import Agent, Commune
from toolkit.register.access import reached, written
from toolkit.register.store import named
from toolkit.result import Result, counted


class Standing(StrEnum):
    """Where an agent's access stands today; ending: it is there, and ends soon."""

    ACTIVE = "active"
    ENDING = "ending"
    SUSPENDED = "suspended"
    ENDED = "ended"
    COMING = "coming"


def standing(commune: Commune, agent: Agent) -> Standing:
    today = commune.today
    if agent.ends and agent.ends < today:
        return Standing.ENDED
    if agent.suspended and agent.suspended <= today:
        return Standing.SUSPENDED
    if not agent.active(today):
        return Standing.COMING
    return Standing.ENDING if agent.last_day and agent.last_day <= commune.horizon else Standing.ACTIVE


def facts(commune: Commune, agent: Agent) -> dict[str, object]:
    """An agent as JSON shows it."""
    laptop = commune.laptop_named.get(agent.laptop or "")
    days = {"from": agent.starts, "until": agent.ends, "suspended": agent.suspended}
    return {
        "agent": agent.identifier,
        "last_name": agent.last_name,
        "first_name": agent.first_name,
        "service": agent.service or None,
        "profile": agent.profile,
        "laptop": agent.laptop,
        "system": str(laptop.system) if laptop else None,
        "desktop": agent.desktop,
        "kit_expired": bool(laptop and laptop.kit_lapsed),
        **{name: str(day) if day else None for name, day in days.items()},
        "standing": str(standing(commune, agent)),
    }


def listing(
    commune: Commune, standings: Sequence[Standing] = (), profiles: Sequence[str] = (), services: Sequence[str] = ()
) -> Result:
    """The agents that are all of what is asked for; nothing asked for means all of them."""
    wanted = {service.casefold() for service in services}
    found = [
        agent
        for agent in commune.agents
        if (not standings or standing(commune, agent) in standings)
        and (not profiles or agent.profile in profiles)
        and (not wanted or agent.service.casefold() in wanted)
    ]
    closing = "\n".join([*_table(commune, found), _counts(commune, found)])
    return Result("agent list", commune.slug, summary={"agents": [facts(commune, a) for a in found]}, closing=closing)


def _table(commune: Commune, agents: Sequence[Agent]) -> Iterator[str]:
    rows = [(a.identifier, a.full_name, a.profile, a.laptop or "-", situation(commune, a)) for a in agents]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def situation(commune: Commune, agent: Agent) -> str:
    """Where the access stands, with the day that matters; a kit that nobody used in time is in its way."""
    laptop = commune.laptop_named.get(agent.laptop or "")
    late = laptop is not None and laptop.kit_lapsed and agent.active(commune.today)
    return f"{_situation(commune, agent)}; the kit has expired: telekit agent kit" if late else _situation(commune, agent)


def _situation(commune: Commune, agent: Agent) -> str:
    match standing(commune, agent):
        case Standing.ACTIVE:
            return f"until {agent.last_day}" if agent.last_day else "active"
        case Standing.ENDING:
            return f"ends soon: {agent.last_day}"
        case Standing.SUSPENDED:
            return f"suspended since {agent.suspended}"
        case Standing.ENDED:
            return f"ended on {agent.ends}"
        case Standing.COMING:
            return f"from {agent.starts}"


def _counts(commune: Commune, agents: Sequence[Agent]) -> str:
    counts = Counter(standing(commune, agent) for agent in agents)
    each = ", ".join(f"{counts[word]} {word}" for word in Standing if counts[word])
    return f"{counted(len(agents), 'agent')}{f': {each}' if each else ''}."


def show(commune: Commune, identifier: str) -> Result:
    """One agent: person, dates, device, and what they reach."""
    agent = named(commune, identifier)
    found = reached(commune, agent)
    summary = {**facts(commune, agent), "reaches": [way.facts() for way in found]}
    closing = "\n".join([*_card(commune, agent), *written(found)])
    return Result("agent show", commune.slug, summary=summary, closing=closing)


def _card(commune: Commune, agent: Agent) -> Iterator[str]:
    laptop = commune.laptop_named.get(agent.laptop or "")
    device = ", ".join(str(part) for part in (laptop.name, laptop.system, laptop.tunnel_address) if part) if laptop else "none"
    card = {
        agent.identifier: f"{agent.full_name}{f', {agent.service}' if agent.service else ''}",
        "access": situation(commune, agent),
        "first day": str(agent.starts or "-"),
        "last day": str(agent.ends or "-"),
        "profile": agent.profile,
        "laptop": device,
        "desktop": agent.desktop or "none",
    }
    width = max(map(len, card))
    yield from (f"{word:<{width}}  {value}" for word, value in card.items())
    yield "reaches"
