"""The README tells the truth: its links lead somewhere, its commands exist, its transcripts are what is printed today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from toolkit.cli import telekit

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def commands() -> set[tuple[str, ...]]:
    """The words of each `telekit …` command that the README names: up to an option or an argument."""
    found = re.findall(r"(?:`|\$ | {4})telekit ((?:[a-z]+ )*[a-z]+)(?= --|`| m\.|\n)", README)
    return {tuple(words.split()) for words in found}


@pytest.mark.parametrize("words", sorted(commands()), ids=" ".join)
def test_every_command_of_the_readme_exists(words: tuple[str, ...]) -> None:
    command: click.Command | None = telekit
    for word in words:
        assert isinstance(command, click.Group), f"telekit {' '.join(words)}"
        command = command.get_command(click.Context(command), word)
        assert command is not None, f"telekit {' '.join(words)}"


def test_the_readme_shows_what_check_prints() -> None:
    [said] = re.findall(r"\$ telekit check --commune nice\n +(.*)\n", README)
    command = [sys.executable, "-m", "toolkit", "check", "--commune", "nice", "--inventories", str(ROOT / "inventories")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said


def test_the_sum_of_the_checks_in_the_readme_is_right() -> None:
    every, passed, failed, unknown = map(
        int, re.findall(r"(\d+) checks: (\d+) passed, (\d+) failed, (\d+) not checked", README)[0]
    )
    assert every == passed + failed + unknown
