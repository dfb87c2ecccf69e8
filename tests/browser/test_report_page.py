"""The report in a real browser: quick, accessible, usable by keyboard and without scripts, on a desktop, a phone and paper."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import keep
from tests.unit.evidence.conftest import png
from toolkit.evidence.make import Wanted, make
from toolkit.inventory import load

HERE = Path(__file__).parent
INVENTORIES = HERE.parents[1] / "inventories"
DEROGATION = """\
[[derogation]]
check = "clock-is-synchronised"
accepted_by = "C. Martin, DGS"
reason = "Carte mère à changer"
until = 2026-12-31
"""
# Milliseconds, from the first byte to a picture of the page.
QUICK = 1000


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the browser saw of each page; pictures stay in the folder for those who want to look."""
    folder = tmp_path_factory.mktemp("pages")
    pages = [*_small(folder), _large(folder)]
    command = ["node", str(HERE / "audit.mjs"), str(folder), *map(str, pages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _small(folder: Path) -> list[Path]:
    """The lab's town, with everything that a report can have, in both languages."""
    town = folder / "lab"
    town.mkdir()
    for name in ("commune.toml", "agents.csv"):
        shutil.copyfile(INVENTORIES / "lab" / name, town / name)
    (town / "derogations.toml").write_text(DEROGATION, encoding="utf-8")
    picture = folder / "portable-041_bureau-finances-03.png"
    picture.write_bytes(png(1024, 768))
    keep(town, runs=30, pictures=(picture,))
    for language in ("fr", "en"):
        make(town, load(town).commune, (), Wanted(folder / f"lab.{language}.html", language=language))
    return [folder / "lab.fr.html", folder / "lab.en.html"]


def _large(folder: Path) -> Path:
    """1,500 agents."""
    town = folder / "nice"
    town.mkdir()
    for name in ("commune.toml", "agents.csv"):
        shutil.copyfile(INVENTORIES / "nice" / name, town / name)
    keep(town, runs=1)
    make(town, load(town).commune, (), Wanted(folder / "nice.html"))
    return folder / "nice.html"


def test_axe_finds_no_violation(seen: dict[str, Any]) -> None:
    assert {page: found["violations"] for page, found in seen.items()} == {page: [] for page in seen}


def test_it_opens_in_less_than_a_second_with_1500_agents_too(seen: dict[str, Any]) -> None:
    slow = {page: found["load"] for page, found in seen.items() if found["load"] >= QUICK}
    assert slow == {}


def test_it_fetches_nothing(seen: dict[str, Any]) -> None:
    for found in seen.values():
        assert all(url.startswith(("file:", "data:")) for url in found["requests"])


def test_no_script_that_a_machine_said_is_run(seen: dict[str, Any]) -> None:
    assert {page: found["title"] for page, found in seen.items()} == {
        "lab.fr.html": "Sécurité du télétravail – Mairie du laboratoire",
        "lab.en.html": "Security of telework – Mairie du laboratoire",
        "nice.html": "Sécurité du télétravail – Nice",
    }


def test_it_fits_a_phone_and_a_desktop(seen: dict[str, Any]) -> None:
    for page, found in seen.items():
        for size, (content, window) in found["sizes"].items():
            assert content <= window, f"{page} is wider than a {size}"


def test_keys_alone_are_enough(seen: dict[str, Any]) -> None:
    for found in seen.values():
        assert found["keyboard"] == {"first": ["skip", True], "outline": "solid", "unfolded": True}


def test_paper_shows_what_the_screen_folds(seen: dict[str, Any]) -> None:
    for found in seen.values():
        assert found["printed"] == {"hidden": 0, "wide": False}
