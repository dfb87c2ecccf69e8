"""Facts of one machine: asked for by many operations at once, fetched in one script a wave, kept until something changes."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import gevent
from gevent.event import AsyncResult, Event
from pyinfra.connectors.util import CommandOutput, OutputLine

from toolkit.engine.batch.link import Completed, Link
from toolkit.engine.batch.sudo import ROOT, SELF, command_line, is_plain_sudo

T = TypeVar("T")
Answer = tuple[bool, CommandOutput]

# What a machine was like that long ago says little about now (someone answered a question in between).
MAX_AGE_SECONDS = 300.0

HEAD = """{{
printf '%s\\n' {nonce}
t=$(mktemp 2>/dev/null) || t=/dev/null
trap '[ "$t" = /dev/null ] || rm -f -- "$t"' EXIT
trap 'exit 129' HUP
trap 'exit 141' PIPE
trap 'exit 143' TERM
f() {{ printf '\\n%s %s\\n' {nonce} "$1"; cat "$t"; printf '\\n%s\\n' {nonce}; }}
"""


class SudoRefusedError(RuntimeError):
    """The account may not become root without a password."""


@dataclass(frozen=True)
class Question:
    """A fact's command, how it is to be run, and with which exit codes it counts as answered."""

    command: Any
    arguments: Mapping[str, Any]

    @property
    def plain_sudo(self) -> bool:
        return is_plain_sudo(self.arguments)

    @property
    def codes(self) -> list[int]:
        return list(self.arguments.get("_success_exit_codes") or [0])

    def line(self, *, inside_sudo: bool) -> str:
        return command_line(self.command, self.arguments, inside_sudo=inside_sudo)

    @cached_property
    def key(self) -> str:
        return f"{self.codes} {self.line(inside_sudo=False)}"


def fact_script(nonce: str, lines: Sequence[str]) -> str:
    """One script that answers every question: begin mark, then output, mark with exit status, errors, mark, for each.

    The braces make the shell read all of it before it runs any of it: what arrives cut off does nothing.
    """
    body = "".join(f'{line} </dev/null 2>"$t"; f $?\n' for line in lines)
    return f"{HEAD.format(nonce=nonce)}{body}exit 0\n}}\n"


def parse_answers(nonce: str, stdout: bytes, expected: int) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of each question of a `fact_script`."""
    # A login shell may have written something of its own before.
    _, _, body = stdout.decode(errors="replace").partition(f"{nonce}\n")
    parts = body.split(f"\n{nonce}")
    if len(parts) < 2 * expected:
        raise RuntimeError(f"the script ended after {len(parts) // 2} of {expected} facts")
    answers = []
    for index in range(expected):
        output = parts[2 * index].removeprefix("\n") if index else parts[0]
        status, _, errors = parts[2 * index + 1].removeprefix(" ").partition("\n")
        answers.append((int(status), output, errors))
    return answers


def lines_of(text: str) -> list[str]:
    """Lines as pyinfra reads them from a channel: only a line feed ends one."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def as_output(stdout: str, stderr: str) -> CommandOutput:
    return CommandOutput(
        [OutputLine("stdout", line) for line in lines_of(stdout)] + [OutputLine("stderr", line) for line in lines_of(stderr)]
    )


def check_begun(completed: Completed, begun: bool) -> None:
    """Raise for a script that never ran: sudo that asks for a password is the usual cause."""
    if begun:
        return
    complaint = completed.complaint or f"exit status {completed.code}"
    if "sudo" in complaint:
        raise SudoRefusedError(f"sudo does not work without a password here: {complaint}")
    raise RuntimeError(f"the script did not run: {complaint}")


class Wave(Generic[T]):
    """Jobs of one machine that run side by side until each is done or waits for a fact.

    ahead: what these jobs asked last time; it goes out with the first questions, as they will hardly ask anything else.
    """

    def __init__(self, facts: Facts, ahead: Mapping[str, Question] | None = None) -> None:
        self.facts = facts
        self.ahead = dict(ahead or {})
        self.pending: dict[str, tuple[Question, AsyncResult]] = {}
        self.alive = 0
        self.waiting = 0
        self.stuck = Event()
        self.failure: Exception | None = None

    def run(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Run every job to its end; what all of them wait for goes out together, time after time."""
        self.alive = len(jobs)
        greenlets = [gevent.spawn(self._one, job) for job in jobs]
        try:
            while self.alive:
                self.stuck.wait()
                self.stuck.clear()
                if self.pending:
                    self._flush()
        finally:
            gevent.killall(greenlets)
        if self.failure is not None:
            # pyinfra makes a failed fact of whatever goes wrong, this is about the machine.
            raise self.failure
        return [greenlet.get() for greenlet in greenlets]

    def _one(self, job: Callable[[], T]) -> T:
        try:
            return job()
        finally:
            self.alive -= 1
            self._look()

    def _look(self) -> None:
        if self.waiting == self.alive:
            self.stuck.set()

    def fetch(self, question: Question) -> Answer:
        """The answer, from memory or with the next flush."""
        key = question.key
        if (known := self.facts.recall(key)) is not None:
            return known
        _, answer = self.pending.setdefault(key, (question, AsyncResult()))
        self.waiting += 1
        self._look()
        found: Answer = answer.get()
        return found

    def _flush(self) -> None:
        todo, self.pending = self.pending, {}
        self.waiting = 0
        for key, question in self.ahead.items():
            if key not in todo and self.facts.recall(key) is None:
                todo[key] = question, AsyncResult()
        self.ahead = {}
        try:
            found = self.facts.gather([question for question, _ in todo.values()])
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            self.failure = error
            for _, answer in todo.values():
                answer.set_exception(error)
            return
        for (key, (question, answer)), result in zip(todo.items(), found, strict=True):
            judged = _judged(question, result)
            self.facts.keep(key, judged)
            answer.set(judged)


def _judged(question: Question, result: tuple[int, str, str]) -> Answer:
    status, stdout, stderr = result
    return status in question.codes, as_output(stdout, stderr)


class Facts:
    """What is known of a machine since its last change. rounds, asked: how many scripts went out, with how many facts."""

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self.link = link
        self.clock = clock
        self.rounds = 0
        self.asked = 0
        self._known: dict[str, tuple[float, Answer]] = {}
        self._asked: defaultdict[str, dict[str, Question]] = defaultdict(dict)

    def recall(self, key: str) -> Answer | None:
        since, answer = self._known.get(key, (0.0, None))
        return answer if answer is not None and self.clock() - since < MAX_AGE_SECONDS else None

    def keep(self, key: str, answer: Answer) -> None:
        self._known[key] = (self.clock(), answer)

    def forget(self) -> None:
        """Something changed: nothing that was read before counts."""
        self._known.clear()

    def remember(self, asker: str, question: Question) -> None:
        """Note who asks what."""
        self._asked[asker][question.key] = question

    def asked_by(self, askers: Iterable[str]) -> dict[str, Question]:
        """What they asked before, to be asked at once the next time."""
        return {key: question for asker in askers for key, question in self._asked.get(asker, {}).items()}

    def gather(self, questions: Sequence[Question]) -> list[tuple[int, str, str]]:
        """Ask the machine in one script."""
        inside = all(question.plain_sudo for question in questions)
        nonce = secrets.token_hex(16)
        script = fact_script(nonce, [question.line(inside_sudo=inside) for question in questions])
        self.rounds += 1
        self.asked += len(questions)
        completed = self.link.execute(ROOT if inside else SELF, [script.encode()])
        check_begun(completed, nonce.encode() in completed.stdout)
        return parse_answers(nonce, completed.stdout, len(questions))
