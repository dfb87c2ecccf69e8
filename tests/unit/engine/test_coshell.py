"""Scripts that only read share a shell: nothing of one is seen in the next, whatever it does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gevent
import pytest

from toolkit.engine.batch import CommandTimeoutError, Connector, LinkLostError, LocalLink, Machine
from toolkit.engine.batch.coshell import ANSWER_BYTES, COMPLAINT_BYTES, Coshell


def look(machine: Machine, script: str, seconds: float | None = 10) -> tuple[int, str, str]:
    done = machine.script(script, sudo=False, seconds=seconds, reads_only=True)
    return done.code, done.stdout.decode(), done.stderr.decode()


def shells(machine: Machine) -> list[Coshell]:
    return machine.coshells._idle[False]


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("echo one; echo two >&2", (0, "one\n", "two\n")),
        ("printf one; printf two >&2; exit 3", (3, "one", "two")),
        ("printf '\\n\\n'", (0, "\n\n", "")),
        ("cat", (0, "", "")),
        ("if then", (2, "", None)),
        ("kill -9 $$", (137, "", None)),
        ("exec >&- 2>&-", (0, "", "")),
        ("head -c 300000 /dev/zero | tr '\\0' x", (0, 300_000 * "x", "")),
        ("echo 'END'; cat <<'END'\nthere\nEND", (0, "END\nthere\n", "")),
    ],
)
def test_a_script_gives_what_it_would_give_by_itself(machine: Machine, script: str, answer: tuple[int, str, str | None]) -> None:
    for _ in range(2):
        code, stdout, stderr = look(machine, script)
        assert (code, stdout) == answer[:2]
        assert answer[2] in (None, stderr)
    assert len(shells(machine)) == 1


def test_nothing_that_a_script_sets_is_there_for_the_next(machine: Machine, tmp_path: Path) -> None:
    look(machine, f"cd {tmp_path}; value=1; export value; umask 000; set -eu; trap 'echo trapped' EXIT")
    assert look(machine, "pwd; echo ${value-none}; umask; false; echo on")[1] == f"{Path.cwd()}\nnone\n0022\non\n"


def test_scripts_side_by_side_have_a_shell_each_and_more_than_that_go_alone(machine: Machine) -> None:
    began = time.monotonic()
    jobs = [gevent.spawn(look, machine, f"sleep 2; echo {number}") for number in range(6)]
    gevent.joinall(jobs, raise_error=True)
    assert [job.value[1] for job in jobs] == [f"{number}\n" for number in range(6)]
    assert time.monotonic() - began < 9
    assert len(shells(machine)) == 3


def test_a_script_that_takes_too_long_is_ended_there_and_the_shell_stays(machine: Machine) -> None:
    assert look(machine, "echo begun; sleep 60", seconds=2)[:2] == (124, "begun\n")
    assert look(machine, "echo next")[1] == "next\n"
    assert len(shells(machine)) == 1


def test_a_shell_whose_script_nobody_waits_for_any_more_is_given_up(machine: Machine) -> None:
    look(machine, ":")
    with pytest.raises(CommandTimeoutError):
        machine.coshells.run("sleep 3; echo late\n", sudo=False, seconds=None, patience=0.2)
    assert shells(machine) == []
    assert look(machine, "echo next")[1] == "next\n"


def test_a_shell_that_was_ended_is_replaced(machine: Machine) -> None:
    # Above the script is `timeout`, above that the shell.
    assert look(machine, "kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$)); sleep 0.5")[0] != 0
    assert look(machine, "echo next")[1] == "next\n"


def test_complaints_without_end_are_cut_and_an_answer_without_end_is_not_waited_for(machine: Machine) -> None:
    code, stdout, stderr = look(machine, f"head -c {3 * COMPLAINT_BYTES} /dev/zero | tr '\\0' x >&2; echo done")
    assert (code, stdout) == (0, "done\n")
    assert COMPLAINT_BYTES <= len(stderr) < COMPLAINT_BYTES + 100
    with pytest.raises(LinkLostError, match="sends without end"):
        look(machine, f"head -c {ANSWER_BYTES + 10} /dev/zero; sleep 9", seconds=20)


def test_a_refusal_to_open_one_is_the_answer(link: LocalLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n", encoding="ascii")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    began = time.monotonic()
    done = Machine("here", link).script("echo never", sudo=True, seconds=5, reads_only=True)
    assert (done.code, done.stdout, done.stderr) == (1, b"", b"sudo: a password is required\n")
    assert time.monotonic() - began < 5


def test_many_scripts_are_one_command_over_ssh_and_what_they_were_is_in_no_argument_list(farm: Any) -> None:
    connector = Connector(farm.folder / "known_hosts", [farm.folder / "operator"])
    link = connector.open("127.0.0.1", farm.ports[0], "root")
    machine = Machine("m0", link)
    before = farm.executions(0)
    try:
        for number in range(20):
            assert look(machine, f"echo {number} hush")[1] == f"{number} hush\n"
        assert "hush" not in look(machine, "ps -eo args | grep '[h]ush'")[1]
    finally:
        machine.close()
    assert farm.executions(0) - before == 1
    assert link.executions == 21
