"""Another key for the commune's authority: trusted first, then used, then alone, so that no desktop is refused on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from toolkit import ledger
from toolkit.authority import FILE
from toolkit.behind import ready, unready
from toolkit.errors import UsageError
from toolkit.ledger import AuthorityChange
from toolkit.model import Commune, Desktop, Laptop
from toolkit.provision import More, provision
from toolkit.result import Observer, Result, State, both

if TYPE_CHECKING:
    from toolkit.enrolment import Enrolment
    from toolkit.targets import Job

COMMAND = "rotate"
INTERRUPTED = 130
# To trust it, to use it, to have it alone.
STEPS = 3
SHOWN = 8
# Shown the plan, and a question.
Ask = Callable[[Result, str], bool]


@dataclass(frozen=True)
class Wish:
    """What was asked for. days: how long people with kits are given; conclude: the next step now, whoever it is too early for."""

    days: int = 14
    conclude: bool = False


def change(job: Job, wish: Wish, observer: Observer, ask: Ask | None = None) -> Result:
    """Begin, go on, or take the next step; what became of it within the same command."""
    book = ledger.read(job.folder).allocated(job.commune)
    present, slug = book.authority, job.commune.slug
    if not (job.folder / FILE).is_file():
        raise UsageError(f"{slug} has no authority yet that could be replaced", hint=f"telekit provision --commune {slug}")
    if wish.conclude and present is None:
        raise UsageError("no authority is being replaced", hint=f"begin: telekit rotate --authority --commune {slug}")
    question = "Replace the commune's certificate authority now?"
    if wish.conclude and present is not None:
        question = _warning(book.complete(job.commune), present)
    machines = tuple(m for m in job.commune.machines if isinstance(m, Desktop | Laptop))
    return _steps(replace(job, machines=machines), wish, observer, ask, question)


def _warning(commune: Commune, present: AuthorityChange) -> str:
    late = ", ".join(unready(commune, present))
    if not late:
        return "Take the next step now?"
    if present.issuing:
        return f"Refused by laptops until they are provisioned: {late}. Trust the new authority alone now?"
    return f"Without their desktop until provisioned, or given a new kit: {late}. Let the new authority vouch for desktops now?"


def _steps(job: Job, wish: Wish, observer: Observer, ask: Ask | None, question: str) -> Result:
    until = job.commune.today + timedelta(days=wish.days)

    def prepare(enrolment: Enrolment) -> None:
        if wish.conclude:
            enrolment.force_authority()
        else:
            enrolment.replace_authority(until)

    confirm = None if ask is None else (lambda planned: ask(planned, question))
    found: Result | None = None
    for step in range(STEPS):
        first = step == 0
        more = More("rotate: the authority", prepare if first else _nothing, _nothing)
        done = provision(job, observer, confirm if first else None, more)
        if not done.machines or done.exit_code == INTERRUPTED:
            return replace(done, command=COMMAND)
        found = done if found is None else replace(done, machines=both(found.machines, done.machines))
        book = ledger.read(job.folder)
        if book.authority is None or not ready(book.complete(job.commune), book.authority):
            break
    assert found is not None
    return _result(job, found)


def _nothing(_: object) -> None:
    """Nothing more."""


def _result(job: Job, found: Result) -> Result:
    book, slug = ledger.read(job.folder), job.commune.slug
    commune, present = book.complete(job.commune), book.authority
    late = unready(commune, present) if present else ()
    told = {
        "state": present.stage if present else "done",
        "until": str(present.until) if present else None,
        "behind": list(late),
    }
    laptops = {laptop.name for laptop in commune.laptops}
    troubled = [m for m in found.machines if m.state is State.FAILED or (m.state is State.UNREACHABLE and m.name not in laptops)]
    return Result(
        COMMAND, slug, found.machines, {"authority": told}, closing="\n".join(_closing(present, late)),
        next=_next(commune, present, late), exit_code=int(bool(troubled)),
    )  # fmt: skip


def _closing(present: AuthorityChange | None, late: Sequence[str]) -> Iterable[str]:
    if present is None:
        yield "The commune's desktops have certificates of the new authority, and laptops trust no other."
        return
    if present.issuing:
        yield "The new authority vouches for desktops. Laptops trust both."
    else:
        yield "Laptops trust the new authority beside the old one, which vouches for desktops until all do."
    if late:
        more = f" and {len(late) - SHOWN} more" if len(late) > SHOWN else ""
        yield f"It waits for: {', '.join(late[:SHOWN])}{more}."
    elif not present.issuing:
        yield f"People with kits have until {present.until} to use their new ones."


def _next(commune: Commune, present: AuthorityChange | None, late: Sequence[str]) -> str:
    if present is None:
        return f"telekit verify --commune {commune.slug}"
    kits = [a.identifier for m in commune.laptops if not m.managed and m.name in late and (a := commune.agent_of.get(m.name))]
    if kits:
        return f"telekit agent kit {' '.join(kits)} --commune {commune.slug} --output kits"
    return f"telekit status --commune {commune.slug}"
