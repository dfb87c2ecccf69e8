"""Recipes applied by compiled scripts: what is done, in which order, in how many trips, and what is said of it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from pyinfra import host
from pyinfra.api import deploy
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.facts.files import File
from pyinfra.operations import files, python, server
from pyinfra.operations.util import any_changed

from deploys.stage import stage
from toolkit.engine.batch import LocalLink, Machine
from toolkit.engine.batch.link import Completed


def names(changed: list[str]) -> list[str]:
    return [name.rpartition(" | ")[2] for name in changed]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def note(tmp_path: Path) -> Callable[..., Any]:
    """An operation that appends a word to a file every time."""

    def note(word: str, **arguments: Any) -> Any:
        return server.shell(name=f"Note {word}", commands=[f"echo {word} >> {tmp_path}/log"], **arguments)

    return note


def test_a_recipe_is_applied_and_a_second_time_changes_nothing(machine: Machine, tmp_path: Path, told: Any) -> None:
    @deploy("demo")
    def demo() -> None:
        files.put(name="Write a", src=StringIO("hello\n"), dest=f"{tmp_path}/new/a", mode="640")
        files.line(name="Have a line", path=f"{tmp_path}/b", line="x = 1")

    first = machine.apply([demo], told)
    assert names(first.changed) == ["Write a", "Have a line"]
    assert (tmp_path / "new/a").read_text() == "hello\n"
    assert mode(tmp_path / "new/a") == 0o640
    assert lines(tmp_path / "b") == ["x = 1"]
    second = machine.apply([demo])
    assert (second.changed, second.unchanged, second.failure) == ([], 2, None)
    assert told.stages == [("", 2)]
    assert told.done == [("demo | Write a", True), ("demo | Have a line", True)]


def test_a_run_stops_at_the_first_failure_with_that_operations_own_output(
    machine: Machine, note: Callable[..., Any], tmp_path: Path, told: Any
) -> None:
    def recipe() -> None:
        note("one")
        server.shell(name="Break", commands=["echo said; echo complained >&2", "echo last words; exit 7", "echo never"])
        note("two")

    result = machine.apply([recipe], told)
    assert result.failure is not None
    assert result.failure.name == "Break"
    assert result.failure.output == "said\ncomplained\nlast words\nexit status 7"
    assert lines(tmp_path / "log") == ["one"]
    assert told.done == [("Note one", True)]


def test_a_long_output_is_cut_to_its_end(machine: Machine) -> None:
    def recipe() -> None:
        server.shell(name="Chatter", commands=["seq 1 100000; exit 1"])

    failure = machine.apply([recipe]).failure
    assert failure is not None
    told = failure.output.splitlines()
    assert len(told) == 41
    assert told[-2:] == ["100000", "exit status 1"]


def test_exit_codes_that_count_as_success_do_not_stop_a_run(machine: Machine, note: Callable[..., Any], tmp_path: Path) -> None:
    def recipe() -> None:
        server.shell(name="Return 3", commands=["exit 3"], _success_exit_codes=[0, 3])
        note("after")

    assert machine.apply([recipe]).failure is None
    assert lines(tmp_path / "log") == ["after"]


def test_a_whole_stage_is_one_trip_and_a_look_at_what_is_right_is_another(
    machine: Machine, link: LocalLink, note: Callable[..., Any], tmp_path: Path
) -> None:
    def recipe() -> None:
        first = note("one")
        for number in range(10):
            files.put(name=f"Write {number}", src=StringIO(str(number)), dest=f"{tmp_path}/{number}")
        note("changed", _if=first.did_change)

    machine.plan([recipe])
    before = link.executions
    machine.apply([recipe])
    assert link.executions - before == 1
    assert lines(tmp_path / "log") == ["one", "changed"]


def test_facts_are_gathered_again_only_after_a_stage_that_changed_something(
    machine: Machine, link: LocalLink, tmp_path: Path
) -> None:
    content = ["1"]

    def recipe() -> None:
        files.put(name="Write a", src=StringIO(content[0]), dest=f"{tmp_path}/a")
        stage("a is there")
        files.put(name="Write b", src=StringIO(content[0]), dest=f"{tmp_path}/b")

    def trips() -> tuple[int, int]:
        machine.facts.forget()
        executions, rounds = link.executions, machine.facts.rounds
        machine.apply([recipe])
        return link.executions - executions, machine.facts.rounds - rounds

    trips()
    assert trips() == (2, 2), "the sums of files that are there have never been asked for before"
    assert trips() == (1, 1), "nothing to do: everything is asked in one script"
    content[0] = "2"
    assert trips() == (4, 2), "one look, one script a stage, one look in between"


def test_an_operation_after_a_stage_sees_what_the_stage_did(machine: Machine, tmp_path: Path) -> None:
    def recipe() -> None:
        server.shell(name="Make a folder", commands=[f"mkdir -p {tmp_path}/made"])
        stage("the folder is there")
        # Onto a folder, a local file goes under its own name: that depends on the folder being there.
        files.put(name="Write into it", src=__file__, dest=f"{tmp_path}/made")

    assert machine.apply([recipe]).failure is None
    assert (tmp_path / "made" / Path(__file__).name).exists()


def test_stages_are_named_to_the_observer(machine: Machine, note: Callable[..., Any], told: Any) -> None:
    @deploy("outer")
    def outer() -> None:
        note("one")
        stage("packages are installed")
        note("two")
        note("three")

    machine.apply([outer], told)
    assert told.stages == [("", 1), ("packages are installed", 2)]


@pytest.mark.parametrize("differs", [True, False])
def test_conditions_follow_what_happened_in_the_same_script(
    machine: Machine, note: Callable[..., Any], tmp_path: Path, *, differs: bool
) -> None:
    (tmp_path / "a").write_text("old" if differs else "new")

    def recipe() -> None:
        a = files.put(name="Write a", src=StringIO("new"), dest=f"{tmp_path}/a")
        b = files.put(name="Write b", src=StringIO("new"), dest=f"{tmp_path}/a")
        note("changed", _if=a.did_change)
        note("unchanged", _if=a.did_not_change)
        note("both", _if=[a.did_change, b.did_change])
        note("any", _if=any_changed(a, b))
        note("lambda", _if=lambda: a.did_change() and not a.did_error())

    machine.apply([recipe])
    assert lines(tmp_path / "log") == (["changed", "both", "any", "lambda"] if differs else ["unchanged"])


def test_conditions_follow_what_happened_in_an_earlier_stage(machine: Machine, note: Callable[..., Any], tmp_path: Path) -> None:
    def recipe() -> None:
        first = note("first")
        idle = files.directory(name="Have a folder", path=str(tmp_path))
        stage("second")
        note("after a change", _if=first.did_change)
        note("after nothing", _if=idle.did_change)

    machine.apply([recipe])
    assert lines(tmp_path / "log") == ["first", "after a change"]


def test_a_condition_may_read_the_output_of_an_operation_before_it(
    machine: Machine, note: Callable[..., Any], tmp_path: Path
) -> None:
    def recipe() -> None:
        asked = server.shell(name="Ask", commands=["echo yes; echo no >&2"])
        note("yes", _if=lambda: asked.stdout == "yes")
        note("no", _if=lambda: asked.stdout == "no")
        stage("later")
        note("later", _if=lambda: "no" in asked.stderr_lines)

    machine.apply([recipe])
    assert lines(tmp_path / "log") == ["yes", "later"]


def test_a_condition_that_looks_at_the_machine_sees_it_as_it_is_then(
    machine: Machine, note: Callable[..., Any], tmp_path: Path
) -> None:
    def recipe() -> None:
        note("one")
        note("seen", _if=lambda: bool(host.get_fact(File, path=f"{tmp_path}/log")))
        note("unseen", _if=lambda: not host.get_fact(File, path=f"{tmp_path}/log"))

    assert machine.apply([recipe]).failure is None
    assert lines(tmp_path / "log") == ["one", "seen"]


def test_a_condition_that_cannot_be_told_is_the_operations_failure(machine: Machine, note: Callable[..., Any]) -> None:
    def recipe() -> None:
        later: list[Any] = []
        note("too early", _if=lambda: later[0].did_change())
        later.append(note("later"))

    failure = machine.apply([recipe]).failure
    assert failure is not None
    assert failure.name == "Note too early"
    assert "Cannot evaluate operation result before execution" in failure.output


def test_what_no_script_can_carry_runs_in_its_place_among_the_rest(
    machine: Machine, note: Callable[..., Any], tmp_path: Path, told: Any
) -> None:
    seen: list[list[str]] = []

    def recipe() -> None:
        note("one")
        python.call(name="Look", function=lambda: seen.append(lines(tmp_path / "log")))
        note("two", _retries=2, _retry_delay=0)
        server.shell(name="May fail", commands=["false"], _ignore_errors=True)
        server.shell(name="Wait at most", commands=[f"echo three >> {tmp_path}/log"], _timeout=20)
        note("four")

    result = machine.apply([recipe], told)
    assert result.failure is None
    assert seen == [["one"]]
    assert lines(tmp_path / "log") == ["one", "two", "three", "four"]
    assert [name for name, _ in told.done] == ["Note one", "Look", "Note two", "May fail", "Wait at most", "Note four"]


def test_retries_go_on_until_the_operation_succeeds(machine: Machine, tmp_path: Path) -> None:
    def recipe() -> None:
        script = f"echo try >> {tmp_path}/tries; [ $(wc -l < {tmp_path}/tries) -ge 3 ]"
        server.shell(name="Third time lucky", commands=[script], _retries=5, _retry_delay=0)

    assert machine.apply([recipe]).failure is None
    assert lines(tmp_path / "tries") == ["try"] * 3


def test_a_failure_outside_of_scripts_stops_the_run_with_its_output_too(
    machine: Machine, note: Callable[..., Any], tmp_path: Path
) -> None:
    def recipe() -> None:
        server.shell(name="Break", commands=["echo why; exit 9"], _timeout=20)
        note("never")

    failure = machine.apply([recipe]).failure
    assert failure is not None
    assert (failure.name, failure.output) == ("Break", "why")
    assert not lines(tmp_path / "log")


def test_a_python_function_that_raises_is_told_in_its_own_words(machine: Machine) -> None:
    def broken() -> None:
        raise ValueError("the moon is in the wrong phase")

    def recipe() -> None:
        python.call(name="Call it", function=broken)

    failure = machine.apply([recipe]).failure
    assert failure is not None
    assert "the moon is in the wrong phase" in failure.output


def test_an_operation_that_reads_what_it_has_just_done_is_not_read_ahead(machine: Machine, tmp_path: Path) -> None:
    @operation()
    def two_steps() -> Any:
        yield f"touch {tmp_path}/first"
        if host.get_fact(File, path=f"{tmp_path}/first"):
            yield f"touch {tmp_path}/second"

    def recipe() -> None:
        two_steps(name="Take two steps")

    assert machine.apply([recipe]).failure is None
    assert (tmp_path / "second").exists()


def test_a_file_too_large_for_a_script_is_streamed(
    machine: Machine, link: LocalLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = os.urandom(3_000_000)

    def recipe() -> None:
        files.put(name="Write the large file", src=BytesIO(large), dest=f"{tmp_path}/large", mode="600")

    commands: list[str] = []
    execute = link.execute

    def noted(command: str, *args: Any, **kwargs: Any) -> Completed:
        commands.append(command)
        return execute(command, *args, **kwargs)

    monkeypatch.setattr(link, "execute", noted)
    assert machine.apply([recipe]).failure is None
    assert f"{tmp_path}/large 3000000 " in commands[-2]
    assert " 600\n" in commands[-2], "it is private before it has its name"
    assert (tmp_path / "large").read_bytes() == large
    assert mode(tmp_path / "large") == 0o600


def test_standard_input_of_a_command_travels_inside_the_script(machine: Machine, link: LocalLink, tmp_path: Path) -> None:
    @operation()
    def feed() -> Any:
        yield StringCommand("cat", ">", f"{tmp_path}/fed", _stdin='it\'s "quoted" $HOME `id`\nEOF\n\\')

    def recipe() -> None:
        feed(name="Feed")
        files.get(name="Fetch it", src=f"{tmp_path}/fed", dest=f"{tmp_path}/back")

    assert machine.apply([recipe]).failure is None
    assert (tmp_path / "back").read_text() == 'it\'s "quoted" $HOME `id`\nEOF\n\\\n'


def test_a_daemon_that_an_operation_starts_does_not_hold_the_run(machine: Machine) -> None:
    def recipe() -> None:
        server.shell(name="Start one", commands=["sleep 30 & echo $! > /dev/null"])

    began = time.monotonic()
    assert machine.apply([recipe]).failure is None
    assert time.monotonic() - began < 10


def test_what_a_deploy_gives_as_data_reaches_its_operations(machine: Machine, tmp_path: Path) -> None:
    @operation()
    def write_greeting() -> Any:
        yield f"echo {host.data.greeting} > {tmp_path}/greeting"

    @deploy("greeter", data_defaults={"greeting": "bonjour"})
    def greeter() -> None:
        write_greeting(name="Greet")

    machine.apply([greeter])
    assert lines(tmp_path / "greeting") == ["bonjour"]


def test_a_recipe_that_raises_says_so(machine: Machine) -> None:
    def recipe() -> None:
        raise RuntimeError("no such town")

    with pytest.raises(RuntimeError, match="no such town"):
        machine.apply([recipe])
