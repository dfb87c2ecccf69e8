"""Jobs of one machine that run side by side; whatever all of them wait for goes out as one script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import gevent
from gevent.event import AsyncResult, Event

from toolkit.engine.batch.facts import Answer, Facts
from toolkit.engine.batch.questions import Question

T = TypeVar("T")


class Wave(Generic[T]):
    """Runs jobs until each is done or waits for an answer, again and again.

    ahead: what they will probably ask; it goes out with the first questions.
    """

    def __init__(self, facts: Facts, ahead: Iterable[Question] = ()) -> None:
        self.facts = facts
        self.ahead = ahead
        self.pending: dict[Question, AsyncResult] = {}
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
        if errors := [greenlet.value[1] for greenlet in greenlets if greenlet.value[1] is not None]:
            raise errors[0]
        return [greenlet.value[0] for greenlet in greenlets]

    def _one(self, job: Callable[[], T]) -> tuple[T | None, Exception | None]:
        try:
            return job(), None
        except Exception as error:  # noqa: BLE001 - raised again where all jobs are waited for
            return None, error
        finally:
            self.alive -= 1
            self._look()

    def _look(self) -> None:
        if self.waiting == self.alive:
            self.stuck.set()

    def fetch(self, question: Question) -> Answer:
        """The answer, from memory or with the next flush."""
        if (known := self.facts.recall(question)) is not None:
            return known
        answer = self.pending.setdefault(question, AsyncResult())
        self.waiting += 1
        self._look()
        found: Answer = answer.get()
        return found

    def _flush(self) -> None:
        todo, self.pending = self.pending, {}
        self.waiting = 0
        extra = [question for question in self.ahead if question not in todo and self.facts.recall(question) is None]
        self.ahead = ()
        questions = list(dict.fromkeys([*todo, *extra]))
        try:
            answers = dict(zip(questions, self.facts.gather(questions), strict=True))
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            self.failure = error
            for waiting in todo.values():
                waiting.set_exception(error)
            return
        self.facts.keep(answers)
        for question, waiting in todo.items():
            waiting.set(answers[question])
