"""What a machine was asked comes along with the first question of the next run; nothing that it answered is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import gevent
import pytest
from pyinfra import host
from pyinfra.api import FactBase, HiddenValue, StringCommand
from pyinfra.facts.files import File
from pyinfra.operations import files

from toolkit.engine.batch import LocalLink, Machine, Memory
from toolkit.engine.batch.questions import Question
from toolkit.engine.target import without_secrets
from toolkit.model import Secret

# A fact that the recipe asks by itself, then those that the operation asks one after the other.
BIT_BY_BIT = 4


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[], None]:
    (tmp_path / "made").write_text("as it should be\n")

    def recipe() -> None:
        host.get_fact(File, path="/nowhere")
        files.put(name="Write", src=StringIO("as it should be\n"), dest=str(tmp_path / "made"))

    return recipe


def commands(recipe: Callable[[], None], file: Path) -> int:
    """How many commands a run takes that begins with what the file holds, and adds to it."""
    memory, link = Memory(file), LocalLink()
    machine = Machine("here", link, expected=memory.questions("here"))
    assert machine.plan([recipe]) == []
    memory.keep({"here": machine.facts.all_asked()})
    return link.executions


def test_a_second_run_needs_one_round_trip_where_the_first_found_out_bit_by_bit(
    recipe: Callable[[], None], tmp_path: Path
) -> None:
    assert [commands(recipe, tmp_path / "memory") for _ in range(3)] == [BIT_BY_BIT, 1, 1]
    text = (tmp_path / "memory").read_text()
    assert "as it should be" not in text
    assert (tmp_path / "memory").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 0}', '{"version": 1, "questions": [], "machines": {"here": [1]}}']
)
def test_a_damaged_file_is_an_empty_memory(recipe: Callable[[], None], tmp_path: Path, content: str) -> None:
    file = tmp_path / "memory"
    file.write_text(content)
    file.chmod(0o600)
    assert [commands(recipe, file), commands(recipe, file)] == [BIT_BY_BIT, 1]


def test_a_folder_that_cannot_be_written_to_is_no_failure(recipe: Callable[[], None], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert commands(recipe, tmp_path / "file" / "memory") == BIT_BY_BIT


def test_questions_in_which_a_secret_stands_are_not_kept(tmp_path: Path) -> None:
    class Guarded(FactBase[str]):
        def command(self, word: str) -> StringCommand:
            return StringCommand("echo", HiddenValue(word))

    machine = Machine("here", LocalLink())
    machine.plan([lambda: host.get_fact(Guarded, word="hunter2")])
    Memory(tmp_path / "memory").keep({"here": machine.facts.all_asked()})
    assert not (tmp_path / "memory").exists()
    plain = [Question("echo hunter2"), Question("echo public")]
    data = {"passwords": {"m.durand": Secret("hunter2")}, "machine": "x", "empty": Secret("")}
    assert without_secrets(plain, data) == [Question("echo public")]


def test_what_is_asked_no_more_is_let_go_when_it_becomes_much(tmp_path: Path) -> None:
    file = tmp_path / "memory"

    def after(first: int, last: int) -> int:
        Memory(file).keep({"here": [Question(f"echo {number}") for number in range(first, last)]})
        return len(Memory(file).questions("here"))

    assert [after(0, 60), after(0, 40), after(40, 90), after(500, 510), after(500, 510)] == [60, 60, 90, 10, 10]
    assert len(json.loads(file.read_text())["questions"]) == 10


def test_a_reading_shares_a_round_trip_with_what_the_recipe_will_ask(recipe: Callable[[], None], tmp_path: Path) -> None:
    commands(recipe, tmp_path / "memory")
    link = LocalLink()
    machine = Machine("here", link, expected=Memory(tmp_path / "memory").questions("here"))
    script = f"echo x >> {tmp_path}/log; wc -l < {tmp_path}/log; echo aside >&2; exit 3"
    first = machine.read(script, sudo=False, seconds=20, apart=True)
    assert (first.code, first.stdout, first.stderr) == (3, b"1\n", b"aside\n")
    assert machine.plan([recipe]) == []
    assert link.executions == 1
    assert machine.read(script, sudo=False, seconds=20, apart=True).stdout == b"2\n"
    assert machine.read("echo once", sudo=False).stdout == machine.read("echo once", sudo=False).stdout == b"once\n"
    assert link.executions == 3


def test_a_reading_that_takes_too_long_is_ended(machine: Machine) -> None:
    assert machine.read("sleep 20", sudo=False, seconds=1, apart=True).code == 124


def test_a_reading_runs_without_sudo_where_sudo_is_refused(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert machine.read("sudo -n true || echo refused", sudo=True).stdout == b"refused\n"


def test_a_command_that_ended_before_its_script_came_is_told_by_its_exit_code(machine: Machine) -> None:
    def late() -> Iterator[bytes]:
        gevent.sleep(0.2)
        yield b"# what nobody reads any more\n"

    assert machine.link.execute("exit 3", late()).code == 3
