"""From an inventory to machines that are what it says: plan shows it, provision does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from toolkit import journal, snapshot, unfinished
from toolkit.enrolment import Enrolment
from toolkit.result import Observer, Result
from toolkit.targets import Job, targets_of
from toolkit.visit import Visit
from toolkit.watch import Watch

Confirm = Callable[[Result], bool]


def plan(job: Job, observer: Observer) -> Result:
    """What provision would change, with diffs; nothing is touched, neither machines nor files."""
    with _visit(job, observer) as visit:
        visit.arrive()
        return visit.plan()


def provision(job: Job, observer: Observer, confirm: Confirm | None = None) -> Result:
    """Do it, and write it down; `confirm` is shown the plan first and may decline."""
    key = job.identities[0] if job.identities else None
    with journal.run(job.folder, "provision", job.commune.slug, selected=job.names, key=key) as run:
        left = unfinished.unfinished(job.folder)
        by_hand = snapshot.written_by_hand(job.folder)
        with _visit(job, observer) as visit:
            if not _agreed(visit, run, confirm):
                return Result("provision", job.commune.slug, closing="Nothing was touched.")
            try:
                result = visit.provision()
            except KeyboardInterrupt as stop:
                result = visit.interrupted(getattr(stop, "machines", {}))
                run.finish(result, journal.INTERRUPTED)
                return result
        run.finish(result, given=snapshot.keep(job.folder, by_hand))
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
def _visit(job: Job, observer: Observer) -> Iterator[Visit]:
    # First of all: gevent must patch sockets before anybody takes hold of one.
    from toolkit.engine import Session

    enrolment, watch = Enrolment(job), Watch(observer)
    data = enrolment.data()
    targets = targets_of(enrolment.job, data)
    with Session(targets, job.options(), watch.emit) as session:
        yield Visit(enrolment, session, targets, data, watch)
