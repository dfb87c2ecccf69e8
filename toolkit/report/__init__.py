"""The only printer: results as text or JSON on standard output; progress, questions and errors on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from toolkit.errors import InventoryError, Problem, TelekitError, UsageError
from toolkit.report.harmless import harmless
from toolkit.report.style import Style, wants_colour
from toolkit.result import Result

if TYPE_CHECKING:
    from rich.live import Live

    from toolkit.engine.events import Event
    from toolkit.report.progress import Progress


class Report:
    """Says what a command does, and what came of it."""

    def __init__(self, command: str = "", *, json: bool = False, debug: bool = False) -> None:
        self.command, self.json, self.debug = command, json, debug
        self.diff = True
        # Kept as they are now: checks redirect what Python calls standard error while they run.
        self.stdout, self.stderr = sys.stdout, sys.stderr
        self.out = Style(colour=wants_colour(self.stdout))
        self.err = Style(colour=wants_colour(self.stderr))
        self._live: Live | None = None
        self._progress: Progress | None = None

    # -- results -----------------------------------------------------------------------------------------------------

    def result(self, result: Result) -> None:
        """The end of a command, on standard output."""
        self.quiet()
        if self.json:
            from toolkit.report.document import to_json

            print(to_json(result), file=self.stdout, flush=True)
            return
        self._write(result, self.stdout, self.out, diff=self.diff)

    def preview(self, result: Result, *, diff: bool = True) -> None:
        """A result on the way, before a question: on standard error, so that standard output keeps one document."""
        self.quiet()
        self._write(result, self.stderr, self.err, diff=diff)

    def _write(self, result: Result, stream: TextIO, style: Style, *, diff: bool) -> None:
        from toolkit.report.text import lines

        print("\n".join(lines(result, style, diff=diff)), file=stream, flush=True)

    def raw(self, text: str) -> None:
        """Text that another program reads, on standard output as it is."""
        print(text, file=self.stdout, flush=True)

    # -- on the way --------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A sentence on standard error."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self.stderr, flush=True)

    def warn(self, problems: Iterable[Problem]) -> None:
        """Warnings, where JSON does not carry them already."""
        from toolkit.report.text import problem_line

        for problem in problems:
            self.say(problem_line(problem, self.err))

    def phase(self, title: str, machines: Sequence[str], *, last: bool = False) -> None:
        """These machines now go through this phase together; last: whoever finishes it is finished."""
        if not machines:
            return
        if self._progress is None:
            from toolkit.report.progress import Progress

            self._progress = Progress()
        self._progress.phase(title, machines, last=last)
        if self._live is None and self.stderr.isatty() and wants_colour(self.stderr):
            self._start_live()
        elif self._live is None:
            self.say(f"{title}: {len(machines)}")

    def _start_live(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self.stderr)
        self._live = Live(
            self._progress, console=console, transient=True, refresh_per_second=8, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def emit(self, event: Event) -> None:
        """Follow a machine; where nothing is live, print a line when it is finished."""
        if self._progress is None:
            return
        said = self._progress.follow(event)
        if said and self._live is None:
            self.say(f"  {event.machine:<20}{said}")

    def quiet(self) -> None:
        """End what is live, so that ordinary lines follow it."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    # -- questions ---------------------------------------------------------------------------------------------------

    @property
    def interactive(self) -> bool:
        """Someone sits at both ends of the terminal."""
        return sys.stdin.isatty() and self.stderr.isatty()

    def ask(self, question: str, default: str = "") -> str:
        """One line from the person at the terminal."""
        self.quiet()
        shown = f" [{default}]" if default else ""
        print(f"{question}{shown}: ", end="", file=self.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise KeyboardInterrupt
        return answer.strip() or default

    def confirm(self, question: str) -> bool:
        """y or yes, o or oui; anything else is no."""
        return self.ask(f"{question} [y/N]").lower() in ("y", "yes", "o", "oui")

    def secret(self, question: str) -> str:
        """A line that the terminal does not show."""
        from getpass import getpass

        self.quiet()
        return getpass(f"{question}: ", stream=self.stderr)

    # -- errors ------------------------------------------------------------------------------------------------------

    def error(self, error: TelekitError) -> None:
        """What is wrong, where, and what to do next."""
        if not isinstance(error, InventoryError):
            self.failure(error.problem, error.exit_code)
            return
        result = Result(self.command, problems=error.problems, closing=f"Refused: {error}.", exit_code=error.exit_code)
        if self.json:
            self.result(result)
        else:
            self.preview(result)

    def usage(self, what: str, hint: str = "") -> None:
        """A command line that cannot be understood."""
        self.error(UsageError(what, hint=hint))

    def failure(self, problem: Problem, exit_code: int) -> None:
        """The one sentence of a run that went wrong."""
        if self.json:
            self.result(Result(self.command, problems=(problem,), exit_code=exit_code))
            return
        self.quiet()
        self.say(f"{self.err.paint('telekit:', 'red', 'bold')} {harmless(problem)}")
