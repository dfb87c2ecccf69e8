"""The revocation itself: written here first, then the gateways, then everything else, then the proof and the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit import journal, unfinished
from toolkit.errors import Problem, TelekitError
from toolkit.model import Machine, Secret
from toolkit.result import Observer, Result
from toolkit.revocation import desktop, gateway, outcome, record
from toolkit.revocation.case import Case, Wish, open_case
from toolkit.revocation.decision import Secrets, decide
from toolkit.revocation.desktop import Shut
from toolkit.revocation.gateway import Closed, Knock
from toolkit.revocation.outcome import COMMAND, Outcome
from toolkit.targets import Job, targets_of

if TYPE_CHECKING:
    from toolkit.engine import Session

Confirm = Callable[[Result], bool]
POLL_SECONDS = 0.5


def revoke(job: Job, wish: Wish, observer: Observer, knock: Knock, confirm: Confirm | None = None) -> Result:
    """Do it, prove it, write it down; `confirm` is shown what will be done and may decline."""
    case = open_case(job.folder, wish)
    if confirm is not None and not confirm(outcome.preview(case)):
        return Result(COMMAND, case.commune.slug, closing="Nothing was touched.")
    began = time.monotonic()
    with ExitStack() as stack:
        run = _alone(stack, job, case, observer, began)
        # Read again: whoever held the lock until now may have written.
        found = _carried_out(job, open_case(job.folder, wish), observer, knock, began)
        file = record.write(job.folder, found, run.entry)
        result = outcome.result(found, file)
        run.finish(result, note=unfinished.note(wish.agent, file.name, wish.reason))
        return result


def _alone(stack: ExitStack, job: Job, case: Case, observer: Observer, began: float) -> journal.Run:
    """The run that holds the commune, as soon as nobody else does."""
    key, about = job.identities[0] if job.identities else None, unfinished.note(case.agent.identifier)
    told = False
    while True:
        try:
            held = journal.run(job.folder, COMMAND, case.commune.slug, selected=case.names, key=key, note=about)
            return stack.enter_context(held)
        except journal.BusyError:
            if not told:
                _meanwhile(job, case, observer, began)
            told = True
            time.sleep(POLL_SECONDS)


def _meanwhile(job: Job, case: Case, observer: Observer, began: float) -> None:
    """Somebody's telekit holds the commune: the tunnel does not wait for its end, what is written does."""
    with _session(job, case, case.gateways, observer, "Closing the tunnels") as session:
        for target in session.targets:
            gateway.close(session, target, case, began)
    observer.phase("Waiting for the telekit that is at work", case.names)


def _carried_out(job: Job, case: Case, observer: Observer, knock: Knock, began: float) -> Outcome:
    problems = list(decide(case))
    secrets = Secrets(case, job)
    with ExitStack() as stack:
        session = stack.enter_context(_session(job, case, case.gateways, observer, "Closing the tunnels"))
        closed = [gateway.close(session, target, case, began) for target in session.targets]
        keys, destroyed, trouble = _destroyed(secrets)
        shut = _shut(job, case, observer)
        observer.phase("Proving it", [machine.name for machine in closed])
        proofs = [_proof(session, case, found, keys, knock) for found in closed]
    return Outcome(case, tuple(proofs), tuple(shut), (*problems, *trouble), destroyed)


def _proof(session: Session, case: Case, found: Closed, keys: dict[str, Secret], knock: Knock) -> Closed:
    target = next(target for target in session.targets if target.name == found.name)
    machine = next(machine for machine in case.gateways if machine.name == found.name)
    return gateway.knocked(session, target, machine, keys, gateway.proved(session, target, case, found), knock)


def _destroyed(secrets: Secrets) -> tuple[dict[str, Secret], int, Iterable[Problem]]:
    """The private keys, for the last handshake that is tried with them; they are in the vault no more."""
    try:
        return secrets.private_keys(), secrets.destroy(), ()
    except TelekitError as error:
        problem = replace(error.problem, what=f"the agent's secrets are still in the vault: {error.problem.what}")
        return {}, 0, (problem,)


def _shut(job: Job, case: Case, observer: Observer) -> Sequence[Shut]:
    if not case.desktops:
        return ()
    with _session(job, case, case.desktops, observer, "Shutting the agent out") as session:
        return [desktop.shut(session, target, case) for target in session.targets]


def _session(job: Job, case: Case, machines: Sequence[Machine], observer: Observer, title: str) -> Session:
    """Connected to these machines, as far as they answer."""
    from toolkit.engine import Session

    chosen = replace(job, commune=case.commune, machines=tuple(machines))
    observer.phase(title, chosen.names)
    targets = targets_of(chosen, {name: {} for name in chosen.names})
    session = Session(targets, job.options(), observer.emit)
    session.connect()
    return session
