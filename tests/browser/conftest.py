"""Reports of towns in which nothing ran: what their machines would have said is recorded as a verification keeps it."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import toolkit.checks
from toolkit.checks.declare import About
from toolkit.evidence import record
from toolkit.inventory import load
from toolkit.journal import Entry, digest_of
from toolkit.model import Commune, Machine, Role
from toolkit.roles import ROLES
from toolkit.verify.result import CheckResult, VerifyResult

SAID = ("as expected", "22 lines in force, the same as at boot", "1420 bytes", "handshake 3 s ago", "publickey alone is offered")
HOSTILE = "</dd></svg><script>document.title = 'obeyed'</script>\x1b[2J\u202e & " + "W" * 300


def keep(folder: Path, *, runs: int, pictures: tuple[Path, ...] = ()) -> None:
    """Record verifications of everything in this commune's folder, a day apart, each with fewer failures than the one before."""
    commune = load(folder).commune
    files = {file.name: importlib.import_module(f"toolkit.checks.{file.stem}") for file in _checks()}
    chance = random.Random(4)
    for run in range(runs):
        started = datetime(2026, 3, 1, 7, 30, tzinfo=UTC) + timedelta(days=run)
        results = tuple(
            r for machine in commune.machines for r in _results(commune, machine, files, chance, (runs - run) * 0.0004)
        )
        silent = {m.name: "no answer" for m in commune.machines if m.role is Role.LAPTOP and chance.random() < 0.01}
        results = tuple(replace(r, outcome="not checked", seen="no answer") if r.machine in silent else r for r in results)
        found = VerifyResult(results, tuple(m.name for m in commune.machines), silent, pictures, started, 321.0)
        entry = Entry("verify", commune.slug, "", "", "c.martin", "dsi-01", 1, inventory=digest_of(folder), version="0.1.0")
        record.write(folder, commune, found, entry, f"{started:%Y-%m-%dT%H-%M-%S}Z-verify")


def _checks() -> list[Path]:
    return sorted(Path(toolkit.checks.__file__).parent.glob("test_*.py"))


def _results(
    commune: Commune, machine: Machine, files: dict[str, ModuleType], chance: random.Random, failing: float
) -> Iterator[CheckResult]:
    for file in ROLES[machine.role].checks:
        for name, function in vars(files[file]).items():
            if name.startswith("test_"):
                for key, case in _cases(commune, machine, name, function.about):
                    yield _result(machine, name, key, case, function.about, chance, failing)


def _cases(commune: Commune, machine: Machine, name: str, about: About) -> Iterator[tuple[str, str]]:
    if about.cases is None:
        yield "", ""
    elif "application" in name:
        agent = commune.agent_of.get(machine.name)
        granted = commune.applications_of(agent) if agent else ()
        yield from ((a.key, a.title) for a in commune.applications if (a in granted) is ("reaches" in name))
    else:
        yield from ((str(network), str(network)) for network in commune.network.lan)


def _result(
    machine: Machine, name: str, key: str, case: str, about: About, chance: random.Random, failing: float
) -> CheckResult:  # fmt: skip
    def worded(text: str) -> str:
        return text.replace("{case}", case).replace("{machine}", machine.name)

    check = name.removeprefix("test_").replace("_", "-") + (f":{key}" if key else "")
    outcome, seen = ("failed", HOSTILE) if chance.random() < failing else ("passed", chance.choice(SAID))
    if "clock" in check:
        outcome, seen = "not checked", "the machine is a container: its clock is the computer's"
    return CheckResult(
        machine.name, check, about.theme.value, worded(about.title), outcome, seen, 0.1, worded(about.titre), worded(about.tried),
        worded(about.expected), seen, worded(about.fix),
    )  # fmt: skip
