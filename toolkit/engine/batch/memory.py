"""What machines were asked, kept in a file from one run to the next: questions alone, never an answer.

A run that begins with them needs one round trip where it would else find out bit by bit what it has to ask. Questions
that are no longer asked cost the machine a moment once; those that are missing are asked a little later.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toolkit.engine.batch.questions import Question, question_of

VERSION = 1


class Memory:
    """The questions of each machine. A file that is missing, damaged or from another version is an empty memory."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._questions: dict[str, tuple[Question, ...]] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            self._questions = _read(json.loads(_own(file)))

    def questions(self, machine: str) -> tuple[Question, ...]:
        """What the machine was asked last time."""
        return self._questions.get(machine, ())

    def keep(self, asked: Mapping[str, Iterable[Question]]) -> None:
        """Note what machines were asked this time; one that was asked nothing keeps what it had."""
        fresh = {name: tuple(questions) for name, questions in asked.items()}
        changed = {name: new for name, new in fresh.items() if new and set(new) != set(self.questions(name))}
        if changed:
            self._questions.update(changed)
            # It only saves time: a full disk or a home that cannot be written to is no reason to fail.
            with contextlib.suppress(OSError):
                _write(self.file, json.dumps(_written(self._questions), separators=(",", ":")))


def _own(file: Path) -> str:
    """The text of a file that nobody but us can have written: what stands there is run as root."""
    with file.open(encoding="utf-8") as stream:
        state = os.fstat(stream.fileno())
        if state.st_uid != os.geteuid() or state.st_mode & 0o022:
            raise PermissionError(file)
        return stream.read()


def _read(found: dict[str, Any]) -> dict[str, tuple[Question, ...]]:
    if found["version"] != VERSION:
        return {}
    questions = [
        question_of(command, {**arguments, "_success_exit_codes": codes}) for command, arguments, codes in found["questions"]
    ]
    return {str(name): tuple(questions[place] for place in places) for name, places in found["machines"].items()}


def _written(questions: Mapping[str, tuple[Question, ...]]) -> dict[str, Any]:
    """Machines are asked much the same, so each question stands there once."""
    places: dict[Question, int] = {}
    machines = {name: [places.setdefault(question, len(places)) for question in asked] for name, asked in questions.items()}
    return {
        "version": VERSION,
        "questions": [[question.command, dict(question.arguments), question.codes] for question in places],
        "machines": machines,
    }


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, fresh = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(fresh).replace(file)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
