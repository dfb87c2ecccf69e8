"""A new key for the gateway itself: both work behind one port until every device uses the new one, and then that one alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from toolkit import ledger
from toolkit.behind import behind
from toolkit.errors import UsageError
from toolkit.ledger import Ledger, Succession
from toolkit.model import Commune, Gateway, Laptop
from toolkit.provision import More, provision
from toolkit.result import MachineReport, Observer, Result, State, both

if TYPE_CHECKING:
    from toolkit.enrolment import Enrolment
    from toolkit.targets import Job
    from toolkit.visit import Visit

COMMAND = "rotate"
# A laptop tries the gateway's next key as soon as it has it, for 20 seconds.
WAIT_SECONDS = 30.0
INTERRUPTED = 130
GOOD = (State.CHANGED, State.UNCHANGED)
SHOWN = 8
# Shown the plan, and a question.
Ask = Callable[[Result, str], bool]


@dataclass(frozen=True)
class Wish:
    """What was asked for. days: how long devices are expected to take; conclude: the old key goes, whoever still uses it."""

    days: int = 14
    conclude: bool = False


def succeed(job: Job, wish: Wish, observer: Observer, ask: Ask | None = None) -> Result:
    """Begin, go on, or conclude; what became of it within the same command."""
    book = ledger.read(job.folder).allocated(job.commune)
    commune = book.complete(job.commune)
    coming = _checked(commune, book, wish)
    question, out = "Replace the gateway's key now?", ""
    if wish.conclude and coming is not None:
        out = _shut_out(commune, coming, job, observer)
        question = f"{out} Make the new key the only one now?".lstrip()
    machines = tuple(m for m in job.commune.machines if isinstance(m, Gateway | Laptop))
    return _Work(wish, commune, out).done(replace(job, machines=machines), observer, ask, question)


def _checked(commune: Commune, book: Ledger, wish: Wish) -> Succession | None:
    gateway, slug = commune.gateway, commune.slug
    if not gateway.public_key:
        hint = f"its first one: telekit provision --commune {slug} --role gateway"
        raise UsageError(f"{gateway.name} has no key yet that could be replaced", hint=hint)
    waiting = sorted(name for name in book.rotations if book.under_way(name))
    if waiting:
        hint = f"when they are done, or given up: telekit status --commune {slug}"
        raise UsageError(f"laptops' keys are being replaced: {_some(waiting)}; the gateway's comes after them", hint=hint)
    coming = book.successions.get(gateway.name)
    if wish.conclude and (coming is None or not coming.told):
        raise UsageError(f"{gateway.name} has no new key yet", hint=f"begin: telekit rotate --gateway --commune {slug}")
    return coming


def _shut_out(commune: Commune, coming: Succession, job: Job, observer: Observer) -> str:
    """A sentence that names whom the conclusion shuts out, or nothing: the gateway is asked for it."""
    from toolkit.status import moved

    keys = moved(job, observer)
    if keys is None:
        hint = "its console, then: telekit rotate --gateway --conclude"
        raise UsageError(f"{commune.gateway.name} cannot say who still uses the old key", hint=hint)
    out = [name for name in behind(commune, coming, keys) if name not in coming.informed]
    return f"Shut out until they have a new kit or were on the bench: {', '.join(out)}." if out else ""


class _Work:
    """One command's part of a succession."""

    def __init__(self, wish: Wish, commune: Commune, out: str) -> None:
        self.wish, self.commune, self.out = wish, commune, out
        self.keys: frozenset[str] | None = None

    def done(self, job: Job, observer: Observer, ask: Ask | None, question: str) -> Result:
        confirm = None if ask is None else (lambda planned: ask(planned, question))
        gateway = self.commune.gateway
        note = f"rotate: {gateway.name}{', concluded by the operator' if self.wish.conclude else ''}"
        first = provision(job, observer, confirm, More(note, self._prepare, self._wait))
        if not first.machines or first.exit_code == INTERRUPTED:
            return replace(first, command=COMMAND)
        machines = first.machines
        if self._all_moved(job):
            second = provision(job, observer, None, More(note, _nothing, _nothing))
            if second.exit_code == INTERRUPTED:
                return replace(second, command=COMMAND)
            machines = both(machines, second.machines)
        return self._result(job, machines)

    def _prepare(self, enrolment: Enrolment) -> None:
        if self.wish.conclude:
            enrolment.conclude()
        else:
            enrolment.succession(self.commune.today + timedelta(days=self.wish.days))

    def _wait(self, visit: Visit) -> None:
        """Until the laptops that are here use the new key, or long enough."""
        if not visit.enrolment.succession_waits:
            return
        commune = visit.enrolment.job.commune
        here = [m for m in commune.peers if m.name in visit.reports and visit.reports[m.name].state in GOOD]
        waiting = {laptop.name for laptop in here}
        visit.watch.phase("Waiting for the laptops to use the new key", sorted(waiting))
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            self.keys = visit.moved()
            left = {m.name for m in here if not set(m.keys) & (self.keys or frozenset())}
            if not left or time.monotonic() > deadline:
                return
            time.sleep(0.5)

    def _all_moved(self, job: Job) -> bool:
        book = ledger.read(job.folder)
        coming = book.successions.get(self.commune.gateway.name)
        if coming is None or not coming.told or self.keys is None:
            return False
        return not behind(book.complete(self.commune), coming, self.keys)

    def _result(self, job: Job, machines: tuple[MachineReport, ...]) -> Result:
        book = ledger.read(job.folder)
        gateway = self.commune.gateway
        coming = book.successions.get(gateway.name)
        late = behind(book.complete(self.commune), coming, self.keys or ()) if coming else ()
        troubled = [m for m in machines if m.state is State.FAILED or (m.state is State.UNREACHABLE and m.role == gateway.role)]
        told = {
            "gateway": gateway.name,
            "state": coming.stage if coming else "done",
            "until": str(coming.until) if coming else None,
            "behind": list(late),
        }
        slug, closing = job.commune.slug, [*_closing(gateway.name, coming, late), *filter(None, [self.out])]
        return Result(
            COMMAND, slug, machines, {"gateway_key": told}, closing="\n".join(closing),
            next=_next(slug, self.commune, coming, late), exit_code=int(bool(troubled)),
        )  # fmt: skip


def _nothing(_: object) -> None:
    """Nothing more."""


def _closing(name: str, coming: Succession | None, late: Collection[str]) -> Iterable[str]:
    if coming is None:
        yield f"{name} has its new key, and no other."
    elif not coming.told:
        yield f"{name} does not know its new key yet: nobody was told of it."
    else:
        yield f"{name} answers its old key and the new one, until every device uses the new one or you conclude."
        if late:
            own = [device for device in late if device in coming.informed]
            rest = [device for device in late if device not in coming.informed]
            if own:
                yield f"Come to it by themselves when they are next connected: {_some(own)}."
            if rest:
                yield f"Not told yet: {_some(rest)}. Expected by {coming.until}."


def _next(slug: str, commune: Commune, coming: Succession | None, late: Collection[str]) -> str:
    if coming is None:
        return f"telekit verify --commune {slug}"
    kits = [a.identifier for m in commune.peers if not m.managed and m.name in late and (a := commune.agent_of.get(m.name))]
    if kits and coming.told:
        return f"telekit agent kit {' '.join(kits)} --commune {slug} --output kits"
    return f"telekit status --commune {slug}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
