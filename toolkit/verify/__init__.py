"""Prove what the recipes promise: run the packaged checks over the engine's open connections and say what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.engine.events import Event
from toolkit.verify.result import DEROGATION, FAILED, NOT_CHECKED, PASSED, CheckResult, VerifyResult

if TYPE_CHECKING:
    from toolkit.checks.subject import Connections, Outside
    from toolkit.model import Commune, Secret

__all__ = ["DEROGATION", "FAILED", "NOT_CHECKED", "PASSED", "CheckDone", "CheckResult", "VerifyResult", "run"]


@dataclass(frozen=True, slots=True)
class CheckDone(Event):
    """One check on a machine has ended."""

    result: CheckResult


def run(
    commune: Commune,
    session: Connections,
    *,
    only: Sequence[str] = (),
    internet: Outside | None = None,
    passwords: Mapping[str, Secret] | None = None,
    seeds: Mapping[str, Secret] | None = None,
    screenshots: Path | None = None,
    patience: float = 1.0,
    emit: Callable[[CheckDone], None] = lambda _: None,
    parallel: int = 50,
) -> VerifyResult:
    """Run every check that concerns these machines (`only`: their names, all of them if empty) over a connected session.

    internet: somewhere outside from which to look at the gateway; without it those checks are "not checked".
    passwords: agent identifier → the desktop password that telekit gave; seeds: → the seed of the second factor.
    screenshots: a folder for pictures of the remote desktops. patience: of slow machines, how many times as long all may take.
    """
    from toolkit.checks.subject import Evidence, Subject
    from toolkit.verify.examine import Examiner, examine

    started, clock = datetime.now().astimezone(), time.monotonic()
    evidence = Evidence(commune, session, internet, passwords or {}, seeds or {}, screenshots, patience)
    subjects = [Subject(m, evidence) for m in commune.machines if not only or m.name in only]
    examiner = Examiner(evidence, subjects, parallel, lambda result: emit(CheckDone(result.machine, result)))
    try:
        results = examine(examiner)
    finally:
        evidence.close()
    return VerifyResult(
        results=tuple(results),
        machines=tuple(s.name for s in subjects),
        unreachable={s.name: s.unreachable for s in subjects if s.unreachable},
        screenshots=tuple(sorted(evidence.pictures)),
        started=started,
        seconds=time.monotonic() - clock,
    )
