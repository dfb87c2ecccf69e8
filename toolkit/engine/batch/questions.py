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
# Names are such as no question uses, since questions run in subshells of the script.
HEAD = """{{
{{
printf '%s\\n' {nonce}
batch_errors=$(mktemp 2>/dev/null) || batch_errors=/dev/null
batch_apart=
trap '[ "$batch_errors" = /dev/null ] || rm -f -- "$batch_errors"; [ -z "$batch_apart" ] || rm -rf -- "$batch_apart"' EXIT
trap 'exit 129' HUP
trap 'exit 141' PIPE
trap 'exit 143' TERM
batch_end() {{ printf '\\n%s %s\\n' {nonce} "$1"; cat "$batch_errors"; printf '\\n%s\\n' {nonce}; }}
"""
# A question that takes its time is put first and its answer taken last. Where nothing can be written, it waits its turn.
APART = "batch_apart=$(mktemp -d 2>/dev/null) || batch_apart=\n"
BEGIN = """batch_ask{n}() {{
{line}
}}
[ -z "$batch_apart" ] || {{ batch_ask{n} </dev/null >"$batch_apart/{n}" 2>"$batch_apart/{n}.err" & batch_process{n}=$!; }}
"""
COLLECT = """if [ -n "$batch_apart" ]
then wait "$batch_process{n}"; batch_status=$?; cat "$batch_apart/{n}.err" >"$batch_errors"; cat "$batch_apart/{n}"
else batch_ask{n} </dev/null 2>"$batch_errors"; batch_status=$?
fi
batch_end $batch_status
"""
# What is written in little pieces travels in large ones, where that can be had.
FOOT = "exit 0\n} | { dd bs=65536 iflag=fullblock status=none 2>/dev/null || cat; }\n}\n"
# Machines of a kind give many such answers alike; longer ones are contents of files, which would only be held.
SHORT = 200


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
    hides = isinstance(command, StringCommand) and command.get_masked_value() != raw
    shaping = tuple((key, _frozen(value)) for key, value in connector_arguments(arguments).items() if value)
    codes = tuple(arguments.get("_success_exit_codes") or (0,))
    return _question(raw, shaping, codes, hides or bool(arguments.get("_env")))


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
    if {key: value for key, value in thawed.items() if not (inside_sudo and key == "_sudo")} == {"_shell_executable": "sh"}:
        # What `sh -c` would do, without another program: whatever it sets, breaks or ends is the subshell's own.
        return f"( eval {shlex.quote(command)} )"
    return command_line(command, thawed, inside_sudo=inside_sudo)


def _frozen(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, Mapping) else value


def fact_script(nonce: str, questions: Sequence[Question], *, inside_sudo: bool) -> str:
    """One script that answers every question: output, mark with exit status, errors, mark, for each in turn."""
    slow = {n: question.line(inside_sudo=inside_sudo) for n, question in enumerate(questions) if question.apart}
    parts = [HEAD.format(nonce=nonce), APART if slow else "", *(BEGIN.format(n=n, line=line) for n, line in slow.items())]
    for n in order(questions):
        line = f'{questions[n].line(inside_sudo=inside_sudo)} </dev/null 2>"$batch_errors"; batch_end $?\n'
        parts.append(COLLECT.format(n=n) if n in slow else line)
    return "".join([*parts, FOOT])


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
        answer = int(status), output, errors
        answers[n] = _shared(answer) if len(output) + len(errors) <= SHORT else answer
    return answers


@lru_cache(4096)
def _shared(answer: tuple[int, str, str]) -> tuple[int, str, str]:
    """The same answer as one object, whichever machine gave it."""
    return answer


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
