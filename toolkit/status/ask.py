"""Asking a commune's machines how they are."""

from __future__ import annotations

from dataclasses import replace

from toolkit.enrolment import Enrolment
from toolkit.result import Observer, Result
from toolkit.status.answer import SCRIPT, Answer
from toolkit.status.picture import Picture
from toolkit.targets import HOMELESS, Job, targets_of
from toolkit.watch import Watch


def status(job: Job, observer: Observer) -> Result:
    """Ask every machine once, and read the ledger and the journal."""
    from toolkit.engine import Session

    job, watch = Enrolment(job).job, Watch(observer)
    data: dict[str, dict[str, object]] = {name: {} for name in job.names}
    with Session(targets_of(job, data), job.options(), watch.emit) as session:
        watch.phase("Asking", job.names, last=False)
        session.connect()
        said = session.run_all(lambda _: SCRIPT, seconds=30, reads_only=True)
        silent = dict.fromkeys(job.names, HOMELESS) | dict(session.unreachable)
    answers = {name: Answer.parse(done.stdout) for name, done in said.items()}
    return Picture(job, answers, silent).result()


def moved(job: Job, observer: Observer) -> frozenset[str] | None:
    """The public keys of the devices that use the gateway's next key; None: it could not be asked."""
    from toolkit.engine import Session

    watch = Watch(observer)
    job = replace(Enrolment(job).job, machines=job.commune.gateways)
    with Session(targets_of(job, {name: {} for name in job.names}), job.options(), watch.emit) as session:
        watch.phase("Asking", job.names, last=False)
        session.connect()
        said = session.run_all(lambda _: SCRIPT, seconds=30, reads_only=True)
    answers = [Answer.parse(said[name].stdout) if name in said else None for name in job.names]
    return frozenset(key for answer in answers if answer for key in answer.moved) if all(answers) else None
