"""The machines that a provision has something to do on, as far as the files say."""

from __future__ import annotations

from datetime import date

from toolkit import journal
from toolkit.model import Commune
from toolkit.result import State
from toolkit.targets import Job


class Pending:
    """The machines whose last good provision did not know today's inventory and today's accesses."""

    def __init__(self, job: Job) -> None:
        digest = journal.digest_of(job.folder)
        good: dict[str, journal.Entry] = {}
        for entry in journal.entries(job.folder):
            if entry.command != "provision" or set(good) >= set(job.names):
                continue
            for name, came in (entry.machines or {}).items():
                if came["state"] in (State.CHANGED, State.UNCHANGED):
                    good.setdefault(name, entry)
        never = {name for name in job.names if name not in good}
        edited = {name for name, entry in good.items() if entry.inventory != digest}
        dated = {name for name, entry in good.items() if _turned(job.commune, date.fromisoformat(entry.local[:10]))}
        self.machines = (never | edited | dated) & set(job.names)
        reasons = ((never, "never provisioned"), (edited, "the inventory was edited"), (dated, "an access has begun or ended"))
        self.reason = ", ".join(reason for machines, reason in reasons if machines & set(job.names))


def _turned(commune: Commune, then: date) -> bool:
    agents = any(agent.active(then) != agent.active(commune.today) for agent in commune.agents)
    return agents or any(then <= extra.until < commune.today for extra in commune.extras)
