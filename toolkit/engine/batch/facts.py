"""What is known of one machine: kept until something changes, and who asked what, to be asked at once the next time."""

from __future__ import annotations

import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from pyinfra.connectors.util import CommandOutput

from toolkit.engine.batch.link import Link
from toolkit.engine.batch.questions import Question, as_output, check_begun, fact_script, parse_answers
from toolkit.engine.batch.sudo import ROOT, SELF

# Exit status, output and errors; whether that counts as answered, and pyinfra's form of it.
Answer = tuple[int, str, str]
Judged = tuple[bool, CommandOutput]

# What a machine was like that long ago says little about now (someone answered a question in between): all of it counts as
# old when its first part is.
MAX_AGE_SECONDS = 300.0


def judged(question: Question, answer: Answer) -> Judged:
    status, stdout, stderr = answer
    return status in question.codes, as_output(stdout, stderr)


class Facts:
    """What is known of a machine since its last change. rounds, asked: how many scripts went out, with how many questions.

    expected: what was asked of the machine at another time; it goes out with the first question, as hardly anything
    else will be asked.
    """

    def __init__(self, link: Link, expected: Iterable[Question] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.link = link
        self.expected = tuple(expected)
        self.clock = clock
        self.rounds = 0
        self.asked = 0
        self._known: dict[Question, Answer] = {}
        self._since = 0.0
        self._asked: defaultdict[str, dict[Question, None]] = defaultdict(dict)

    def recall(self, question: Question) -> Answer | None:
        return self._known.get(question) if self.clock() - self._since < MAX_AGE_SECONDS else None

    def keep(self, answers: Mapping[Question, Answer]) -> None:
        now = self.clock()
        if not self._known or now - self._since >= MAX_AGE_SECONDS:
            self._known.clear()
            self._since = now
        self._known.update({question: answer for question, answer in answers.items() if not question.apart})

    def forget(self) -> None:
        """Something changed: nothing that was read before counts."""
        self._known.clear()

    def remember(self, asker: str, question: Question) -> None:
        """Note who asks what."""
        # Machines that are worked on side by side have the same askers.
        self._asked[sys.intern(asker)][question] = None

    def asked_by(self, askers: Iterable[str]) -> list[Question]:
        """What they asked before."""
        return [question for asker in askers for question in self._asked.get(asker, ())]

    def all_asked(self) -> list[Question]:
        """What anybody asked so far, for `expected` of another time: nothing in which a secret stands."""
        return [question for question in dict.fromkeys(self.asked_by(tuple(self._asked))) if not question.secret]

    def ahead(self) -> list[Question]:
        """What will hardly be asked in vain before a recipe is evaluated."""
        return [*self.asked_by(tuple(self._asked)), *self.expected]

    def learn(self, questions: Iterable[Question]) -> dict[Question, Answer]:
        """The answers; those that are not known are asked for in one script."""
        answers = {question: self.recall(question) for question in questions}
        unknown = [question for question, answer in answers.items() if answer is None]
        found = dict(zip(unknown, self.gather(unknown), strict=True)) if unknown else {}
        self.keep(found)
        return {question: answer or found[question] for question, answer in answers.items()}

    def gather(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask the machine in one script."""
        inside = all(question.plain_sudo for question in questions)
        nonce = secrets.token_hex(16)
        script = fact_script(nonce, questions, inside_sudo=inside)
        self.rounds += 1
        self.asked += len(questions)
        completed = self.link.execute(ROOT if inside else SELF, [script.encode()])
        check_begun(completed, nonce.encode() in completed.stdout)
        return parse_answers(nonce, completed.stdout, questions)
