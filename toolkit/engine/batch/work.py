"""A machine over time: plans, applies and scripts over one link, with what is known of it kept between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyinfra.api.config import Config

from toolkit.engine.batch.apply import Applied, Apply, Observer
from toolkit.engine.batch.coshell import Coshells
from toolkit.engine.batch.facts import Facts
from toolkit.engine.batch.link import Completed, Link
from toolkit.engine.batch.machine import Deploy, Run
from toolkit.engine.batch.plan import Planned, plan
from toolkit.engine.batch.questions import Question, SudoRefusedError, reading
from toolkit.engine.batch.sudo import shell
from toolkit.engine.batch.together import Together

PATIENCE_SECONDS = 10


class Silent:
    """An observer that does not care."""

    def stage_started(self, name: str, operations: int) -> None:
        """Ignore it."""

    def operation_done(self, name: str, *, changed: bool, seconds: float) -> None:
        """Ignore it."""


class Machine:
    """A machine behind a link. config: makes the pyinfra Config of a run; data: what recipes read as host.data.

    together: shared by machines that are worked on side by side. expected: what was asked of it at another time (`Memory`).
    """

    def __init__(
        self,
        name: str,
        link: Link,
        *,
        data: Mapping[str, Any] | None = None,
        config: Callable[[], Config] = Config,
        together: Together | None = None,
        expected: Iterable[Question] = (),
    ) -> None:
        self.name = name
        self.link = link
        self.data = data if data is not None else {}
        self.config = config
        self.together = together or Together()
        self.facts = Facts(link, expected)
        self.coshells = Coshells(link)
        self._apply: Apply | None = None
        self._last = ""

    @property
    def current(self) -> str:
        """The operation that an apply is at, or ended at."""
        return self._apply.current if self._apply is not None else self._last

    @contextmanager
    def _run(self, deploys: Sequence[Deploy]) -> Iterator[Run]:
        run = Run(self.name, self.data, self.link, self.facts, self.config(), self.together)
        try:
            run.register(deploys)
            yield run
        finally:
            run.close()

    def plan(self, deploys: Sequence[Deploy]) -> list[Planned]:
        """What the deploys would change."""
        with self._run(deploys) as run:
            return plan(run)

    def apply(self, deploys: Sequence[Deploy], observer: Observer | None = None) -> Applied:
        """Make the machine as the deploys say; stops at the first failure."""
        with self._run(deploys) as run:
            self._apply = Apply(run, observer or Silent())
            try:
                return self._apply.go()
            finally:
                self._last, self._apply = self._apply.current, None

    def script(self, script: str, *, sudo: bool, seconds: float | None = None, reads_only: bool = False) -> Completed:
        """Run a shell script, which travels on standard input.

        reads_only: what is known of the machine stays true; such a script goes to a shell that is kept open.
        seconds: after that long it is ended, there, with exit status 124.
        """
        # Read whole before it runs, and never waiting for input: a script must not eat its own next line.
        body = f"{{\n:\n{script}\n}} </dev/null\n"
        # The machine ends it; the way there and back has its own time.
        patience = seconds + PATIENCE_SECONDS if seconds is not None else None
        if reads_only:
            done = self.coshells.run(body, sudo=sudo, seconds=seconds, patience=patience)
            if done is not None:
                return done
        else:
            self.facts.forget()
        return self.link.execute(shell(sudo=sudo, seconds=seconds), [body.encode()], timeout=patience)

    def read(self, script: str, *, sudo: bool, seconds: float | None = None, apart: bool = False) -> Completed:
        """The answer of a script that only reads, known until something changes; what recipes will ask comes along.

        seconds: as for `script`. apart: it waits more than it works, others may go on meanwhile; it is always asked anew.
        Where sudo is refused, the script runs without.
        """
        question = reading(script, sudo=sudo, seconds=seconds, apart=apart)
        if not apart:
            self.facts.remember("", question)
        try:
            status, stdout, stderr = self.facts.recall(question) or self.facts.learn([question, *self.facts.ahead()])[question]
        except SudoRefusedError:
            return self.script(script, sudo=False, seconds=seconds, reads_only=True)
        return Completed(status, stdout.encode(), stderr.encode())

    def close(self) -> None:
        """Let go of the machine."""
        self.coshells.close()
        self.link.close()
