"""Facts: many in one trip, exact to the byte, remembered until something changes, and never a silent default."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyinfra import host
from pyinfra.api import FactBase, StringCommand
from pyinfra.api.operation import operation
from pyinfra.facts.files import File
from pyinfra.operations import files

from toolkit.engine.batch import LocalLink, Machine, PlanFailedError
from toolkit.engine.batch.facts import Facts
from toolkit.engine.batch.questions import Question, fact_script, lines_of, parse_answers, question_of, reading

ARGUMENTS = {"_shell_executable": "sh"}


class Said(FactBase[list[str]]):
    """The lines that a shell command writes."""

    def command(self, script: str) -> str:
        return script

    def process(self, output: list[str]) -> list[str]:
        return output


@operation()
def read(script: str, into: list[Any]) -> Any:
    into.append(host.get_fact(Said, script=script))
    yield from ()


def test_all_operations_ask_in_one_script(machine: Machine, link: LocalLink) -> None:
    answers: list[Any] = []

    def recipe() -> None:
        for number in range(50):
            read(name=f"Read {number}", script=f"echo {number}", into=answers)

    machine.plan([recipe])
    assert link.executions == 1
    assert sorted(answers) == sorted([str(n)] for n in range(50))


def test_operations_that_ask_the_same_share_the_answer(machine: Machine, tmp_path: Path) -> None:
    answers: list[Any] = []
    script = f"echo asked >> {tmp_path}/log; wc -l < {tmp_path}/log"

    def recipe() -> None:
        read(name="Read", script=script, into=answers)
        read(name="Read again", script=script, into=answers)

    machine.plan([recipe])
    machine.plan([recipe])
    assert answers == [["1"]] * 4


def test_a_script_that_is_run_makes_facts_stale_unless_it_only_reads(machine: Machine, tmp_path: Path) -> None:
    answers: list[Any] = []

    def recipe() -> None:
        read(name="Read", script=f"cat {tmp_path}/value", into=answers)

    (tmp_path / "value").write_text("old")
    machine.plan([recipe])
    machine.script(f"echo new > {tmp_path}/value", sudo=False, reads_only=True)
    machine.plan([recipe])
    machine.script("true", sudo=False)
    machine.plan([recipe])
    assert answers == [["old"], ["old"], ["new"]]


def test_answers_grow_old(link: LocalLink) -> None:
    now = [0.0]
    facts = Facts(link, clock=lambda: now[0])
    facts.keep({Question("true"): (0, "", "")})
    now[0] = 299
    assert facts.recall(Question("true")) is not None
    now[0] = 301
    assert facts.recall(Question("true")) is None


def test_a_fact_that_fails_fails_its_operation_and_says_why(machine: Machine) -> None:
    def recipe() -> None:
        read(name="Read the unreadable", script="echo no disk >&2; exit 5", into=[])

    with pytest.raises(PlanFailedError, match=r"(?s)Read the unreadable: .*Said\(script=.*no disk"):
        machine.plan([recipe])
    failure = machine.apply([recipe]).failure
    assert failure is not None
    assert "no disk" in failure.output


def test_a_fact_that_fails_does_not_stop_operations_before_it(machine: Machine, tmp_path: Path) -> None:
    def recipe() -> None:
        files.file(name="Make a file", path=f"{tmp_path}/made")
        read(name="Read the unreadable", script="exit 5", into=[])
        files.file(name="Never made", path=f"{tmp_path}/never")

    result = machine.apply([recipe])
    assert result.changed == ["Make a file"]
    assert result.failure is not None
    assert not (tmp_path / "never").exists()


def test_a_command_that_is_not_there_gives_the_facts_default_as_in_pyinfra(machine: Machine) -> None:
    class Missing(FactBase[str]):
        default = staticmethod(lambda: "default")

        def requires_command(self) -> str:
            return "no-such-command-anywhere"

        def command(self) -> str:
            return "no-such-command-anywhere --version"

    answers: list[str] = []

    @operation()
    def ask() -> Any:
        answers.append(host.get_fact(Missing))
        yield from ()

    assert machine.apply([lambda: ask(name="Ask")]).failure is None
    assert answers == ["default"]


def test_a_recipe_itself_may_ask_the_machine(machine: Machine, tmp_path: Path) -> None:
    seen = []

    def recipe() -> None:
        seen.append(host.get_fact(File, path=str(tmp_path / "none")))
        seen.append(host.get_fact(File, path=__file__)["size"])

    machine.plan([recipe])
    assert seen == [None, Path(__file__).stat().st_size]


OUTPUTS = st.binary(max_size=200).filter(lambda b: b"\0" not in b)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(OUTPUTS, OUTPUTS, st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_facts_write_comes_back_as_it_was(said: list[tuple[bytes, bytes, int]]) -> None:
    def octal(data: bytes) -> str:
        return "".join(f"\\{byte:03o}" for byte in data)

    questions = [
        reading(f'printf "{octal(out)}"; printf "{octal(err)}" >&2; exit {code}', sudo=False, apart=place % 2 == 0)
        for place, (out, err, code) in enumerate(said)
    ]
    script = fact_script("abcdef", questions, inside_sudo=False)
    done = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=False)
    answers = parse_answers("abcdef", done.stdout, questions)
    for (out, err, code), (status, stdout, stderr) in zip(said, answers, strict=True):
        assert status == code
        assert stdout == out.decode(errors="replace")
        assert lines_of(stderr) == lines_of(err.decode(errors="replace") + "\n") or stderr == err.decode(errors="replace")


def test_a_script_that_arrives_cut_off_does_nothing(tmp_path: Path) -> None:
    writing = f"echo x >> {tmp_path}/ran"
    questions = [reading(writing, sudo=False), reading(writing, sudo=False, apart=True), reading(writing, sudo=False)]
    script = fact_script("abcdef", questions, inside_sudo=False)
    for end in range(0, len(script) - 3, 7):
        subprocess.run(["sh", "-s"], input=script[:end].encode(), capture_output=True, check=False)
    assert not (tmp_path / "ran").exists()
    subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=True)
    assert (tmp_path / "ran").exists()


def test_facts_under_one_sudo_and_facts_with_another_user_are_told_apart() -> None:
    root = question_of(StringCommand("id"), {**ARGUMENTS, "_sudo": True})
    other = question_of(StringCommand("id"), {**ARGUMENTS, "_sudo": True, "_sudo_user": "www-data"})
    assert root.plain_sudo
    assert not other.plain_sudo
    assert root.line(inside_sudo=True) == "sh -c id"
    assert other.line(inside_sudo=False) == "sudo -H -n -u www-data sh -c id"
    assert len({root, other, question_of(StringCommand("id"), ARGUMENTS)}) == 3
    assert question_of("id", {**ARGUMENTS, "_sudo": True, "_chdir": None}) is root


def test_facts_leave_no_file_behind(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    machine.plan([lambda: read(name="Read", script="echo x; echo y >&2", into=[])])
    assert not list(tmp_path.iterdir())
