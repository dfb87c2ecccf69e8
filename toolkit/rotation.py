"""New keys for laptops: who gets one, the gateways first, then the laptops, and what came of it within the same command."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from toolkit import ledger
from toolkit.enrolment import FILE
from toolkit.errors import UsageError
from toolkit.inventory.problems import guess
from toolkit.ledger import Ledger, Rotation
from toolkit.model import Commune, Gateway, Laptop
from toolkit.provision import Confirm, More, provision
from toolkit.result import MachineReport, Observer, Result, State, both, counted
from toolkit.targets import Job

if TYPE_CHECKING:
    from toolkit.enrolment import Enrolment
    from toolkit.visit import Visit

COMMAND = "rotate"
# A laptop tries its new key at once, for 20 seconds; who has not come by then comes without anybody's waiting.
WAIT_SECONDS = 30.0
INTERRUPTED = 130
GOOD = (State.CHANGED, State.UNCHANGED)
# One that was not answered before tries ever less often: now somebody waits for it.
AT_ONCE = "systemctl try-restart telekit-switch-key.service"
DONE, NOT_BEGUN = "done", "not begun"
SHOWN = 8


@dataclass(frozen=True)
class Wish:
    """What was asked for. names: laptops; agents: whose laptops; neither: the keys that are old. days: how long it may take."""

    names: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    everything: bool = False
    older_than: int = 365
    days: int = 14
    command: str = COMMAND


def rotate(job: Job, wish: Wish, observer: Observer, confirm: Confirm | None = None) -> Result:
    """Begin the rotations, put them in force, and conclude those whose new key shakes hands meanwhile."""
    book = ledger.read(job.folder).allocated(job.commune)
    commune = book.complete(job.commune)
    laptops = _chosen(commune, book, wish)
    if laptops:
        _check_alone(commune)
    if not laptops:
        closing = f"No key is older than {counted(wish.older_than, 'day')}."
        return Result(wish.command, commune.slug, summary={"rotations": []}, closing=closing)
    # Whoever holds an unmanaged device's key is the kit: there is no machine of it to go to.
    names = {laptop.name for laptop in laptops}
    machines = tuple(m for m in job.commune.machines if isinstance(m, Gateway) or m.name in names)
    work = _Work(wish, laptops, commune.today + timedelta(days=wish.days))
    return work.done(replace(job, machines=machines), observer, confirm)


def _chosen(commune: Commune, book: Ledger, wish: Wish) -> tuple[Laptop, ...]:
    if wish.agents:
        named = [_laptop_of(commune, identifier) for identifier in wish.agents]
    elif wish.names:
        named = [_laptop(commune, name) for name in wish.names]
    else:
        used = [laptop for laptop in commune.peers if laptop.kit_until is None]
        return tuple(m for m in used if wish.everything or _due(m, commune, book, wish.older_than))
    for laptop in named:
        _check_open(laptop, commune)
    return tuple(dict.fromkeys(named))


def _check_alone(commune: Commune) -> None:
    """A laptop tries one new key at a time, so that it always knows which one nobody answers."""
    if commune.gateway.next_key is not None:
        hint = f"who still uses the old one: telekit status --commune {commune.slug}; a stolen device: telekit agent revoke"
        raise UsageError("the gateway's own key is being replaced: laptops' keys come after it", hint=hint)


def _due(laptop: Laptop, commune: Commune, book: Ledger, days: int) -> bool:
    """A key whose age nobody wrote down is an old one."""
    made = book.made.get(laptop.name)
    return made is None or (commune.today - made).days > days


def _laptop(commune: Commune, name: str) -> Laptop:
    found = commune.laptop_named.get(name)
    if found is None:
        what, hint = f"{commune.slug} has no laptop `{name}`", guess(name, [*commune.laptop_named]) or "see commune.toml"
        if name in {machine.name for machine in commune.machines}:
            what = f"`{name}` is no laptop: its keys are not replaced by this command"
        if name in {gateway.name for gateway in commune.gateways}:
            what, hint = f"`{name}` is the gateway", f"its own key: telekit rotate --gateway --commune {commune.slug}"
        raise UsageError(what, hint=hint)
    return found


def _laptop_of(commune: Commune, identifier: str) -> Laptop:
    agent = next((a for a in commune.agents if a.identifier == identifier), None)
    if agent is None:
        hint = guess(identifier, [a.identifier for a in commune.agents]) or "see agents.csv"
        raise UsageError(f"{commune.slug} has no agent `{identifier}`", hint=hint)
    if not agent.laptop:
        raise UsageError(f"{identifier} has no device", hint="give one in agents.csv (portable)")
    return _laptop(commune, agent.laptop)


def _check_open(laptop: Laptop, commune: Commune) -> None:
    """A key that the gateway does not let in cannot be replaced by one that it does."""
    slug = commune.slug
    if laptop.kit_until is not None or laptop.kit_lapsed:
        hint = f"was it used? `telekit provision --commune {slug} --role gateway` learns of it; else make its kit again"
        raise UsageError(f"nobody is known to have used the kit of {laptop.name} yet", hint=hint)
    if laptop not in commune.peers:
        hint = f"its first key: telekit provision --commune {slug}; an agent's standing: telekit agent list --commune {slug}"
        raise UsageError(f"{laptop.name} has no tunnel today: it has no key yet, or its agent no access", hint=hint)


class _Work:
    """One command's rotations, from the first to the last machine."""

    def __init__(self, wish: Wish, laptops: Sequence[Laptop], until: date) -> None:
        self.wish, self.laptops, self.until = wish, laptops, until
        self.names = [laptop.name for laptop in laptops]
        self.before: set[str] = set()
        self.shaken = False

    def done(self, job: Job, observer: Observer, confirm: Confirm | None) -> Result:
        note = f"rotate: {_some(self.names)}"
        first = provision(job, observer, confirm, More(note, self._begin, self._wait))
        if not first.machines or first.exit_code == INTERRUPTED:
            return replace(first, command=self.wish.command)
        machines = first.machines
        if self.shaken:
            # What was for two keys is for one again, on the machines and in the files.
            second = provision(job, observer, None, More(note, _nothing, _nothing))
            if second.exit_code == INTERRUPTED:
                return replace(second, command=self.wish.command)
            machines = both(machines, second.machines)
        return self._result(job, machines)

    def _begin(self, enrolment: Enrolment) -> None:
        """One that is under way goes on: the key that was made for it may be in the laptop already."""
        self.before = {name for name in self.names if enrolment.ledger.under_way(name)}
        enrolment.rotate([name for name in self.names if name not in self.before], self.until)

    def _wait(self, visit: Visit) -> None:
        """Until the laptops that are here use their new keys, or long enough."""
        here = {m.name for m in self.laptops if m.managed and m.name in visit.reports and visit.reports[m.name].state in GOOD}
        rotations = visit.enrolment.ledger.rotations
        waiting = {name: rotations[name].key for name in here if name in rotations and rotations[name].told}
        if not waiting:
            return
        visit.watch.phase("Waiting for the new keys", sorted(waiting))
        for name in waiting.keys() & self.before:
            visit.session.run(visit.targets[name], AT_ONCE, seconds=30)
        deadline = time.monotonic() + WAIT_SECONDS
        while waiting and time.monotonic() < deadline:
            # It writes its new key down after the handshake.
            said = visit.session.run_all(lambda _: f"cat {FILE}", seconds=5, reads_only=True)
            came = {name for name, key in waiting.items() if name in said and said[name].stdout.strip() == key}
            waiting = {name: key for name, key in waiting.items() if name not in came}
            self.shaken |= bool(came)
            time.sleep(0.5 if waiting else 0)

    def _result(self, job: Job, machines: tuple[MachineReport, ...]) -> Result:
        book = ledger.read(job.folder)
        stages = {laptop.name: _stage(laptop, book) for laptop in self.laptops}
        told = [{"laptop": name, "state": stages[name], "until": _until(book.rotations.get(name))} for name in self.names]
        managed = {laptop.name for laptop in self.laptops if laptop.managed}
        troubled = [m for m in machines if m.state is State.FAILED or (m.state is State.UNREACHABLE and m.name not in managed)]
        begun = [m for m in self.laptops if not m.managed and stages[m.name] not in (DONE, NOT_BEGUN)]
        kits = [agent.identifier for m in begun if (agent := job.commune.agent_of.get(m.name))]
        return Result(
            self.wish.command, job.commune.slug, machines, {"rotations": told},
            closing="\n".join(_closing(stages, managed, self.until)),
            next=_next(job.commune.slug, kits, waits=any(stages[name] != DONE for name in managed)),
            exit_code=int(bool(troubled)),
        )  # fmt: skip


def _nothing(_: object) -> None:
    """Nothing more."""


def _stage(laptop: Laptop, book: Ledger) -> str:
    if laptop.name in book.rotations:
        return book.rotations[laptop.name].stage
    return DONE if book.keys.get(laptop.name) != laptop.public_key else NOT_BEGUN


def _until(rotation: Rotation | None) -> str | None:
    return str(rotation.until) if rotation else None


def _closing(stages: dict[str, str], managed: Collection[str], until: date) -> Iterable[str]:
    done = [name for name, stage in stages.items() if stage == DONE]
    missed = [name for name, stage in stages.items() if stage == NOT_BEGUN]
    begun = [name for name, stage in stages.items() if stage not in (DONE, NOT_BEGUN)]
    kits, waiting = [name for name in begun if name not in managed], [name for name in begun if name in managed]
    if done:
        yield f"{counted(len(done), 'new key')} in use: {_some(done)}. The old ones are refused."
    if missed:
        yield f"Not begun, since no machine could be asked: {_some(missed)}."
    if waiting:
        yield f"Still with the old key, which works on: {_some(waiting)}. The new one has until {until}."
    if kits:
        yield f"New keys for kits: {_some(kits)}. The old ones work until the new ones are used, by {until}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _next(slug: str, kits: Sequence[str], *, waits: bool) -> str:
    if kits:
        return f"telekit agent kit {' '.join(kits)} --commune {slug} --output kits"
    return f"telekit status --commune {slug}" if waits else ""
