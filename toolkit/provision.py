"""From an inventory to machines that are what it says: plan shows it, provision does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from toolkit import journal, snapshot, unfinished
from toolkit.enrolment import Enrolment
from toolkit.result import Observer, Result
from toolkit.targets import Job, targets_of
from toolkit.visit import Visit
from toolkit.watch import Watch

Confirm = Callable[[Result], bool]


@dataclass(frozen=True)
class More:
    """What a command does beside provisioning. prepare: before anything is asked; after: while the machines are still there."""

    note: str
    prepare: Callable[[Enrolment], None]
    after: Callable[[Visit], None]


def plan(job: Job, observer: Observer) -> Result:
    """What provision would change, with diffs; nothing is touched, neither machines nor files."""
    with _visit(job, observer) as visit:
        visit.arrive()
        return visit.plan()


def provision(job: Job, observer: Observer, confirm: Confirm | None = None, more: More | None = None) -> Result:
    """Do it, and write it down; `confirm` is shown the plan first and may decline. more: what a command does beside it."""
    key, note = job.identities[0] if job.identities else None, more.note if more else ""
    with journal.run(job.folder, "provision", job.commune.slug, selected=job.names, key=key, note=note) as run:
        left = unfinished.unfinished(job.folder)
        by_hand = snapshot.written_by_hand(job.folder)
        with _visit(job, observer, more.prepare if more else None) as visit:
            if not _agreed(visit, run, confirm):
                return Result("provision", job.commune.slug, closing="Nothing was touched.")
            try:
                result = visit.provision()
                if more:
                    more.after(visit)
            except KeyboardInterrupt as stop:
                result = visit.interrupted(getattr(stop, "machines", {}))
                run.finish(result, journal.INTERRUPTED, note=note)
                return result
        run.finish(result, note=note, given=snapshot.keep(job.folder, by_hand))
        unfinished.complete(job.folder, left, result.machines, datetime.now(ZoneInfo(job.commune.policy.timezone)))
        snapshot.prune(job.folder, [machine.name for machine in job.commune.machines])
        return result


def _agreed(visit: Visit, run: journal.Run, confirm: Confirm | None) -> bool:
    """Arrive, show, ask; a run that ends here did nothing and leaves no entry."""
    try:
        visit.arrive()
        agreed = confirm is None or confirm(visit.plan())
    except KeyboardInterrupt:
        run.forget()
        raise
    if not agreed:
        run.forget()
    return agreed


@contextmanager
def _visit(job: Job, observer: Observer, prepare: Callable[[Enrolment], None] | None = None) -> Iterator[Visit]:
    # First of all: gevent must patch sockets before anybody takes hold of one.
    from toolkit.engine import Session

    enrolment, watch = Enrolment(job), Watch(observer)
    if prepare:
        prepare(enrolment)
    data = enrolment.data()
    targets = targets_of(enrolment.job, data)
    with Session(targets, job.options(), watch.emit) as session:
        yield Visit(enrolment, session, targets, data, watch)
