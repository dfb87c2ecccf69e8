"""Apply a machine's recipes stage by stage: one script a stretch of operations, plain pyinfra for what no script can carry."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

import click
from pyinfra import logger
from pyinfra.api.operations import run_host_op
from pyinfra.api.state import StateStage

from toolkit.engine.batch import outcomes
from toolkit.engine.batch.connector import NotNowError
from toolkit.engine.batch.link import LinkLostError
from toolkit.engine.batch.machine import STAGE, HostView, Operation, Run
from toolkit.engine.batch.questions import check_begun
from toolkit.engine.batch.script import Reports, Step, compile_script, runs_under_sudo
from toolkit.engine.batch.slow import fits_script, upload_bytes
from toolkit.engine.batch.sudo import ROOT, SELF

TAIL_LINES = 40
# A shell keeps a script in memory before it runs it.
SCRIPT_BYTES = 4_000_000


class Observer(Protocol):
    """Who wants to know how far an apply is."""

    def stage_started(self, name: str, operations: int) -> None: ...
    def operation_done(self, name: str, *, changed: bool, seconds: float) -> None: ...


@dataclass(frozen=True)
class Failure:
    """The operation that failed, and the end of what it wrote."""

    name: str
    output: str


@dataclass
class Applied:
    """What an apply came to."""

    changed: list[str] = field(default_factory=list)
    unchanged: int = 0
    failure: Failure | None = None


class _StoppedError(Exception):
    """An operation failed; nothing after it is tried."""

    def __init__(self, operation: Operation, output: str) -> None:
        self.failure = Failure(operation.name, output)
        super().__init__(operation.name)


class Apply:
    """One machine's way through its stages. `current`: the operation that is in the works."""

    def __init__(self, run: Run, observer: Observer) -> None:
        self.run = run
        self.observer = observer
        self.result = Applied()
        self.current = ""
        self.needs_output: set[str] = set()
        self._since = 0.0

    def go(self) -> Applied:
        """Apply everything, or stop at the first failure and say so."""
        run = self.run
        run.state.current_stage = StateStage.Execute
        run.evaluate(run.operations)
        self._find_output_readers()
        stages = [(number, list(group)) for number, group in groupby(run.operations, key=lambda o: o.stage)]
        try:
            for index, (_, operations) in enumerate(stages):
                before = len(self.result.changed)
                self._stage(operations)
                if len(self.result.changed) > before and index + 1 < len(stages):
                    run.evaluate([operation for _, later in stages[index + 1 :] for operation in later])
        except _StoppedError as stopped:
            self.result.failure = stopped.failure
        return self.result

    def _find_output_readers(self) -> None:
        """Find the operations whose output a condition reads: a script does not bring it back, plain pyinfra does."""
        if not any(operation.conditions for operation in self.run.operations):
            return
        self.run.connector.closed = True
        try:
            for operation in self.run.operations:
                self._ask_ahead(operation)
                outcomes.assume(operation, operation.commands)
        finally:
            self.run.connector.closed = False
            for operation in self.run.operations:
                outcomes.forget(operation)

    def _ask_ahead(self, operation: Operation) -> None:
        try:
            self.run.holds(operation)
        except outcomes.UndecidedError as undecided:
            self.needs_output.add(undecided.operation.hash)
        except Exception:  # noqa: BLE001, S110 - whatever is wrong with a condition shows when its turn comes
            pass

    # -- one stage ---------------------------------------------------------------------------------------------------

    def _stage(self, operations: Sequence[Operation]) -> None:
        work = [operation for operation in operations if not operation.is_barrier]
        name = next((o.name.rpartition(" | ")[2].removeprefix(STAGE) for o in operations if o.is_barrier), "")
        self.observer.stage_started(name, len(work))
        self._since = time.monotonic()
        stretch: list[Step] = []
        for operation in operations:
            stretch = self._place(operation, stretch)
        self._execute(stretch)

    def _place(self, operation: Operation, stretch: list[Step]) -> list[Step]:
        """Add the operation to the stretch, or end the stretch and run the operation by itself; the stretch to go on with."""
        try:
            holds = self._decide(operation)
        except (outcomes.UndecidedError, NotNowError):
            self._execute(stretch)
            self._plainly(operation)
            return []
        except Exception as error:
            self._execute(stretch)
            raise _StoppedError(operation, f"its condition cannot be told: {error}") from error
        if holds and operation.error is not None:
            self._execute(stretch)
            raise _StoppedError(operation, str(operation.error) or repr(operation.error)) from operation.error
        commands = operation.commands if holds else []
        if commands and not (operation.hash not in self.needs_output and fits_script(self.run, operation)):
            self._execute(stretch)
            self._plainly(operation)
            return []
        size = upload_bytes(commands)
        if size and size + sum(upload_bytes(step.commands) for step in stretch) > SCRIPT_BYTES:
            self._execute(stretch)
            stretch = []
        outcomes.assume(operation, commands)
        return [*stretch, Step(operation, commands)]

    def _decide(self, operation: Operation) -> bool:
        # What a condition would ask the machine now is not yet what it should see.
        self.run.connector.closed = True
        try:
            return self.run.holds(operation)
        finally:
            self.run.connector.closed = False

    # -- a stretch in one script -------------------------------------------------------------------------------------

    def _execute(self, stretch: Sequence[Step]) -> None:
        arrived = _Arrivals(self, stretch)
        try:
            if any(step.commands for step in stretch):
                self._send(stretch, arrived)
            arrived.up_to(len(stretch))
        finally:
            for step in stretch[arrived.count :]:
                outcomes.forget(step.operation)

    def _send(self, stretch: Sequence[Step], arrived: _Arrivals) -> None:
        run = self.run
        inside = runs_under_sudo(stretch)
        nonce = secrets.token_hex(16)
        script = compile_script(stretch, nonce, inside_sudo=inside)
        reports = Reports(nonce, lambda place: arrived.up_to(place + 1))
        arrived.next_up()
        run.facts.forget()
        completed = run.link.execute(ROOT if inside else SELF, [script], on_stdout=reports.feed)
        check_begun(completed, reports.begun)
        if reports.failed is not None:
            place, status, output = reports.failed
            arrived.up_to(place)
            outcomes.record(stretch[place].operation, succeeded=False, commands=stretch[place].commands)
            arrived.count = place + 1
            raise _StoppedError(stretch[place].operation, said(output.splitlines(), status))
        if any(step.commands for step in stretch[arrived.count :]):
            raise RuntimeError(f"the script ended early (exit status {completed.code}): {completed.complaint}")

    def finish(self, operation: Operation, commands: Sequence[Any]) -> None:
        """Note that an operation is as it should be."""
        seconds, self._since = time.monotonic() - self._since, time.monotonic()
        if operation.is_barrier:
            return
        if commands:
            self.result.changed.append(operation.name)
        else:
            self.result.unchanged += 1
        self.observer.operation_done(operation.name, changed=bool(commands), seconds=seconds if commands else 0.0)

    # -- by plain pyinfra --------------------------------------------------------------------------------------------

    def _plainly(self, operation: Operation) -> None:
        run, view = self.run, HostView.of(self.run.host)
        self.current = operation.name
        outcomes.forget(operation)
        run.facts.forget()
        run.enter(view)
        run.state.is_executing = True
        run.connector.expected = operation.commands
        try:
            serial = run.together.in_turn if run.shared(operation).get("_serial") else nullcontext()
            with serial, _captured(run.host.name) as logged:
                succeeded = run_host_op(run.state, view, operation.hash)
        except Exception as error:
            self._still_there()
            raise _StoppedError(operation, str(error) or repr(error)) from error
        finally:
            run.state.is_executing = False
        meta = operation.meta
        if not succeeded:
            self._still_there()
            lines = meta._combined_output.output_lines if meta._combined_output else []
            raise _StoppedError(operation, "\n".join((lines or logged)[-TAIL_LINES:]))
        run.facts.forget()
        # An error that the recipe ignores is no change either.
        self.finish(operation, meta._commands if meta.did_change() else [])

    def _still_there(self) -> None:
        """pyinfra makes a failed operation of a broken connection; it is more than that."""
        if self.run.link.lost:
            raise LinkLostError(self.run.link.lost)


class _Arrivals:
    """Which steps of a stretch are done: marks come for those with commands, the others are done with them."""

    def __init__(self, apply: Apply, stretch: Sequence[Step]) -> None:
        self.apply = apply
        self.stretch = stretch
        self.count = 0

    def up_to(self, end: int) -> None:
        for step in self.stretch[self.count : end]:
            outcomes.record(step.operation, succeeded=True, commands=step.commands)
            self.apply.finish(step.operation, step.commands)
            self.count += 1
        self.next_up()

    def next_up(self) -> None:
        self.apply.current = next((step.operation.name for step in self.stretch[self.count :] if step.commands), "")


def said(lines: Sequence[str], status: int) -> str:
    """The last lines of an operation's output, and how it ended."""
    return "\n".join([*lines[-TAIL_LINES:], f"exit status {status}"])


@contextmanager
def _captured(host: str) -> Iterator[list[str]]:
    """What pyinfra logs about a host as errors: for uploads and Python functions it says nowhere else what went wrong."""
    lines: list[str] = []

    class Capture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = click.unstyle(record.getMessage())
            if message.startswith(f"[{host}]"):
                lines.append(message.partition("] ")[2].strip())

    handler = Capture(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
