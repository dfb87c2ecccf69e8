"""docs/inventory.md is complete and true: every key with its default, every column, and an example that loads."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from toolkit.inventory.agents import COLUMNS
from toolkit.inventory.schema import ARRAYS, NAMED, TABLES, Section
from toolkit.model import (
    Antivirus,
    Application,
    Commune,
    Desktop,
    Directory,
    Extra,
    Gateway,
    Laptop,
    LocalNetwork,
    Policy,
    Profile,
)

PAGE = (Path(__file__).parents[3] / "docs" / "inventory.md").read_text(encoding="utf-8")
KINDS = {
    "[commune]": (TABLES["commune"], Commune),
    "[network]": (TABLES["network"], LocalNetwork),
    "[policy]": (TABLES["policy"], Policy),
    "[antivirus]": (TABLES["antivirus"], Antivirus),
    "[[gateway]]": (ARRAYS["gateway"], Gateway),
    "[[desktop]]": (ARRAYS["desktop"], Desktop),
    "[[laptop]]": (ARRAYS["laptop"], Laptop),
    "[application.its-name]": (NAMED["application"], Application),
    "[profile.its-name]": (NAMED["profile"], Profile),
    "[[extra]]": (ARRAYS["extra"], Extra),
    "[directory]": (TABLES["directory"], Directory),
}
# What stands for another key when it is absent is said in words.
IN_WORDS = {
    ("[[gateway]]", "ssh"),
    ("[[desktop]]", "ssh"),
    ("[[gateway]]", "address"),
    ("[directory]", "ca"),
    ("[directory]", "profiles"),
}


def rows(header: str) -> dict[str, str]:
    """The keys of a section's table and their defaults."""
    part = PAGE.split(f"\n### {header}\n")[1].split("\n#")[0]
    return dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", part, re.MULTILINE))


def as_written(value: Any) -> str:
    """A default as commune.toml would have it."""
    if value in (None, ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Enum | str):
        return f'`"{value}"`'
    return "`[]`" if value == () else f"`{value}`"


@pytest.mark.parametrize(("header", "section", "model"), [(header, *kind) for header, kind in KINDS.items()])
def test_every_key_is_documented_with_its_default(header: str, section: Section, model: type) -> None:
    documented = rows(header)
    assert set(documented) == set(section.keys)
    defaults = {field.name: field.default for field in fields(model)}
    for key, default in documented.items():
        if key in section.required:
            assert default == "required"
        elif (header, key) not in IN_WORDS:
            assert defaults[key] is not MISSING
            assert default.partition(":")[0] == as_written(defaults[key]) or default == as_written(defaults[key]), key


def test_every_column_is_documented() -> None:
    table = PAGE.split("\n## agents.csv\n")[1]
    for first, *others in COLUMNS.values():
        row = next(line for line in table.split("\n") if line.startswith(f"| `{first}` |"))
        known = [word.strip() for word in row.split("|")[2].split(",")]
        assert set(others) - {"lastname", "firstname", "starts", "ends"} <= set(known)


def test_the_first_inventory_of_the_page_loads_without_a_word(town: Any) -> None:
    steps = PAGE.split("## A first one, step by step")[1].split("\n## ")[0]
    commune = "\n".join(re.findall(r"```toml\n(.*?)```", steps, re.DOTALL))
    agents = re.search(r"^    (identifiant;.*)\n    (.*)$", steps, re.MULTILINE)
    assert agents
    assert town.told(commune, f"{agents[1]}\n{agents[2]}\n") == ""


def test_the_mistakes_that_the_page_shows_are_told_so(town: Any) -> None:
    commune = town.commune.replace('"10.194.0.0/24"', '"10.94.15.0/24"').replace(
        'address = "10.94.2.21"', 'adress = "10.94.2.21"'
    )
    told = town.told(commune, town.agents.replace("portable-2", "portabl-2"))
    shown = [line.removeprefix("inventories/essai/") for line in PAGE.split("\n") if line.startswith("inventories/essai/")]
    assert len(shown) == 3
    assert set(shown) <= set(told.split("\n"))
