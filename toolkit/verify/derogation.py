"""Failures that somebody answers for: shown as such, until the day that was said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from toolkit.errors import Problem
from toolkit.model import Commune, Derogation
from toolkit.verify.result import DEROGATION, FAILED, PASSED, CheckResult


def judged(result: CheckResult, commune: Commune) -> CheckResult:
    """The same result; a failure is a derogation while one covers it, and says so when one did."""
    found = covering(result, commune.derogations)
    if result.outcome != FAILED or found is None:
        return result
    if found.until < commune.today:
        ended = f"the derogation that {found.accepted_by} accepted ended on {found.until}"
        return replace(result, detail=f"{result.detail} ({ended})", seen=f"{result.seen} ({ended})")
    said = f"accepted by {found.accepted_by} until {found.until}: {found.reason}. Seen: {result.seen}"
    return replace(result, outcome=DEROGATION, detail=said)


def covering(result: CheckResult, derogations: Sequence[Derogation]) -> Derogation | None:
    """The derogation that is about this result, the one that lasts longest."""
    found = [d for d in derogations if d.covers(result.check, result.machine)]
    return max(found, key=lambda d: d.until, default=None)


def told(commune: Commune, results: Sequence[CheckResult], *, everything: bool) -> Iterator[Problem]:
    """What is odd about the derogations of this run: not needed any more, or (of a run of everything) about nothing."""
    for derogation in commune.derogations:
        mine = [r for r in results if derogation.covers(r.check, r.machine)]
        where = f"derogation of {derogation.check}" + (f" on {derogation.machine}" if derogation.machine else "")
        if mine and all(r.outcome == PASSED for r in mine):
            what = "it is not needed any more: the check passes"
            yield Problem(what, where, "remove the section from derogations.toml", warning=True)
        elif not mine and everything:
            yield Problem("no machine has this check", where, "correct or remove the section", warning=True)
