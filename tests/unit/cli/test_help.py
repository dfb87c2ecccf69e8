"""Every command documents itself: a sentence, its options, and an example that its own parser accepts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from toolkit.cli import telekit

DOCUMENTED = Path(__file__).parents[3] / "docs" / "commands.md"


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


ALL = dict([("telekit", telekit), *commands(telekit, "telekit")])


def example_of(command: click.Command) -> str:
    assert command.epilog, "it has no epilog"
    line = command.epilog.splitlines()[-1].strip()
    assert line.startswith("telekit ")
    return line


@pytest.mark.parametrize("path", ALL)
def test_its_help_ends_in_an_example(path: str) -> None:
    context = click.Context(ALL[path], info_name=path)
    lines = ALL[path].get_help(context).splitlines()
    assert [line.strip() for line in lines[-2:]] == ["Example:", example_of(ALL[path])]


@pytest.mark.parametrize("path", ALL)
def test_its_example_is_a_command_line_that_it_understands(path: str) -> None:
    words = shlex.split(example_of(ALL[path]).split(" > ")[0])[1:]
    command: click.Command = telekit
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context(path, words)
    assert command is ALL[path] or isinstance(ALL[path], click.Group)


@pytest.mark.parametrize("path", ALL)
def test_it_and_each_of_its_options_say_what_they_are_for(path: str) -> None:
    command = ALL[path]
    assert command.help
    assert command.get_short_help_str(limit=200).endswith(".")
    assert command is telekit or not command.get_short_help_str(limit=60).endswith("..."), "cut at 80 columns"
    undocumented = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert undocumented == []


def test_the_page_of_commands_lists_each_of_them() -> None:
    page = DOCUMENTED.read_text(encoding="utf-8")
    missing = [path for path, command in ALL.items() if not isinstance(command, click.Group) and f"`{path}" not in page]
    assert missing == []
