"""`telekit report`: the last verification as evidence that people can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.options import Scope, example, scoped
from toolkit.result import Result

if TYPE_CHECKING:
    from toolkit.evidence.make import Made
    from toolkit.model import Commune

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog=example("telekit report --commune lab --html rapport.html --pdf rapport.pdf"))
@click.option("--html", type=FILE, help="Write one self-contained page.")
@click.option("--pdf", type=FILE, help="Write the same as PDF, to print and to hand over.")
@click.option("--junit", type=FILE, help="Write the results as JUnit XML.")
@click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", show_default=True, help="The report's language.")
@scoped(machines=False)
def report(scope: Scope, *, html: Path | None, pdf: Path | None, junit: Path | None, lang: str) -> Result:
    """Tell the last verification to people: page, PDF, data.

    For a technician, the data-protection officer and an elected official. Without a file to write, the page goes beside
    the verification it tells of. --json gives the results as data.
    """
    from toolkit.evidence import record
    from toolkit.evidence.make import Wanted, make
    from toolkit.secrets import identities_for

    folder, commune = scope.folder, scope.load().commune
    if not (html or pdf or junit or scope.report.json):
        run = record.last(folder).file
        html = run.with_name(run.name.removesuffix(record.ENDING) + f".{lang}.html")
    made = make(folder, commune, identities_for(folder, scope.identity), Wanted(html, pdf, junit, lang))
    return _result(commune, made, everything=scope.report.json)


def _result(commune: Commune, made: Made, *, everything: bool) -> Result:
    """everything: the machines and their checks too, which a person reads in the report."""
    from toolkit.cli.verify import counts, machine_reports

    run, head, signed = made.record, made.record.head, made.signed
    names = set(run.found.machines)
    verified = tuple(machine for machine in commune.machines if machine.name in names)
    machines = machine_reports(verified, run.found) if everything else ()
    summary = {
        "verified": head.began, "passed": head.passed, "failed": head.failed, "not_checked": head.not_checked,
        "derogations": head.derogations, "whole": head.whole, "record": str(run.file), "sha256": signed.digest,
        "signed": signed.good, "signed_by": signed.by or None, "written": [str(file) for file in made.written],
        "history": [
            {"verified": h.began, "machines": h.machines, "passed": h.passed, "failed": h.failed,
             "not_checked": h.not_checked, "derogations": h.derogations}
            for h in run.history
        ],
    }  # fmt: skip
    lines = [f"Verification of {head.when:%Y-%m-%d %H:%M}: {counts(run.found)}."]
    lines += [f"Written: {', '.join(map(str, made.written))}."] if made.written else []
    lines.append(f"Signed by {signed.by}." if signed.good else "Not signed: the report says why.")
    return Result("report", commune.slug, machines, summary, closing="\n".join(lines))
