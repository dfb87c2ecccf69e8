"""What is asked of a machine, many questions in one script, and the answers out of what comes back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.connectors.util import CommandOutput, OutputLine

from toolkit.engine.batch.link import Completed
from toolkit.engine.batch.sudo import command_line, connector_arguments, is_plain_sudo

# The braces make the shell read all of it before it runs any of it: what arrives cut off does nothing.
HEAD = """{{
printf '%s\\n' {nonce}
t=$(mktemp 2>/dev/null) || t=/dev/null
d=
trap '[ "$t" = /dev/null ] || rm -f -- "$t"; [ -z "$d" ] || rm -rf -- "$d"' EXIT
trap 'exit 129' HUP
trap 'exit 141' PIPE
trap 'exit 143' TERM
f() {{ printf '\\n%s %s\\n' {nonce} "$1"; cat "$t"; printf '\\n%s\\n' {nonce}; }}
"""
# A question that takes its time is put first and its answer taken last. Where nothing can be written, it waits its turn.
APART = "d=$(mktemp -d 2>/dev/null) || d=\n"
BEGIN = 'a{n}() {{\n{line}\n}}\n[ -z "$d" ] || {{ a{n} </dev/null >"$d/{n}" 2>"$d/{n}.err" & p{n}=$!; }}\n'
COLLECT = (
    'if [ -n "$d" ]; then wait "$p{n}"; s=$?; cat "$d/{n}.err" >"$t"; cat "$d/{n}"; else a{n} </dev/null 2>"$t"; s=$?; fi\nf $s\n'
)


@dataclass(frozen=True, slots=True)
class Question:
    """A command that only reads, how it is to be run, and with which exit codes it counts as answered.

    secret: something stands in it that nobody should read. apart: it takes long without working hard (it waits for a
    network), so that others may go on meanwhile; its answer counts once.
    """

    command: str
    arguments: tuple[tuple[str, Any], ...] = ()
    codes: tuple[int, ...] = (0,)
    secret: bool = False
    apart: bool = False

    def __hash__(self) -> int:
        return hash(self.command)

    @property
    def plain_sudo(self) -> bool:
        return is_plain_sudo(dict(self.arguments))

    def line(self, *, inside_sudo: bool) -> str:
        return _line(self.command, self.arguments, inside_sudo)


def question_of(command: Any, arguments: Mapping[str, Any]) -> Question:
    """The question of a pyinfra command and its arguments; equal ones are one object, whichever machine they are for."""
    raw = command.get_raw_value() if isinstance(command, StringCommand) else str(command)
    shaping = tuple((key, _frozen(value)) for key, value in connector_arguments(arguments).items() if value)
    codes = tuple(arguments.get("_success_exit_codes") or (0,))
    return _question(raw, shaping, codes, str(command) != raw or bool(arguments.get("_env")))


def reading(script: str, *, sudo: bool, seconds: float | None = None, apart: bool = False) -> Question:
    """The question that a shell script is; with `seconds`, it is ended after that time with exit status 124."""
    command = script if seconds is None else f"timeout -k 2 {seconds:g} sh -c {shlex.quote(script)}"
    arguments = (("_sudo", True), ("_shell_executable", "sh")) if sudo else (("_shell_executable", "sh"),)
    return Question(command, arguments, apart=apart)


@lru_cache(8192)
def _question(command: str, arguments: tuple[tuple[str, Any], ...], codes: tuple[int, ...], secret: bool) -> Question:
    return Question(command, arguments, codes, secret)


@lru_cache(8192)
def _line(command: str, arguments: tuple[tuple[str, Any], ...], inside_sudo: bool) -> str:
    thawed = {key: dict(value) if key == "_env" else value for key, value in arguments}
    return command_line(command, thawed, inside_sudo=inside_sudo)


def _frozen(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, Mapping) else value


def fact_script(nonce: str, questions: Sequence[Question], *, inside_sudo: bool) -> str:
    """One script that answers every question: output, mark with exit status, errors, mark, for each in turn."""
    slow = {n: question.line(inside_sudo=inside_sudo) for n, question in enumerate(questions) if question.apart}
    parts = [HEAD.format(nonce=nonce), APART if slow else "", *(BEGIN.format(n=n, line=line) for n, line in slow.items())]
    for n in order(questions):
        line = f'{questions[n].line(inside_sudo=inside_sudo)} </dev/null 2>"$t"; f $?\n'
        parts.append(COLLECT.format(n=n) if n in slow else line)
    return "".join([*parts, "exit 0\n}\n"])


def order(questions: Sequence[Question]) -> list[int]:
    """The places of the questions in the order of their answers."""
    return sorted(range(len(questions)), key=lambda n: questions[n].apart)


def parse_answers(nonce: str, stdout: bytes, questions: Sequence[Question]) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of each question of a `fact_script`."""
    # A login shell may have written something of its own before.
    _, _, body = stdout.decode(errors="replace").partition(f"{nonce}\n")
    parts = body.split(f"\n{nonce}")
    if len(parts) < 2 * len(questions):
        raise RuntimeError(f"the script ended after {len(parts) // 2} of {len(questions)} facts")
    answers = [(0, "", "")] * len(questions)
    for index, n in enumerate(order(questions)):
        output = parts[2 * index].removeprefix("\n") if index else parts[0]
        status, _, errors = parts[2 * index + 1].removeprefix(" ").partition("\n")
        answers[n] = (int(status), output, errors)
    return answers


def lines_of(text: str) -> list[str]:
    """Lines as pyinfra reads them from a channel: only a line feed ends one."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def as_output(stdout: str, stderr: str) -> CommandOutput:
    return CommandOutput([*_marked("stdout", lines_of(stdout)), *_marked("stderr", lines_of(stderr))])


def _marked(stream: str, lines: Iterable[str]) -> list[OutputLine]:
    return [OutputLine(stream, line) for line in lines]


class SudoRefusedError(RuntimeError):
    """The account may not become root without a password."""


def check_begun(completed: Completed, begun: bool) -> None:
    """Raise for a script that never ran: sudo that asks for a password is the usual cause."""
    if begun:
        return
    complaint = completed.complaint or f"exit status {completed.code}"
    if "sudo" in complaint:
        raise SudoRefusedError(f"sudo does not work without a password here: {complaint}")
    raise RuntimeError(f"the script did not run: {complaint}")
