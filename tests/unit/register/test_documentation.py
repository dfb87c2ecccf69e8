"""docs/people.md is true: its transcripts are what the commands write, and every command of the life of an access is there."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tests.unit.register.conftest import TODAY
from toolkit.model import Extra
from toolkit.register import access, edits

PAGE = (Path(__file__).parents[3] / "docs" / "people.md").read_text(encoding="utf-8")
OTHERS = [f"autre{number};Autre;Ana;;accueil;;;;" for number in range(4)]
PETIT, MARTIN = "a.petit;Petit;Anne;Accueil;accueil;;;;", "p.martin;Martin;Zoë;Finances;comptable;portable-3;;;"


def transcript(command: str) -> str:
    found = re.search(rf"```console\n\$ {re.escape(command)}\n(.*?)```", PAGE, re.DOTALL)
    assert found, command
    return found[1].rstrip("\n")


def test_the_difference_that_the_page_shows_is_the_one_that_is_shown(town: Any) -> None:
    town.write(agents=town.agents + "\n".join([PETIT, *OTHERS]) + "\n")
    header, durand, benali = town.agents.replace(";Accueil;", ";État civil;").strip().split("\n")
    result = town.import_("\n".join([header, durand, benali, *OTHERS, MARTIN]), rehearsal=True)
    shown = transcript("telekit agent import rh.csv --commune essai --dry-run")
    assert result.closing == shown.replace("2026-11-24", str(date.today() - timedelta(days=1)))


def test_the_access_that_the_page_shows_is_the_one_that_is_told(town: Any) -> None:
    edits.grant(town.folder, Extra("k.benali", "finances", TODAY, "Remplace m.durand"), TODAY)
    told = access.of_agent(town.load(), "k.benali").closing
    assert told == transcript("telekit access k.benali --commune essai").replace("2026-12-31", str(TODAY))


def test_every_command_of_the_register_is_on_the_page() -> None:
    for command in ("import", "add", "renew", "suspend", "grant", "show", "list"):
        assert f"telekit agent {command}" in PAGE
