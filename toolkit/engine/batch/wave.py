"""Jobs of one machine that run side by side; whatever all of them wait for goes out as one script."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import gevent
from gevent.event import AsyncResult, Event

from toolkit.engine.batch.facts import Answer, Facts
from toolkit.engine.batch.questions import Question

T = TypeVar("T")


class Wave(Generic[T]):
    """Runs jobs until each is done or waits for an answer, again and again.

    ahead: what they will probably ask; it goes out before they begin, since each that waits holds some 25 KB meanwhile.
    """

    def __init__(self, facts: Facts, ahead: Iterable[Question] = ()) -> None:
        self.facts = facts
        self.ahead = ahead
        self.pending: dict[Question, AsyncResult] = {}
        self.todo: deque[tuple[int, Callable[[], T]]] = deque()
        self.workers: list[gevent.Greenlet] = []
        self.done: dict[int, T] = {}
        self.errors: dict[int, Exception] = {}
        self.alive = 0
        self.waiting = 0
        self.stuck = Event()
        self.failure: Exception | None = None

    def run(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Run every job to its end; what all of them wait for goes out together, time after time."""
        self.facts.learn(self.ahead)
        self.alive = len(jobs)
        self.todo.extend(enumerate(jobs))
        self._go_on()
        try:
            while self.alive:
                self.stuck.wait()
                self.stuck.clear()
                self._flush()
        finally:
            gevent.killall(self.workers)
        if self.failure is not None:
            # pyinfra makes a failed fact of whatever goes wrong, this is about the machine.
            raise self.failure
        if self.errors:
            raise self.errors[min(self.errors)]
        return [self.done[place] for place in range(len(jobs))]

    def _go_on(self) -> None:
        """Have a greenlet take up the jobs that nobody has begun: one a job would cost as much as some of them."""
        self.workers.append(gevent.spawn(self._work))

    def _work(self) -> None:
        while self.todo:
            place, job = self.todo.popleft()
            try:
                self.done[place] = job()
            except Exception as error:  # noqa: BLE001 - raised again where all jobs are waited for
                self.errors[place] = error
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
        if self.todo:
            self._go_on()
        found: Answer = answer.get()
        return found

    def _flush(self) -> None:
        asked, self.pending = self.pending, {}
        self.waiting = 0
        try:
            answers = self.facts.learn(asked)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            self.failure = error
            for waiting in asked.values():
                waiting.set_exception(error)
            return
        for question, waiting in asked.items():
            waiting.set(answers[question])
