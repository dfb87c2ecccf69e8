"""One session to a commune's machines, from the first connection to what came of each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from toolkit import preflight
from toolkit.enrolment import SHOW_ARRIVED, SHOW_KEY, SHOW_MOVED, SHOW_PUBLIC, Enrolment
from toolkit.model import Role, Secret
from toolkit.result import TROUBLE, Change, MachineReport, Result, State, counted
from toolkit.roles import ROLES, Recipe
from toolkit.targets import HOMELESS
from toolkit.watch import Watch

if TYPE_CHECKING:
    from toolkit.engine import MachinePlan, Session, Target

Data = dict[str, dict[str, object]]
# More machines than this are not listed in the command that follows.
NAMED = 5
CONCLUDES = "every device uses its new key: with the next provision, the old one goes"
AGAIN = "it is half done: run provision again to finish it"


class Visit:
    """What was asked of the machines of a job and what they said; a machine with a report is out of the run."""

    def __init__(self, enrolment: Enrolment, session: Session, targets: Sequence[Target], data: Data, watch: Watch) -> None:
        self.enrolment, self.session, self.watch, self.data = enrolment, session, watch, data
        self.targets = {target.name: target for target in targets}
        self.roles = {machine.name: str(machine.role) for machine in enrolment.job.machines}
        self.reports: dict[str, MachineReport] = {}
        self.warnings: dict[str, tuple[str, ...]] = {}
        self.began = time.monotonic()

    # -- before anything is touched ----------------------------------------------------------------------------------

    def arrive(self) -> None:
        """Connect, and refuse the machines that must not be touched."""
        for name in self.roles:
            if name not in self.targets:
                self._report(name, State.UNREACHABLE, HOMELESS)
        self.watch.phase("Connecting", list(self.targets))
        self.session.connect()
        for name, reason in self.session.unreachable.items():
            self._report(name, State.UNREACHABLE, reason)
        self.watch.phase("Preflight", self._ready())
        known = {machine.name: self.enrolment.warnings(machine) for machine in self.enrolment.job.machines}
        for name, verdict in preflight.run(self.session, self.enrolment.job.commune).items():
            self.warnings[name] = (*verdict.warnings, *known[name])
            if verdict.refused:
                self._report(name, State.FAILED, "\n".join(verdict.refusals))

    def _ready(self) -> list[str]:
        """The machines that nothing has gone wrong with so far; one that fell silent meanwhile is unreachable."""
        for name, reason in self.session.unreachable.items():
            if name not in self.reports:
                self._report(name, State.UNREACHABLE, reason)
        return [name for name in self.targets if name not in self.reports]

    def _report(self, name: str, state: State, reason: str = "", changes: tuple[Change, ...] = ()) -> None:
        seconds = self.watch.seconds[name] if name in self.watch.begun else None
        self.reports[name] = MachineReport(
            name, self.roles[name], state, reason, changes or self.watch.changes(name),
            warnings=self.warnings.get(name, ()), seconds=seconds,
        )  # fmt: skip

    def _in_order(self) -> tuple[MachineReport, ...]:
        return tuple(self.reports[name] for name in self.roles)

    # -- plan --------------------------------------------------------------------------------------------------------

    def plan(self) -> Result:
        """What the machines that are ready would go through; they stay ready."""
        ready = self._ready()
        self.watch.phase("Planning", ready)
        recipes = self._recipes()
        deploys = {name: (recipes[role].enrolment(), recipes[role].deploy()) for name, role in self.roles.items()}
        plans = self.session.plan(lambda target: deploys[target.name] if target.name in ready else ())
        before, warned = dict(self.reports), dict(self.warnings)
        self._announce()
        for name in ready:
            if name in self.session.unreachable:
                self._report(name, State.UNREACHABLE, self.session.unreachable[name])
            else:
                self._plan(name, plans[name])
        found, self.reports, self.warnings = self._in_order(), before, warned
        return _planned(self.enrolment.job.commune.slug, found)

    def _announce(self) -> None:
        """What the recipes do not show, since it follows from what the gateways say during provision."""
        keys = self._moved_so_far()
        if keys is not None and self.enrolment.concludes(keys):
            for name in self.enrolment.ledger.successions:
                self.warnings[name] = (*self.warnings.get(name, ()), CONCLUDES)

    def _plan(self, name: str, plan: MachinePlan) -> None:
        if plan.error:
            self._report(name, State.FAILED, plan.error)
        elif any(operation.kind == "change" for operation in plan.operations):
            changes = tuple(Change(o.name, o.kind, o.detail, o.diff) for o in plan.operations)
            self._report(name, State.PENDING, changes=changes)
        else:
            # What depends on a change that is not there will not happen.
            self._report(name, State.UNCHANGED)

    # -- provision ---------------------------------------------------------------------------------------------------

    def provision(self) -> Result:
        """Enrol; hand out addresses, keys and certificates; then apply the recipes."""
        if self._ready():
            self.enrolment.prepare()
            self._apply("Enrolling", Recipe.enrolment)
            self._record()
            self._tell_gateways()
            self._apply("Provisioning", Recipe.deploy, last=True)
        ready = self._ready()
        self._done(ready)
        self.enrolment.informed(ready)
        return self._provisioned()

    def _done(self, names: Iterable[str]) -> None:
        for name in names:
            self._report(name, State.CHANGED if self.watch.changed[name] else State.UNCHANGED)

    def _tell_gateways(self) -> None:
        """No laptop tries a key before the gateways know it: they come first while a key is being replaced."""
        gateways = [machine.name for machine in self.enrolment.job.commune.gateways]
        mine = [name for name in gateways if name in self._ready()]
        if not mine or not self.enrolment.keys_change:
            return
        self._apply("Provisioning", Recipe.deploy, last=True, only=mine)
        good = [name for name in gateways if name in self._ready()]
        self._done(good)
        if good == gateways:
            self.enrolment.told()
            self._hand_out()

    def _record(self) -> None:
        ready = self._ready()
        answers = self.session.read_all(SHOW_PUBLIC, seconds=30)
        refused = self.enrolment.record({name: answers[name].stdout for name in ready if name in answers})
        for name, reason in refused.items():
            self._report(name, State.FAILED, reason)
        self._escrow()
        self._arrivals()
        self._moves()
        self._hand_out()

    def _hand_out(self) -> None:
        # The engine reads host.data from the very dictionaries that it was given.
        for name, data in self.enrolment.data().items():
            self.data[name].update(data)

    def _escrow(self) -> None:
        """Each gateway's own key among the secrets, so that it can be rebuilt without touching one laptop."""
        for name in set(self.enrolment.without_escrow) & set(self._ready()):
            said = self.session.run(self.targets[name], SHOW_KEY, seconds=30, reads_only=True)
            if said.code == 0:
                self.enrolment.keep(name, Secret(said.stdout.strip()))

    def _arrivals(self) -> None:
        """Whose kits were used, and whose were not in time: known when every gateway has been asked."""
        gateways = {machine.name for machine in self.enrolment.job.commune.gateways}
        if not self.enrolment.handshakes_matter or not gateways <= set(self._ready()):
            return
        keys = self.shaken()
        if keys is not None:
            self.enrolment.arrived(keys)

    def _moves(self) -> None:
        """Who uses the gateway's next key: when all do, the old one goes with this visit."""
        keys = self._moved_so_far()
        if keys is not None:
            self.enrolment.moved(keys)

    def _moved_so_far(self) -> frozenset[str] | None:
        """As `moved`, where somebody waits for it and no gateway is out of the run."""
        gateways = {machine.name for machine in self.enrolment.job.commune.gateways}
        return self.moved() if self.enrolment.succession_waits and gateways <= set(self._ready()) else None

    def shaken(self) -> frozenset[str] | None:
        """The public keys that have ever shaken hands with a gateway; None: not every gateway could say."""
        return self._told_by_gateways(SHOW_ARRIVED)

    def moved(self) -> frozenset[str] | None:
        """The public keys of the devices that use a gateway's next key; None: not every gateway could say."""
        return self._told_by_gateways(SHOW_MOVED)

    def _told_by_gateways(self, script: str) -> frozenset[str] | None:
        """The keys that a script names; it ends with a line `all`."""
        gateways = [machine.name for machine in self.enrolment.job.commune.gateways]
        if any(name not in self.targets or name in self.session.unreachable for name in gateways):
            return None
        said = [self.session.run(self.targets[name], script, seconds=30, reads_only=True).stdout.split() for name in gateways]
        return frozenset(key for words in said for key in words[:-1]) if all(words[-1:] == ["all"] for words in said) else None

    def _apply(
        self,
        title: str,
        deploy: Callable[[Recipe], Callable[[], None]],
        *,
        last: bool = False,
        only: Collection[str] | None = None,
    ) -> None:
        ready = [name for name in self._ready() if only is None or name in only]
        self.watch.phase(title, ready, last=last)
        deploys = {role: (deploy(recipe),) for role, recipe in self._recipes().items()}
        results = self.session.apply(lambda target: deploys[target.role] if target.name in ready else ())
        for name in ready:
            if failed := results[name].failed:
                self._report(name, State.FAILED, f"{failed.name}\n{failed.output}".strip())

    def _recipes(self) -> dict[str, Recipe]:
        return {role: ROLES[Role(role)] for role in set(self.roles.values())}

    def _provisioned(self) -> Result:
        slug, machines = self.enrolment.job.commune.slug, self._in_order()
        result = Result("provision", slug, machines)
        troubled = [m.name for m in machines if m.state in TROUBLE]
        selection = "".join(f" --only {name}" for name in troubled) if len(troubled) <= NAMED else ""
        following = f"telekit provision --commune {slug}{selection}" if result.troubled else f"telekit verify --commune {slug}"
        seconds = round(time.monotonic() - self.began, 3)
        return Result(
            "provision", slug, machines, {"seconds": seconds}, closing=_sum(result, "changed"), next=following,
            exit_code=int(result.troubled),
        )  # fmt: skip

    def interrupted(self, during: Mapping[str, str]) -> Result:
        """What is done and what is half done after Ctrl-C; during: the operation that each machine was in."""
        for name in self.targets:
            if name in self.reports:
                continue
            if name in self.watch.done:
                self._report(name, State.CHANGED if self.watch.changed[name] else State.UNCHANGED)
            elif name in self.watch.begun:
                at = f"interrupted at `{during[name]}`: " if during.get(name) else ""
                self._report(name, State.UNFINISHED, f"{at}{AGAIN}")
            else:
                self._report(name, State.UNFINISHED, "not begun")
        slug, machines = self.enrolment.job.commune.slug, self._in_order()
        half = sum(m.state is State.UNFINISHED and m.reason != "not begun" for m in machines)
        closing = f"Interrupted: {counted(half, 'machine')} half done. Running it again finishes the rest."
        return Result("provision", slug, machines, closing=closing, next=f"telekit provision --commune {slug}", exit_code=130)


def _planned(slug: str, machines: tuple[MachineReport, ...]) -> Result:
    result = Result("plan", slug, machines)
    return Result(
        "plan", slug, machines, closing=f"{_sum(result, 'would change')} Nothing was touched.",
        next=f"telekit provision --commune {slug}" if result.count(State.PENDING) else "",
        exit_code=int(result.troubled),
    )  # fmt: skip


def _sum(result: Result, changing: str) -> str:
    """`1 machine would change, 1 unchanged, 1 unreachable.`"""
    states = {State.PENDING: changing, State.CHANGED: changing}
    order = (State.PENDING, State.CHANGED, State.UNCHANGED, State.FAILED, State.UNREACHABLE, State.UNFINISHED)
    parts = [(result.count(state), states.get(state, str(state))) for state in order if result.count(state)]
    if not parts:
        return "No machine."
    number, word = parts[0]
    return ", ".join([f"{counted(number, 'machine')} {word}", *(f"{n} {w}" for n, w in parts[1:])]) + "."
