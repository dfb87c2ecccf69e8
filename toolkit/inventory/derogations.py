"""derogations.toml: checks that the town hall knows to fail, each with who accepted it, why, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from toolkit.checks.names import known
from toolkit.inventory import values
from toolkit.inventory.problems import Problems, guess, shown
from toolkit.inventory.reader import Draft, Placed, Reader
from toolkit.inventory.schema import Section
from toolkit.inventory.toml import Document
from toolkit.model import Derogation, Laptop

DEROGATION = Section(
    {
        "check": values.text,
        "machine": values.host_label,
        "accepted_by": values.text,
        "reason": values.text,
        "until": values.day,
    },
    required={
        "check": 'the check, as `telekit verify --json` names it: check = "clock-is-synchronised"',
        "accepted_by": 'who answers for it: accepted_by = "C. Martin, DGS"',
        "reason": 'why, for whoever reads the report: reason = "Remplacement prévu au budget 2027"',
        "until": "the last day of it: until = 2026-12-31",
    },
)


def parse(document: Document, problems: Problems) -> list[Placed[Derogation]]:
    """The derogations that are whole, each with its place."""
    return Reader(document, problems).alone("derogation", DEROGATION, Derogation)


@dataclass
class DerogationChecks:
    """The derogations beside the rest of the inventory: each names a check and a machine that there are, and once."""

    derogations: list[Placed[Derogation]]
    draft: Draft
    document: Document
    problems: Problems
    today: date

    def run(self) -> None:
        first: dict[tuple[str, str | None], int] = {}
        for placed in self.derogations:
            item, line = placed.item, self.document.line(placed.path)
            self._check(placed)
            if item.machine:
                self._machine(placed, item.machine)
            if item.until < self.today:
                what = f"derogation of {item.check}: its end {item.until} is past, so the check fails again"
                self._warn(placed, "until", what, "mend it, or have it accepted again until another day")
            twice = first.setdefault((item.check, item.machine), line)
            if twice != line:
                self._error(placed, "check", f"{item.check} has a derogation on line {twice} already", "keep one of the two")

    def _check(self, placed: Placed[Derogation]) -> None:
        name, _, case = placed.item.check.partition(":")
        if name not in known():
            hint = guess(name, known()) or "`telekit verify --json` gives each check's name as `check`"
            self._error(placed, "check", f"there is no check {shown(name)}", hint)
        elif name in ("reaches-application", "is-refused-application") and case:
            applications = self.draft.declared.get("application", set())
            if case not in applications:
                self._error(placed, "check", f"there is no application {shown(case)}", guess(case, applications))

    def _machine(self, placed: Placed[Derogation], name: str) -> None:
        machines = {machine for role in ("gateway", "desktop", "laptop") for machine in self.draft.declared.get(role, ())}
        if name not in machines:
            hint = guess(name, machines) or "without `machine`, it is for all of them"
            self._error(placed, "machine", f"there is no machine {shown(name)} in commune.toml", hint)
        elif any(not one.managed for one in self._laptops(name)):
            what = f"{shown(name)} is never checked: telekit logs into Debian machines alone"
            self._error(placed, "machine", what, "remove the section")

    def _laptops(self, name: str) -> list[Laptop]:
        return [placed.item for placed in self.draft.laptops if placed.item.name == name]

    def _error(self, placed: Placed[Derogation], key: str, what: str, hint: str = "") -> None:
        self.problems.error(self.document.line((*placed.path, key)), what, hint)

    def _warn(self, placed: Placed[Derogation], key: str, what: str, hint: str = "") -> None:
        self.problems.warn(self.document.line((*placed.path, key)), what, hint)
