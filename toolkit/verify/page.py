"""A verification as one self-contained page in French, for people who did not run it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import jinja2

import toolkit.checks
from toolkit.checks.declare import Theme
from toolkit.model import Commune, Role
from toolkit.verify.result import FAILED, NOT_CHECKED, PASSED, CheckResult, VerifyResult

THEMES = {
    Theme.TUNNEL: "Le tunnel",
    Theme.ACCESS: "Accès et cloisonnement",
    Theme.EXPOSURE: "Exposition à Internet",
    Theme.DESKTOP: "Bureau à distance",
    Theme.ANTIVIRUS: "Antivirus",
    Theme.BASELINE: "Socle commun",
}
ROLES = {Role.GATEWAY: "passerelle", Role.DESKTOP: "poste de bureau", Role.LAPTOP: "portable"}
OUTCOMES = {PASSED: "réussi", FAILED: "échec", NOT_CHECKED: "non vérifié"}
MONTHS = ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre")


@dataclass(frozen=True, slots=True)
class Row:
    """A machine, or a theme, with its results."""

    key: str
    title: str
    kind: str
    results: tuple[CheckResult, ...]
    unreachable: str = ""

    def count(self, outcome: str) -> int:
        return sum(r.outcome == outcome for r in self.results)


@dataclass(frozen=True, slots=True)
class Picture:
    """A screenshot, embedded."""

    title: str
    data: str


def page(commune: Commune, found: VerifyResult) -> str:
    """The whole HTML document: no script, no other file, nothing fetched."""
    folder = Path(toolkit.checks.__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["date"] = french_date
    template = environment.get_template("report.html.j2")
    return template.render(
        commune=commune, found=found, machines=_machines(commune, found), themes=_themes(found), outcomes=OUTCOMES,
        pictures=[_picture(path) for path in found.screenshots],
    )  # fmt: skip


def french_date(moment: datetime) -> str:
    """As in « 3 mars 2026 à 14 h 05 »."""
    day = "1er" if moment.day == 1 else str(moment.day)
    return f"{day} {MONTHS[moment.month - 1]} {moment.year} à {moment.hour} h {moment.minute:02}"


def _machines(commune: Commune, found: VerifyResult) -> list[Row]:
    return [
        Row(
            machine.name, machine.name, ROLES[machine.role], tuple(r for r in found.results if r.machine == machine.name),
            found.unreachable.get(machine.name, ""),
        )
        for machine in commune.machines
        if machine.name in found.machines
    ]  # fmt: skip


def _themes(found: VerifyResult) -> list[Row]:
    rows = [Row(t.value, title, "", tuple(r for r in found.results if r.theme == t)) for t, title in THEMES.items()]
    return [row for row in rows if row.results]


def _picture(path: Path) -> Picture:
    return Picture(path.stem.replace("_", " "), base64.b64encode(path.read_bytes()).decode("ascii"))
