"""What changed on the machines since their last provision, and by whom where they know; nothing is touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from toolkit import __version__, journal, snapshot, traces
from toolkit.enrolment import Enrolment
from toolkit.inventory import load
from toolkit.model import Role
from toolkit.result import Change, MachineReport, Observer, Result, State, counted
from toolkit.roles import ROLES
from toolkit.snapshot import Given
from toolkit.targets import HOMELESS, Job, targets_of
from toolkit.watch import Watch

if TYPE_CHECKING:
    from toolkit.engine import MachinePlan, Session, Target

DRIFTED = 3
FILES = re.compile(r"^(?:---|\+\+\+) (/\S+)", re.MULTILINE)
NOBODY_ELSE = "/dev/null"
# The last things done as root on a machine that are told beside its changes.
DEEDS = 8
PLACE = re.compile(r"@@ -(\S+) \+(\S+) @@")
OTHER_WAY = str.maketrans("+-", "-+")


def drift(job: Job, observer: Observer) -> Result:
    """Compare every machine with what its last provision gave it; the finding is kept in the journal."""
    key = job.identities[0] if job.identities else None
    with journal.run(job.folder, "drift", job.commune.slug, selected=job.names, key=key) as run:
        try:
            result = Comparison(job, Watch(observer)).result()
        except KeyboardInterrupt:
            run.forget()
            raise
        run.finish(result, journal.DONE)
        return result


class Comparison:
    """Machines beside what they were given: a recipe that would change something has found a difference."""

    def __init__(self, job: Job, watch: Watch) -> None:
        self.job, self.watch = job, watch
        last = snapshot.last_given(job.folder, job.names)
        self.given = {name: given for name, given in last.items() if isinstance(given, Given)}
        self.unknown = {name: reason for name, reason in last.items() if isinstance(reason, str)}
        self.data = self._data()

    def _data(self) -> dict[str, dict[str, object]]:
        """What the recipes receive: for each machine the commune of its own last provision."""
        found: dict[str, dict[str, object]] = {}
        for folder, day in {(given.folder, given.day) for given in self.given.values()}:
            names = {name for name, given in self.given.items() if (given.folder, given.day) == (folder, day)}
            commune = load(folder, today=day).commune
            machines = tuple(machine for machine in commune.machines if machine.name in names)
            found |= Enrolment(replace(self.job, commune=commune, machines=machines), as_of=folder).data()
        return found

    def result(self) -> Result:
        # First of all: gevent must patch sockets before anybody takes hold of one.
        from toolkit.engine import Session

        machines = tuple(machine for machine in self.job.machines if machine.name in self.data)
        targets = targets_of(replace(Enrolment(self.job).job, machines=machines), self.data)
        with Session(targets, self.job.options(), self.watch.emit) as session:
            self.watch.phase("Connecting", [target.name for target in targets])
            session.connect()
            self.watch.phase("Comparing", [target.name for target in session.reachable], last=True)
            plans = session.plan(self._recipe)
            changed = {name: plan for name, plan in plans.items() if _changes(plan)}
            seen = self._traces(session, changed)
            silent = dict(session.unreachable)
        return self._told(plans, seen, silent)

    def _recipe(self, target: Target) -> tuple[Callable[[], None], ...]:
        recipe = ROLES[Role(target.role)]
        return recipe.enrolment(), recipe.deploy()

    def _traces(self, session: Session, changed: Mapping[str, MachinePlan]) -> dict[str, traces.Traces]:
        asked = {
            name: traces.script(self.given[name].ended, (f for o in plan.operations for f in _files(o.diff)))
            for name, plan in changed.items()
        }
        said = session.run_all(lambda target: asked.get(target.name, ":"), seconds=60, reads_only=True) if asked else {}
        commune = self.job.commune
        return {name: traces.parse(said[name].stdout, commune.admin_user, commune.operators) for name in asked if name in said}

    def _told(self, plans: Mapping[str, MachinePlan], seen: Mapping[str, traces.Traces], silent: Mapping[str, str]) -> Result:
        machines = tuple(self._machine(machine.name, str(machine.role), plans, seen, silent) for machine in self.job.machines)
        result = Result("drift", self.job.commune.slug, machines)
        drifted = [machine.name for machine in machines if machine.state is State.DRIFTED]
        following = f"telekit provision --commune {self.job.commune.slug}" if drifted else ""
        code = DRIFTED if drifted else int(result.troubled)
        return replace(result, closing=_sum(result), next=following, exit_code=code, summary={"drifted": drifted})

    def _machine(
        self, name: str, role: str, plans: Mapping[str, MachinePlan], seen: Mapping[str, traces.Traces], silent: Mapping[str, str]
    ) -> MachineReport:
        report = MachineReport(name, role, State.UNCHANGED)
        if name in self.unknown:
            return replace(report, state=State.UNCHECKED, reason=self.unknown[name])
        if name in silent or name not in plans:
            return replace(report, state=State.UNREACHABLE, reason=silent.get(name, HOMELESS))
        if plans[name].error:
            return replace(report, state=State.FAILED, reason=plans[name].error)
        changes = _changes(plans[name])
        if not changes:
            return report
        return _drifted(report, changes, seen.get(name, traces.Traces()), self.given[name])


def _drifted(report: MachineReport, changes: Sequence[Change], seen: traces.Traces, given: Given) -> MachineReport:
    """The changes with their authors, and beneath them what else was done as root since."""
    since = given.ended.astimezone().strftime("%Y-%m-%d %H:%M")
    told = tuple(replace(change, detail=seen.of(_files(change.diff)) or change.detail) for change in changes)
    deeds = traces.without_repeats(seen.deeds)
    lines = [str(deed) for deed in deeds[-DEEDS:]]
    if len(deeds) > DEEDS:
        lines.insert(0, f"… {len(deeds) - DEEDS} earlier ones (--json has them all)")
    details = {
        "since": given.ended.isoformat(),
        "deeds": [{"at": datetime.fromtimestamp(d.moment, UTC).isoformat(), "who": d.who, "what": d.what} for d in deeds],
    }
    reason = "\n".join([f"{counted(len(told), 'difference')} since {since}", *(["done as root since:", *lines] if lines else [])])
    return replace(report, state=State.DRIFTED, changes=told, reason=reason, details=details, warnings=_another_telekit(given))


def _another_telekit(given: Given) -> tuple[str, ...]:
    """Its recipes may want something else than those of then: that is nobody's doing."""
    if given.version == __version__:
        return ()
    return (f"telekit {given.version} provisioned it, and this is {__version__}: some of it may be telekit's own change",)


def _changes(plan: MachinePlan) -> tuple[Change, ...]:
    """What differs; what only hangs on another change does not. A diff shows what was done, not what would undo it."""
    return tuple(
        Change(o.name, o.kind, o.detail, _other_way(o.diff)) for o in plan.operations if not plan.error and o.kind == "change"
    )


def _other_way(diff: str) -> str:
    return "\n".join(map(_turned, diff.split("\n")))


def _turned(line: str) -> str:
    if line.startswith(("---", "+++")):
        return line
    if place := PLACE.match(line):
        return f"@@ -{place[2]} +{place[1]} @@"
    return line[:1].translate(OTHER_WAY) + line[1:]


def _files(diff: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(file for file in FILES.findall(diff) if file != NOBODY_ELSE))


def _sum(result: Result) -> str:
    order = (State.DRIFTED, State.UNCHANGED, State.UNCHECKED, State.FAILED, State.UNREACHABLE)
    words = {State.UNCHANGED: "as provisioned"}
    parts = [f"{result.count(state)} {words.get(state, str(state))}" for state in order if result.count(state)]
    return f"{counted(len(result.machines), 'machine')}: {', '.join(parts)}. Nothing was touched." if parts else "No machine."
