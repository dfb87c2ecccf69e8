"""An agent's second factor: how things stand, and a new one when the telephone is lost or somebody saw the codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from toolkit import journal
from toolkit.errors import UsageError
from toolkit.inventory.problems import guess
from toolkit.model import Agent, Commune, SecondFactor
from toolkit.result import Change, MachineReport, Observer, Result, State
from toolkit.second_factor import known, renewed
from toolkit.targets import Job, targets_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.engine import Session, Target

COMMAND = "agent second-factor"
OFF = "the desktop asks {agent} for no code"
ENROLLED = "{agent} has a second factor; whether the telephone has it, only they know."
NOT_YET = "{agent} has no second factor yet: the next kit brings one."


def show(job: Job, identifier: str) -> Result:
    """What the agent's profile asks for, and whether the vault has a second factor for them."""
    agent, policy = _agent(job.commune, identifier)
    enrolled = known(job.vault(), agent) is not None
    closing = (ENROLLED if enrolled else NOT_YET).format(agent=agent.full_name)
    return _result(job, agent, policy, enrolled=enrolled, closing=closing)


def renew(job: Job, identifier: str, observer: Observer) -> Result:
    """Another seed and other emergency codes: kept, put in force on the agent's desktop, and noted down."""
    agent, policy = _agent(job.commune, identifier)
    key = job.identities[0] if job.identities else None
    desktop = job.commune.desktop_named[agent.desktop or ""]
    with journal.run(job.folder, COMMAND, job.commune.slug, selected=[desktop.name], key=key) as run:
        vault = job.vault()
        data = {"second_factors": {agent.identifier: renewed(vault, agent).whole}}
        vault.save()
        report = _put_in_force(replace(job, machines=(desktop,)), data, observer)
        result = _renewed(job, agent, policy, report)
        run.finish(result, note=f"second factor of {identifier}")
        return result


def _renewed(job: Job, agent: Agent, policy: SecondFactor, report: MachineReport) -> Result:
    slug = job.commune.slug
    if report.state is State.CHANGED:
        closing = f"The codes that {agent.full_name} had open nothing any more; the new ones are in the next kit."
        follows = f"telekit agent kit {agent.identifier} --commune {slug} --output kits"
    else:
        closing = f"The new second factor of {agent.full_name} is kept, but {report.name} still takes the old one."
        follows = f"telekit provision --commune {slug} --only {report.name}"
    made = _result(job, agent, policy, enrolled=True, closing=closing)
    return replace(made, machines=(report,), next=follows, exit_code=int(report.state is not State.CHANGED))


def _result(job: Job, agent: Agent, policy: SecondFactor, *, enrolled: bool, closing: str) -> Result:
    summary = {"agent": agent.identifier, "policy": str(policy), "enrolled": enrolled}
    return Result(COMMAND, job.commune.slug, summary=summary, closing=closing)


def _put_in_force(job: Job, data: Mapping[str, object], observer: Observer) -> MachineReport:
    """The desktop knows the new one; everything else on it is left to `provision`."""
    from toolkit.engine import Session

    desktop = job.machines[0]
    with Session(targets_of(job, {desktop.name: data}), job.options(), observer.emit) as session:
        observer.phase("Connecting", [desktop.name])
        session.connect()
        if desktop.name in session.unreachable:
            return MachineReport(desktop.name, str(desktop.role), State.UNREACHABLE, session.unreachable[desktop.name])
        observer.phase("Writing the second factor", [desktop.name], last=True)
        return _written(session, session.reachable[0])


def _written(session: Session, target: Target) -> MachineReport:
    from deploys.second_factor import factors

    put = cast("Callable[[], None]", factors)
    done = session.apply(lambda _: (put,))[target.name]
    if done.failed:
        return MachineReport(target.name, target.role, State.FAILED, f"{done.failed.name}\n{done.failed.output}".strip())
    return MachineReport(target.name, target.role, State.CHANGED, changes=tuple(map(Change, done.changed)))


def _agent(commune: Commune, identifier: str) -> tuple[Agent, SecondFactor]:
    agent = next((a for a in commune.agents if a.identifier == identifier), None)
    if agent is None:
        hint = guess(identifier, [a.identifier for a in commune.agents]) or "see agents.csv"
        raise UsageError(f"{commune.slug} has no agent `{identifier}`", hint=hint)
    policy = commune.second_factor_of(agent)
    if policy is SecondFactor.OFF:
        hint = f'write second_factor = "required" in [profile.{agent.profile}]' if agent.desktop else "they have no desktop"
        raise UsageError(OFF.format(agent=identifier), hint=hint)
    if not agent.active(commune.today):
        raise UsageError(f"{identifier} has no access today", hint=f"telekit agent show {identifier} --commune {commune.slug}")
    return agent, policy
