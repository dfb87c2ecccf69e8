"""`telekit verify`: prove what provision promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.options import Scope, example, scoped
from toolkit.errors import TelekitError
from toolkit.result import Check, MachineReport, Result, State, counted

if TYPE_CHECKING:
    from toolkit.enrolment import Enrolment
    from toolkit.evidence.make import Made, Wanted
    from toolkit.journal import Run
    from toolkit.lab import Vantage
    from toolkit.model import Machine, Secret
    from toolkit.targets import Job
    from toolkit.verify import CheckDone, CheckResult, VerifyResult

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(epilog=example("telekit verify --commune lab --html rapport.html --screenshots images"))
@click.option("--junit", type=FILE, help="Write the results as JUnit XML.")
@click.option("--html", type=FILE, help="Write a page in French for people who did not run it.")
@click.option("--screenshots", type=FOLDER, help="Keep pictures of the remote desktops here.")
@scoped()
def verify(scope: Scope, *, junit: Path | None, html: Path | None, screenshots: Path | None) -> Result:
    """Prove that what must work works, and the rest is refused."""
    from toolkit import journal
    from toolkit.evidence.make import Wanted

    job = scope.job()
    key = job.identities[0] if job.identities else None
    with journal.run(job.folder, "verify", job.commune.slug, selected=job.names, key=key) as entry:
        found = _examine(scope, job, screenshots)
        made = _keep(job, found, entry, Wanted(html, None, junit))
        result = _result(job, found, made)
        entry.finish(result)
        return result


def _keep(job: Job, found: VerifyResult, entry: Run, wanted: Wanted) -> Made:
    """The run's evidence, beside the journal, and the reports that are made of it."""
    from toolkit.evidence import record
    from toolkit.evidence.make import make, put
    from toolkit.verify.junit import junit_xml

    record.write(job.folder, job.commune, found, entry.entry, entry.file.stem)
    if wanted.junit:
        # For whoever runs it: with what the kept run leaves out.
        put(wanted.junit, junit_xml(job.commune, found).encode())
    made = make(job.folder, job.commune, job.identities, replace(wanted, junit=None))
    return replace(made, written=wanted.files)


def _examine(scope: Scope, job: Job, screenshots: Path | None) -> VerifyResult:
    from toolkit.engine import Session  # isort: skip - before anything that gevent must patch
    from toolkit.enrolment import Enrolment
    from toolkit.lab import standing
    from toolkit.targets import targets_of
    from toolkit.verify import run

    enrolment = Enrolment(replace(job, machines=_with_counterparts(job)))
    commune, everything = enrolment.job.commune, enrolment.job
    lab = standing(job.folder)
    nothing: dict[str, dict[str, object]] = {name: {} for name in everything.names}
    with Session(targets_of(everything, nothing), job.options(), scope.report.emit) as session:
        scope.report.phase("Connecting", everything.names)
        session.connect()
        scope.report.phase("Verifying", job.names)
        passwords, seeds = _secrets(scope, enrolment)
        return run(
            commune, session, only=job.names, internet=lab.vantage("internet") if lab else None, passwords=passwords, seeds=seeds,
            screenshots=screenshots, emit=lambda done: _follow(scope, done), parallel=job.parallel,
            patience=lab.patience if lab else 1.0,
        )  # fmt: skip


def _secrets(scope: Scope, enrolment: Enrolment) -> tuple[dict[str, Secret], dict[str, Secret]]:
    """First passwords and seeds of second factors; whoever may not open the secrets verifies the rest."""
    try:
        return enrolment.known_passwords(), enrolment.known_seeds()
    except TelekitError as error:
        scope.report.warn([replace(error.problem, warning=True)])
        return {}, {}


def _with_counterparts(job: Job) -> tuple[Machine, ...]:
    """The machines meant, the gateway, and where their agents otherwise are: what their checks look from or at."""
    names = set(job.names) | {job.commune.gateway.name}
    for agent in job.commune.active_agents:
        if {agent.laptop, agent.desktop} & set(job.names):
            names |= {name for name in (agent.laptop, agent.desktop) if name}
    return tuple(machine for machine in job.commune.machines if machine.name in names)


def internet(folder: Path) -> Vantage | None:
    """The fake Internet of the lab that was built from this inventory, when one is up here."""
    from toolkit.lab import standing

    lab = standing(folder)
    return lab.vantage("internet") if lab else None


def _follow(scope: Scope, done: CheckDone) -> None:
    from toolkit.engine.events import OperationDone

    check = done.result
    scope.report.emit(OperationDone(done.machine, check.title, changed=False, seconds=check.seconds))
    if check.outcome != "passed":
        scope.report.say(f"  {done.machine:<20}{check.outcome}: {check.title}")


def _result(job: Job, found: VerifyResult, made: Made) -> Result:
    from toolkit.verify.derogation import told

    reports = machine_reports(job.machines, found)
    lines = [f"{counted(len(found.results), 'check')}: {counts(found)}."]
    if made.written:
        lines.append(f"Written: {', '.join(map(str, made.written))}.")
    if found.screenshots:
        lines.append(f"Pictures: {', '.join(map(str, found.screenshots))}.")
    summary = {
        "passed": len(found.passed), "failed": len(found.failed), "not_checked": len(found.not_checked),
        "derogations": len(found.derogations),
        "seconds": round(found.seconds, 3), "screenshots": [str(file) for file in found.screenshots],
        "record": str(made.record.file), "signed": made.signed.good,
    }  # fmt: skip
    problems = tuple(told(job.commune, found.results, everything=len(job.machines) == len(job.commune.machines)))
    return Result("verify", job.commune.slug, reports, summary, problems, "\n".join(lines), exit_code=found.exit_code)


def counts(found: VerifyResult) -> str:
    """What the checks came to, in a few words."""
    said = f"{len(found.passed)} passed, {len(found.failed)} failed, {len(found.not_checked)} not checked"
    return said + (f", {counted(len(found.derogations), 'derogation')}" if found.derogations else "")


def machine_reports(machines: Sequence[Machine], found: VerifyResult) -> tuple[MachineReport, ...]:
    """Each machine's checks, and what they make of it."""
    of_machine: dict[str, list[CheckResult]] = {name: [] for name in found.machines}
    for result in found.results:
        of_machine[result.machine].append(result)
    return tuple(_report(machine, found, of_machine.get(machine.name, [])) for machine in machines)


def _report(machine: Machine, found: VerifyResult, mine: list[CheckResult]) -> MachineReport:
    checks = tuple(Check(r.title, r.outcome, _seen(r), r.seconds, r.check) for r in mine)
    outcomes = {r.outcome for r in mine}
    report = MachineReport(machine.name, str(machine.role), State.PASSED, checks=checks, seconds=sum(r.seconds for r in mine))
    if machine.name in found.unreachable:
        return replace(report, state=State.UNREACHABLE, reason=found.unreachable[machine.name])
    if "failed" in outcomes:
        return replace(report, state=State.FAILED, reason=_of(mine, "failed"))
    if "passed" not in outcomes:
        return replace(report, state=State.UNCHECKED)
    accepted = sum(r.outcome == "derogation" for r in mine)
    return replace(report, reason=_of(mine, "passed") + (f", {counted(accepted, 'derogation')}" if accepted else ""))


def _seen(check: CheckResult) -> str:
    """What was seen, and for a failure what was tried and how to mend it, a line each."""
    if check.outcome != "failed":
        return check.detail
    parts = (("tried", check.tried), ("expected", check.expected), ("seen", check.seen), ("to mend it", check.fix))
    return "\n".join(f"{word}: {text}" for word, text in parts if text)


def _of(results: list[CheckResult], outcome: str) -> str:
    number = sum(r.outcome == outcome for r in results)
    return f"{number} of {counted(len(results), 'check')}"
