"""Compile the commands of several operations into one shell script that reports on each and stops at the first failure.

The script runs from standard input, as one compound command: what arrives cut off does nothing. What operations write goes
to a file and not to the connection, so that a connection that breaks never takes a package manager down with it; the script
itself ends at the next mark it cannot deliver. Its temporary files carry its process number and go when it ends; those of
one that was killed go when the next one runs.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra.api.command import FileUploadCommand, StringCommand

from toolkit.engine.batch.connector import stdin_bytes
from toolkit.engine.batch.machine import Operation
from toolkit.engine.batch.sudo import command_line, is_plain_sudo
from toolkit.engine.batch.upload import PUT, upload_of

TAIL_BYTES = 16384

HEAD = """{{
exec 3>&1
printf '%s\\n' {nonce} >&3
command -v base64 >/dev/null || {{ echo 'base64 is not installed' >&2; exit 96; }}
for d in "${{TMPDIR:-/tmp}}"/pyinfra-batch.*; do
  [ -d "$d" ] && [ -O "$d" ] || continue
  q=${{d##*/pyinfra-batch.}}
  kill -0 "${{q%%.*}}" 2>/dev/null || rm -rf -- "$d"
done
t=$(mktemp -d "${{TMPDIR:-/tmp}}/pyinfra-batch.$$.XXXXXXXX") || exit 97
trap 'rm -rf -- "$t"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM
o=$t/out
put={put}
ok() {{ printf '{nonce} %s 0\\n' "$1" >&3; : >"$o"; }}
no() {{ printf '{nonce} %s %s\\n' "$1" "$2" >&3; tail -c {tail} "$o" >&3; printf '\\n{nonce}\\n' >&3; exit 0; }}
: >"$o"
"""
FOOT = "exit 0\n}\n"
QUIET = '>>"$o" 2>&1 3>&-'


@dataclass(frozen=True)
class Step:
    """An operation in a script, and the commands it comes to."""

    operation: Operation
    commands: Sequence[Any]


def arguments_of(operation: Operation, command: Any) -> dict[str, Any]:
    """The connector arguments of one command: the operation's, then its own."""
    return {**operation.arguments, **command.connector_arguments}


def runs_under_sudo(steps: Sequence[Step]) -> bool:
    """Whether one sudo around the script equals one before each command."""
    return all(is_plain_sudo(arguments_of(step.operation, command)) for step in steps for command in step.commands)


def compile_script(steps: Sequence[Step], nonce: str, *, inside_sudo: bool) -> bytes:
    """The script of the steps that have commands; marks carry a step's place in `steps`."""
    parts = [HEAD.format(nonce=nonce, put=shlex.quote(PUT), tail=TAIL_BYTES)]
    for place, step in enumerate(steps):
        for index, command in enumerate(step.commands):
            arguments = arguments_of(step.operation, command)
            following = tuple(step.commands[index + 1 :])
            parts.append(_line(command, arguments, following, nonce, inside_sudo=inside_sudo))
            parts.append(f"{_judge(arguments)} || no {place} $c\n")
        if step.commands:
            parts.append(f"ok {place}\n")
    return "".join([*parts, FOOT]).encode()


def _judge(arguments: dict[str, Any]) -> str:
    codes = arguments.get("_success_exit_codes") or [0]
    pattern = "|".join(str(int(code)) for code in codes)
    return f"c=$?; case $c in {pattern}) true ;; *) false ;; esac"


def _line(command: Any, arguments: dict[str, Any], following: tuple[Any, ...], nonce: str, *, inside_sudo: bool) -> str:
    if isinstance(command, FileUploadCommand):
        upload = upload_of(command.src, command.dest, following)
        if inside_sudo:
            program = f'sh -c "$put" put {upload.arguments}'
        else:
            program = command_line(upload.command(), arguments, inside_sudo=False)
        return _fed(program, upload.content(), nonce)
    program = command_line(command, arguments, inside_sudo=inside_sudo)
    if arguments.get("_stdin"):
        return _fed(program, stdin_bytes(arguments["_stdin"]), nonce)
    return f"{program} </dev/null {QUIET}\n"


def _fed(program: str, content: bytes, nonce: str) -> str:
    """The program with its standard input inside the script, in a form that no content can break out of."""
    encoded = base64.encodebytes(content).decode()
    # The program's last line may be anywhere, so the here-document stands first.
    return f"base64 -d <<'{nonce}' | {{\n{encoded}{nonce}\n{program} {QUIET}\n}}\n"


class Reports:
    """Reads a script's marks as they arrive. done(place) once an operation has succeeded; failed: (place, status, output)."""

    def __init__(self, nonce: str, done: Callable[[int], None]) -> None:
        self.nonce = nonce
        self.done = done
        self.begun = False
        self.failed: tuple[int, int, str] | None = None
        self._rest = b""
        self._output: list[bytes] | None = None

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._read(line)

    def _read(self, line: bytes) -> None:
        mark, *words = line.decode(errors="replace").split(" ")
        if mark != self.nonce:
            if self._output is not None:
                self._output.append(line)
        elif not words:
            self._close()
        elif words[1] == "0":
            self.done(int(words[0]))
        else:
            self.failed, self._output = (int(words[0]), int(words[1]), ""), []

    def _close(self) -> None:
        self.begun = True
        if self.failed is not None and self._output is not None:
            output = b"\n".join(self._output).decode(errors="replace").strip("\n")
            self.failed = (*self.failed[:2], output)


def is_compilable(command: Any) -> bool:
    """Whether a command can be a line of a script."""
    return type(command) in (StringCommand, FileUploadCommand)
