"""derogations.toml: read like the rest, and refused where it names what there is not."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import InventoryError
from toolkit.inventory import load

GOOD = """\
[[derogation]]
check       = "clock-is-synchronised"
machine     = "gw"
accepted_by = "C. Martin, DGS"
reason      = "Carte mère à changer"
until       = 2026-12-31
"""
PAGE = (Path(__file__).parents[3] / "docs" / "inventory.md").read_text(encoding="utf-8")


def told(town: Any, text: str, **files: str) -> str:
    folder = town.write(**files)
    (folder / "derogations.toml").write_text(text, encoding="utf-8")
    try:
        return str(town.shown(list(load(folder, today=town.today).warnings)))
    except InventoryError as error:
        return str(town.shown(list(error.problems)))


def test_a_derogation_covers_its_check_on_its_machine_alone(town: Any) -> None:
    folder = town.write()
    (folder / "derogations.toml").write_text(GOOD, encoding="utf-8")
    (found,) = load(folder, today=town.today).commune.derogations
    assert (found.accepted_by, found.until) == ("C. Martin, DGS", date(2026, 12, 31))
    assert found.covers("clock-is-synchronised", "gw")
    assert not found.covers("clock-is-synchronised", "bureau-1")
    assert not found.covers("services-run", "gw")


def test_a_derogation_without_machine_or_case_covers_them_all(town: Any) -> None:
    folder = town.write()
    text = GOOD.replace('machine     = "gw"\n', "").replace("clock-is-synchronised", "reaches-application")
    (folder / "derogations.toml").write_text(text, encoding="utf-8")
    (found,) = load(folder, today=town.today).commune.derogations
    assert found.covers("reaches-application:finances", "portable-1")


@pytest.mark.parametrize(
    ("old", "new", "line", "what", "hint"),
    [
        ("clock-is-synchronised", "clock-is-synchronized", 2, "no check `clock-is-synchronized`", "`clock-is-synchronised`?"),
        ("clock-is-synchronised", "reaches-application:finance", 2, "there is no application `finance`", "finances"),
        ('"gw"', '"bureau1"', 3, "there is no machine `bureau1`", "did you mean `bureau-1`?"),
        ("reason ", "motif ", 5, "unknown key `motif` in [[derogation]]", "did you mean `reason`?"),
        ("reason      = ", "#", 1, "`reason` is missing in [[derogation]]", "for whoever reads the report"),
        ("accepted_by = ", "#", 1, "`accepted_by` is missing", "who answers for it"),
        ("2026-12-31", '"31/02/2026"', 6, "until: ", ""),
        ("2026-12-31", "2026-11-24", 6, "its end 2026-11-24 is past, so the check fails again", "accepted again"),
        ("[[derogation]]", "[[derogations]]", 1, "unknown section `derogations`", "did you mean `derogation`?"),
        ("[[derogation]]", "[[derogation]", 1, "not valid TOML", ""),
        (GOOD, GOOD + GOOD, 8, "clock-is-synchronised has a derogation on line 1 already", "keep one"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_derogation_is_told_with_its_line(
    town: Any, old: str, new: str, line: int, what: str, hint: str
) -> None:
    lines = told(town, GOOD.replace(old, new)).splitlines()
    assert any(said.startswith(f"derogations.toml:{line}: ") and what in said and hint in said for said in lines), lines


def test_a_machine_that_is_never_checked_needs_none(town: Any) -> None:
    commune = town.commune.replace('name = "portable-2"', 'name = "portable-2"\nsystem = "windows"')
    assert "never checked" in told(town, GOOD.replace('"gw"', '"portable-2"'), commune=commune)


def test_a_broken_commune_makes_no_derogation_wrong(town: Any) -> None:
    assert "derogations.toml" not in told(town, GOOD, commune="[commune\n")


def test_the_derogation_of_the_page_is_one(town: Any) -> None:
    example = PAGE.split("\n## derogations.toml\n")[1].split("```toml\n")[1].split("```")[0]
    assert told(town, example.replace("gw-mairie", "gw")) == ""
