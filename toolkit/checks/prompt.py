"""What an agent types at the desktop's one prompt: the password, and the code of the moment where one is asked for."""

from __future__ import annotations

import time

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.subject import Subject
from toolkit.model import Agent, SecondFactor, Secret
from toolkit.second_factor import STEP, code

FILE = "/etc/telekit/totp/{agent}"
# How long a login takes at most until the code is looked at.
MARGIN = 8


def asks(desktop: Subject, agent: Agent) -> bool:
    """Whether this agent must give a code: those to whom it is left, once they have a second factor."""
    policy = desktop.commune.second_factor_of(agent)
    return policy is SecondFactor.REQUIRED or (policy is SecondFactor.OPTIONAL and agent.identifier in desktop.evidence.seeds)


def typed(desktop: Subject, agent: Agent, password: Secret) -> Secret:
    """The whole of it; the check is not made when a code is asked for and the seed is not at hand."""
    if not asks(desktop, agent):
        return password
    seed = desktop.evidence.seeds.get(agent.identifier)
    if seed is None:
        raise NotCheckedError(f"the second factor of {agent.identifier} is not at hand")
    return Secret(password.reveal() + _unused(desktop, agent, seed).reveal())


def _unused(desktop: Subject, agent: Agent, seed: Secret) -> Secret:
    """A code that the desktop, by its own clock, takes now and has not taken before; waited for if need be."""
    for _ in range(3):
        said = desktop.output(
            f"date +%s; sed -n 's/^\" DISALLOW_REUSE//p' {FILE.format(agent=agent.identifier)} 2>/dev/null; true"
        )
        now, *used = map(int, said.split())
        step, left = now // STEP, STEP - now % STEP
        if left >= MARGIN:
            for at in (step, step + 1, step - 1):
                if at not in used:
                    return code(seed, at * STEP)
        time.sleep(left + 1)
    raise NotCheckedError(f"somebody uses the codes of {agent.identifier} as fast as they come")
