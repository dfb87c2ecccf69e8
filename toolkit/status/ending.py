"""What ends soon, or has ended unused: accesses, extras, derogations, kits."""

from __future__ import annotations

from toolkit.model import Agent, Commune, Derogation, Extra


def ending(commune: Commune) -> list[Agent]:
    """The active agents whose access ends soon (policy: ending_soon_days), the first to end first."""
    found = [(agent.last_day, agent.identifier, agent) for agent in commune.active_agents if agent.last_day]
    return [agent for day, _, agent in sorted(found, key=lambda item: item[:2]) if day <= commune.horizon]


def expired_kits(commune: Commune) -> list[tuple[str, str]]:
    """Agent and laptop of each kit that expired before its first use."""
    return [(agent.identifier, laptop.name) for laptop in commune.laptops if laptop.kit_lapsed
            and (agent := commune.agent_of.get(laptop.name))]  # fmt: skip


def ending_extras(commune: Commune) -> list[Extra]:
    """The applications that agents have beside their profile and soon lose, the first to end first."""
    return sorted((e for e in commune.extras if commune.today <= e.until <= commune.horizon), key=lambda e: (e.until, e.agent))


def ending_derogations(commune: Commune) -> list[Derogation]:
    """The derogations after whose end a check fails again, the first to end first."""
    return sorted(
        (d for d in commune.derogations if commune.today <= d.until <= commune.horizon), key=lambda d: (d.until, d.check)
    )
